// The page of `asr serve --corpus`: one segment after the other is heard, corrected and saved, with the keyboard alone.

const RATES = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.15, 1.3, 1.5, 1.75, 2], JUMP_S = 2, AHEAD = 4, CACHED = 16;
const tell = (text) => { byId("told").textContent = text; };

// --- What was loaded: {state, blob, url} or {state, silent: why there is no sound}, a few segments ahead, so that the next one is there at once and without the server.
const cache = new Map();
function load(id) {
  if (!cache.has(id)) {
    const sound = ask(`segments/${id}/audio`).then((blob) => ({ blob, url: URL.createObjectURL(blob) }), (error) => { if (error.status) return { silent: error.message }; throw error; });
    const whole = Promise.all([ask(`segments/${id}`), sound]).then(([state, heard]) => ({ state, ...heard }));
    whole.catch(() => cache.delete(id));
    cache.set(id, whole);
    const oldest = [...cache.keys()].find((one) => one !== current?.id && one !== id);
    if (cache.size > CACHED && oldest) {
      cache.get(oldest).then((one) => one.url && URL.revokeObjectURL(one.url), () => {});
      cache.delete(oldest);
    }
  }
  return cache.get(id);
}
// A text that was typed on, for when the segment is opened again.
function keepText(id, text, version, seconds) {
  kept.write(`text ${id}`, { text, version, seconds });
  spent.set(id, seconds);
  if (current?.id === id) current.seconds = seconds;
}
async function learn(state) { // what the server has now
  queue.update(state);
  if (cache.has(state.id)) (await load(state.id)).state = state;
}

// --- The segment that is worked on, and the seconds of work: while the page is in view, up to a minute after the last key or click.
let current = null; // {id, state, url, picture, seconds}; `state`: the server's when it was opened or saved last
let wanted = null; // the id that is to be opened, or is open
const spent = new Map(); // seconds of work on segments that were left without being saved
const IDLE_MS = 60000;
let acted = performance.now(), counted = acted, visible = !document.hidden;
function work() {
  const now = performance.now();
  if (current && visible) current.seconds += Math.max(0, Math.min(now, acted + IDLE_MS) - counted) / 1000;
  counted = now;
  return now;
}
for (const kind of ["keydown", "pointerdown", "input", "wheel"]) addEventListener(kind, () => { acted = work(); }, { capture: true, passive: true });
document.addEventListener("visibilitychange", () => { work(); visible = !document.hidden; });

function leave() {
  player.stop();
  work();
  if (current) spent.set(current.id, current.seconds);
  current?.picture?.forget();
  current = null;
  field.box.readOnly = true; // what is typed now belongs to no segment
}
// `chosen`: by the person, not as the next one of the queue.
async function open(id, chosen = true) {
  leave();
  wanted = id;
  queue.show(id);
  let loaded;
  try { loaded = await load(id); } catch (error) {
    if (wanted === id) pause(error.status ? error.message : "The next segment comes once the server answers.");
    return;
  }
  if (wanted !== id) return;
  let keep = kept.read(`text ${id}`);
  if (keep && tidy(keep.text) === tidy(loaded.state.text)) { kept.drop(`text ${id}`); keep = null; }
  current = { id, ...loaded, picture: null, seconds: spent.get(id) ?? keep?.seconds ?? 0 };
  counted = performance.now();
  field.box.readOnly = false;
  pause("");
  say(loaded.silent || "");
  show(loaded.state, outbox.get(id)?.text ?? keep?.text);
  if (keep && keep.version < loaded.state.version) clash(id, { ...keep, by: settings.by }, loaded.state);
  drawPicture();
  if (!byId("notices").contains(document.activeElement)) field.focus(); // a question that is being answered keeps it
  if (settings.atOnce) ACTS.start.act();
  refresh(id, chosen);
  if (!settings.by && !asked) askName();
  for (let n = 0, next = id; n < AHEAD && (next = following(next)); n += 1) load(next).catch(() => {});
}

