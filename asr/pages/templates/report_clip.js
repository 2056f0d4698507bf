// Audio and images of one utterance: a player that stops at a word's end, and a canvas with words, spectrogram and CTC.

const clipOf = (() => { // the last few clips, parsed
  const kept = new Map();
  return (place) => {
    const clip = kept.get(place) || readData(`clip-${place}`);
    if (!clip) return {}; // not cached: it may still load
    kept.set(place, clip);
    if (kept.size > 8) kept.delete(kept.keys().next().value);
    return clip;
  };
})();

const player = (() => {
  const audio = new Audio();
  let place = null, offset = 0, end = Infinity, watch = null, frame = 0;
  const hasSound = (row, at) => Boolean(row.src || (row.clip && clipOf(at).audio));

  function stop() {
    audio.pause();
    cancelAnimationFrame(frame);
    if (watch) watch(null);
  }

  function tick() {
    const now = audio.currentTime - offset;
    if (audio.ended || audio.currentTime >= end) return stop();
    if (watch) watch(now);
    frame = requestAnimationFrame(tick);
  }

  async function play(row, at, from = 0, to = Infinity, onTime = null) {
    stop();
    byId("trouble").textContent = "";
    try {
      if (place !== at) {
        const clip = row.clip ? clipOf(at) : {};
        audio.src = clip.audio ? `data:${clip.type};base64,${clip.audio}` : row.src;
        offset = clip.audio ? 0 : row.at || 0;
        place = at;
      }
      if (audio.readyState < 1) await new Promise((good, bad) => { audio.onloadedmetadata = good; audio.onerror = bad; });
      watch = onTime;
      const last = row.dur === undefined ? Infinity : row.dur;
      end = offset + Math.min(to, last);
      audio.currentTime = offset + Math.max(0, from);
      await audio.play();
      frame = requestAnimationFrame(tick);
    } catch (error) {
      if (error && error.name === "AbortError") return;
      place = null;
      byId("trouble").textContent = row.src
        ? `${row.src} cannot be played: the file is not next to this page, or this browser does not support its format.`
        : "This recording cannot be played by this browser.";
    }
  }
  return { play, stop, hasSound, audio };
})();

const RAMPS = {
  dark: [[0, 0, 4], [59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]],
  light: [[255, 255, 255], [214, 224, 236], [155, 180, 208], [92, 122, 165], [43, 63, 112], [16, 20, 48]],
};
const TOKEN_COLOURS = { // Okabe and Ito, darker on white
  dark: ["#56b4e9", "#e69f00", "#35c39b", "#f0e442", "#e79ac4", "#f08a4b", "#b8c4d0"],
  light: ["#0072b2", "#a86f00", "#00805d", "#7a6a00", "#9c3f75", "#c65200", "#4a5560"],
};

function shade(level) {
  const ramp = RAMPS[isDark() ? "dark" : "light"];
  const at = (level / 255) * (ramp.length - 1), low = Math.min(Math.floor(at), ramp.length - 2), part = at - low;
  return ramp[low].map((value, n) => value + part * (ramp[low + 1][n] - value));
}

const tokenName = (token) => (token === " " || token === "▁" ? "␣" : token);

function decodeClip(clip) {
  if (clip.mel && !clip.mel.data) clip.mel.data = bytes(clip.mel.levels);
  if (clip.ctc && !clip.ctc.data) {
    clip.ctc.data = { ranks: bytes(clip.ctc.ranks), levels: bytes(clip.ctc.levels), blank: bytes(clip.ctc.blank) };
  }
  return clip;
}

const LEFT = 56, RIGHT = 10, TRACK = 24, MEL = 132, CTC = 84, AXIS = 20, GAP = 6;

function penOf(canvas, width, height) { // the canvas in CSS pixels, as sharp as the screen
  const scale = Math.min(devicePixelRatio || 1, 16000 / width);
  canvas.width = Math.round(width * scale); canvas.height = Math.round(height * scale);
  canvas.style.width = `${width}px`; canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.font = "12px system-ui, sans-serif"; pen.textBaseline = "middle";
  return pen;
}

