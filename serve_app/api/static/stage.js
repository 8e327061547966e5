// The stage: waveform, transport, progress in words and numbers, errors and advice. One take at a time.
import { byId, download, element, isEnabled, setEnabled } from "./dom.js";
import { clock, decimal, onLanguage, t } from "./i18n.js";
import { Player } from "./player.js";
import { Take } from "./take.js";
import { wavBlob } from "./wav.js";
import { Waveform } from "./waveform.js";
import { wordsFor } from "./words.js";

const SEEK_S = 2;

export class Stage {
  #player = new Player();
  #waveform = new Waveform(byId("waveform"));
  #take = null;
  #error = null;
  #said = "";
  #colours = [0];

  // `onError(error)` and `onDone(take)` tell the rest of the page.
  constructor({ onError, onDone }) {
    Object.assign(this, { onError, onDone });
    byId("play").addEventListener("click", () => this.#toggle());
    byId("stop").addEventListener("click", () => isEnabled(byId("stop")) && this.stop());
    byId("save-wav").addEventListener("click", () => this.#saveWav());
    byId("save-mp3").addEventListener("click", () => this.#saveMp3());
    byId("dismiss").addEventListener("click", () => this.showError(null));
    const slider = byId("slider");
    slider.addEventListener("pointerdown", (event) => this.#seekTo(event));
    slider.addEventListener("keydown", (event) => this.#seekBy(event));
    onLanguage(() => this.#renderAll());
    this.#renderAll();
    const frame = (nowMs) => {
      this.#render(nowMs);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  // Speaks, and returns when the last sample is here. `colours`: a colour's number for each turn.
  async perform(route, body, rate, colours = [0]) {
    this.stop();
    this.showError(null);
    const take = new Take(route, body, rate);
    this.#take = take;
    this.#colours = colours;
    this.#waveform.clear();
    const onSamples = (samples, turn) => {
      if (this.#take === take) this.#receive(take, samples, turn);
    };
    const made = take.run({ onSamples, onWait: () => this.#renderAll() });
    this.#player.begin(rate); // once the request is on its way: a loudspeaker may take a second to open
    this.#renderAll();
    try {
      await made;
      if (this.#take === take && !take.isStopped) this.onDone(take);
    } catch (error) {
      if (this.#take === take) this.showError(error);
    }
    if (this.#take !== take) return;
    this.#player.finish();
    if (take.summary) this.#waveform.marksS = take.summary.sentences.slice(1).map((each) => each.start_s);
    this.#renderAll();
  }

  stop() {
    this.#take?.stop();
    this.#player.pause();
    this.#player.finish();
  }

  showError(error) {
    this.#error = error;
    this.#renderError();
    if (error) this.onError(error);
  }

  #receive(take, samples, turn) {
    if (take.rate !== this.#player.rate) this.#player.begin(take.rate);
    this.#player.append(samples);
    this.#waveform.append(samples, take.rate, this.#colours[turn] ?? 0);
  }

  #toggle() {
    if (!isEnabled(byId("play"))) return;
    const player = this.#player;
    if (player.isPlaying) player.pause();
    else player.playFrom(player.isWhole && player.position >= player.length ? 0 : player.position);
  }

  #seekTo(event) {
    const box = byId("waveform").getBoundingClientRect();
    this.#player.seek(this.#waveform.secondsAt((event.clientX - box.left) / box.width) * this.#player.rate);
  }

  #seekBy(event) {
    const player = this.#player;
    const steps = { ArrowLeft: -SEEK_S, ArrowDown: -SEEK_S, ArrowRight: SEEK_S, ArrowUp: SEEK_S };
    if (event.key in steps) player.seek(player.position + steps[event.key] * player.rate);
    else if (event.key === "Home") player.seek(0);
    else if (event.key === "End") player.seek(player.length);
    else if (event.key === " " || event.key === "Enter") this.#toggle();
    else return;
    event.preventDefault();
  }

  #saveWav() {
    if (isEnabled(byId("save-wav"))) download(wavBlob(this.#player.samples, this.#player.rate), "speech.wav");
  }

  async #saveMp3() {
    const button = byId("save-mp3");
    if (!isEnabled(button)) return;
    button.textContent = t("fetchingMp3");
    setEnabled(button, false);
    try {
      download(await this.#take.file("mp3"), "speech.mp3");
    } catch (error) {
      this.showError(error);
    }
    this.#renderAll();
  }

  #renderAll() {
    const take = this.#take;
    document.body.classList.toggle("has-take", take !== null);
    setEnabled(byId("save-wav"), take !== null && !take.isOpen && this.#player.length > 0);
    setEnabled(byId("save-mp3"), take !== null && !take.isOpen && this.#player.length > 0 && take.body !== null);
    byId("save-mp3").textContent = t("saveMp3");
    const warnings = take?.summary?.warnings ?? [];
    byId("advice").hidden = warnings.length === 0;
    byId("advice-list").replaceChildren(...warnings.map((text) => element("li", { textContent: text })));
    this.#renderError();
  }

  #renderError() {
    byId("trouble").hidden = this.#error === null;
    if (this.#error === null) return;
    const [title, detail] = wordsFor(this.#error);
    byId("trouble-title").textContent = title;
    byId("trouble-detail").textContent = detail;
  }

  #render(nowMs) {
    const take = this.#take;
    const player = this.#player;
    const positionS = player.position / player.rate;
    const isWaiting = take !== null && take.isOpen && player.length === 0;
    this.#waveform.draw({ positionS, isLive: take !== null && take.isOpen, isWaiting, nowMs });
    setText(byId("line"), this.#line());
    this.#say(this.#line(true));
    setText(byId("caption"), this.#caption(positionS));
    setText(byId("clock"), `${clock(positionS)} / ${clock(player.durationS)}`);
    setText(byId("first-audio"), number(take?.firstAudioS ?? null, 2, "seconds"));
    setText(byId("made"), number(take && take.madeS > 0 ? take.madeS : null, 1, "seconds"));
    setText(byId("real-time"), number(take?.body ? take.realTimeFactor : null, 2));
    this.#renderControls(positionS);
  }

  #renderControls(positionS) {
    const player = this.#player;
    const isBusy = (this.#take?.isOpen ?? false) || player.isPlaying;
    document.body.classList.toggle("is-speaking", isBusy);
    setEnabled(byId("stop"), isBusy);
    setEnabled(byId("play"), player.length > 0);
    setText(byId("play-word"), t(player.isPlaying && player.length > 0 ? "pause" : "play"));
    byId("play").classList.toggle("is-playing", player.isPlaying && player.length > 0);
    const slider = byId("slider");
    slider.setAttribute("aria-valuemax", player.durationS.toFixed(1));
    slider.setAttribute("aria-valuenow", positionS.toFixed(1));
    const words = { at: clock(positionS), whole: clock(player.durationS) };
    if (document.activeElement === slider) slider.setAttribute("aria-valuetext", t("position", words));
  }

  // What happens now, in words; `isSpoken` leaves out what changes all the time.
  #line(isSpoken = false) {
    const take = this.#take;
    if (take === null) return t("idle");
    if (take.wait && take.isOpen) {
      const name = take.wait.error.isLoading ? "loading" : "busy";
      return isSpoken ? t(`${name}Said`) : t(`${name}Again`, { s: take.wait.s });
    }
    if (take.isOpen && take.madeS === 0) return isSpoken ? t("queuedSaid") : t("queued", { s: decimal(take.waitedS) });
    if (take.isOpen) {
      const isDialogue = this.#colours.length > 1;
      return t(isDialogue ? "speakingTurn" : "speaking", { n: take.sentence + 1, turn: take.turn + 1 });
    }
    if (take.isStopped) return t("stopped", { s: decimal(take.madeS) });
    return this.#error && take.summary === null ? wordsFor(this.#error)[0] : t("finished", { s: decimal(take.madeS) });
  }

  #say(text) {
    if (text === this.#said) return;
    this.#said = text;
    if (this.#take !== null) byId("said").textContent = text;
  }

  // The sentence that is heard, once their times are known.
  #caption(positionS) {
    const sentences = this.#take?.summary?.sentences ?? [];
    if (!this.#player.isPlaying && positionS === 0) return "";
    return sentences.findLast((each) => each.start_s <= positionS && positionS <= each.end_s + 0.3)?.text ?? "";
  }
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function number(value, digits, unit) {
  if (value === null) return "–";
  return unit ? t(unit, { s: decimal(value, digits) }) : decimal(value, digits);
}