// What others did with it since it was loaded. What they have done, or have open at present, is passed over if it was not chosen.
async function refresh(id, chosen = true) {
  const opened = current, found = await ask(`segments/${id}?by=${encodeURIComponent(settings.by)}`).catch(() => null);
  if (!found || current !== opened || outbox.get(id)) return; // another one, or the same one chosen since
  const news = found.version > current.state.version, who = news ? found.history.at(-1)?.by || "Somebody" : found.open_by;
  if (news && kept.read(`text ${id}`)) return tell(`${who} saved this segment while you typed. Save, and both texts are shown.`);
  await learn(found);
  if (found.open_by) queue.markBusy(id);
  if (news) show(found);
  if (!who) return;
  const next = !chosen && (found.open_by || found.status !== "open") && following(id);
  if (next && !queue.isBusy(next)) await open(next, false);
  tell(`${who} ${news ? "saved" : "has"} ${next ? "the segment before" : "this segment"}${news ? " a moment ago" : " open, too"}.`);
}

function show(state, text = state.text) {
  field.fill(text, state.words);
  showState(state);
}
function showState(state) {
  current.state = state;
  const facts = [`${clock(state.start_s, 1)} to ${clock(state.end_s, 1)}`, state.speaker, state.status === "open" ? "draft" : state.status];
  byId("where").replaceChildren(el("bdi", {}, state.recording), el("span", { class: "dim" }, facts.filter(Boolean).join(" · ")));
  showOthers();
  showChanged();
}

// Other readings, each with its key: of the word that is selected, where the n-best have any, else of the whole.
function showOthers() {
  const { state } = current, one = field.selected(), readings = one ? readingsOf(one.draft, state.words, state.alternatives) : [];
  const item = (key, act, ...content) => el("li", {}, el("button", { type: "button", dir: "auto", on: { click: act } }, el("kbd", {}, key), ...content));
  const note = (text) => el("span", { class: "dim" }, ` ${text}`);
  const texts = [state.draft, ...state.alternatives].map((other) => other.text);
  const items = readings.length
    ? [one.draft.text, ...readings].map((text, n) => item(`Alt+${n}`, () => field.replaceSelected(text), el("bdi", {}, text || "(no word)")))
    : texts.map((text, n) => item(`Alt+${n}`, () => field.replace(text), n ? marked(text, texts[0]) : el("bdi", {}, text)));
  items[0].firstChild.append(note("the draft"));
  byId("alternatives").replaceChildren(...items.slice(0, 10));
  byId("alternatives").classList.toggle("of-word", readings.length > 0);
  const names = { corrected: "corrected", skipped: "skipped", open: "taken back" }, when = { dateStyle: "medium", timeStyle: "short" };
  byId("history").hidden = !state.history.length;
  byId("history").replaceChildren(el("h2", {}, "Saved before"), el("ul", {}, ...state.history.map((line) => item(names[line.status], () => field.replace(line.text),
    marked(line.text, state.draft.text), note(`${line.by || "somebody"}, ${new Date(line.at).toLocaleString(undefined, when)}`))).reverse()));
}
field.onSelect = () => { if (current) showOthers(); };

function pause(why) { // nothing to work on, for a reason; or work goes on
  byId("card").hidden = Boolean(why);
  byId("pause").hidden = !why;
  byId("pause").textContent = why;
}

const isChanged = () => field.text() !== tidy(current.state.text);
function showChanged() {
  const change = outbox.get(current.id), { state } = current, changed = isChanged();
  byId("state").textContent = change ? "Kept in this browser until the server has it."
    : changed ? "Changed; Enter saves." : state.status === "open" ? "The draft as it is." : state.status === "skipped" ? "Skipped." : "Saved.";
  byId("accept").firstChild.textContent = changed || state.status === "corrected" ? "Save, next" : "Right as it is, next";
}
field.box.addEventListener("input", () => {
  if (!current) return;
  const { id, state } = current, version = kept.read(`text ${id}`)?.version ?? state.version; // of the text that was changed
  if (isChanged()) kept.write(`text ${id}`, { text: field.box.value, version, seconds: current.seconds });
  else kept.drop(`text ${id}`);
  tell("");
  showChanged();
  queue.draw(id);
});

