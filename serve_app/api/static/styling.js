// A new style: a manner of speaking, recorded, for one of the user's own voices or for all voices.
import { byId, option, refill } from "./dom.js";
import { decimal, onLanguage, t } from "./i18n.js";
import { Recordings } from "./recordings.js";
import { PRESETS } from "./settings.js";

const FIT = /^[a-z0-9][a-z0-9_-]{0,63}$/;

export class StyleMaker {
  #catalogue;
  #recordings;
  #asked = null; // the style whose replacement waits for a second click

  // `onSaved(voiceId)` tells the rest of the page; "" stands for all voices.
  constructor(catalogue, { onSaved }) {
    Object.assign(this, { onSaved });
    this.#catalogue = catalogue;
    this.#recordings = new Recordings(byId("new-style"), {
      adviceAt: (seconds) => (seconds < 1 ? "recordStyle" : seconds < 10 ? "recordGood" : "recordEnough"),
    });
    byId("new-style").addEventListener("submit", (event) => this.#save(event));
    for (const id of ["style-name", "style-of"]) byId(id).addEventListener("input", () => this.#show());
    onLanguage(() => this.render());
  }

  render() {
    const own = this.#catalogue.voices.filter((each) => each.kind === "custom" && each.can_change);
    refill(byId("style-of"), [option("", t("allVoices")), ...own.map((each) => option(each.id, each.name))], "");
    byId("styling").hidden = !this.#catalogue.hasStyles;
    this.#recordings.render();
    this.#show();
  }

  #show() {
    this.#asked = null;
    const isOwn = byId("style-of").value !== "";
    byId("style-consent-field").hidden = isOwn;
    byId("style-covered").hidden = !isOwn;
    byId("save-style").textContent = t("saveStyle");
  }

  async #save(event) {
    event.preventDefault();
    const name = byId("style-name").value.trim().toLowerCase().replace(/\s+/g, "-");
    const voiceId = byId("style-of").value;
    if (!FIT.test(name) || name === PRESETS[0]) return this.#refuse(FIT.test(name) ? "styleIsNeutral" : "styleRule");
    if (!this.#recordings.isEmpty && this.#mustAsk(name, voiceId)) return undefined;
    const fields = { description: byId("style-description").value.trim() };
    if (voiceId === "") fields.consent = String(byId("style-consent").checked);
    const style = await this.#recordings.send(fields, (form) => this.#catalogue.makeStyle(name, voiceId, form));
    if (!style) return undefined;
    this.#recordings.clear();
    byId("style-of").value = voiceId;
    const told = t("savedStyle", { name: style.id, s: decimal(style.speech_s) });
    this.#recordings.tell(told, { hints: style.warnings });
    return this.onSaved(voiceId);
  }

  #refuse(key) {
    this.#recordings.tell(t(key), { isTrouble: true });
    byId("style-name").focus();
  }

  // Whether this click only asks: a style of this name would be lost.
  #mustAsk(name, voiceId) {
    const key = `${voiceId}/${name}`;
    if (this.#asked === key || !this.#catalogue.hasStyle(name, voiceId)) return false;
    this.#recordings.tell(t("styleExists", { name }));
    byId("save-style").textContent = t("replaceStyle");
    this.#asked = key;
    return true;
  }
}