function makePicture(row, place, tracks) { // tracks: per system, words with text, kind, start, end
  const clip = decodeClip(clipOf(place));
  if (!clip.mel && !clip.ctc) return null;
  const seconds = row.dur || (clip.mel ? clip.mel.first + clip.mel.w * clip.mel.step : 1);
  const canvas = el("canvas", { role: "img", "aria-label": `Words, spectrogram${clip.ctc ? " and CTC posteriors" : ""} of ${seconds.toFixed(1)} seconds; the alignment above has the same as text` });
  const cursor = el("div", { class: "cursor", hidden: true });
  const frame = el("div", { class: "picture", tabindex: "0", "aria-label": "Image, scrolls sideways" }, canvas, cursor);
  const readout = el("p", { class: "readout dim" }, "Point at the image for values; click to play from there.");
  const tops = { words: 4, mel: 4 + TRACK * tracks.length + GAP };
  tops.ctc = tops.mel + (clip.mel ? MEL + GAP : 0);
  tops.axis = tops.ctc + (clip.ctc ? CTC + GAP : 0);
  const height = tops.axis + AXIS;
  let width = 0;
  const x = (time) => LEFT + (time / seconds) * (width - LEFT - RIGHT);
  const time = (at) => ((at - LEFT) / (width - LEFT - RIGHT)) * seconds;

  function draw() {
    if (!frame.isConnected) return;
    width = Math.max(frame.clientWidth, Math.min(LEFT + RIGHT + seconds * 80, 16000));
    const pen = penOf(canvas, width, height);
    tracks.forEach((words, n) => drawTrack(pen, words, tops.words + n * TRACK, x, tracks.length > 1 ? "ABCDEFGH"[n] : "text"));
    if (clip.mel) drawMel(pen, clip.mel, tops.mel, x);
    if (clip.ctc) drawCtc(pen, clip.ctc, tops.ctc, x, width);
    drawAxis(pen, tops.axis, x, seconds);
    if (clip.mel) drawBounds(pen, tracks[0], tops.mel, MEL, x);
  }

  canvas.addEventListener("mousemove", (event) => {
    const at = time(event.offsetX);
    readout.textContent = at < 0 || at > seconds ? "" : describe(clip, at, event.offsetY - tops.mel);
  });
  canvas.addEventListener("click", (event) => {
    const at = Math.max(0, time(event.offsetX)), track = Math.floor((event.offsetY - tops.words) / TRACK);
    const word = tracks[track]?.find((one) => at >= one.start && at <= one.end);
    playSpan(row, place, word ? word.start - 0.03 : at, word ? word.end + 0.03 : Infinity);
  });
  const show = (now) => {
    cursor.hidden = now === null;
    if (now !== null) {
      cursor.style.left = `${x(now)}px`;
      if (x(now) > frame.scrollLeft + frame.clientWidth - 20) frame.scrollLeft = x(now) - 60;
    }
  };
  return { node: el("div", {}, frame, readout), draw, show };
}

function drawTrack(pen, words, top, x, label) {
  pen.fillStyle = css("--dim"); pen.textAlign = "right"; pen.fillText(label, LEFT - 6, top + TRACK / 2);
  const colours = { S: ["--sub", "--sub-edge"], I: ["--ins", "--ins-edge"] };
  for (const word of words) {
    const left = x(word.start), right = Math.max(x(word.end), left + 2), [fill, edge] = colours[word.kind] || ["--bg", "--dim"];
    pen.fillStyle = css(fill); pen.fillRect(left, top + 1, right - left, TRACK - 4);
    pen.strokeStyle = css(edge); pen.lineWidth = 1; pen.setLineDash(word.kind === "I" ? [2, 2] : []);
    pen.strokeRect(left + 0.5, top + 1.5, right - left - 1, TRACK - 5); pen.setLineDash([]);
    pen.save();
    pen.beginPath(); pen.rect(left, top, right - left, TRACK); pen.clip();
    const text = word.kind === "I" ? `+${word.text}` : word.text, fits = pen.measureText(text).width < right - left - 4;
    pen.fillStyle = css("--ink"); pen.textAlign = fits ? "center" : "left";
    pen.fillText(text, fits ? (left + right) / 2 : left + 3, top + TRACK / 2 - 1);
    pen.restore();
  }
}

function drawBounds(pen, words, top, height, x) {
  pen.strokeStyle = isDark() ? "#ffffff59" : "#00000047"; pen.lineWidth = 1; pen.setLineDash([3, 3]);
  for (const word of words || []) {
    for (const at of [word.start, word.end]) { pen.beginPath(); pen.moveTo(x(at), top); pen.lineTo(x(at), top + height); pen.stroke(); }
  }
  pen.setLineDash([]);
}

function drawMel(pen, mel, top, x) {
  const image = new ImageData(mel.w, mel.h);
  const table = Array.from({ length: 256 }, (_, level) => shade(level));
  for (let row = 0; row < mel.h; row += 1) {
    for (let column = 0; column < mel.w; column += 1) {
      const at = 4 * ((mel.h - 1 - row) * mel.w + column), colour = table[mel.data[row * mel.w + column]];
      image.data[at] = colour[0]; image.data[at + 1] = colour[1]; image.data[at + 2] = colour[2]; image.data[at + 3] = 255;
    }
  }
  const plain = el("canvas", { width: mel.w, height: mel.h });
  plain.getContext("2d").putImageData(image, 0, 0);
  const left = x(mel.first - mel.step / 2), right = x(mel.first + (mel.w - 0.5) * mel.step);
  pen.save(); pen.beginPath(); pen.rect(LEFT, top, pen.canvas.clientWidth, MEL); pen.clip();
  pen.imageSmoothingEnabled = false; pen.drawImage(plain, left, top, right - left, MEL);
  pen.restore();
  pen.fillStyle = css("--dim"); pen.textAlign = "right";
  let lowest = Infinity;
  for (const [hertz, row] of mel.ticks) {
    const y = top + MEL - ((row + 0.5) / mel.h) * MEL;
    if (lowest - y < 16) continue;
    lowest = y;
    pen.fillText(hertz >= 1000 ? `${hertz / 1000} kHz` : `${hertz} Hz`, LEFT - 6, Math.min(Math.max(y, top + 6), top + MEL - 6));
  }
}

