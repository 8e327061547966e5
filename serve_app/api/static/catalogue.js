// What the service has: model, languages, voices and styles, and the recording that is used once.
import { getJson, request } from "./api.js";
import { ONCE, PRESETS, voiceOptions } from "./settings.js";

export class Catalogue {
  constructor() {
    Object.assign(this, { model: "", device: "", languages: [], voices: [], notices: [], styles: [], rate: 24_000 });
    Object.assign(this, { once: null, hasStyles: true });
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
    const shared = await orNothing(getJson("v1/audio/styles"));
    Object.assign(this, { styles: shared?.styles ?? [], hasStyles: shared !== null });
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

  async stylesOf(voiceId) {
    return (await getJson(`v1/audio/voices/${encodeURIComponent(voiceId)}/styles`)).styles;
  }

  // Whether there is one that this person could replace. For all voices where `voiceId` is "".
  hasStyle(name, voiceId) {
    if (voiceId) return this.voice(voiceId)?.styles.includes(name) ?? false;
    return this.styles.some((each) => each.id === name && each.can_change);
  }

  async makeStyle(name, voiceId, form) {
    const style = await (await request(stylePath(name, voiceId), { method: "PUT", form })).json();
    await this.refresh();
    return style;
  }

  async removeStyle(name, voiceId) {
    await request(stylePath(name, voiceId), { method: "DELETE" });
    await this.refresh();
  }

  voice(id) {
    return this.voices.find((each) => each.id === id);
  }

  // The presets, the voice's own styles, and those for all voices.
  emotionsOf(id) {
    return [...new Set([...PRESETS, ...(this.voice(id)?.styles ?? []), ...this.styles.map((each) => each.id)])];
  }

  options({ hasOnce = false } = {}) {
    return voiceOptions(this.voices, hasOnce ? this.once : null);
  }

  useOnce(recording) {
    this.once = recording;
    return ONCE;
  }
}

function stylePath(name, voiceId) {
  const voice = voiceId ? `voices/${encodeURIComponent(voiceId)}/` : "";
  return `v1/audio/${voice}styles/${encodeURIComponent(name)}`;
}

// Null for a route that an older service has not. Where users' voices cannot be read now, the model's speak on.
async function orNothing(asked) {
  try {
    return await asked;
  } catch (error) {
    if (error.isMissingRoute) return null;
    if (error.code === "storage_failed") return {};
    throw error;
  }
}
