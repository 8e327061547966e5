// The list of voices: hear one, use it, delete one of your own, and the same with the styles it has.
import { deleteAndTell, deleteButton, rowButton } from "./buttons.js";
import { byId, element } from "./dom.js";
import { decimal, onLanguage, t } from "./i18n.js";
import { styleRow } from "./styles.js";
import { wordsFor } from "./words.js";

export class VoiceList {
  #catalogue;
  #unfolded = new Set(); // voices whose styles are shown

  // `onPreview(id, style)`, `onUse(id)` and `onChange()` tell the rest of the page.
  constructor(catalogue, { onPreview, onUse, onChange }) {
    Object.assign(this, { onPreview, onUse, onChange });
    this.#catalogue = catalogue;
    onLanguage(() => this.render());
  }

  // Shows a voice's styles from the next `render` on.
  unfold(id) {
    this.#unfolded.add(id);
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
    const properties = { className: "voice", data: { voice: voice.id, kind: voice.kind }, title: kind };
    return element("li", properties, words, buttons, voice.styles?.length ? this.#styles(voice) : null);
  }

  #buttons(voice) {
    const { id, name } = voice;
    const made = [
      rowButton("preview", "previewNamed", name, () => this.onPreview(id)),
      rowButton("use", "useNamed", name, () => this.onUse(id)),
    ];
    if (!voice.can_change) return made;
    const remove = deleteButton(name, () => this.#delete(voice, name, () => this.#catalogue.remove(id)));
    remove.dataset.remove = id;
    return [...made, remove];
  }

  // Their rows are asked for when they are unfolded.
  #styles(voice) {
    const rows = element("ul", { className: "plain" });
    const summary = element("summary", { textContent: t("stylesOf", { names: voice.styles.join(", ") }) });
    const details = element("details", { className: "styles fold", open: this.#unfolded.has(voice.id) }, summary, rows);
    details.addEventListener("toggle", async () => {
      this.#unfolded[details.open ? "add" : "delete"](voice.id);
      if (!details.open) return;
      try {
        const styles = await this.#catalogue.stylesOf(voice.id);
        rows.replaceChildren(...styles.map((each) => this.#styleRow(voice, each)));
      } catch (error) {
        byId("library-said").textContent = wordsFor(error).join(" ");
      }
    });
    return details;
  }

  #styleRow(voice, style) {
    const onDelete = () => this.#delete(voice, style.id, () => this.#catalogue.removeStyle(style.id, voice.id));
    return styleRow(style, {
      onPreview: () => this.onPreview(voice.id, style.id),
      onDelete: voice.can_change ? onDelete : null,
    });
  }

  async #delete(voice, name, ask) {
    await deleteAndTell(byId("library-said"), name, ask);
    this.onChange();
    const row = byId("library").querySelector(`[data-voice=${CSS.escape(voice.id)}]`) ?? byId("library");
    (row.querySelector("summary") ?? row.querySelector("button"))?.focus();
  }
}

function facts(voice) {
  const parts = [voice.description, voice.licence];
  if (voice.speech_s) parts.push(t("speechS", { s: decimal(voice.speech_s) }));
  return parts.filter(Boolean).join(" · ");
}
