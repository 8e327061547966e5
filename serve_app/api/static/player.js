// Plays samples while more of them come. Knows where the listener is; knows nothing of the network.
const AHEAD_S = 10; // scheduled before it is heard: a tab in the background wakes once a second
const SLICE_S = 1;
const LEAD_S = 0.06;

export class Player {
  #context = null;
  #samples = new Int16Array(0);
  #sources = new Set();
  #scheduled = 0; // the first sample that is not
  #anchor = { sample: 0, time: 0 }; // this sample is heard at this time of the context
  #at = 0; // where it stands while nothing plays

  constructor() {
    Object.assign(this, { rate: 24_000, length: 0, isPlaying: false, isWhole: true });
    setInterval(() => this.#pump(), 400);
  }

  get durationS() {
    return this.length / this.rate;
  }

  get samples() {
    return this.#samples.subarray(0, this.length);
  }

  get position() {
    if (!this.isPlaying) return this.#at;
    const heard = this.#anchor.sample + (this.#context.currentTime - this.#anchor.time) * this.rate;
    return Math.max(0, Math.min(this.length, Math.max(this.#anchor.sample, heard)));
  }

  // A new take, played from its first sample on. Call it while the person's click or key is handled.
  begin(rate) {
    this.pause();
    Object.assign(this, { length: 0, isWhole: false });
    this.#at = 0;
    this.setRate(rate);
    this.playFrom(0);
  }

  setRate(rate) {
    if (this.#context && this.rate === rate) return;
    this.rate = rate;
    this.#context?.close();
    this.#context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
    this.#anchor = { sample: 0, time: 0 };
  }

  append(samples) {
    if (this.length + samples.length > this.#samples.length) {
      const grown = new Int16Array(Math.max(this.rate * 30, (this.length + samples.length) * 2));
      grown.set(this.samples);
      this.#samples = grown;
    }
    this.#samples.set(samples, this.length);
    this.length += samples.length;
    this.#pump();
  }

  finish() {
    this.isWhole = true;
    this.#pump();
  }

  playFrom(sample) {
    this.#silence();
    this.setRate(this.rate);
    this.#context.resume();
    this.#scheduled = Math.floor(sample);
    this.#anchor = { sample: this.#scheduled, time: this.#context.currentTime + LEAD_S };
    this.isPlaying = true;
    this.#pump();
  }

  pause() {
    this.#at = this.position;
    this.isPlaying = false;
    this.#silence();
  }

  seek(sample) {
    const target = Math.max(0, Math.min(this.length, sample));
    if (this.isPlaying) this.playFrom(target);
    else this.#at = target;
  }

  #silence() {
    for (const source of this.#sources) source.stop();
    this.#sources.clear();
  }

  #pump() {
    if (!this.isPlaying) return;
    while (this.#scheduled < this.length && this.#scheduled - this.position < AHEAD_S * this.rate) this.#schedule();
    if (this.isWhole && this.position >= this.length) {
      this.pause();
      this.#at = this.length;
    }
  }

  #schedule() {
    const context = this.#context;
    const end = Math.min(this.length, this.#scheduled + SLICE_S * this.rate);
    const slice = Float32Array.from(this.#samples.subarray(this.#scheduled, end), (value) => value / 32768);
    let time = this.#anchor.time + (this.#scheduled - this.#anchor.sample) / this.rate;
    if (time < context.currentTime) {
      time = context.currentTime + LEAD_S; // it came late: the listener waits, and nothing is left out
      this.#anchor = { sample: this.#scheduled, time };
    }
    const buffer = context.createBuffer(1, slice.length, this.rate);
    buffer.copyToChannel(slice, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    source.onended = () => this.#sources.delete(source);
    source.start(time);
    this.#sources.add(source);
    this.#scheduled = end;
  }
}
