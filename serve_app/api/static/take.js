// One speech as it is made: asked for, waited for, received. Knows the service's events, neither page nor player.
import { blocks, events, patiently, request } from "./api.js";
import { samplesFromBase64 } from "./wav.js";

export class Take {
  #abort = new AbortController();

  // `body` goes to a route of speech by POST; without one the route is a GET that answers with raw samples.
  // The seed is drawn here where none is given, so that what was stopped can be asked for again too.
  constructor(route, body, rate) {
    const seeded = body && { seed: crypto.getRandomValues(new Uint32Array(1))[0], ...body };
    Object.assign(this, { route, body: seeded, rate, startedMs: performance.now(), firstAudioS: null, elapsedS: 0, madeS: 0 });
    Object.assign(this, { sentence: 0, turn: 0, wait: null, summary: null, isOpen: true, isStopped: false });
  }

  // `onSamples(samples, turn)` and `onWait()` are called on the way. Throws ApiError.
  async run({ onSamples, onWait }) {
    const { signal } = this.#abort;
    const note = (error, s) => {
      this.wait = { error, s };
      onWait();
    };
    try {
      const response = await patiently(() => this.#ask(signal), { signal, onWait: note });
      this.wait = null;
      this.rate = Number(response.headers.get("x-sample-rate")) || this.rate;
      for await (const { samples, turn } of this.body ? this.#spoken(response) : raw(response)) {
        this.#count(samples);
        onSamples(samples, turn);
      }
    } catch (error) {
      if (error.name !== "AbortError") throw error;
      this.isStopped = true;
    } finally {
      this.isOpen = false;
      this.elapsedS = (performance.now() - this.startedMs) / 1000;
    }
  }

  stop() {
    this.#abort.abort();
  }

  get waitedS() {
    return (performance.now() - this.startedMs) / 1000;
  }

  // Seconds of work for a second of speech, as it looks from here.
  get realTimeFactor() {
    const elapsedS = this.isOpen ? this.waitedS : this.elapsedS;
    return this.madeS > 0 ? elapsedS / this.madeS : null;
  }

  // The same speech again, as a file of another format.
  async file(format) {
    return (await request(this.route, { method: "POST", json: { ...this.body, response_format: format } })).blob();
  }

  #ask(signal) {
    this.startedMs = performance.now();
    if (!this.body) return request(this.route, { signal });
    const json = { ...this.body, response_format: "pcm", stream_format: "sse" };
    return request(this.route, { method: "POST", json, signal });
  }

  async *#spoken(response) {
    for await (const event of events(response)) {
      if (event.type === "speech.audio.done") this.summary = event;
      else {
        this.sentence = event.sentence_index ?? 0;
        this.turn = event.turn_index ?? 0;
        yield { samples: samplesFromBase64(event.audio), turn: this.turn };
      }
    }
  }

  #count(samples) {
    this.firstAudioS ??= this.waitedS;
    this.madeS += samples.length / this.rate;
  }
}

async function* raw(response) {
  let rest = new Uint8Array(0);
  for await (const block of blocks(response.body)) {
    const joined = new Uint8Array(rest.length + block.length);
    joined.set(rest);
    joined.set(block, rest.length);
    const whole = joined.length - (joined.length % 2);
    rest = joined.slice(whole);
    yield { samples: new Int16Array(joined.buffer, 0, whole / 2), turn: 0 };
  }
}
