// The page's two languages: which one is on, and the words in the document that follow it.
import { STRINGS } from "./strings.js";

const KEPT = "studio-language";
const LANGUAGES = ["en", "ko"];
const changed = new Set();

let language = LANGUAGES.includes(localStorage.getItem(KEPT)) ? localStorage.getItem(KEPT) : preferred();

function preferred() {
  return navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
}

export const currentLanguage = () => language;

export function t(key, values = {}) {
  const text = STRINGS[key][LANGUAGES.indexOf(language)];
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

export function setLanguage(code) {
  language = code;
  localStorage.setItem(KEPT, code);
  translate();
  for (const tell of changed) tell();
}

// `tell` is called after each change of the language.
export function onLanguage(tell) {
  changed.add(tell);
}

export function translate(root = document) {
  document.documentElement.lang = language;
  document.title = t("pageTitle");
  for (const each of root.querySelectorAll("[data-t]")) each.textContent = t(each.dataset.t);
  for (const each of root.querySelectorAll("[data-t-label]")) each.setAttribute("aria-label", t(each.dataset.tLabel));
  for (const each of root.querySelectorAll("[data-t-hint]")) each.placeholder = t(each.dataset.tHint);
  for (const each of root.querySelectorAll("[data-t-title]")) each.title = t(each.dataset.tTitle);
}

export function languageName(code) {
  try {
    return new Intl.DisplayNames([language], { type: "language" }).of(code === "zh-cn" ? "zh-Hans" : code);
  } catch {
    return code;
  }
}

export function decimal(value, digits = 1) {
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function clock(s) {
  const tenths = Math.floor(Math.max(0, s) * 10 + 1e-6);
  return `${Math.floor(tenths / 600)}:${String(Math.floor((tenths % 600) / 10)).padStart(2, "0")}.${tenths % 10}`;
}
