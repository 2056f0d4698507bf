// What the keys do. The same table makes the help, the labels of buttons, and what a key press does.

const mac = /Mac|iPhone|iPad/.test(navigator.platform);
const restrict = (act) => () => { if (current) act(); };
const ACTS = {
  play: { keys: "Escape", what: "play, pause", act: restrict(() => {
    if (player.isPlaying(current.url)) return player.stop();
    const at = player.time(current.url);
    play(at > 0 && at < length() - 0.1 ? at - 0.3 : 0);
  }) },
  start: { keys: "Alt+Home", what: "play from the start", act: restrict(() => play(0)) },
  back: { keys: "Alt+←", what: `${JUMP_S} seconds back`, act: restrict(() => play(player.time(current.url) - JUMP_S)) },
  forth: { keys: "Alt+→", what: `${JUMP_S} seconds on`, act: restrict(() => play(Math.min(player.time(current.url) + JUMP_S, length() - 0.1))) },
  slower: { keys: "Alt+,", what: "slower", act: () => rate(-1) },
  faster: { keys: "Alt+.", what: "faster", act: () => rate(1) },
  repeat: { keys: "Alt+R", what: "repeat until paused, on or off", act: () => { set("repeat", !settings.repeat); showSettings(); } },
  word: { keys: "Alt+Enter", what: "play the word at the cursor (a click on it, too)", act: restrict(() => playWord(field.here())) },
  unsure: { keys: "Alt+↓", what: "next uncertain word: selected and played", act: restrict(() => playWord(field.nextUnsure(1))) },
  unsureBefore: { keys: "Alt+↑", what: "uncertain word before", act: restrict(() => playWord(field.nextUnsure(-1))) },
  alternative: { keys: "Alt+1", label: "Alt+1 … 9", what: "another reading; Alt+0 is the draft; Ctrl+Z brings your text back", act: null },
  accept: { keys: "Enter", what: "save the text and go on; an unchanged draft counts as right", act: () => save("corrected", true) },
  stay: { keys: "Ctrl+S", what: "save and stay", act: () => save("corrected", false) },
  skip: { keys: "Alt+K", what: "skip: nobody can understand it, or it is no speech", act: () => save("skipped", true) },
  undo: { keys: "Alt+T", what: "take back what was saved last", act: takeBack },
  before: { keys: "PageUp", what: "segment before", act: () => step(-1) },
  after: { keys: "PageDown", what: "next segment; nothing is saved, what you typed is kept", act: () => step(1) },
  notice: { keys: "Alt+G", what: "go to the question above the text (two texts for one segment)", act: () => notices.focus() },
  help: { keys: "F1", label: "F1 or ?", what: "these keys", act: () => { player.stop(); byId("help").showModal(); } },
};
const byKey = new Map(Object.values(ACTS).map((one) => [one.keys, one]));
const ARROWS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Comma: ",", Period: "." };

// As in the table: letters by what is printed on the key where that is ASCII, else by where it is.
function chord(event) {
  const plain = event.key.length > 1 && event.key !== "Dead" ? event.key : /^[a-z0-9,.]$/i.test(event.key) ? event.key.toUpperCase() : event.code.replace(/^(Key|Digit)/, "");
  return `${event.ctrlKey || (mac && event.metaKey) ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${event.shiftKey ? "Shift+" : ""}${ARROWS[plain] || plain}`;
}
function pressed(event) {
  if (!event.key || event.isComposing || event.keyCode === 229 || event.getModifierState("AltGraph") || document.querySelector("dialog[open]")) return;
  const keys = chord(event), typing = event.target === field.box, other = !typing && event.target.closest("button, select, input, summary, a");
  const number = /^Alt\+(\d)$/.exec(keys);
  let act = byKey.get(keys)?.act;
  if (number) act = () => byId("alternatives").querySelectorAll("button")[number[1]]?.click();
  else if (!typing && event.key === "?") act = ACTS.help.act;
  else if (other && keys === "Enter") return; // it presses the button
  else if (!typing && !other && keys === " ") act = ACTS.play.act;
  else if (typing && event.key === "Enter" && !act) act = () => {}; // a transcript is one line
  if (!act) return;
  event.preventDefault();
  if (!event.repeat || ["back", "forth", "slower", "faster"].some((name) => ACTS[name].act === act)) act();
}
addEventListener("keydown", pressed);

for (const node of document.querySelectorAll("[data-act]")) {
  const { keys, label = keys, what, act } = ACTS[node.dataset.act];
  node.title = `${what} (${label})`;
  if (node.dataset.key !== undefined) node.append(" ", el("kbd", {}, keys === "Escape" ? "Esc" : keys));
  node.addEventListener("click", () => { act(); if (node.dataset.act !== "notice" && node.dataset.act !== "help") field.focus(); });
}
byId("keys").append(...Object.values(ACTS).map(({ keys, label = keys === "Escape" ? "Esc" : keys, what }) => el("tr", {}, el("td", {}, el("kbd", {}, mac ? label.replace("Alt", "Option") : label)), el("td", {}, what))));
for (const one of document.querySelectorAll("dialog")) one.addEventListener("close", field.focus);

// Who corrects: asked once. `then` runs once there is a name.
let afterName = null, asked = false;
function askName(then = null) {
  asked = true;
  afterName = then;
  byId("name").value = settings.by;
  byId("who").showModal();
  byId("name").select();
}
function giveName() {
  const name = tidy(byId("name").value).slice(0, 100);
  if (!name) return byId("name").focus();
  set("by", name);
  showSettings();
  byId("who").close();
  afterName?.();
}
byId("name").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); giveName(); } });
byId("name-ok").addEventListener("click", giveName);
byId("by").addEventListener("click", () => askName());
byId("help-ok").addEventListener("click", () => byId("help").close());

for (const name of ["order", "status"]) byId(name).addEventListener("change", (event) => { set(name, event.target.value); restart(); });
byId("at-once").addEventListener("change", (event) => { set("atOnce", event.target.checked); field.focus(); });
byId("key").addEventListener("change", () => { say(""); outbox.deliver(); poll(); });
byId("more").addEventListener("click", () => queue.more().catch((error) => say(error.message)));
field.box.addEventListener("click", () => { if (field.box.selectionStart === field.box.selectionEnd) playWord(field.here()); });
queue.onOpen = open;

showSettings();
outbox.deliver();
poll();
document.documentElement.dataset.ready = "yes";
