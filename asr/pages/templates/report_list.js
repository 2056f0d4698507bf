// The list: filter, sort, pages of rows.

const DATA = readData("utterances");
const PAGE_ROWS = 50;
const FIRST_ROWS = 12; // drawn at once: as many as fit a screen; the rest after the browser has painted
const SEVERAL = DATA.systems.length > 1;
const SOUND = DATA.sound; // whether clips carry audio

const errorsOf = (one) => one.k[0] + one.k[1] + one.k[2];
const rateOf = (one) => (one.k[3] ? errorsOf(one) / one.k[3] : errorsOf(one) ? Infinity : 0);
const fold = (text) => text.normalize("NFC").toLowerCase();

const INDEX = DATA.rows.map((row, place) => ({
  row, place,
  worst: Math.max(...row.sys.map(errorsOf)), worstRate: Math.max(...row.sys.map(rateOf)),
  text: fold([row.id, row.spk || "", row.ref, row.norm || "", ...row.sys.map((one) => one.hyp)].join("\n")),
  errors: row.sys.map(errorsOf),
  rates: row.sys.map(rateOf),
})).sort((a, b) => b.worst - a.worst || b.worstRate - a.worstRate || a.place - b.place); // the default order
const COLUMNS = [
  ...DATA.systems.flatMap((system, n) => {
    const letter = SEVERAL ? ` ${system.letter}` : "";
    const found = [{ name: `WER${letter}`, key: `wer${n}`, value: (e) => e.rates[n], show: (e) => (e.rates[n] === Infinity ? "∞" : `${(100 * e.rates[n]).toFixed(0)} %`), about: `word error rate${SEVERAL ? ` of ${system.name}` : ""}` }];
    if (SEVERAL) return [...found, { name: `err${letter}`, key: `errors${n}`, value: (e) => e.errors[n], show: (e) => e.errors[n], about: `word errors of ${system.name}` }];
    return [...found, { name: "errors", key: "errors0", value: (e) => e.errors[n], show: (e) => e.errors[n], about: "word errors" },
      ...["S", "D", "I"].map((kind, k) => ({ name: kind, key: kind, value: (e) => e.row.sys[n].k[k], show: (e) => e.row.sys[n].k[k] || "·", about: KIND_NAMES[kind] }))];
  }),
  { name: "words", key: "words", value: (e) => e.row.sys[0].k[3], show: (e) => e.row.sys[0].k[3], about: "words in the reference" },
  ...(DATA.rows.some((row) => row.dur !== undefined) ? [{ name: "s", key: "dur", value: (e) => (e.row.dur === undefined ? -1 : e.row.dur), show: (e) => (e.row.dur === undefined ? "–" : e.row.dur.toFixed(1)), about: "seconds" }] : []),
  ...(!SEVERAL && DATA.rows.some((row) => row.sys[0].conf !== undefined) ? [{ name: "conf", key: "conf", value: (e) => e.row.sys[0].conf ?? 2, show: (e) => (e.row.sys[0].conf === undefined ? "–" : e.row.sys[0].conf.toFixed(2)), about: "confidence", up: true }] : []),
  { name: "utterance", key: "id", value: (e) => e.row.id, about: "utterance id", up: true, text: true },
];

const state = { query: [], speaker: "", kind: "", winner: "", low: 0, high: Infinity, key: "", down: true, page: 0, found: [] };

const KINDS = {
  "": () => true,
  wrong: (e) => e.worst > 0,
  right: (e) => e.worst === 0,
  S: (e) => e.row.sys.some((one) => one.k[0]), D: (e) => e.row.sys.some((one) => one.k[1]), I: (e) => e.row.sys.some((one) => one.k[2]),
  empty: (e) => e.row.sys.some((one) => !one.hyp.trim()),
  clip: (e) => e.row.clip || e.row.src,
};

const WINNERS = { "": () => true };
if (SEVERAL) {
  DATA.systems.forEach((system, n) => {
    WINNERS[`best${n}`] = (e) => e.errors.every((one, m) => m === n || one > e.errors[n]);
    WINNERS[`alone${n}`] = (e) => e.errors.every((one, m) => (m === n ? one === 0 : one > 0));
  });
  WINNERS.none = (e) => e.errors.every((one) => one > 0);
  WINNERS.differ = (e) => e.row.sys.some((one) => JSON.stringify(one.al) !== JSON.stringify(e.row.sys[0].al));
  const options = [
    ...DATA.systems.flatMap((system, n) => [[`best${n}`, `${system.name} has fewer errors`], [`alone${n}`, `only ${system.name} is correct`]]),
    ["none", "none is correct"], ["differ", "texts differ"],
  ];
  byId("winner").append(...options.map(([value, name]) => el("option", { value }, `${name} (${INDEX.filter(WINNERS[value]).length})`)));
}