function drawCtc(pen, ctc, top, x, width) {
  const frames = ctc.data.blank.length, colours = TOKEN_COLOURS[isDark() ? "dark" : "light"];
  const y = (level) => top + CTC - (level / 255) * (CTC - 16);
  pen.fillStyle = css("--dim"); pen.textAlign = "right";
  pen.fillText("1", LEFT - 6, y(255)); pen.fillText("0", LEFT - 6, y(0) - 4); pen.fillText("CTC", LEFT - 16, y(128));
  pen.strokeStyle = css("--line"); pen.strokeRect(LEFT + 0.5, y(255), width - LEFT - RIGHT, CTC - 16);
  const series = ctc.tokens.map(() => new Uint8Array(frames));
  for (let n = 0; n < ctc.data.ranks.length; n += 1) {
    if (ctc.data.ranks[n]) series[ctc.data.ranks[n] - 1][Math.floor(n / ctc.k)] = ctc.data.levels[n];
  }
  const at = (frame) => x(ctc.first + frame * ctc.step);
  pen.strokeStyle = css("--dim"); pen.globalAlpha = 0.45; pen.setLineDash([2, 3]); pen.beginPath();
  for (let frame = 0; frame < frames; frame += 1) pen.lineTo(at(frame), y(ctc.data.blank[frame]));
  pen.stroke(); pen.setLineDash([]); pen.globalAlpha = 1;
  const labels = []; // above all areas
  series.forEach((levels, token) => {
    const colour = colours[token % colours.length];
    let frame = 0;
    while (frame < frames) {
      if (!levels[frame]) { frame += 1; continue; }
      const first = frame;
      let peak = frame;
      while (frame < frames && levels[frame]) { if (levels[frame] > levels[peak]) peak = frame; frame += 1; }
      pen.beginPath(); pen.moveTo(at(first - 1), y(0));
      for (let n = first; n < frame; n += 1) pen.lineTo(at(n), y(levels[n]));
      pen.lineTo(at(frame), y(0));
      pen.fillStyle = colour; pen.globalAlpha = 0.3; pen.fill(); pen.globalAlpha = 1;
      pen.strokeStyle = colour; pen.lineWidth = 1.25; pen.stroke();
      if (levels[peak] >= 64) labels.push([tokenName(ctc.tokens[token]), at(peak), y(levels[peak]) - 5, colour]);
    }
  });
  pen.save(); pen.textAlign = "center"; pen.textBaseline = "alphabetic"; // the sign of the space hangs below its line
  for (const [name, left, line, colour] of labels) { pen.fillStyle = colour; pen.fillText(name, left, line); }
  pen.restore();
}

function drawAxis(pen, top, x, seconds) {
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30].find((one) => x(one) - x(0) >= 60) || 60;
  pen.fillStyle = css("--dim"); pen.strokeStyle = css("--line"); pen.textAlign = "center";
  for (let n = 0; n * step <= seconds + 1e-6; n += 1) {
    const at = n * step;
    pen.beginPath(); pen.moveTo(x(at), top - 2); pen.lineTo(x(at), top + 3); pen.stroke();
    pen.fillText(n ? String(Math.round(at * 10) / 10) : "0 s", x(at), top + 11);
  }
}

function describe(clip, at, y) {
  const parts = [`${at.toFixed(2)} s`];
  if (clip.mel && y >= 0 && y < MEL) {
    const column = Math.round((at - clip.mel.first) / clip.mel.step), row = Math.min(clip.mel.h - 1, Math.floor((1 - y / MEL) * clip.mel.h));
    const level = clip.mel.data[row * clip.mel.w + column];
    if (level !== undefined) parts.push(`level ${Math.round((level / 255) * 60 - 60)} dB re. loudest`);
  }
  if (clip.ctc) {
    const frame = Math.round((at - clip.ctc.first) / clip.ctc.step);
    const blank = clip.ctc.data.blank[frame];
    if (blank !== undefined) {
      const found = [];
      for (let n = 0; n < clip.ctc.k; n += 1) {
        const rank = clip.ctc.data.ranks[frame * clip.ctc.k + n];
        if (rank) found.push(`${tokenName(clip.ctc.tokens[rank - 1])} ${(clip.ctc.data.levels[frame * clip.ctc.k + n] / 255).toFixed(2)}`);
      }
      parts.push([...found, `blank ${(blank / 255).toFixed(2)}`].join(", "));
    }
  }
  return parts.join(" · ");
}
