// The selected layer: its arrays (unpacked when first needed), the order of its units, and its figures as text.

const scope = readData("scope");
const state = { view: 0, shown: [], sort: "half", down: true, unit: 0, query: -1 };
const views = [...scope.layers, ...scope.attention];
const isAttention = () => state.view >= scope.layers.length;
const view = () => views[state.view];
const frames = () => Math.max(1, decodeClip(clipOf(0)).ctc.data.blank.length);

const unpacked = new Map(); // the views shown last
async function load(place) {
  if (unpacked.has(place)) return;
  const one = views[place], attention = place >= scope.layers.length;
  const names = attention ? Array.from({ length: one.heads }, (_, head) => `map-${place - scope.layers.length}-${head}`) : one.arrays.map((name) => `array-${place}-${name}`);
  const keys = attention ? names.map((_, head) => head) : one.arrays;
  const found = await Promise.all(names.map((name) => (byId(name) ? unpack(readData(name)) : null)));
  const made = Object.fromEntries(keys.map((key, n) => [key, found[n]]));
  if (!attention && !made.hidden) { // the output: the output gate times tanh of the cell state
    const { cell_state: c, output_gate: o } = made;
    made.hidden = { w: c.w, h: c.h, at: (unit, t) => o.at(unit, t) * Math.tanh(c.at(unit, t)) };
  }
  unpacked.set(place, made);
  if (unpacked.size > 8) unpacked.delete(unpacked.keys().next().value);
}
const arrays = () => unpacked.get(state.view) || {};

const memory = (seconds) => (seconds === undefined ? "" : seconds === null ? "∞" : seconds >= 1 ? `${seconds.toFixed(2)} s` : `${Math.round(1000 * seconds)} ms`);
const signed = (r) => `${r < 0 ? "−" : "+"}${Math.abs(r).toFixed(2)}`;
const share = (value) => `${Math.round(100 * value)} %`;
const endless = (seconds) => (seconds === null ? Infinity : seconds);

function columnsOf(layer) { // the table's columns; each is a way to order the units too
  const found = [{ key: "unit", name: "unit", value: (u) => u, text: (u) => String(u) }];
  if (layer.half) {
    found.push({ key: "half", name: "half-life", value: (u) => endless(layer.half[u]), text: (u) => memory(layer.half[u]) });
    found.push({ key: "effective", name: "effective", value: (u) => endless(layer.effective[u]), text: (u) => memory(layer.effective[u]) });
  }
  for (const [gate, sides] of Object.entries(layer.shares)) {
    ["open", "closed"].forEach((side, n) => found.push({ key: `${gate} ${side}`, name: `${scope.labels[gate].at(-1)} ${side}`, long: `${scope.labels[gate]} ${side}`, value: (u) => sides[n][u], text: (u) => share(sides[n][u]) }));
  }
  found.push({ key: "dead", name: "dead", value: (u) => layer.dead[u], text: (u) => (layer.dead[u] ? "dead" : "") });
  found.push({ key: "follows", name: "follows", value: (u) => Math.abs(layer.follows[u][0]?.[1] || 0), text: (u) => layer.follows[u].map(([name, r]) => `${name} ${signed(r)}`).join(", ") });
  return found;
}

function ordersOf(layer) { // the columns, and the correlation with each signal
  const names = [...new Set(layer.follows.flat().map(([name]) => name))];
  const one = (name) => ({ key: `r ${name}`, name: `follows ${name}`, value: (u) => Math.abs(layer.follows[u].find((each) => each[0] === name)?.[1] || 0) });
  return [...columnsOf(layer), ...names.map(one)];
}

function unitsInOrder() {
  const layer = view(), orders = ordersOf(layer), chosen = orders.find((one) => one.key === state.sort) || orders[0];
  const values = layer.dead.map((_, unit) => chosen.value(unit)), way = state.down ? -1 : 1;
  return [...layer.dead.keys()].sort((a, b) => (values[a] === values[b] ? a - b : values[a] < values[b] ? -way : way));
}

function cellUpdates(unit) { // per frame: what was kept of the state, what was added, and the new state
  const found = arrays(), layer = view(), kept = found[layer.keep], states = found.cell_state || found.hidden;
  if (!kept) return null;
  const backward = layer.name.endsWith("backward"), count = states.w, input = found.input_gate;
  return Array.from({ length: count }, (_, t) => {
    const before = backward ? t + 1 : t - 1, last = before >= 0 && before < count ? states.at(unit, before) : 0;
    const keep = kept.at(unit, t), added = (input ? input.at(unit, t) : 1 - keep) * found.candidate.at(unit, t);
    return { kept: keep * last, added, now: states.at(unit, t) };
  });
}

function unitInWords(unit) {
  const layer = view(), parts = [`unit ${unit}`];
  if (layer.half) parts.push(`half-life ${memory(layer.half[unit])}, effective ${memory(layer.effective[unit])}`);
  if (layer.dead[unit]) parts.push("dead in this recording");
  if (layer.follows[unit].length) parts.push(`follows ${layer.follows[unit].map(([name, r]) => `${name} ${signed(r)}`).join(", ")}`);
  return parts.join(" · ");
}
