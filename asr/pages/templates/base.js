// Shared by every page: elements made of text (never of markup), data read from the page, light and dark.

function el(name, options, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(options || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "on") for (const [event, act] of Object.entries(value)) node.addEventListener(event, act);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((one) => one !== null && one !== undefined));
  return node;
}

const byId = (id) => document.getElementById(id);

function readData(id) { // null if absent or not fully loaded: an element exists from its first byte on
  const holder = byId(id), whole = holder && (holder.nextSibling || document.readyState !== "loading");
  return whole ? JSON.parse(holder.textContent) : null;
}

// Data may come after the scripts: once all of the page is read.
function whenRead(act) {
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", act); else act();
}

function bytes(base64) {
  const text = atob(base64);
  const found = new Uint8Array(text.length);
  for (let n = 0; n < text.length; n += 1) found[n] = text.charCodeAt(n);
  return found;
}

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const darkScheme = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme || (darkScheme.matches ? "dark" : "light")) === "dark";
const onTheme = [], onPrint = [];

function stored(value) {
  try { // a page from disk may have no storage
    if (value !== undefined) localStorage.setItem("asr-theme", value);
    return localStorage.getItem("asr-theme");
  } catch { return null; }
}

function setTheme(name) {
  if (name === "dark" || name === "light") document.documentElement.dataset.theme = name;
  const button = byId("theme");
  if (button) {
    button.hidden = false;
    button.textContent = isDark() ? "☀ Light" : "☾ Dark";
    button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
  }
  onTheme.forEach((act) => act());
}

setTheme(stored());
byId("theme")?.addEventListener("click", () => { const name = isDark() ? "light" : "dark"; stored(name); setTheme(name); });
darkScheme.addEventListener("change", () => setTheme());
{
  let before;
  addEventListener("beforeprint", () => { onPrint.forEach((act) => act()); before = document.documentElement.dataset.theme; setTheme("light"); });
  addEventListener("afterprint", () => {
    if (before) setTheme(before);
    else { delete document.documentElement.dataset.theme; setTheme(); }
  });
}
