// The gate viewer: its tools, one canvas with everything on one time axis, the pointer's values, keys.

const UNIT_TRACK = 116, SMALLEST = 90, LARGEST = 170, HEAD = 150;
const holder = byId("gate-viewer"), clip = decodeClip(clipOf(0)), seconds = scope.duration;
const canvas = el("canvas", { role: "img", "aria-label": "Words, spectrogram, CTC posteriors, and the units of the selected layer; the tables below give the main figures as text" });
const cursor = el("div", { class: "cursor", hidden: true });
const frame = el("div", { class: "picture", tabindex: "0", "aria-label": "Pictures over time; up and down arrows select a unit" }, canvas, cursor);
const readout = el("p", { class: "readout" }, "Point at the images for values.");
const chosen = el("p", { class: "chosen dim", role: "status" });
const legend = el("p", { class: "legend dim" });
let width = 0, tops = {}, images = [], order = [], kept = new Map();
const x = (time) => LEFT + (time / seconds) * (width - LEFT - RIGHT);
const timeAt = (at) => ((at - LEFT) / (width - LEFT - RIGHT)) * seconds;
const frameAt = (time) => Math.round((time - scope.first) / scope.step);
const sound = { dur: seconds, clip: 1 };

const wanted = () => Math.max(frame.clientWidth, Math.min(LEFT + RIGHT + seconds * Number(zoomBox.value), 16000));

function layOut() { // the top of each track, in pixels
  let y = 4;
  const take = (height, gap = GAP) => { const top = y; y += height + gap; return top; };
  tops = { words: take(TRACK) };
  if (clip.mel) tops.mel = take(MEL);
  tops.ctc = take(CTC);
  if (isAttention()) {
    tops.heads = take(UNIT_TRACK, 4); tops.axis = take(AXIS, 2);
    images = Object.keys(arrays()).map((head) => ({ name: Number(head), top: take(HEAD), height: HEAD }));
  } else {
    if (view().keep) tops.gates = take(UNIT_TRACK);
    tops.cell = take(UNIT_TRACK, 4); tops.axis = take(AXIS, 2);
    const height = Math.min(LARGEST, Math.max(SMALLEST, Math.round(view().dead.length * 0.55)));
    images = state.shown.map((name) => ({ name, top: take(height), height }));
  }
  tops.foot = take(AXIS);
  return y;
}

function draw() {
  const height = layOut();
  width = wanted();
  const pen = penOf(canvas, width, height);
  drawTrack(pen, scope.words, tops.words, x, "text");
  if (clip.mel) drawMel(pen, clip.mel, tops.mel, x);
  drawCtc(pen, clip.ctc, tops.ctc, x, width);
  for (const top of [tops.gates, tops.cell, tops.heads]) if (top) drawBackdrop(pen, top === tops.cell ? 0 : tops.mel, top, UNIT_TRACK, width);
  if (clip.mel) drawBounds(pen, scope.words, tops.mel, MEL, x);
  if (isAttention()) drawHeads(pen, state.query, x, tops.heads, UNIT_TRACK);
  else {
    if (tops.gates) drawGates(pen, state.unit, x, tops.gates, UNIT_TRACK);
    drawCell(pen, state.unit, x, tops.cell, UNIT_TRACK);
  }
  for (const image of images) drawOne(pen, image);
  drawAxis(pen, tops.axis, x, seconds); drawAxis(pen, tops.foot, x, seconds);
}

function drawOne(pen, image) {
  const array = arrays()[image.name], rows = isAttention() ? [...Array(array.h).keys()] : order;
  const key = `${state.view} ${image.name} ${isDark()} ${isAttention() ? "" : `${state.sort} ${state.down}`}`;
  if (!kept.has(key)) kept.set(key, imageOf(array, rows, !isAttention() && !image.name.endsWith("_gate")));
  if (kept.size > 16) kept.delete(kept.keys().next().value);
  drawImageAt(pen, kept.get(key), x, image.top, image.height, width);
  drawLabel(pen, isAttention() ? `head ${image.name + 1}` : scope.labels[image.name], image.top, image.height);
  const place = isAttention() ? state.query : order.indexOf(state.unit), y = image.top + ((place + 0.5) / rows.length) * image.height;
  pen.fillStyle = css("--accent"); pen.beginPath(); pen.moveTo(width - RIGHT, y); pen.lineTo(width, y - 5); pen.lineTo(width, y + 5); pen.fill();
  pen.beginPath(); pen.moveTo(LEFT, y); pen.lineTo(LEFT - 5, y - 4); pen.lineTo(LEFT - 5, y + 4); pen.fill();
}

