// A new voice: recordings that are used once, or saved under a name.
import { rowButton } from "./buttons.js";
import { byId } from "./dom.js";
import { decimal, t } from "./i18n.js";
import { Recordings } from "./recordings.js";
import { base64Of } from "./wav.js";

export class VoiceMaker {
  #catalogue;
  #recordings;

  // `onUseOnce(recording)` and `onSaved()` tell the rest of the page.
  constructor(catalogue, { onUseOnce, onSaved }) {
    Object.assign(this, { onUseOnce, onSaved });
    this.#catalogue = catalogue;
    this.#recordings = new Recordings(byId("new-voice"), {
      adviceAt: (seconds) => (seconds < 6 ? "recordMore" : seconds < 15 ? "recordGood" : "recordEnough"),
      extraButtons: (each) => [rowButton("useOnce", "useOnceNamed", each.name, () => this.#useOnce(each))],
    });
    byId("new-voice").addEventListener("submit", (event) => this.#save(event));
  }

  render() {
    this.#recordings.render();
  }

  async #useOnce({ name, blob }) {
    this.onUseOnce({ name, base64: await base64Of(blob) });
    this.#recordings.tell(t("usedOnce"));
  }

  async #save(event) {
    event.preventDefault();
    const fields = {
      name: byId("voice-name").value.trim(),
      description: byId("voice-description").value.trim(),
      consent: String(byId("consent").checked),
    };
    const voice = await this.#recordings.send(fields, (form) => this.#catalogue.make(form), "noMaking");
    if (!voice) return;
    this.#recordings.clear();
    const told = t("savedVoice", { name: voice.name, s: decimal(voice.speech_s ?? 0) });
    this.#recordings.tell(told, { hints: voice.warnings });
    this.onSaved();
  }
}
