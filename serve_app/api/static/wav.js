// Samples and files: 16-bit PCM out of base64, WAV files out of samples, base64 out of files.
export function samplesFromBase64(text) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return new Int16Array(bytes.buffer, 0, bytes.length >> 1);
}

export function wavBlob(samples, rate) {
  const head = new DataView(new ArrayBuffer(44));
  const text = (at, value) => [...value].forEach((char, index) => head.setUint8(at + index, char.charCodeAt(0)));
  const size = samples.length * 2;
  text(0, "RIFF");
  head.setUint32(4, 36 + size, true);
  text(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, 1, true);
  head.setUint32(24, rate, true);
  head.setUint32(28, rate * 2, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  text(36, "data");
  head.setUint32(40, size, true);
  return new Blob([head, samples], { type: "audio/wav" });
}

export function toInt16(floats) {
  return Int16Array.from(floats, (value) => Math.round(Math.max(-1, Math.min(1, value)) * 32767));
}

export async function base64Of(blob) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
  return url.slice(url.indexOf(",") + 1);
}

// Any audio that this browser reads, as one channel in a WAV file. Throws where it cannot.
export async function decodedToWav(file, maxS) {
  const context = new OfflineAudioContext(1, 1, 24_000);
  const buffer = await context.decodeAudioData(await file.arrayBuffer());
  const length = Math.min(buffer.length, maxS * buffer.sampleRate);
  const mixed = new Float32Array(length);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    const data = buffer.getChannelData(channel);
    for (let index = 0; index < length; index++) mixed[index] += data[index] / buffer.numberOfChannels;
  }
  return wavBlob(toInt16(mixed), buffer.sampleRate);
}
