// A recording's sound: played from one time to another, and its waveform.

const player = (() => {
  const audio = new Audio();
  let source = null, end = Infinity, watch = null, frame = 0;

  function stop() {
    audio.pause();
    cancelAnimationFrame(frame);
    if (watch) watch(null);
  }
  function tick() {
    if (audio.ended || audio.currentTime >= end) return stop();
    if (watch) watch(audio.currentTime);
    frame = requestAnimationFrame(tick);
  }
  async function play(url, from, to, onTime) {
    stop();
    try {
      if (source !== url) { audio.src = url; source = url; }
      if (audio.readyState < 1) await new Promise((good, bad) => { audio.onloadedmetadata = good; audio.onerror = bad; });
      watch = onTime;
      end = to;
      audio.currentTime = from;
      await audio.play();
      frame = requestAnimationFrame(tick);
    } catch (error) {
      if (error && error.name === "AbortError") return;
      source = null;
      say("This browser cannot play this recording.");
    }
  }
  return { play, stop, isPlaying: (url) => source === url && !audio.paused };
})();

const MOST_BYTES = 64 << 20; // decoded whole for the waveform

// The highest level in each of `count` parts, 0 to 1; null where the browser cannot decode it.
async function peaksOf(file, count) {
  if (file.size > MOST_BYTES) return null;
  const context = new OfflineAudioContext(1, 1, 16000);
  try {
    const sound = (await context.decodeAudioData(await file.arrayBuffer())).getChannelData(0);
    const peaks = new Float32Array(count);
    for (let n = 0; n < count; n += 1) {
      const stop = Math.floor(((n + 1) * sound.length) / count);
      for (let at = Math.floor((n * sound.length) / count); at < stop; at += 1) peaks[n] = Math.max(peaks[n], Math.abs(sound[at]));
    }
    const top = peaks.reduce((one, other) => Math.max(one, other), 1e-6);
    return peaks.map((one) => one / top);
  } catch { return null; }
}

function drawWave(canvas, peaks, share) {
  const scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const step = width / peaks.length;
  peaks.forEach((peak, n) => {
    pen.fillStyle = css(share !== null && n / peaks.length <= share ? "--accent" : "--dim");
    const tall = Math.max(1, peak * (height - 2));
    pen.fillRect(n * step, (height - tall) / 2, Math.max(0.5, step * 0.7), tall);
  });
}
