// The microphone as a WAV file: browsers record WebM, which the service does not read. Knows no page.
import { address } from "./api.js";
import { toInt16, wavBlob } from "./wav.js";

export const MAX_S = 60;

export class Recorder {
  #parts = [];
  #length = 0;
  #stream = null;
  #context = null;

  // `onBlock(samples)` gets each block as it is heard; `onFull` is called at a minute. Throws where there is no microphone.
  async start({ onBlock, onFull }) {
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true };
    this.#stream = await navigator.mediaDevices.getUserMedia({ audio });
    try {
      this.#context = new AudioContext();
      await this.#context.audioWorklet.addModule(address("studio/capture.js"));
      const node = new AudioWorkletNode(this.#context, "capture", { numberOfOutputs: 0 });
      node.port.onmessage = ({ data }) => {
        this.#parts.push(data);
        this.#length += data.length;
        onBlock(data);
        if (this.seconds >= MAX_S) onFull();
      };
      this.#context.createMediaStreamSource(this.#stream).connect(node);
    } catch (error) {
      this.#release();
      throw error;
    }
  }

  get rate() {
    return this.#context.sampleRate;
  }

  get seconds() {
    return this.#length / this.rate;
  }

  // What was recorded, as a file.
  stop() {
    const floats = new Float32Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      floats.set(part, at);
      at += part.length;
    }
    const blob = wavBlob(toInt16(floats), this.rate);
    this.#release();
    return blob;
  }

  #release() {
    for (const track of this.#stream.getTracks()) track.stop();
    this.#context?.close();
  }
}
