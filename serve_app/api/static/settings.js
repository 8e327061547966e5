// How the text is spoken: the form beside it, the emotions there are, and what the form says as a request.
import { byId, element, group, option, refill } from "./dom.js";
import { decimal, languageName, onLanguage, t } from "./i18n.js";

export const PRESETS = ["neutral", "happy", "sad", "angry"];
export const ONCE = "@once"; // the recording that is used once

export class Settings {
  #catalogue;

  constructor(catalogue) {
    this.#catalogue = catalogue;
    for (const name of ["speed", "intensity", "blend-share"]) byId(name).addEventListener("input", () => this.#show());
    byId("voice").addEventListener("change", () => this.render());
    byId("blend").addEventListener("change", () => this.#show());
    byId("emotions").addEventListener("change", () => this.#show());
    byId("text").addEventListener("input", () => this.#show());
    byId("keep-seed").addEventListener("click", (event) => {
      byId("seed").value = event.currentTarget.value;
      byId("keep-seed").hidden = true;
    });
    onLanguage(() => this.render());
  }

  get emotion() {
    return byId("emotions").querySelector("input:checked")?.value ?? PRESETS[0];
  }

  // The body of POST /v1/audio/speech.
  body() {
    const body = { input: byId("text").value, voice: this.#voice(), language: byId("language").value };
    const recording = this.#catalogue.once;
    if (byId("voice").value === ONCE && recording) {
      delete body.voice;
      body.reference_audio_b64 = recording.base64;
    }
    Object.assign(body, emotionFields(this.emotion, Number(byId("intensity").value)));
    if (Number(byId("speed").value) !== 1) body.speed = Number(byId("speed").value);
    return { ...body, ...seedField(byId("seed").value) };
  }

  offerSeed(seed) {
    if (byId("seed").value === String(seed)) return;
    const button = byId("keep-seed");
    Object.assign(button, { value: seed, textContent: t("keepSeed", { seed }), hidden: false });
  }

  render() {
    const catalogue = this.#catalogue;
    refill(byId("voice"), catalogue.options({ hasOnce: true }), "default");
    refill(byId("blend"), [option("", t("blendNone")), ...catalogue.options()], "");
    refillLanguages(byId("language"), catalogue.languages);
    this.#renderEmotions(catalogue.emotionsOf(byId("voice").value));
    this.#show();
  }

  #voice() {
    const first = byId("voice").value || "default"; // before the voices are known
    const [second, share] = [byId("blend").value, Number(byId("blend-share").value)];
    if (!second || second === first || share === 0) return first;
    return share === 100 ? second : `${first}(${100 - share})+${second}(${share})`;
  }

  #renderEmotions(names) {
    const chosen = this.emotion;
    const chips = names.map((name) => {
      const input = element("input", { type: "radio", name: "emotion", value: name, checked: name === chosen });
      return element("label", { className: "chip" }, input, element("span", { textContent: emotionName(name) }));
    });
    byId("emotions").replaceChildren(...chips);
    if (!names.includes(chosen)) byId("emotions").querySelector("input").checked = true;
  }

  #show() {
    byId("speed-value").textContent = `${decimal(Number(byId("speed").value), 2)}×`;
    byId("intensity-value").textContent = `${Math.round(byId("intensity").value * 100)} %`;
    byId("blend-value").textContent = `${byId("blend-share").value} %`;
    byId("intensity-field").hidden = this.emotion === PRESETS[0];
    byId("blend-field").hidden = byId("voice").value === ONCE;
    byId("share-field").hidden = !byId("blend").value || byId("blend-field").hidden;
    byId("count").textContent = t("characters", { n: decimal([...byId("text").value].length, 0) });
    const sliders = document.querySelectorAll("input[type=range]");
    for (const each of sliders) each.style.setProperty("--at", (each.value - each.min) / (each.max - each.min));
  }
}

export function emotionName(name) {
  return PRESETS.includes(name) ? t(name) : name;
}

export function refillLanguages(select, languages) {
  refill(select, [option("auto", t("auto")), ...languages.map((code) => option(code, languageName(code)))], "auto");
}

// Neutral is the voice as it is.
export function emotionFields(emotion, intensity) {
  if (emotion === PRESETS[0]) return {};
  return intensity === 1 ? { emotion } : { emotion, emotion_intensity: intensity };
}

export function seedField(text) {
  return text.trim() === "" ? {} : { seed: Number(text) };
}

export function voiceOptions(voices, once) {
  const named = (each) => option(each.id, each.name);
  const groups = [
    [t("onceVoice"), once ? [option(ONCE, t("recordingNamed", { name: once.name }))] : []],
    [t("ownVoices"), voices.filter((each) => each.kind === "custom").map(named)],
    [t("modelVoices"), voices.filter((each) => each.kind !== "custom").map(named)],
  ];
  return groups.filter(([, options]) => options.length > 0).map(([label, options]) => group(label, options));
}
