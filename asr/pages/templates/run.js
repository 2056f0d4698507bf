// The curves of one run, or of two overlaid; one cursor through all plots.

const DATA = readData("curves");
const SEVERAL = DATA.runs.length > 1;
const LETTERS = "AB";
const plots = [];
let along = "epoch", cursor = null;

function curvesOf(plot) {
  const found = [];
  DATA.runs.forEach((run, place) => plot.series.forEach((one, n) => {
    const columns = run.points[one.base], scaled = (key) => columns[key]?.map((value) => (value === null ? null : value * plot.factor));
    const y = scaled(one.key);
    if (!y || y.every((value) => value === null)) return;
    const bold = plot.series.slice(0, n).filter((other) => !other.faint).length;
    found.push({
      run: place, base: one.base, key: one.key, faint: one.faint, x: columns[along], y, low: scaled(`${one.key}_low`), high: scaled(`${one.key}_high`),
      colour: SEVERAL ? place : one.faint ? 0 : bold, dash: SEVERAL ? bold : 0, label: SEVERAL ? `${LETTERS[place]} ${one.label}` : one.label,
    });
  }));
  return found;
}

function legend(curves) {
  if (curves.length < 2) return null;
  return el("p", { class: "keyline" }, ...curves.map((one) => el("span", {}, svg("svg", { width: 26, height: 10, "aria-hidden": "true" },
    svg("line", { x1: 1, x2: 25, y1: 5, y2: 5, class: `line c${one.colour} d${one.dash}${one.faint ? " faint" : ""}` })), ` ${one.label}`)));
}

function axes(x, y, width) {
  const group = svg("g", { class: "axes" });
  for (const tick of y.ticks) {
    group.append(svg("line", { x1: LEFT, x2: width - RIGHT, y1: y.at(tick), y2: y.at(tick) }));
    group.append(svg("text", { x: LEFT - 6, y: y.at(tick) + 4, "text-anchor": "end" }, figure(tick)));
  }
  for (const tick of x.ticks) group.append(svg("text", { x: x.at(tick), y: HEIGHT - 8, "text-anchor": "middle" }, figure(tick)));
  const ends = DATA.runs[0].points.epochs[along];
  if (ends.length <= 120) for (const end of ends) if (end !== null) group.append(svg("line", { x1: x.at(end), x2: x.at(end), y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 4, class: "epoch" }));
  return group;
}

function line(x, y, kind, title) { return svg("line", { ...x, ...y, class: kind }, svg("title", {}, title)); }

// The best epoch, the mean of the last epochs, the clipping norm, and the steps at which a run was resumed.
function marks(plot, x, y) {
  const found = [], down = { y1: TOP, y2: HEIGHT - BOTTOM }, across = { x1: LEFT, x2: x.at(x.high) };
  DATA.runs.forEach((run, place) => {
    const ends = run.points.epochs, colour = `c${place}`, of = SEVERAL ? ` of ${LETTERS[place]}` : "";
    const best = run.best === null ? null : ends[along][run.best];
    if (best !== null) found.push(line({ x1: x.at(best), x2: x.at(best) }, down, `mark ${colour}`, `best epoch${of}: ${ends.epoch[run.best]}`));
    if (plot.key === "error" && best !== null) found.push(svg("circle", { cx: x.at(best), cy: y.at(ends.dev_wer[run.best] * 100), r: 4.5, class: `dot ${colour}` }));
    if (plot.key === "error" && run.average) {
      const at = x.at(ends[along][ends[along].length - 1] ?? 0), up = y.at(run.average.wer * 100);
      found.push(svg("path", { d: `M${at},${up - 7}l7,7l-7,7l-7,-7z`, class: `dot ${colour}` }, svg("title", {}, `mean of the last ${run.average.epochs} epochs${of}: WER ${(run.average.wer * 100).toFixed(2)} %`)));
    }
    if (plot.key === "norm" && run.clip && run.clip <= y.high && run.clip >= y.low) found.push(line(across, { y1: y.at(run.clip), y2: y.at(run.clip) }, "bound", `clipped to ${run.clip}${of}`));
    for (const step of run.resumed) {
      const at = nearest(run.points.steps.step, step), value = at < 0 ? null : run.points.steps[along][at];
      if (value !== null) found.push(line({ x1: x.at(value), x2: x.at(value) }, down, "again", `resumed at step ${step}${of}`));
    }
  });
  return found;
}

// The end of the axis, the same in all plots.
function furthest() {
  const xs = DATA.runs.flatMap((run) => [...run.points.steps[along], ...run.points.epochs[along]]);
  return xs.reduce((high, x) => (x !== null && x > high ? x : high), 0) || 1;
}

