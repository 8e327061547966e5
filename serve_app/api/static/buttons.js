// Buttons in the rows of lists: each says which row it is for, and what deletes asks first.
import { element } from "./dom.js";
import { t } from "./i18n.js";
import { wordsFor } from "./words.js";

export function rowButton(word, label, name, onClick) {
  return element("button", { type: "button", textContent: t(word), ariaLabel: t(label, { name }), on: { click: onClick } });
}

// Deletes at its second click, and forgets the first one where the focus goes elsewhere.
export function deleteButton(name, onDelete) {
  let isAsked = false;
  const made = element("button", { type: "button" });
  const ask = (isNow) => {
    isAsked = isNow;
    made.className = isAsked ? "danger" : "quiet";
    made.textContent = t(isAsked ? "deleteSure" : "deleteRow");
    made.ariaLabel = t(isAsked ? "deleteSureNamed" : "deleteNamed", { name });
  };
  made.addEventListener("click", () => {
    if (!isAsked) {
      ask(true);
      made.focus();
    } else {
      ask(false);
      onDelete();
    }
  });
  made.addEventListener("blur", () => ask(false));
  ask(false);
  return made;
}

// Deletes by `ask()`, and says how that went in `said`.
export async function deleteAndTell(said, name, ask) {
  try {
    await ask();
    said.textContent = t("deleted", { name });
  } catch (error) {
    said.textContent = wordsFor(error).join(" ");
  }
}
