// What the service has: model, languages, voices and styles, and the recording that is used once.
import { getJson, request } from "./api.js";
import { ONCE, PRESETS, voiceOptions } from "./settings.js";

export class Catalogue {
  constructor() {
    Object.assign(this, { model: "", device: "", languages: [], voices: [], notices: [], styles: [], rate: 24_000 });
    Object.assign(this, { once: null, canKeep: true });
  }

  // Throws ApiError: 401 without a key, 503 until the model is loaded.
  async load() {
    const health = await getJson("health");
    Object.assign(this, { model: health.model, device: health.device, languages: health.supported_languages });
    Object.assign(this, { rate: health.sample_rate, notices: health.notices ?? [] });
    await this.refresh(health.voices ?? []);
  }

  async refresh(names = []) {
    const plain = names.map((id) => ({ id, name: id, kind: "model", styles: [], warnings: [] }));
    const listed = await orNothing(getJson("v1/audio/voices"));
    this.voices = listed?.voices ?? plain;
    this.styles = ((await orNothing(getJson("v1/audio/styles")))?.styles ?? []).map((each) => each.id);
  }

  async make(form) {
    const voice = await (await request("v1/audio/voices", { method: "POST", form })).json();
    await this.refresh();
    return voice;
  }

  async remove(id) {
    await request(`v1/audio/voices/${encodeURIComponent(id)}`, { method: "DELETE" });
    await this.refresh();
  }

  voice(id) {
    return this.voices.find((each) => each.id === id);
  }

  // The presets, the voice's own styles, and those for all voices.
  emotionsOf(id) {
    return [...new Set([...PRESETS, ...(this.voice(id)?.styles ?? []), ...this.styles])];
  }

  options({ hasOnce = false } = {}) {
    return voiceOptions(this.voices, hasOnce ? this.once : null);
  }

  useOnce(recording) {
    this.once = recording;
    return ONCE;
  }
}

// A route that an older service has not is no error.
async function orNothing(asked) {
  try {
    return await asked;
  } catch (error) {
    if (error.isMissingRoute) return null;
    throw error;
  }
}
