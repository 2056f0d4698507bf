// A recording's sound: played from one time to another, and its samples, decoded when something draws them.

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

const MOST_S = 2 * 3600, MOST_BYTES = 1 << 30; // of sound held decoded (16 bits, mono), and of a file that is decoded
const sounds = new Map(); // by file, the one used last at the end

// {samples: Int16Array, rate} of a file of `seconds`. Rejects with {message} where that is not possible.
function soundOf(file, seconds) {
  const sound = sounds.get(file) || decoded(file, seconds);
  sounds.delete(file);
  sounds.set(file, sound);
  sound.seconds = seconds;
  let held = 0;
  for (const [one, other] of [...sounds].reverse()) {
    held += other.seconds;
    if (held > MOST_S && one !== file) sounds.delete(one);
  }
  return sound;
}

async function decoded(file, seconds) {
  if (seconds > MOST_S || file.size > MOST_BYTES) throw { message: "Waveform and spectrogram are drawn for up to 2 hours and 1 GB." };
  const rate = seconds > 3600 ? 8000 : 16000, context = new OfflineAudioContext(1, 1, rate);
  let sound;
  try { sound = await context.decodeAudioData(await file.arrayBuffer()); } catch { throw { message: "This browser cannot draw this recording." }; }
  const channels = Array.from({ length: sound.numberOfChannels }, (_, n) => sound.getChannelData(n));
  const samples = new Int16Array(sound.length), scale = 32767 / channels.length;
  for (const channel of channels) for (let n = 0; n < samples.length; n += 1) samples[n] += Math.max(-1, Math.min(1, channel[n])) * scale;
  return { samples, rate };
}
