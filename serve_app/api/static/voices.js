// The list of voices: hear one, use it, delete one of your own.
import { byId, element } from "./dom.js";
import { decimal, onLanguage, t } from "./i18n.js";
import { wordsFor } from "./words.js";

export class VoiceList {
  #catalogue;
  #asked = null; // the voice whose deletion waits for a second click

  // `onPreview(id)`, `onUse(id)` and `onChange()` tell the rest of the page.
  constructor(catalogue, { onPreview, onUse, onChange }) {
    Object.assign(this, { onPreview, onUse, onChange });
    this.#catalogue = catalogue;
    onLanguage(() => this.render());
  }

  render() {
    const own = this.#catalogue.voices.filter((each) => each.kind === "custom");
    const models = this.#catalogue.voices.filter((each) => each.kind !== "custom");
    byId("library").replaceChildren(...[...own, ...models].map((each) => this.#row(each)));
  }

  #row(voice) {
    const warnings = (voice.warnings ?? []).map((text) => element("li", { textContent: text }));
    const words = element(
      "div",
      { className: "voice-words" },
      element("span", { className: "voice-name", textContent: voice.name }),
      element("span", { className: "muted", textContent: facts(voice) }),
      warnings.length > 0 ? element("ul", { className: "hints" }, ...warnings) : null,
    );
    const buttons = element("div", { className: "row-buttons" }, ...this.#buttons(voice));
    const kind = t(voice.kind === "custom" ? "ownVoices" : "modelVoices");
    return element("li", { className: "voice", data: { voice: voice.id, kind: voice.kind }, title: kind }, words, buttons);
  }

  #buttons(voice) {
    const { id, name } = voice;
    const made = [
      button(t("preview"), t("previewNamed", { name }), () => this.onPreview(id)),
      button(t("use"), t("useNamed", { name }), () => this.onUse(id)),
    ];
    if (!voice.can_change) return made;
    const isAsked = this.#asked === id;
    const [word, label] = isAsked ? ["deleteSure", "deleteSureNamed"] : ["deleteVoice", "deleteNamed"];
    const remove = button(t(word), t(label, { name }), () => this.#remove(voice));
    remove.classList.add(isAsked ? "danger" : "quiet");
    remove.dataset.remove = id;
    if (isAsked) remove.addEventListener("blur", () => this.#forget());
    return [...made, remove];
  }

  async #remove({ id, name }) {
    if (this.#asked !== id) {
      this.#asked = id;
      this.render();
      byId("library").querySelector(".danger").focus();
      return;
    }
    this.#asked = null;
    try {
      await this.#catalogue.remove(id);
      byId("library-said").textContent = t("deleted", { name });
    } catch (error) {
      byId("library-said").textContent = wordsFor(error).join(" ");
    }
    this.onChange();
    byId("library").querySelector("button")?.focus();
  }

  #forget() {
    if (this.#asked === null) return;
    this.#asked = null;
    queueMicrotask(() => this.render());
  }
}

function button(text, label, onClick) {
  return element("button", { type: "button", textContent: text, ariaLabel: label, on: { click: onClick } });
}

function facts(voice) {
  const parts = [voice.description, voice.licence];
  if (voice.speech_s) parts.push(t("speechS", { s: decimal(voice.speech_s) }));
  if (voice.styles?.length) parts.push(t("stylesOf", { names: voice.styles.join(", ") }));
  return parts.filter(Boolean).join(" · ");
}
