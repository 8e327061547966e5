// Styles as rows: hear one, delete one of your own. The list is that of the styles for all voices.
import { deleteAndTell, deleteButton, rowButton } from "./buttons.js";
import { byId, element } from "./dom.js";
import { decimal, onLanguage, t } from "./i18n.js";

export class SharedStyles {
  #catalogue;

  // `onPreview(voiceId, style)` and `onChange()` tell the rest of the page.
  constructor(catalogue, { onPreview, onChange }) {
    Object.assign(this, { onPreview, onChange });
    this.#catalogue = catalogue;
    onLanguage(() => this.render());
  }

  render() {
    const { styles } = this.#catalogue;
    byId("shared").hidden = styles.length === 0;
    byId("shared-styles").replaceChildren(...styles.map((each) => this.#row(each)));
  }

  #row(style) {
    const onPreview = () => this.onPreview(this.#voiceFor(style.id), style.id);
    return styleRow(style, { onPreview, onDelete: style.can_change ? () => this.#delete(style.id) : null });
  }

  // The voice of the text, unless that has a style of its own by this name, which would be heard instead.
  #voiceFor(style) {
    const { voices } = this.#catalogue;
    const chosen = voices.filter((each) => each.id === byId("voice").value);
    return [...chosen, ...voices].find((each) => !each.styles?.includes(style))?.id ?? "default";
  }

  async #delete(id) {
    await deleteAndTell(byId("shared-said"), id, () => this.#catalogue.removeStyle(id, ""));
    this.onChange();
    (byId("shared-styles").querySelector("button") ?? byId("styling").querySelector("summary")).focus();
  }
}

// `onDelete` is null where it is somebody else's.
export function styleRow(style, { onPreview, onDelete }) {
  const hints = style.warnings.map((text) => element("li", { textContent: text }));
  const facts = [style.description, t("speechS", { s: decimal(style.speech_s) })].filter(Boolean).join(" · ");
  const words = element(
    "div",
    { className: "voice-words" },
    element("span", { className: "voice-name", textContent: style.id }),
    element("span", { className: "muted", textContent: facts }),
    element("ul", { className: "hints" }, ...hints),
  );
  const buttons = [rowButton("preview", "previewNamed", style.id, onPreview)];
  if (onDelete) buttons.push(deleteButton(style.id, onDelete));
  return element("li", { className: "voice", data: { style: style.id } }, words, element("div", { className: "row-buttons" }, ...buttons));
}
