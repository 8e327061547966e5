// From an error to words for a person: what happened, and what the service itself said.
import { decimal, t } from "./i18n.js";

const BY_CODE = {
  invalid_api_key: "errKey",
  empty_text: "errEmpty",
  text_too_long: "errLong",
  unsupported_language: "errLanguage",
  invalid_audio: "errRecording",
  invalid_base64: "errRecording",
  reference_too_short: "errShort",
  reference_too_long: "errRecording",
  upload_too_large: "errLarge",
  voice_not_found: "errVoiceGone",
  style_not_found: "errStyleGone",
  voice_exists: "errExists",
  too_many_voices: "errFull",
  consent_missing: "errConsent",
  not_yours: "errNotYours",
  storage_failed: "errStorage",
  storage_full: "errFull",
  unavailable: "errLoading",
  offline: "errOffline",
  cut: "errCut",
};

const BY_STATUS = { 401: "errKey", 404: "errMissing", 405: "errMissing", 429: "errBusy" };

// [what happened, what more there is to say]
export function wordsFor(error) {
  const key = BY_CODE[error.code] ?? BY_STATUS[error.status] ?? (error.status < 500 ? "errField" : "errServer");
  const title = t(key, { s: decimal(error.retryAfterS ?? 1, 0) });
  return [title, key === "errKey" ? t("errKeyDo") : error.message];
}
