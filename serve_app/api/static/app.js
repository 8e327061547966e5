// The page: joins its parts, watches the service, and decides what Ctrl+Enter speaks.
import { ApiError, apiKey } from "./api.js";
import { Catalogue } from "./catalogue.js";
import { copy, showCode } from "./code.js";
import { Dialogue } from "./dialogue.js";
import { byId } from "./dom.js";
import { currentLanguage, onLanguage, setLanguage, t, translate } from "./i18n.js";
import { VoiceMaker } from "./making.js";
import { Settings } from "./settings.js";
import { Stage } from "./stage.js";
import { SharedStyles } from "./styles.js";
import { StyleMaker } from "./styling.js";
import { VoiceList } from "./voices.js";

const WATCH_MS = 2_000;
const TABS = ["speak", "dialogue", "voices", "code"];
const EXAMPLES = { en: "Hello. It is nice to meet you.", ko: "안녕하세요. 만나서 반갑습니다." };
const ROUTES = { speak: "v1/audio/speech", dialogue: "v1/audio/dialogue" };

const catalogue = new Catalogue();
const settings = new Settings(catalogue);
const dialogue = new Dialogue(catalogue);
const stage = new Stage({ onError: explain, onDone: (take) => take.body?.input && settings.offerSeed(take.body.seed) });
const list = new VoiceList(catalogue, { onPreview: preview, onUse: use, onChange: renderVoices });
const shared = new SharedStyles(catalogue, { onPreview: preview, onChange: renderVoices });
const maker = new VoiceMaker(catalogue, { onUseOnce: useOnce, onSaved: renderVoices });
const styleMaker = new StyleMaker(catalogue, { onSaved: showStyle });

let spoken = "speak"; // which of the two the button speaks: where the person wrote last
let status = "modelLoading";

function renderVoices() {
  settings.render();
  dialogue.begin();
  list.render();
  shared.render();
  maker.render();
  styleMaker.render();
}

function showStyle(voiceId) {
  if (voiceId) list.unfold(voiceId);
  renderVoices();
}

function body() {
  return spoken === "dialogue" ? dialogue.body() : settings.body();
}

function speak() {
  if (spoken === "dialogue" && dialogue.pointAtEmpty()) return;
  stage.perform(ROUTES[spoken], body(), catalogue.rate, spoken === "dialogue" ? dialogue.colours() : [0]);
}

function preview(id, emotion) {
  const asked = new URLSearchParams({ response_format: "pcm", ...(emotion && { emotion }) });
  stage.perform(`v1/audio/voices/${encodeURIComponent(id)}/preview?${asked}`, null, catalogue.rate);
}

function use(id) {
  choose("speak");
  byId("voice").value = id;
  settings.render();
  byId("text").focus();
}

function useOnce(recording) {
  const value = catalogue.useOnce(recording);
  settings.render();
  byId("voice").value = value;
  settings.render();
}

// Where an error can be mended, the page goes there.
function explain(error) {
  if (error.status === 401) openKey();
  if (error.isMissingRoute && spoken === "dialogue") {
    byId("dialogue-said").textContent = t("noDialogue");
    byId("turns").closest(".panel").classList.add("is-missing");
  }
  if (error.field === "input" && !byId("panel-speak").hidden) byId("text").focus();
  if (["voice_not_found", "style_not_found"].includes(error.code)) watch();
}

function openKey() {
  byId("key").open = true;
  byId("key-input").focus();
}

function choose(name) {
  for (const each of TABS) {
    const isChosen = each === name;
    const tab = byId(`tab-${each}`);
    tab.setAttribute("aria-selected", String(isChosen));
    tab.tabIndex = isChosen ? 0 : -1;
    byId(`panel-${each}`).hidden = !isChosen;
  }
  byId("bar").hidden = !(name in ROUTES);
  if (name in ROUTES) spoken = name;
  if (name === "code") showCode(ROUTES[spoken], body());
}

function onTabKey(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step === undefined) return;
  const next = TABS[(TABS.indexOf(event.target.id.slice("tab-".length)) + step + TABS.length) % TABS.length];
  choose(next);
  byId(`tab-${next}`).focus();
}

function showStatus() {
  byId("status-word").textContent = t(status, { model: catalogue.model, device: catalogue.device });
  byId("status").dataset.state = status;
  byId("notices").textContent = catalogue.notices.join(" · ");
}

// Looks until the model is there; later it is asked for only when something fails.
async function watch() {
  try {
    await catalogue.load();
    status = "modelReady";
    offerExample();
    renderVoices();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    status = error.status === 401 ? "modelLocked" : error.status === 503 ? "modelLoading" : "modelAway";
    if (error.status === 401) openKey();
    else setTimeout(watch, WATCH_MS);
  }
  showStatus();
}

function offerExample() {
  const text = byId("text");
  if (text.value !== "") return;
  text.value = EXAMPLES[catalogue.languages.includes(currentLanguage()) ? currentLanguage() : "en"];
}

function showLanguage() {
  for (const each of document.querySelectorAll("[data-language]"))
    each.setAttribute("aria-pressed", String(each.dataset.language === currentLanguage()));
  if (!byId("panel-code").hidden) showCode(ROUTES[spoken], body());
  showStatus();
}

function listen() {
  byId("speak").addEventListener("click", speak);
  for (const name of TABS) {
    byId(`tab-${name}`).addEventListener("click", () => choose(name));
    byId(`tab-${name}`).addEventListener("keydown", onTabKey);
  }
  for (const each of document.querySelectorAll("[data-language]"))
    each.addEventListener("click", () => setLanguage(each.dataset.language));
  for (const each of document.querySelectorAll("[data-copies]")) each.addEventListener("click", () => copy(each));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) speak();
    else if (event.key === "Escape") byId("key").open = false;
  });
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    apiKey.set(byId("key-input").value.trim());
    byId("key").open = false;
    stage.showError(null);
    watch();
  });
}

byId("key-input").value = apiKey.get();
translate();
onLanguage(showLanguage);
showLanguage();
listen();
choose("speak");
renderVoices();
watch();
