// The part of a form that takes recordings, from the microphone or from files, and sends them with the other fields.
import { rowButton } from "./buttons.js";
import { byId, element, isEnabled, setEnabled } from "./dom.js";
import { decimal, onLanguage, t } from "./i18n.js";
import { MAX_S, Recorder } from "./recorder.js";
import { decodedToWav, toInt16 } from "./wav.js";
import { Waveform } from "./waveform.js";
import { wordsFor } from "./words.js";

const MAX_RECORDINGS = 5;
const MAX_FILE_S = 600;
const READ_BY_SERVICE = /\.(wav|flac|mp3|ogg|oga|opus)$/i;

export class Recordings {
  static #recording = null; // the form that has the microphone

  #form;
  #recordings = []; // [{name, blob, url}]
  #recorder = null;
  #isStarting = false;
  #waveform;
  #numRecorded = 0;

  // Fills the form's `.taking`. `adviceAt(seconds)` is the key of what is said while recording, `extraButtons(recording)`
  // what a row has beside Remove.
  constructor(form, { adviceAt, extraButtons = () => [] }) {
    Object.assign(this, { adviceAt, extraButtons });
    this.#form = form;
    this.#part("taking").append(byId("taking").content.cloneNode(true));
    this.#waveform = new Waveform(this.#part("meter"));
    this.#part("record").addEventListener("click", () => (this.#recorder ? this.#finish() : this.#start()));
    this.#part("upload").addEventListener("click", () => this.#part("files").click());
    this.#part("files").addEventListener("change", (event) => this.#take(event.target));
    onLanguage(() => this.render());
  }

  get isEmpty() {
    return this.#recordings.length === 0;
  }

  render() {
    this.#part("record-word").textContent = t(this.#recorder ? "stopRecording" : "record");
    this.#part("record").classList.toggle("is-recording", this.#recorder !== null);
    this.#part("meter").hidden = this.#recorder === null;
    this.#part("recordings").replaceChildren(...this.#recordings.map((each) => this.#row(each)));
    this.#part("recordings").hidden = this.isEmpty;
  }

  // What `ask(form)` answers to the fields and the recordings. Undefined where there is nothing to send, or where it
  // failed: both are told. `missing` is the key of what is said where the service has no such route.
  async send(fields, ask, missing = "errMissing") {
    const save = this.#form.querySelector("[type=submit]");
    if (!isEnabled(save)) return undefined;
    if (this.isEmpty) return this.tell(t("needRecording"));
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    for (const { blob, name } of this.#recordings) form.append("audio", blob, name);
    this.tell(t("listening"));
    setEnabled(save, false);
    try {
      return await ask(form);
    } catch (error) {
      return this.tell(error.isMissingRoute ? t(missing) : wordsFor(error).join(" "), { isTrouble: true });
    } finally {
      setEnabled(save, true);
    }
  }

  // The form is as it was at first.
  clear() {
    for (const { url } of this.#recordings) URL.revokeObjectURL(url);
    this.#recordings = [];
    this.#form.reset();
    this.render();
  }

  tell(text, { isTrouble = false, hints = [] } = {}) {
    const said = this.#part("saying");
    if (said.textContent !== text) said.textContent = text;
    said.classList.toggle("is-trouble", isTrouble);
    this.#part("hints").replaceChildren(...hints.map((hint) => element("li", { textContent: hint })));
    if (text && !this.#recorder) said.scrollIntoView({ block: "nearest" }); // the button may be a screen below
  }

  #part(name) {
    return this.#form.querySelector(`.${name}`);
  }

  async #start() {
    if (this.#isStarting) return undefined;
    if (!navigator.mediaDevices) return this.tell(t("microphoneNeedsHttps"));
    if (this.#recordings.length >= MAX_RECORDINGS) return this.tell(t("tooMany"));
    Recordings.#recording?.#finish();
    const recorder = new Recorder();
    this.#waveform.clear();
    const onBlock = (block) => {
      this.#waveform.append(toInt16(block), recorder.rate, 1);
      this.tell(t(this.adviceAt(recorder.seconds), { s: decimal(Math.floor(recorder.seconds), 0) }));
    };
    this.#isStarting = true;
    try {
      await recorder.start({ onBlock, onFull: () => this.#finish() });
    } catch {
      return this.tell(t("noMicrophone"));
    } finally {
      this.#isStarting = false;
    }
    this.#recorder = recorder;
    Recordings.#recording = this;
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
    this.#recorder = Recordings.#recording = null;
    this.#add(t("recordingName", { n: ++this.#numRecorded }), blob);
    this.tell(t("recordedS", { s: decimal(seconds) }));
  }

  async #take(input) {
    const files = [...input.files];
    input.value = "";
    for (const file of files) {
      if (this.#recordings.length >= MAX_RECORDINGS) return this.tell(t("tooMany"));
      try {
        this.#add(file.name, READ_BY_SERVICE.test(file.name) ? file : await decodedToWav(file, MAX_FILE_S));
        this.tell("");
      } catch {
        this.tell(t("unreadable", { name: file.name }));
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
    this.#part("record").focus();
  }

  #row(recording) {
    const { name, url } = recording;
    const remove = rowButton("remove", "removeNamed", name, () => this.#drop(recording));
    return element(
      "li",
      { className: "recording" },
      element("span", { className: "voice-name", textContent: name }),
      element("audio", { controls: true, src: url, preload: "metadata", ariaLabel: name }),
      element("div", { className: "row-buttons" }, ...this.extraButtons(recording), remove),
    );
  }
}
