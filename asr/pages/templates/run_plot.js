// One plot of curves as SVG: axes, lines, bands, marks, and a cursor that shows values.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 230, LEFT = 52, RIGHT = 14, TOP = 10, BOTTOM = 26;

function svg(name, attributes, ...children) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function figure(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e5 || size < 1e-3) return value.toExponential(size >= 1e5 ? 1 : 2).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

function linearTicks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * 0.999);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) ticks.push(Number((n * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1)
    for (const factor of [1, 2, 5]) ticks.push(Number((factor * 10 ** power).toPrecision(12)));
  const inside = ticks.filter((one) => one >= low * 0.999 && one <= high * 1.001);
  const tens = inside.filter((one) => Number.isInteger(Math.round(Math.log10(one) * 1e6) / 1e6));
  return inside.length > 7 && tens.length > 1 ? tens : inside;
}

// A scale from values to pixels, from 0 on unless it is logarithmic.
function yScale(values, log) {
  const good = values.filter((one) => one !== null && (!log || one > 0)).sort((a, b) => a - b);
  if (!good.length) return null;
  let low = log ? good[0] : Math.min(0, good[0]), high = good[good.length - 1];
  if (high <= low) high = low + (Math.abs(low) || 1);
  if (log) { low /= 1.1; high *= 1.1; } else high += (high - low) * 0.04;
  const ends = log ? [Math.log(low), Math.log(high)] : [low, high], room = HEIGHT - TOP - BOTTOM;
  const at = (value) => TOP + room * (1 - ((log ? Math.log(Math.max(value, low)) : value) - ends[0]) / (ends[1] - ends[0]));
  return { at, ticks: log ? logTicks(low, high) : linearTicks(low, high, 5), low, high };
}

function xScale(high, width) {
  const room = width - LEFT - RIGHT;
  return { at: (x) => LEFT + (room * x) / high, back: (pixel) => ((pixel - LEFT) / room) * high, ticks: linearTicks(0, high, Math.max(2, Math.floor(room / 90))), high };
}

// "M x,y L x,y ..." with a gap where a value is missing, or not above 0 on a log scale.
function path(xs, ys, x, y, log) {
  let text = "", pen = false;
  for (let n = 0; n < xs.length; n += 1) {
    const value = ys[n];
    if (xs[n] === null || value === null || value === undefined || (log && value <= 0)) { pen = false; continue; }
    text += `${pen ? "L" : "M"}${x.at(xs[n]).toFixed(1)},${y.at(value).toFixed(1)}`;
    pen = true;
  }
  return text;
}

function band(one, x, y, log) {
  if (!one.low) return null;
  const known = one.x.map((at, n) => [at, one.low[n], one.high[n]]).filter((row) => row.every((value) => value !== null) && (!log || row[1] > 0));
  if (known.length < 2) return null;
  const there = known.map(([at, , high]) => `${x.at(at).toFixed(1)},${y.at(high).toFixed(1)}`);
  const back = known.reverse().map(([at, low]) => `${x.at(at).toFixed(1)},${y.at(low).toFixed(1)}`);
  return svg("polygon", { points: [...there, ...back].join(" "), class: `band c${one.colour}` });
}

function nearest(xs, value) {
  let best = -1, gap = Infinity;
  xs.forEach((x, n) => { const far = x === null ? Infinity : Math.abs(x - value); if (far < gap) { gap = far; best = n; } });
  return best;
}