function draw(one) {
  const width = Math.max(260, one.holder.clientWidth), { plot, log } = one;
  one.curves = curvesOf(plot);
  const extra = plot.key === "error" ? DATA.runs.flatMap((run) => (run.average ? [run.average.wer * 100] : [])) : [];
  const y = yScale([...one.curves.flatMap((curve) => [...curve.y, ...(curve.low || []), ...(curve.high || [])]), ...extra], log) || yScale([0, 1], false);
  const x = xScale(furthest(), width);
  one.scale = x;
  one.pointer = svg("g", { class: "pointer" });
  const lines = one.curves.flatMap((curve) => [band(curve, x, y, log), svg("path", { d: path(curve.x, curve.y, x, y, log), class: `line c${curve.colour} d${curve.dash}${curve.faint ? " faint" : ""}` }), ...single(curve, x, y, log)]);
  one.y = y;
  one.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  one.svg.replaceChildren(axes(x, y, width), ...marks(plot, x, y), ...lines.filter(Boolean), one.pointer);
  point(one);
}

// A single point cannot be drawn as a line.
function single(curve, x, y, log) {
  const known = curve.y.map((value, n) => [curve.x[n], value]).filter(([at, value]) => at !== null && value !== null && (!log || value > 0));
  return known.length === 1 ? [svg("circle", { cx: x.at(known[0][0]), cy: y.at(known[0][1]), r: 3, class: `dot c${curve.colour}` })] : [];
}

function point(one) {
  one.pointer.replaceChildren();
  if (cursor === null) { one.readout.textContent = one.rest; return; }
  const values = [], at = one.scale.at(Math.min(cursor, one.scale.high));
  one.pointer.append(svg("line", { x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }));
  for (const curve of one.curves) {
    const place = nearest(curve.x, cursor), value = place < 0 ? null : curve.y[place];
    const far = place < 0 || cursor > Math.max(...curve.x.filter((x) => x !== null)) * 1.05 + 1e-9;
    if (value === null || value === undefined || far) continue;
    if (!one.log || value > 0) one.pointer.append(svg("circle", { cx: one.scale.at(curve.x[place]), cy: one.y.at(value), r: 3.5, class: `dot c${curve.colour}` }));
    values.push(`${curve.label} ${figure(value)}`);
  }
  one.readout.textContent = `${DATA.x[along]} ${figure(Number(cursor.toPrecision(4)))}: ${values.join(" · ") || "no data"}`;
}

function move(value) {
  cursor = value;
  plots.forEach(point);
}

function walk(one, event) {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (event.key === "Escape") return move(null);
  const xs = (one.curves.find((curve) => !curve.faint) || one.curves[0])?.x;
  if (!by || !xs) return;
  event.preventDefault();
  const here = cursor === null ? (by > 0 ? -1 : xs.length) : nearest(xs, cursor);
  const next = xs[Math.min(Math.max(here + by, 0), xs.length - 1)];
  if (next !== null) move(next);
}

function restOf(plot, curves) {
  const last = (curve) => { const good = curve.y.filter((value) => value !== null); return good[good.length - 1]; };
  return `last: ${curves.filter((one) => !one.faint).map((one) => `${one.label} ${figure(last(one))}`).join(" · ")}`;
}

for (const plot of DATA.plots) {
  const holder = document.querySelector(`[data-plot="${plot.key}"]`), curves = curvesOf(plot);
  const one = { plot, holder, curves, log: plot.log === "first", readout: el("p", { class: "readout dim" }), rest: restOf(plot, curves) };
  one.svg = svg("svg", { class: "curves", tabindex: 0, role: "img", "aria-label": `${plot.title}; ${one.rest}` });
  const key = legend(curves), tools = el("div", { class: "curve-head" }, key || el("p", { class: "keyline" }));
  if (plot.log !== "never") {
    const button = el("button", { type: "button", class: "log", "aria-pressed": String(one.log) }, "log");
    button.addEventListener("click", () => { one.log = !one.log; button.setAttribute("aria-pressed", String(one.log)); draw(one); });
    tools.append(button);
  }
  one.svg.addEventListener("pointermove", (event) => {
    const box = one.svg.getBoundingClientRect();
    move(Math.min(Math.max(one.scale.back(((event.clientX - box.left) / box.width) * one.svg.viewBox.baseVal.width), 0), one.scale.high));
  });
  one.svg.addEventListener("pointerleave", () => move(null));
  one.svg.addEventListener("blur", () => move(null));
  one.svg.addEventListener("keydown", (event) => walk(one, event));
  holder.append(tools, one.svg, one.readout);
  plots.push(one);
}

byId("x")?.addEventListener("change", (event) => { along = event.target.value; cursor = null; plots.forEach(draw); });
plots.forEach(draw);
addEventListener("resize", () => plots.forEach(draw));
document.documentElement.dataset.ready = "yes";