// --- Sound
const onTime = (now) => {
  field.showTime(now);
  current?.picture?.show(now);
  byId("play").firstChild.textContent = now === null ? "▶ Play" : "❚❚ Pause";
};
const play = (from, to = Infinity, repeats = () => settings.repeat) => { if (current?.url) player.play(current.url, Math.max(0, from), to, onTime, repeats); };
const playWord = (one) => one && play(one.start_s - 0.05, one.end_s + 0.05, null);
const length = () => current.state.end_s - current.state.start_s;
function drawPicture() {
  if (!current.blob) return byId("picture").replaceChildren();
  current.picture = pictureOf(current.blob, length(), (from) => play(from));
  byId("picture").replaceChildren(current.picture.holder);
}
byId("picture").addEventListener("click", field.focus); // typing goes on
function rate(step) {
  const at = RATES.indexOf(settings.rate);
  set("rate", RATES[Math.max(0, Math.min(RATES.length - 1, (at < 0 ? RATES.indexOf(1) : at) + step))]);
  showSettings();
}
function showSettings() {
  player.setRate(settings.rate);
  byId("rate").textContent = `${settings.rate} ×`;
  byId("repeat").setAttribute("aria-pressed", settings.repeat);
  byId("at-once").checked = settings.atOnce;
  byId("by").textContent = settings.by || "Your name";
  for (const name of ["order", "status"]) byId(name).value = settings[name];
}

// --- Saving
function save(status, goOn) {
  if (!current || field.box.readOnly) return;
  const { id, state } = current, text = field.text(), version = kept.read(`text ${id}`)?.version ?? state.version;
  if (status === "corrected" && !text) return say("There is no text to save. Where nothing can be understood, skip the segment.");
  if (!settings.by) return askName(() => save(status, goOn));
  work();
  outbox.put(id, { text, by: settings.by, version, seconds: current.seconds, status });
  kept.drop(`text ${id}`);
  current.seconds = 0;
  done.push(id);
  queue.draw(id);
  showAway();
  say("");
  tell(status === "skipped" ? "Skipped." : "");
  if (goOn) advance(); else showChanged();
}
const done = []; // ids, in the order in which they were saved here
outbox.onSaved = async (id, state) => {
  await learn(state);
  showAway();
  notices.drop(id);
  const keep = kept.read(`text ${id}`);
  if (keep) kept.write(`text ${id}`, { ...keep, version: state.version }); // typed after it
  if (state.warnings.length) tell(`Saved. ${state.warnings.join(" ")}`);
  if (current?.id === id) showState(state);
};
outbox.onRefused = (id, change, error) => {
  queue.draw(id);
  if (error.status === 409 && error.current) return clash(id, change, error.current);
  const openIt = () => { outbox.drop(id); keepText(id, change.text, change.version, change.seconds); open(id); };
  notices.add(id, [el("p", {}, `This text was not saved: ${error.message}`), el("p", {}, el("bdi", {}, change.text))], [["Change it", openIt], ["Drop it", () => { outbox.drop(id); queue.draw(id); }]]);
};

// Two people corrected the same segment: both texts are shown, and the person here chooses.
function clash(id, mine, theirs) {
  const last = theirs.history.at(-1), who = last?.by || "somebody", what = theirs.status === "corrected" ? "saved" : theirs.status;
  learn(theirs);
  const settle = (text) => { // what is typed counts from their version on
    outbox.drop(id);
    kept.drop(`text ${id}`);
    if (text !== null) keepText(id, text, theirs.version, mine.seconds);
    queue.draw(id);
  };
  const line = (name, text, other) => el("p", {}, el("span", { class: "dim" }, name), el("br"), marked(text, other));
  notices.add(id, [
    el("p", {}, el("strong", {}, "Two texts for one segment."), ` While you worked on it, ${who} ${what} another one.`),
    line(`Theirs (${who}${last ? `, ${new Date(last.at).toLocaleString()}` : ""})`, theirs.text, mine.text),
    line(mine.status === "skipped" ? "Mine (skipped)" : "Mine", mine.text, theirs.text),
  ], [
    ["Keep theirs", () => { settle(null); if (current?.id === id) open(id); }],
    ["Keep mine", () => {
      settle(null);
      outbox.put(id, { text: tidy(mine.text), by: mine.by || settings.by, version: theirs.version, seconds: mine.seconds, status: mine.status || "corrected" });
      queue.draw(id);
    }],
    ["Edit mine", () => { settle(mine.text); open(id); }],
  ]);
}