function under(event) { // what is under the pointer
  const time = timeAt(event.offsetX), at = Math.min(Math.max(frameAt(time), 0), frames() - 1);
  const image = images.find((one) => event.offsetY >= one.top && event.offsetY < one.top + one.height);
  const rows = image ? arrays()[image.name].h : 0, place = image ? Math.min(rows - 1, Math.floor(((event.offsetY - image.top) / image.height) * rows)) : 0;
  return { time, at, image, row: image && !isAttention() ? order[place] : place, y: event.offsetY };
}

function gatesInWords(unit, at) {
  const found = arrays(), names = Object.keys(scope.labels).filter((name) => found[name]);
  return names.map((name) => `${scope.labels[name].split(" ").at(-1)} ${found[name].at(unit, at).toFixed(name.endsWith("_gate") ? 2 : 3)}`).join(", ");
}

function describePoint({ time, at, image, row, y }) {
  if (time < 0 || time > seconds) return "";
  if (image && isAttention()) {
    return `head ${image.name + 1} · the frame at ${(scope.first + row * scope.step).toFixed(2)} s attends ${(100 * arrays()[image.name].at(row, at)).toFixed(1)} % to ${time.toFixed(2)} s`;
  }
  if (image) return `${time.toFixed(2)} s · ${scope.labels[image.name]} ${arrays()[image.name].at(row, at).toFixed(3)} · ${unitInWords(row)}`;
  const top = tops.gates || tops.cell;
  if (!isAttention() && y >= top && y < tops.axis) return `${time.toFixed(2)} s · unit ${state.unit}: ${gatesInWords(state.unit, at)}`;
  return describe(clip, time, y - (tops.mel ?? -1e9));
}

canvas.addEventListener("mousemove", (event) => {
  const found = under(event), inside = found.time >= 0 && found.time <= seconds;
  readout.textContent = describePoint(found);
  cursor.hidden = !inside;
  if (inside) cursor.style.left = `${event.offsetX}px`;
});
canvas.addEventListener("mouseleave", () => { cursor.hidden = true; });
canvas.addEventListener("click", (event) => {
  const found = under(event);
  if (found.image && isAttention()) { state.query = found.row; draw(); } else if (found.image) choose(found.row);
  else if (found.time >= 0 && found.time <= seconds && found.y < (tops.gates || tops.cell || tops.heads)) {
    const word = found.y < tops.words + TRACK && scope.words.find((one) => found.time >= one.start && found.time <= one.end);
    playFrom(word ? word.start - 0.03 : found.time, word ? word.end + 0.03 : Infinity);
  }
});
frame.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === " ") { event.preventDefault(); playOrStop(); }
  if (!step) return;
  event.preventDefault();
  if (isAttention()) { state.query = Math.min(frames() - 1, Math.max(0, state.query + step)); draw(); } else choose(order[Math.min(order.length - 1, Math.max(0, order.indexOf(state.unit) + step))]);
});

let playing = false;
function show(now) {
  playing = now !== null;
  play.textContent = playing ? "■ Stop" : "▶ Play";
  cursor.hidden = !playing;
  if (playing) cursor.style.left = `${x(now)}px`;
}
const playFrom = (from = 0, to = Infinity) => player.play(sound, 0, Math.max(0, from), to, show);
const playOrStop = () => { if (playing) player.stop(); else playFrom(); };

