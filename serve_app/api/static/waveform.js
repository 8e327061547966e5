// The waveform: bars that grow while speech is made, drawn on a canvas. Knows loudness and places, no audio.
const BIN_S = 0.01;
const BAR_PX = 3;
const PITCH_PX = 5;
const MAX_GAIN = 3.5; // what is quiet fills the stage too, and silence stays silent
const WINDOWS_S = [6, 9, 14, 20, 30, 45, 60, 90, 140, 200, 300, 450, 600];

export class Waveform {
  #canvas;
  #context;
  #bins = [];
  #partial = { peak: 0, count: 0 };
  #turns = []; // [{bin, turn}]: from this bin on, that turn speaks
  #shownS = WINDOWS_S[0];
  #loudest = 0;
  #gain = 1;
  #colours = {};

  constructor(canvas) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.marksS = []; // where sentences begin
    this.isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#readColours());
    this.#readColours();
  }

  get durationS() {
    return this.#bins.length * BIN_S;
  }

  clear() {
    Object.assign(this, { marksS: [] });
    this.#bins = [];
    this.#turns = [];
    this.#partial = { peak: 0, count: 0 };
    this.#shownS = WINDOWS_S[0];
    this.#loudest = 0;
  }

  append(samples, rate, turn) {
    if (this.#turns.at(-1)?.turn !== turn) this.#turns.push({ bin: this.#bins.length, turn });
    const perBin = Math.round(rate * BIN_S);
    for (const sample of samples) {
      this.#partial.peak = Math.max(this.#partial.peak, Math.abs(sample));
      if (++this.#partial.count === perBin) {
        this.#bins.push(this.#partial.peak / 32768);
        this.#loudest = Math.max(this.#loudest, this.#bins.at(-1));
        this.#partial = { peak: 0, count: 0 };
      }
    }
  }

  // Seconds at a place of the canvas, from 0 (left) to 1.
  secondsAt(fraction) {
    return Math.min(this.durationS, Math.max(0, fraction) * this.#shownS);
  }

  draw({ positionS, isLive, isWaiting, nowMs }) {
    const { width, height } = this.#fit();
    const target = this.#windowS(isLive);
    this.#shownS = this.isStill ? target : this.#shownS + (target - this.#shownS) * 0.18;
    if (Math.abs(target - this.#shownS) < 0.01) this.#shownS = target;
    const gain = Math.min(MAX_GAIN, 0.92 / Math.max(this.#loudest, 0.01));
    this.#gain = this.isStill ? gain : this.#gain + (gain - this.#gain) * 0.12;
    const context = this.#context;
    context.clearRect(0, 0, width, height);
    const count = Math.floor(width / PITCH_PX);
    const binsPerBar = this.#shownS / BIN_S / count;
    for (let bar = 0; bar < count; bar++) {
      const bin = bar * binsPerBar;
      if (bin < this.#bins.length) this.#bar(bar, this.#loudness(bin, binsPerBar), height, bin * BIN_S < positionS, bin);
      else this.#dot(bar, count, height, isWaiting && !this.isStill ? nowMs : null);
    }
    this.#marks(width, height);
    if (this.#bins.length && positionS > 0) this.#head((positionS / this.#shownS) * width, height);
  }

  #windowS(isLive) {
    const neededS = this.durationS;
    if (!isLive && neededS > 0) return Math.max(2, neededS);
    return WINDOWS_S.find((each) => each >= neededS * 1.03) ?? neededS * 1.2;
  }

  // Between the loudest and the mean of a bar's bins: the first alone would look like a wall.
  #loudness(bin, binsPerBar) {
    const start = Math.floor(bin);
    const end = Math.min(this.#bins.length, Math.max(Math.ceil(bin + binsPerBar), start + 1));
    let [peak, sum] = [0, 0];
    for (let index = start; index < end; index++) {
      peak = Math.max(peak, this.#bins[index]);
      sum += this.#bins[index];
    }
    return (peak + sum / (end - start)) / 2;
  }

  #bar(bar, loudness, height, isHeard, bin) {
    const context = this.#context;
    const tall = Math.max(BAR_PX, Math.min(1, loudness * this.#gain) * (height - 18));
    context.fillStyle = this.#colours.turns[this.#turnAt(bin) % this.#colours.turns.length];
    context.globalAlpha = isHeard ? 1 : 0.34;
    context.beginPath();
    context.roundRect(bar * PITCH_PX, (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
    context.fill();
    context.globalAlpha = 1;
  }

  // What is not made yet: a line of dots, with a soft pulse running along while the service is waited for.
  #dot(bar, count, height, nowMs) {
    const context = this.#context;
    let lift = 0;
    if (nowMs !== null) {
      const away = bar / count - ((nowMs / 1800) % 1.3) + 0.15;
      lift = Math.exp(-away * away * 90);
    }
    const tall = BAR_PX + lift * 14;
    context.fillStyle = lift > 0.05 ? this.#colours.turns[0] : this.#colours.dot;
    context.globalAlpha = lift > 0.05 ? 0.25 + 0.5 * lift : 1;
    context.beginPath();
    context.roundRect(bar * PITCH_PX, (height - tall) / 2, BAR_PX, tall, BAR_PX / 2);
    context.fill();
    context.globalAlpha = 1;
  }

  #marks(width, height) {
    this.#context.fillStyle = this.#colours.mark;
    for (const markS of this.marksS) this.#context.fillRect((markS / this.#shownS) * width, height - 6, 1, 6);
  }

  #head(x, height) {
    this.#context.fillStyle = this.#colours.head;
    this.#context.globalAlpha = 0.6;
    this.#context.fillRect(Math.min(x, this.#canvas.clientWidth - 1.5), 0, 1.5, height - 8);
    this.#context.globalAlpha = 1;
  }

  #turnAt(bin) {
    let found = 0;
    for (const each of this.#turns) if (each.bin <= bin) found = each.turn;
    return found;
  }

  #fit() {
    const scale = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (this.#canvas.width !== Math.round(width * scale) || this.#canvas.height !== Math.round(height * scale)) {
      this.#canvas.width = Math.round(width * scale);
      this.#canvas.height = Math.round(height * scale);
    }
    this.#context.setTransform(scale, 0, 0, scale, 0, 0);
    return { width, height };
  }

  #readColours() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    this.#colours = { dot: colour("--dot"), mark: colour("--muted"), head: colour("--ink"), turns: [] };
    for (let index = 0; index < 6; index++) this.#colours.turns.push(colour(`--turn-${index}`));
  }
}
