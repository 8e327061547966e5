// An audio worklet: hands the microphone's samples to the page.
class Capture extends AudioWorkletProcessor {
  process(inputs) {
    if (inputs[0].length > 0) this.port.postMessage(inputs[0][0].slice());
    return true;
  }
}

registerProcessor("capture", Capture);