const table = makeTable(choose, (key, down) => { state.sort = key; state.down = down; arrange(); }, () => order);
const play = el("button", { type: "button", on: { click: playOrStop }, hidden: !clip.audio }, "▶ Play");
const layerBox = el("select", { id: "layer", on: { change: () => look(Number(layerBox.value)) } }, ...views.map((one, n) => el("option", { value: n }, one.name)));
const sortBox = el("select", { id: "sort", on: { change: () => { state.sort = sortBox.value; state.down = sortBox.value !== "unit"; arrange(); } } });
const zoomBox = el("select", { id: "zoom", on: { change: () => draw() } }, ...[["40", "all"], ["160", "160 px/s"], ["400", "400 px/s"], ["1000", "1000 px/s"]].map(([value, label]) => el("option", { value }, label)));
const shownBox = el("span", { class: "toggles", role: "group", "aria-label": "Images" });
const sortLabel = el("label", {}, "Order of units", sortBox), shownLabel = el("div", { class: "group" }, "Images", shownBox);
const tools = el("div", { class: "tools" }, el("label", {}, "Layer", layerBox), sortLabel, el("label", {}, "Zoom", zoomBox), shownLabel, play);

function choose(unit) {
  state.unit = unit;
  chosen.textContent = `Selected: ${unitInWords(unit)}. Click on a row of an image or of the table, or press ↑ and ↓, to select another.`;
  table.mark();
  draw();
}

function arrange() { // the units in the chosen order
  const orders = ordersOf(view());
  if (!orders.some((one) => one.key === state.sort)) state.sort = orders[0].key;
  sortBox.replaceChildren(...orders.map((one) => el("option", { value: one.key, selected: one.key === state.sort }, one.long || one.name)));
  order = unitsInOrder();
  if (!order.includes(state.unit) || !state.touched) state.unit = order[0];
  state.touched = true;
  choose(state.unit);
  setTimeout(table.fill); // after the images
}

function toggles() {
  shownBox.replaceChildren(...view().arrays.map((name) => {
    const box = el("input", { type: "checkbox", value: name, checked: state.shown.includes(name) });
    box.addEventListener("change", () => { state.shown = view().arrays.filter((one) => (one === name ? box.checked : state.shown.includes(one))); draw(); });
    return el("label", {}, box, scope.labels[name]);
  }));
}

function explain() {
  const one = (colour, label) => el("span", { class: `key ${colour}` }, label);
  if (isAttention()) { legend.replaceChildren(...Object.keys(arrays()).map((head) => one(`s${head % 5}`, `head ${Number(head) + 1}`)), "of the selected frame · maps: rows are query frames, columns key frames."); return; }
  const gates = Object.keys(LINES).filter((gate) => arrays()[gate]).map((gate) => one(LINES[gate].slice(2), scope.labels[gate]));
  const moved = view().keep ? [" · cell state: ", one("s0 soft", "kept from the frame " + (view().name.endsWith("backward") ? "after" : "before")), one("s2", "added, positive"), one("s1", "added, negative"), one("ink", "the new state")] : [];
  legend.replaceChildren(...gates, ...moved, " · images: gates from 0 (closed, background colour) to 1 (open); states blue above 0, orange below.");
}

async function look(place) {
  state.view = place;
  await load(place);
  for (const one of [sortLabel, shownLabel, table.node]) one.hidden = isAttention();
  explain();
  if (isAttention()) {
    if (state.query < 0) state.query = Math.floor(frames() / 2);
    chosen.textContent = "Click on a row of a map, or press ↑ and ↓, to select the query frame.";
    draw();
    return;
  }
  const before = state.shown.filter((name) => view().arrays.includes(name));
  state.shown = before.length ? before : [...view().first];
  toggles();
  arrange();
}

async function start() {
  byId("waiting").remove();
  holder.append(tools, readout, frame, legend, chosen, table.node);
  if (typeof DecompressionStream === "undefined") { readout.textContent = "This browser is too old to unpack the images (it has no DecompressionStream)."; return; }
  await look(0);
  new ResizeObserver(() => { if (wanted() !== width) draw(); }).observe(frame);
  onTheme.push(draw);
}

function begin() { // the arrays come after this script
  start().catch((error) => { byId("trouble").textContent = `The images cannot be drawn: ${error.message}`; }).finally(() => { document.documentElement.dataset.ready = "yes"; });
}
whenRead(begin);
