// A recording drawn: waveform, spectrogram and time axis of the part in view. Only what is visible is computed.

const SIZE = 512, MOST_FRAMES = 4, SPAN_DB = 75; // of the FFT; frames averaged in a column; from the darkest to the loudest

// Adds the power spectrum (SIZE / 2 bins) of the Hann-windowed frame around sample `middle` to `power`: FFT of radix 2.
const addSpectrum = (() => {
  const re = new Float32Array(SIZE), im = new Float32Array(SIZE), bits = Math.log2(SIZE);
  const turn = (of) => Float32Array.from({ length: SIZE }, (_, n) => of((2 * Math.PI * n) / SIZE));
  const cos = turn(Math.cos), sin = turn(Math.sin), taper = cos.map((one) => 0.5 - 0.5 * one);
  const order = Uint16Array.from({ length: SIZE }, (_, n) => parseInt([...n.toString(2).padStart(bits, "0")].reverse().join(""), 2));
  return (samples, middle, power) => {
    const first = Math.round(middle) - SIZE / 2;
    for (let n = 0; n < SIZE; n += 1) re[order[n]] = (samples[first + n] || 0) * taper[n];
    im.fill(0);
    for (let half = 1; half < SIZE; half *= 2) {
      const step = SIZE / (2 * half);
      for (let start = 0; start < SIZE; start += 2 * half) {
        for (let k = 0; k < half; k += 1) {
          const a = start + k, b = a + half, c = cos[k * step], s = sin[k * step];
          const x = re[b] * c + im[b] * s, y = im[b] * c - re[b] * s;
          re[b] = re[a] - x;
          im[b] = im[a] - y;
          re[a] += x;
          im[a] += y;
        }
      }
    }
    for (let n = 0; n < power.length; n += 1) power[n] += re[n] * re[n] + im[n] * im[n];
  };
})();

// Mean power in dB, bin after bin, column after column, of the samples from `first` to `last`.
function spectrogram(samples, first, last, columns) {
  const found = new Float32Array((columns * SIZE) / 2), wide = (last - first) / columns;
  const frames = Math.max(1, Math.min(MOST_FRAMES, Math.round((2 * wide) / SIZE)));
  for (let column = 0; column < columns; column += 1) {
    const power = found.subarray((column * SIZE) / 2, ((column + 1) * SIZE) / 2);
    for (let n = 0; n < frames; n += 1) addSpectrum(samples, first + (column + (n + 0.5) / frames) * wide, power);
    for (let n = 0; n < power.length; n += 1) power[n] = 10 * Math.log10(power[n] / frames + 1);
  }
  return found;
}

// 256 colours, from silence to the loudest, as bytes of ImageData.
function heat() {
  const stops = ["--surface", "--accent", "--ink"].map((name) => [1, 3, 5].map((at) => parseInt(css(name).slice(at, at + 2), 16)));
  return Uint8ClampedArray.from({ length: 1024 }, (_, n) => {
    const at = (Math.floor(n / 4) / 255) * 2, low = Math.min(1, Math.floor(at));
    return n % 4 === 3 ? 255 : stops[low][n % 4] + (at - low) * (stops[low + 1][n % 4] - stops[low][n % 4]);
  });
}

function drawSpectrogram(pen, levels, loudest, x, y, width, height) {
  const bins = SIZE / 2, columns = levels.length / bins, image = new ImageData(columns, bins), colours = heat();
  for (let column = 0; column < columns; column += 1) {
    for (let bin = 0; bin < bins; bin += 1) {
      const level = 1 + (levels[column * bins + bin] - loudest) / SPAN_DB;
      const from = 4 * Math.round(255 * Math.max(0, Math.min(1, level)));
      image.data.set(colours.subarray(from, from + 4), 4 * ((bins - 1 - bin) * columns + column));
    }
  }
  const plain = new OffscreenCanvas(columns, bins);
  plain.getContext("2d").putImageData(image, 0, 0);
  pen.drawImage(plain, x, y, width, height);
}

function drawWave(pen, samples, first, last, top, width, height) {
  pen.fillStyle = css("--dim");
  for (let x = 0; x < width; x += 1) {
    const stop = Math.min(samples.length, Math.ceil(first + ((x + 1) * (last - first)) / width));
    let low = 0, high = 0;
    for (let at = Math.floor(first + (x * (last - first)) / width); at < stop; at += 1) {
      if (samples[at] < low) low = samples[at]; else if (samples[at] > high) high = samples[at];
    }
    const middle = height / 2, scale = (height / 2 - 1) / top;
    pen.fillRect(x, middle - high * scale, 1, Math.max(1, (high - low) * scale));
  }
}

const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

function drawAxis(pen, from, to, width, y) {
  const step = STEPS_S.find((one) => (one * width) / (to - from) >= 64) || 7200;
  pen.fillStyle = css("--dim");
  for (let n = Math.ceil(from / step); n * step <= to; n += 1) {
    const x = ((n * step - from) * width) / (to - from);
    pen.fillRect(x, y, 1, 4);
    if (x < width - 40) pen.fillText(clock(n * step, step < 1 ? 1 : 0), x + 3, y + 11);
  }
}

