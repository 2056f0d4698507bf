// The images: gates (a row per unit), the selected unit's gates over the spectrogram, its cell state, attention maps.

const DIVERGING = {
  light: [[138, 70, 0], [233, 160, 80], [255, 255, 255], [90, 160, 215], [0, 66, 128]],
  dark: [[255, 190, 110], [190, 95, 10], [24, 27, 32], [20, 105, 175], [140, 205, 255]],
};
const LINES = { forget_gate: "--s0", update_gate: "--s0", input_gate: "--s2", output_gate: "--s1", reset_gate: "--s3" };

function diverge(level) {
  const ramp = DIVERGING[isDark() ? "dark" : "light"], at = (level / 255) * 4, low = Math.min(Math.floor(at), 3), part = at - low;
  return ramp[low].map((value, n) => value + part * (ramp[low + 1][n] - value));
}

const colourTable = (signed) => new Uint32Array(Uint8Array.from({ length: 1024 }, (_, n) => (n % 4 === 3 ? 255 : (signed ? diverge : shade)(n >> 2)[n % 4])).buffer);

function brightest(array) { // the 95th percentile: a few units with large states must not make all others pale
  const some = [];
  for (let n = 0; n < 4000; n += 1) some.push(Math.abs(array.at((n * 7) % array.h, (n * 131) % array.w)));
  return some.sort((a, b) => a - b)[3800] || 1;
}

function imageOf(array, rows, signed) { // rows: in this order
  const table = colourTable(signed), pixels = new Uint32Array(array.w * rows.length), top = signed || array.root ? brightest(array) : 1;
  const level = signed ? (value) => 127.5 + 127.5 * value / top : array.root ? (value) => 255 * Math.sqrt(value / top) : (value) => 255 * value;
  rows.forEach((row, n) => {
    for (let t = 0; t < array.w; t += 1) pixels[n * array.w + t] = table[Math.min(255, Math.max(0, Math.round(level(array.at(row, t)))))];
  });
  const plain = el("canvas", { width: array.w, height: rows.length });
  plain.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels.buffer), array.w, rows.length), 0, 0);
  return plain;
}

function drawImageAt(pen, image, x, top, height, width) {
  const left = x(scope.first - scope.step / 2), right = x(scope.first + (image.width - 0.5) * scope.step);
  pen.save(); pen.beginPath(); pen.rect(LEFT, top, width - LEFT - RIGHT, height); pen.clip();
  pen.imageSmoothingEnabled = image.height > height * (devicePixelRatio || 1); // many rows to a pixel: their mean
  pen.drawImage(image, left, top, right - left, height);
  pen.restore();
  pen.strokeStyle = css("--line"); pen.lineWidth = 1; pen.strokeRect(LEFT + 0.5, top + 0.5, width - LEFT - RIGHT - 1, height - 1);
}

function drawLabel(pen, label, top, height) {
  const lines = label.split(" ");
  pen.save(); pen.font = "11px system-ui, sans-serif"; pen.fillStyle = css("--dim"); pen.textAlign = "right";
  lines.forEach((line, n) => pen.fillText(line, LEFT - 6, top + height / 2 + (n - (lines.length - 1) / 2) * 13));
  pen.restore();
}

function drawBackdrop(pen, mel, top, height, width) { // the spectrogram above, faint
  if (!mel) return;
  const scale = pen.canvas.width / width;
  pen.save(); pen.globalAlpha = 0.28;
  pen.drawImage(pen.canvas, LEFT * scale, mel * scale, (width - LEFT - RIGHT) * scale, MEL * scale, LEFT, top, width - LEFT - RIGHT, height);
  pen.restore();
  pen.strokeStyle = css("--line"); pen.lineWidth = 1; pen.strokeRect(LEFT + 0.5, top + 0.5, width - LEFT - RIGHT - 1, height - 1);
}

function drawLine(pen, values, x, y, colour, thick = 1.5) {
  pen.strokeStyle = css(colour); pen.lineWidth = thick; pen.beginPath();
  values.forEach((value, t) => pen.lineTo(x(scope.first + t * scope.step), y(value)));
  pen.stroke();
}

const valuesOf = (array, row) => Array.from({ length: array.w }, (_, t) => array.at(row, t));

function drawGates(pen, unit, x, top, height) {
  const found = arrays(), y = (value) => top + height - 3 - value * (height - 6);
  pen.fillStyle = css("--dim"); pen.textAlign = "right";
  pen.fillText("1", LEFT - 6, top + 7); pen.fillText("0", LEFT - 6, top + height - 7);
  drawLabel(pen, "gates", top, height);
  for (const [gate, colour] of Object.entries(LINES)) if (found[gate]) drawLine(pen, valuesOf(found[gate], unit), x, y, colour);
}

function drawCell(pen, unit, x, top, height) {
  const found = arrays(), states = valuesOf(found.cell_state || found.hidden, unit), updates = cellUpdates(unit);
  const most = Math.max(1e-6, ...states.map(Math.abs), ...(updates || []).map((one) => Math.abs(one.kept)));
  const y = (value) => top + height / 2 - (value / most) * (height / 2 - 4);
  drawLabel(pen, updates ? (found.cell_state ? "cell state" : "state") : "output", top, height);
  pen.fillStyle = css("--dim"); pen.textAlign = "right";
  const written = most >= 10 ? most.toFixed(0) : most.toPrecision(2);
  pen.fillText(written, LEFT - 6, top + 8); pen.fillText(`−${written}`, LEFT - 6, top + height - 8);
  (updates || []).forEach((one, t) => {
    const left = x(scope.first + (t - 0.5) * scope.step), wide = x(scope.first + (t + 0.5) * scope.step) - left;
    pen.globalAlpha = 0.38; pen.fillStyle = css("--s0"); pen.fillRect(left, y(0), wide, y(one.kept) - y(0));
    pen.globalAlpha = 0.85; pen.fillStyle = css(one.added >= 0 ? "--s2" : "--s1"); pen.fillRect(left, y(one.kept), Math.max(wide - 0.5, 0.5), y(one.kept + one.added) - y(one.kept));
  });
  pen.globalAlpha = 1;
  drawLine(pen, states, x, y, "--ink");
  pen.strokeStyle = css("--dim"); pen.lineWidth = 0.5; pen.beginPath(); pen.moveTo(x(0), y(0)); pen.lineTo(x(scope.duration), y(0)); pen.stroke();
}

function drawHeads(pen, query, x, top, height) { // the attention of the selected frame to each other frame, a line per head
  const found = Object.values(arrays()), rows = found.map((one) => valuesOf(one, query));
  const most = Math.max(...rows.flat()), colours = ["--s0", "--s1", "--s2", "--s3", "--s4"];
  const y = (value) => top + height - 3 - (value / most) * (height - 8);
  drawLabel(pen, `frame at ${(scope.first + query * scope.step).toFixed(2)}\u00a0s`, top, height);
  rows.forEach((values, head) => drawLine(pen, values, x, y, colours[head % colours.length]));
  const at = x(scope.first + query * scope.step);
  pen.strokeStyle = css("--ink"); pen.setLineDash([3, 3]); pen.lineWidth = 1; pen.beginPath(); pen.moveTo(at, top); pen.lineTo(at, top + height); pen.stroke(); pen.setLineDash([]);
}
