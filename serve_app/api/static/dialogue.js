// A dialogue: turns of several voices, edited as rows, and what they are as a request.
import { byId, element, option, refill } from "./dom.js";
import { onLanguage, t } from "./i18n.js";
import { emotionFields, emotionName, refillLanguages, seedField } from "./settings.js";

const MAX_TURNS = 200;
const COLOURS = 6;

export class Dialogue {
  #catalogue;
  #turns = [];

  constructor(catalogue) {
    this.#catalogue = catalogue;
    byId("add-turn").addEventListener("click", () => this.#add());
    onLanguage(() => this.render());
  }

  // Two turns of two voices, to begin with.
  begin() {
    const names = this.#catalogue.voices.map((each) => each.id);
    const others = names.filter((name) => name !== "default");
    if (names.length > 0 && this.#turns.length === 0) this.#turns = [newTurn(others[0] ?? names[0]), newTurn(others[1] ?? names[0], 0.3)];
    this.render();
  }

  // The body of POST /v1/audio/dialogue.
  body() {
    const turns = this.#turns.map((turn) => ({
      voice: turn.voice,
      text: turn.text,
      ...emotionFields(turn.emotion, turn.intensity),
      ...(turn.pauseS > 0 ? { pause_s: turn.pauseS } : {}),
    }));
    return { turns, language: byId("dialogue-language").value, ...seedField(byId("dialogue-seed").value) };
  }

  // For each turn the number of its voice's colour.
  colours() {
    const voices = [...new Set(this.#turns.map((turn) => turn.voice))];
    return this.#turns.map((turn) => voices.indexOf(turn.voice) % COLOURS);
  }

  // Points at the first turn without words; false where there is none.
  pointAtEmpty() {
    const index = this.#turns.findIndex((turn) => turn.text.trim() === "");
    if (index < 0) return false;
    byId("dialogue-said").textContent = t("emptyTurn", { n: index + 1 });
    this.#field(index, "textarea").focus();
    return true;
  }

  render() {
    refillLanguages(byId("dialogue-language"), this.#catalogue.languages);
    byId("turns").replaceChildren(...this.#turns.map((turn, index) => this.#row(turn, index)));
    this.#colour();
  }

  #add() {
    if (this.#turns.length >= MAX_TURNS) return;
    const last = this.#turns.at(-1);
    this.#turns.push(newTurn(this.#turns.at(-2)?.voice ?? last?.voice ?? "default", 0.3));
    this.render();
    this.#field(this.#turns.length - 1, "textarea").focus();
  }

  #remove(index) {
    this.#turns.splice(index, 1);
    if (this.#turns.length === 0) this.#turns.push(newTurn("default"));
    this.render();
    this.#field(Math.min(index, this.#turns.length - 1), "textarea").focus();
  }

  #move(index, by) {
    const target = index + by;
    if (target < 0 || target >= this.#turns.length) return;
    [this.#turns[index], this.#turns[target]] = [this.#turns[target], this.#turns[index]];
    this.render();
    this.#field(target, by < 0 ? "[data-move='up']" : "[data-move='down']").focus();
    byId("dialogue-said").textContent = t("turnMoved", { n: target + 1 });
  }

  #field(index, selector) {
    return byId("turns").children[index].querySelector(selector);
  }

  #row(turn, index) {
    const n = index + 1;
    const text = element("textarea", { rows: 2, value: turn.text, ariaLabel: t("turnText", { n }), maxLength: 100_000 });
    text.placeholder = t("textHint");
    text.addEventListener("input", () => (turn.text = text.value));
    const voice = this.#voice(turn, () => emotion.offer());
    const emotion = this.#emotion(turn);
    const head = element("div", { className: "turn-head" }, voice, emotion.field, pauseOf(turn));
    const buttons = element(
      "div",
      { className: "turn-buttons" },
      this.#button("up", "↑", "turnUp", n, () => this.#move(index, -1)),
      this.#button("down", "↓", "turnDown", n, () => this.#move(index, 1)),
      this.#button("away", "×", "removeTurn", n, () => this.#remove(index)),
    );
    const label = element("span", { className: "turn-number", textContent: n, ariaHidden: "true" });
    return element("li", { className: "turn", ariaLabel: t("turn", { n }) }, label, head, buttons, text);
  }

  #voice(turn, onChange) {
    const select = element("select", {});
    refill(select, this.#catalogue.options(), turn.voice);
    turn.voice = select.value;
    select.addEventListener("change", () => {
      turn.voice = select.value;
      onChange();
      this.#colour();
    });
    return labelled("voice", select);
  }

  // `offer()` fills it anew with what the turn's voice has: a style that this one lacks is neutral.
  #emotion(turn) {
    const select = element("select", {});
    const intensity = element("input", { type: "range", min: 0, max: 1, step: 0.05, value: turn.intensity });
    const offer = () => {
      const names = this.#catalogue.emotionsOf(turn.voice);
      refill(select, names.map((name) => option(name, emotionName(name))), turn.emotion);
      turn.emotion = select.value;
      show();
    };
    const show = () => {
      turn.intensity = Number(intensity.value);
      intensity.style.setProperty("--at", turn.intensity);
      strength.hidden = turn.emotion === "neutral";
    };
    const strength = labelled("intensity", intensity);
    select.addEventListener("change", () => {
      turn.emotion = select.value;
      show();
    });
    intensity.addEventListener("input", show);
    offer();
    return { field: element("div", { className: "turn-emotion" }, labelled("emotion", select), strength), offer };
  }

  #button(move, text, label, n, onClick) {
    const made = element("button", { type: "button", textContent: text, ariaLabel: t(label, { n }), className: "icon" });
    made.dataset.move = move;
    made.addEventListener("click", onClick);
    return made;
  }

  #colour() {
    this.colours().forEach((colour, index) => (byId("turns").children[index].dataset.colour = colour));
  }
}

function pauseOf(turn) {
  const input = element("input", { type: "number", min: 0, max: 10, step: 0.1, value: turn.pauseS });
  input.addEventListener("input", () => (turn.pauseS = Math.min(10, Math.max(0, Number(input.value) || 0))));
  return labelled("pauseBefore", input);
}

function labelled(key, control) {
  return element("label", { className: "field" }, element("span", { textContent: t(key) }), control);
}

function newTurn(voice, pauseS = 0) {
  return { voice, text: "", emotion: "neutral", intensity: 1, pauseS };
}
