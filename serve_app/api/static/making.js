// A new voice: recordings from the microphone or from files, used once or saved under a name.
import { byId, element, setEnabled } from "./dom.js";
import { decimal, onLanguage, t } from "./i18n.js";
import { MAX_S, Recorder } from "./recorder.js";
import { base64Of, decodedToWav, toInt16 } from "./wav.js";
import { Waveform } from "./waveform.js";
import { wordsFor } from "./words.js";

const MAX_RECORDINGS = 5;
const MAX_FILE_S = 600;
const READ_BY_SERVICE = /\.(wav|flac|mp3|ogg|oga|opus)$/i;

export class VoiceMaker {
  #catalogue;
  #recordings = []; // [{name, blob, url}]
  #recorder = null;
  #waveform = new Waveform(byId("meter"));
  #numRecorded = 0;

  // `onUseOnce(recording)` and `onSaved(voice)` tell the rest of the page.
  constructor(catalogue, { onUseOnce, onSaved }) {
    Object.assign(this, { onUseOnce, onSaved });
    this.#catalogue = catalogue;
    byId("record").addEventListener("click", () => (this.#recorder ? this.#finish() : this.#start()));
    byId("upload").addEventListener("click", () => byId("files").click());
    byId("files").addEventListener("change", (event) => this.#take(event.target));
    byId("new-voice").addEventListener("submit", (event) => this.#save(event));
    onLanguage(() => this.render());
  }

  render() {
    byId("record-word").textContent = t(this.#recorder ? "stopRecording" : "record");
    byId("record").classList.toggle("is-recording", this.#recorder !== null);
    byId("meter").hidden = this.#recorder === null;
    byId("recordings").replaceChildren(...this.#recordings.map((each) => this.#row(each)));
    byId("recordings").hidden = this.#recordings.length === 0;
  }

  async #start() {
    if (!navigator.mediaDevices) return this.#tell(t("microphoneNeedsHttps"));
    if (this.#recordings.length >= MAX_RECORDINGS) return this.#tell(t("tooMany"));
    const recorder = new Recorder();
    this.#waveform.clear();
    const onBlock = (block) => {
      this.#waveform.append(toInt16(block), recorder.rate, 1);
      this.#tell(recordingAdvice(recorder.seconds));
    };
    try {
      await recorder.start({ onBlock, onFull: () => this.#finish() });
    } catch {
      return this.#tell(t("noMicrophone"));
    }
    this.#recorder = recorder;
    this.render();
    return this.#watch();
  }

  #watch() {
    if (!this.#recorder) return;
    this.#waveform.draw({ positionS: this.#waveform.durationS, isLive: true, isWaiting: false, nowMs: 0 });
    requestAnimationFrame(() => this.#watch());
  }

  #finish() {
    if (!this.#recorder) return;
    const seconds = Math.min(MAX_S, this.#recorder.seconds);
    const blob = this.#recorder.stop();
    this.#recorder = null;
    this.#add(t("recordingName", { n: ++this.#numRecorded }), blob);
    this.#tell(t("recordedS", { s: decimal(seconds) }));
  }

  async #take(input) {
    const files = [...input.files];
    input.value = "";
    for (const file of files) {
      if (this.#recordings.length >= MAX_RECORDINGS) return this.#tell(t("tooMany"));
      try {
        this.#add(file.name, READ_BY_SERVICE.test(file.name) ? file : await decodedToWav(file, MAX_FILE_S));
        this.#tell("");
      } catch {
        this.#tell(t("unreadable", { name: file.name }));
      }
    }
    return undefined;
  }

  #add(name, blob) {
    this.#recordings.push({ name, blob, url: URL.createObjectURL(blob) });
    this.render();
  }

  #drop(recording) {
    URL.revokeObjectURL(recording.url);
    this.#recordings = this.#recordings.filter((each) => each !== recording);
    this.render();
    byId("record").focus();
  }

  #row(recording) {
    const { name, url } = recording;
    const act = (word, label, onClick) =>
      element("button", { type: "button", textContent: t(word), ariaLabel: t(label, { name }), on: { click: onClick } });
    return element(
      "li",
      { className: "recording" },
      element("span", { className: "voice-name", textContent: name }),
      element("audio", { controls: true, src: url, preload: "metadata", ariaLabel: name }),
      element(
        "div",
        { className: "row-buttons" },
        act("useOnce", "useOnceNamed", () => this.#useOnce(recording)),
        act("remove", "removeNamed", () => this.#drop(recording)),
      ),
    );
  }

  async #useOnce({ name, blob }) {
    this.onUseOnce({ name, base64: await base64Of(blob) });
    this.#tell(t("usedOnce"));
  }

  async #save(event) {
    event.preventDefault();
    if (this.#recordings.length === 0) return this.#tell(t("needRecording"));
    const form = new FormData();
    form.set("name", byId("voice-name").value.trim());
    form.set("description", byId("voice-description").value.trim());
    form.set("consent", String(byId("consent").checked));
    for (const { blob, name } of this.#recordings) form.append("audio", blob, name);
    this.#tell(t("savingVoice"));
    setEnabled(byId("save-voice"), false);
    try {
      this.#saved(await this.#catalogue.make(form));
    } catch (error) {
      this.#tell(error.isMissingRoute ? t("noMaking") : wordsFor(error).join(" "), { isTrouble: true });
    }
    setEnabled(byId("save-voice"), true);
    return undefined;
  }

  #saved(voice) {
    for (const { url } of this.#recordings) URL.revokeObjectURL(url);
    this.#recordings = [];
    byId("new-voice").reset();
    this.render();
    this.#tell(t("savedVoice", { name: voice.name, s: decimal(voice.speech_s ?? 0) }), { hints: voice.warnings });
    this.onSaved(voice);
  }

  #tell(text, { isTrouble = false, hints = [] } = {}) {
    if (byId("making-said").textContent !== text) byId("making-said").textContent = text;
    byId("making-said").classList.toggle("is-trouble", isTrouble);
    byId("making-hints").replaceChildren(...hints.map((hint) => element("li", { textContent: hint })));
  }
}

function recordingAdvice(seconds) {
  const key = seconds < 6 ? "recordMore" : seconds < 15 ? "recordGood" : "recordEnough";
  return t(key, { s: decimal(Math.floor(seconds), 0) });
}