function compute() {
  const kind = KINDS[state.kind], winner = WINNERS[state.winner], column = COLUMNS.find((one) => one.key === state.key);
  const within = (rate) => 100 * rate >= state.low && 100 * rate <= state.high;
  const ranged = state.low > 0 || state.high < Infinity;
  state.found = INDEX.filter((e) => (!state.speaker || e.row.spk === state.speaker) && kind(e) && winner(e)
    && (!ranged || e.rates.some(within)) && state.query.every((part) => e.text.includes(part)));
  if (column) {
    const sign = state.down ? -1 : 1;
    const compare = column.text ? (a, b) => (a < b ? -1 : a > b ? 1 : 0) : (a, b) => (a === b ? 0 : a - b);
    state.found.sort((a, b) => sign * compare(column.value(a), column.value(b)) || a.place - b.place);
  }
}

function inlineOf(entry, outcome) {
  const line = el("span", { dir: "auto" });
  const sound = entry.row.src || entry.row.clip;
  alignedWords(outcome).forEach((word, n) => {
    if (n) line.append(" ");
    const node = document.createElement(word.kind === "D" ? "del" : word.kind === "I" ? "ins" : "span");
    node.className = `${word.kind} word${word.time && sound ? " playable" : ""}`;
    if (word.kind === "S") node.append(el("s", {}, word.ref), " ", el("b", {}, word.hyp));
    else node.textContent = word.hyp === null ? word.ref : word.hyp;
    if (word.kind) node.title = KIND_NAMES[word.kind];
    line.append(node);
  });
  if (!outcome.al.length) line.append(el("span", { class: "perfect" }, "(empty reference, nothing recognised)"));
  return line;
}

function rowOf(entry) {
  const { row, place } = entry;
  const about = [row.spk && `speaker ${row.spk}`, row.src || row.clip ? (row.src || SOUND ? "♪" : "image") : ""].filter(Boolean).join(" · ");
  const lines = row.sys.map((one, n) => el("span", { class: "line", "data-system": n }, SEVERAL ? el("span", { class: "letter", title: DATA.systems[n].name }, DATA.systems[n].letter) : null, inlineOf(entry, one)));
  const name = el("button", { type: "button", class: "id", "aria-expanded": "false" }, row.id);
  const cells = COLUMNS.filter((one) => !one.text).map((one) => el("td", { class: "number", "data-name": one.name }, String(one.show(entry))));
  return el("tr", { class: "row", "data-place": place }, ...cells, el("td", { class: "texts" }, name, about ? el("span", { class: "meta" }, about) : null, ...lines));
}

function drawHead() {
  byId("rows").tHead.replaceChildren(el("tr", {}, ...COLUMNS.map((column) => {
    const active = state.key === column.key;
    const button = el("button", { type: "button", title: `sort by ${column.about}`, "data-order": active ? (state.down ? "down" : "up") : undefined, "data-key": column.key }, column.name);
    button.addEventListener("click", () => {
      if (active) state.down = !state.down;
      else { state.key = column.key; state.down = !column.up; }
      drawHead(); update();
      document.querySelector(`#rows thead [data-key="${column.key}"]`).focus();
    });
    return el("th", { scope: "col", class: column.text ? undefined : column.name.length === 1 ? "number slim" : "number", "aria-sort": active ? (state.down ? "descending" : "ascending") : undefined }, button);
  })));
}

let waiting = 0;
let drawRest = () => {};

function drawRows() {
  const pages = Math.max(1, Math.ceil(state.found.length / PAGE_ROWS));
  state.page = Math.min(Math.max(state.page, 0), pages - 1);
  const shown = state.found.slice(state.page * PAGE_ROWS, (state.page + 1) * PAGE_ROWS);
  player.stop();
  opened = null;
  const rows = byId("rows").tBodies[0];
  rows.replaceChildren(...shown.slice(0, FIRST_ROWS).map(rowOf));
  cancelAnimationFrame(waiting);
  drawRest = () => {
    cancelAnimationFrame(waiting);
    drawRest = () => {};
    rows.append(...shown.slice(FIRST_ROWS).map(rowOf));
  };
  const rest = drawRest;
  waiting = requestAnimationFrame(() => { waiting = requestAnimationFrame(() => rest()); });
  if (!shown.length) byId("rows").tBodies[0].append(el("tr", {}, el("td", { class: "nothing", colspan: COLUMNS.length }, "No utterance matches these filters.")));
  byId("page").textContent = `page ${state.page + 1} of ${pages}`;
  byId("back").disabled = state.page === 0;
  byId("next").disabled = state.page === pages - 1;
  byId("back").parentElement.hidden = pages === 1;
}

function drawCount() {
  const found = state.found;
  const rates = DATA.systems.map((system, n) => {
    const errors = found.reduce((sum, e) => sum + e.errors[n], 0), words = found.reduce((sum, e) => sum + e.row.sys[n].k[3], 0);
    return `${SEVERAL ? `${system.name}: ` : ""}${words ? `${((100 * errors) / words).toFixed(2)} % WER` : "no words"}`;
  });
  byId("count").textContent = `${found.length.toLocaleString("en")} of ${INDEX.length.toLocaleString("en")} utterances · ${rates.join(" · ")}`;
}

function update(page = 0) {
  state.page = page;
  compute();
  drawRows();
  drawCount();
}