const notices = (() => {
  const all = new Map(); // by segment
  function drop(id) {
    const had = all.get(id)?.contains(document.activeElement);
    all.get(id)?.remove();
    all.delete(id);
    if (had) field.focus();
  }
  function add(id, lines, choices) {
    drop(id);
    const buttons = choices.map(([name, act]) => button(name, () => { drop(id); act(); }));
    all.set(id, el("section", { class: "notice" }, ...lines, el("div", { class: "tools" }, ...buttons)));
    byId("notices").append(all.get(id));
  }
  return { add, drop, focus: () => byId("notices").querySelector("button")?.focus() };
})();

// The last change of this segment, or else of the one saved last, is undone; both texts stay in its history.
async function takeBack() {
  while (outbox.isBusy()) await new Promise((go) => setTimeout(go, 20));
  const here = current && (current.state.can_undo || outbox.get(current.id)), id = here ? current.id : done.pop();
  if (!id) return tell("There is nothing to take back.");
  const change = outbox.get(id);
  if (change) { // it has not left this browser
    outbox.drop(id);
    keepText(id, change.text, change.version, change.seconds);
    queue.draw(id);
    showAway();
    await open(id);
    return tell("It was not sent yet; the text is in the field.");
  }
  try {
    work();
    const { state } = await load(id), seconds = current?.id === id ? current.seconds : 0;
    const now = await ask(`segments/${id}/undo`, { by: settings.by, version: state.version, seconds }, "POST");
    if (current?.id === id) current.seconds = 0;
    kept.drop(`text ${id}`);
    await learn(now);
    await open(id);
    tell("Taken back. The text is below, under “Saved before”.");
  } catch (error) {
    if (!here) done.push(id);
    if (error.current) { await learn(error.current); await open(id); }
    say(`Not taken back. ${error.message}`);
  }
}

// --- From segment to segment
const following = (id) => queue.after(id, 1, ["open", "all"].includes(settings.status));
async function advance() {
  const from = wanted;
  let next = following(from);
  if (queue.openLeft() < 10) {
    const asked = queue.more().catch(() => 0);
    if (!next) { await asked; next = following(from); }
  }
  if (next) open(next, false); else finish();
}
function finish() {
  leave();
  wanted = null;
  pause(away ? "The next segments come once the server answers."
    : queue.isDrafting() ? "The next segments come as soon as they are drafted." : "No segment is left in this queue.");
}
function step(by) {
  const id = queue.after(wanted, by);
  if (id) open(id); else if (by > 0) advance();
}
function restart() {
  queue.clear();
  leave();
  wanted = null;
  return poll();
}

// How far it is, and new segments, every few seconds; the first one is opened where none is.
let timer = 0;
async function poll() {
  clearTimeout(timer);
  try {
    if (current) {
      await queue.fetchFrom(0);
      if (current) refresh(current.id);
    } else {
      await queue.more();
      const first = wanted || following(null) || queue.after(null);
      if (first && !current) await open(first, false); else if (!first) finish();
    }
  } catch (error) { if (error.status) say(error.message); else if (!current && !wanted) finish(); }
  timer = setTimeout(poll, away || !current || queue.isDrafting() ? 3000 : 20000);
}
function showAway() {
  const unsent = outbox.ids().length, changes = unsent === 1 ? "1 change is" : `${unsent} changes are`;
  byId("away").hidden = !away;
  byId("away").textContent = away && `${away} You can go on: ${unsent ? `${changes} kept in this browser and sent once it answers` : "what you type is kept in this browser"}.`;
}
onAway.push(() => {
  showAway();
  if (away) return;
  outbox.deliver();
  if (!current) poll();
});
