// Elements without markup: everything a person or the service wrote enters the page as text.
export const byId = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function option(value, text, isSelected = false) {
  return element("option", { value, textContent: text, selected: isSelected });
}

export function group(label, options) {
  return element("optgroup", { label }, ...options);
}

// Fills a select anew and keeps what was chosen, where it is still there.
export function refill(select, children, fallback) {
  const chosen = select.value;
  select.replaceChildren(...children);
  const values = [...select.options].map((each) => each.value);
  select.value = values.includes(chosen) ? chosen : values.includes(fallback) ? fallback : (values[0] ?? "");
}

export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// A button that a screen reader still finds and that does not lose the focus while it has nothing to do.
export function setEnabled(button, isEnabled) {
  button.setAttribute("aria-disabled", String(!isEnabled));
}

export const isEnabled = (button) => button.getAttribute("aria-disabled") !== "true";
