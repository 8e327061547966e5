// The request on the screen as commands: curl, and Python with OpenAI's client. A key is never written into them.
import { apiKey, address } from "./api.js";
import { byId } from "./dom.js";
import { t } from "./i18n.js";

const REFERENCE = "my-voice.wav";

export function showCode(route, body) {
  byId("curl").textContent = curl(route, body);
  byId("python").textContent = python(route, body);
}

export async function copy(button) {
  const text = byId(button.dataset.copies).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const range = document.createRange(); // without https there is no clipboard: it is marked, and Ctrl+C copies it
    range.selectNodeContents(byId(button.dataset.copies));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    return;
  }
  button.textContent = t("copied");
  setTimeout(() => (button.textContent = t("copy")), 2000);
}

export function curl(route, body) {
  const lines = [`curl -f ${quoted(address(route))} -o speech.mp3`];
  if (apiKey.get()) lines.push('-H "authorization: Bearer $XTTS_API_KEY"');
  const { reference_audio_b64: reference, ...rest } = body;
  if (reference === undefined) {
    lines.push("-H 'content-type: application/json'", `-d ${quoted(JSON.stringify(rest, null, 1))}`);
  } else {
    for (const [name, value] of Object.entries(rest)) lines.push(`--form-string ${quoted(`${name}=${value}`)}`);
    lines.push(`-F reference_audio=@${REFERENCE}`);
  }
  return lines.join(" \\\n  ");
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function python(route, body) {
  const key = apiKey.get() ? 'os.environ["XTTS_API_KEY"]' : '"none"';
  const base = address("v1");
  const isDialogue = route.endsWith("dialogue");
  const { reference_audio_b64: reference, ...rest } = body;
  const imports = [apiKey.get() ? "import os" : "", reference === undefined ? "" : "import base64", "from pathlib import Path", ""];
  const lines = [...imports.filter((line, index) => line || index === 3), "from openai import OpenAI", ""];
  if (isDialogue) lines[lines.length - 2] = "from openai import OpenAI\nfrom openai._legacy_response import HttpxBinaryResponseContent";
  lines.push(`client = OpenAI(base_url=${literal(base)}, api_key=${key})`);
  return [...lines, isDialogue ? conversation(rest) : speech(rest, reference !== undefined), ""].join("\n");
}

function speech({ input, voice, speed, ...ours }, hasReference) {
  const extra = Object.entries(ours).map(([name, value]) => `${literal(name)}: ${literal(value)}`);
  if (hasReference) extra.push(`"reference_audio_b64": base64.b64encode(Path("${REFERENCE}").read_bytes()).decode()`);
  const fields = ['model="xtts"', `voice=${literal(voice ?? "default")}`, `input=${literal(input)}`];
  if (speed !== undefined) fields.push(`speed=${literal(speed)}`);
  fields.push(`extra_body={${extra.join(", ")}}`);
  return `audio = client.audio.speech.create(\n    ${fields.join(",\n    ")},\n)\nPath("speech.mp3").write_bytes(audio.content)`;
}

function conversation({ turns, ...rest }) {
  const rows = turns.map((turn) => `        ${literal(turn)},`);
  const fields = Object.entries(rest).map(([name, value]) => `    ${literal(name)}: ${literal(value)},`);
  const body = `body = {\n    "turns": [\n${rows.join("\n")}\n    ],\n${fields.join("\n")}\n}`;
  return `${body}\naudio = client.post("/audio/dialogue", body=body, cast_to=HttpxBinaryResponseContent)\nPath("speech.mp3").write_bytes(audio.content)`;
}

// JSON of texts, numbers and objects of them is Python too.
const literal = (value) => JSON.stringify(value);
