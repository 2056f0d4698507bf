// One utterance opened: systems side by side word for word, sound and pictures, n-best, raw texts.

const KIND_NAMES = { S: "substitution", D: "deletion", I: "insertion" };

// The alignment of one system as words: {ref, hyp, kind "" S D I, time [start, end, confidence] or null}.
function alignedWords(outcome) {
  let place = 0;
  return outcome.al.map((pair) => {
    const [ref, hyp] = typeof pair === "string" ? [pair, pair] : pair;
    const kind = typeof pair === "string" ? "" : ref === null ? "I" : hyp === null ? "D" : "S";
    const time = hyp === null ? null : (outcome.t && outcome.t[place]) || null;
    if (hyp !== null) place += 1;
    return { ref, hyp, kind, time };
  });
}

// The time span of a deleted word: between the recognised words before and after it.
function spanOf(words, n, seconds) {
  if (words[n].time) return [words[n].time[0], words[n].time[1]];
  if (!words.some((one) => one.time)) return null;
  let before = 0, after = seconds === undefined ? Infinity : seconds;
  for (let m = n - 1; m >= 0; m -= 1) if (words[m].time) { before = words[m].time[1]; break; }
  for (let m = n + 1; m < words.length; m += 1) if (words[m].time) { after = words[m].time[0]; break; }
  return [Math.max(0, before - 0.1), after + 0.1];
}

let opened = null; // {place, picture, early: opened before its clip was read}

function playSpan(row, place, from, to) {
  player.play(row, place, from, to, (now) => { if (opened && opened.place === place && opened.picture) opened.picture.show(now); });
}

function wordNode(row, place, words, n, text, kind, sound) {
  const span = sound ? spanOf(words, n, row.dur) : null;
  const time = words[n].time;
  const about = [KIND_NAMES[kind], time && `${time[0].toFixed(2)} to ${time[1].toFixed(2)} s`, time && time[2] !== null && `confidence ${time[2].toFixed(2)}`].filter(Boolean).join(", ");
  const mark = kind ? el("sup", { "aria-label": KIND_NAMES[kind] }, kind) : null;
  const options = { class: kind || undefined, title: about || undefined, dir: "auto" };
  if (!span) return el("span", options, text, mark);
  return el("button", { ...options, type: "button", on: { click: () => playSpan(row, place, span[0] - 0.03, span[1] + 0.03) } }, text, mark);
}

// Columns: each system's insertions before a reference word, then the word itself.
function columnsOf(row, place, sound) {
  const systems = row.sys.map(alignedWords);
  const cells = systems.map((words) => {
    const slots = [{ inserted: [], at: -1 }];
    words.forEach((word, n) => {
      if (word.ref === null) slots[slots.length - 1].inserted.push(n);
      else { slots[slots.length - 1].at = n; slots.push({ inserted: [], at: -1 }); }
    });
    return slots;
  });
  const count = Math.max(...cells.map((one) => one.length));
  const heads = [el("span", { class: "head" }, "reference"), ...row.sys.map((_, n) => el("span", { class: "head" }, DATA.systems.length > 1 ? DATA.systems[n].name : "recognised"))];
  const columns = [el("div", { class: "column" }, ...heads)];
  const blank = (text) => el("span", { class: "blank", "aria-hidden": "true" }, text);
  for (let slot = 0; slot < count; slot += 1) {
    if (cells.some((one) => one[slot] && one[slot].inserted.length)) {
      columns.push(el("div", { class: "column" }, blank("·"), ...cells.map((one, s) => {
        const inserted = one[slot] ? one[slot].inserted : [];
        return inserted.length ? el("span", {}, ...inserted.map((n) => wordNode(row, place, systems[s], n, systems[s][n].hyp, "I", sound))) : blank("·");
      })));
    }
    const first = cells[0][slot];
    if (!first || first.at < 0) continue;
    columns.push(el("div", { class: "column" }, el("span", { dir: "auto" }, systems[0][first.at].ref), ...cells.map((one, s) => {
      const n = one[slot].at, word = systems[s][n];
      return wordNode(row, place, systems[s], n, word.kind === "D" ? "—" : word.hyp, word.kind, sound);
    })));
  }
  return el("div", { class: "columns", role: "group", "aria-label": "Alignment, word for word" }, ...columns);
}

function factsOf(row) {
  const parts = [];
  const add = (name, ...nodes) => parts.push(el("div", {}, el("h4", {}, name), ...nodes));
  if (row.norm !== undefined) add("Reference as given", el("p", { dir: "auto" }, row.ref));
  row.sys.forEach((one, n) => {
    const who = DATA.systems.length > 1 ? ` of ${DATA.systems[n].name}` : "";
    const compared = alignedWords(one).filter((word) => word.hyp !== null).map((word) => word.hyp).join(" ");
    if (one.hyp !== compared) add(`Hypothesis${who} as given`, el("p", { dir: "auto" }, one.hyp || "(nothing)"));
    if (one.best) add(`${one.best.length} best${who}`, el("ol", {}, ...one.best.map(([text, score]) => el("li", { dir: "auto" }, text || "(nothing)", score === null ? null : el("span", {}, score.toFixed(2))))));
    const figures = [`character errors ${one.c[0]} of ${one.c[1]}`];
    if (one.conf !== undefined) figures.push(`confidence ${one.conf.toFixed(2)}`);
    add(`Figures${who}`, el("p", {}, figures.join(", ")));
  });
  if (row.more) add("From the manifest", el("p", {}, Object.entries(row.more).map(([key, value]) => `${key}: ${value}`).join(" · ")));
  return el("div", { class: "facts" }, ...parts);
}

function detailOf(row, place) {
  const sound = player.hasSound(row, place);
  const tracks = row.sys.map((one) => alignedWords(one).filter((word) => word.time).map((word) => ({ text: word.hyp, kind: word.kind, start: word.time[0], end: word.time[1] })));
  const picture = row.clip ? makePicture(row, place, tracks.some((one) => one.length) ? tracks : []) : null;
  const actions = el("div", { class: "actions" });
  if (sound) {
    actions.append(el("button", { type: "button", class: "play", on: { click: () => playSpan(row, place, 0) } }, "▶ Play"), el("button", { type: "button", on: { click: () => player.stop() } }, "■ Stop"));
  } else actions.append(el("span", { class: "dim" }, "This page has no audio of this utterance."));
  opened = { place, picture, early: Boolean(row.clip) && document.readyState === "loading" && !readData(`clip-${place}`) };
  return el("div", {}, actions, columnsOf(row, place, sound), picture ? picture.node : null, factsOf(row));
}