const WAVE = 56, TALL = 150; // heights in CSS pixels: of the waveform, and down to the axis

// `onSeek(seconds)`. `show(now)`: the time that plays, or null. `forget()`: frees the samples.
function pictureOf(file, duration, onSeek) {
  const canvas = el("canvas", { class: "sound", "aria-hidden": "true" }), painted = new OffscreenCanvas(1, 1);
  const place = el("input", { type: "range", min: 0, max: 1, step: "any", "aria-label": "Part in view" });
  const range = el("span", { class: "dim" });
  const zoom = (label, factor, name) => el("button", { type: "button", "aria-label": name, title: name, on: { click: () => {
    const middle = now !== null && now >= from && now <= to ? now : (from + to) / 2;
    look(middle - ((to - from) * factor) / 2, (to - from) * factor);
  } } }, label);
  const closer = zoom("+", 0.5, "Zoom in"), further = zoom("−", 2, "Zoom out");
  const holder = el("div", { class: "picture" }, canvas, el("div", { class: "tools zoom" }, further, closer, place, range));
  let from = 0, to = duration, now = null, loudest = null, top = 1, waits = 0;

  function look(start, span) {
    span = Math.min(duration, Math.max(Math.min(1, duration), span));
    from = Math.max(0, Math.min(duration - span, start));
    to = from + span;
    later();
  }
  function later() {
    cancelAnimationFrame(waits);
    waits = requestAnimationFrame(paint);
  }
  async function paint() {
    const whole = to - from >= duration, digits = to - from < 10 ? 1 : 0;
    closer.disabled = to - from <= 1;
    further.disabled = place.hidden = whole;
    place.value = whole ? 0 : from / (duration - (to - from));
    range.textContent = whole ? "" : `${clock(from, digits)} to ${clock(to, digits)} of ${clock(duration, 0)}`;
    let sound;
    try { sound = await soundOf(file, duration); } catch (error) { return holder.replaceChildren(el("p", { class: "dim" }, error.message)); }
    const { samples, rate } = sound, first = from * rate, last = to * rate;
    const width = canvas.clientWidth, scale = devicePixelRatio || 1;
    if (!width) return;
    canvas.width = painted.width = width * scale;
    canvas.height = painted.height = canvas.clientHeight * scale;
    const pen = painted.getContext("2d"), levels = spectrogram(samples, first, last, Math.min(1500, Math.ceil(width)));
    if (loudest === null) { // of the whole, so that a part looks the same in any view
      loudest = levels.reduce((one, other) => Math.max(one, other), SPAN_DB);
      top = samples.reduce((one, other) => Math.max(one, Math.abs(other)), 1);
    }
    pen.scale(scale, scale);
    pen.font = "11px system-ui, sans-serif";
    drawWave(pen, samples, first, last, top, width, WAVE);
    drawSpectrogram(pen, levels, loudest, 0, WAVE + 4, width, TALL - WAVE - 4);
    drawAxis(pen, from, to, width, TALL);
    const label = `${rate / 2000} kHz`;
    pen.fillStyle = css("--surface");
    pen.fillRect(0, WAVE + 4, pen.measureText(label).width + 6, 15);
    pen.fillStyle = css("--ink");
    pen.fillText(label, 3, WAVE + 15);
    put();
  }
  function put() {
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(painted, 0, 0);
    if (now === null || now < from || now > to) return;
    pen.fillStyle = css("--ins-edge");
    pen.fillRect((((now - from) / (to - from)) * canvas.width) - 1, 0, 2 * (devicePixelRatio || 1), TALL * (devicePixelRatio || 1));
  }
  canvas.addEventListener("click", (event) => onSeek(from + (event.offsetX / canvas.clientWidth) * (to - from)));
  canvas.addEventListener("wheel", (event) => {
    const at = from + (event.offsetX / canvas.clientWidth) * (to - from), along = event.deltaX || (event.shiftKey ? event.deltaY : 0);
    if (event.ctrlKey || event.metaKey) {
      const factor = 2 ** (event.deltaY / 200), span = Math.max(Math.min(1, duration), (to - from) * factor);
      look(at - ((at - from) * span) / (to - from), span);
    } else if (along && to - from < duration) look(from + (along / canvas.clientWidth) * (to - from), to - from);
    else return;
    event.preventDefault();
  }, { passive: false });
  place.addEventListener("input", () => look(place.value * (duration - (to - from)), to - from));
  new ResizeObserver(later).observe(canvas);
  onTheme.push(later);
  const show = (time) => {
    now = time;
    if (now !== null && (now < from || now > to)) look(now, to - from); else put();
  };
  const forget = () => { sounds.delete(file); onTheme.splice(onTheme.indexOf(later), 1); };
  return { holder, show, forget };
}
