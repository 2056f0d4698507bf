// A recording's sound: played from one time to another, and its samples, decoded when something draws them.

const player = (() => {
  const PAUSE_MS = 500; // between repetitions
  const audio = new Audio();
  let source = null, begin = 0, end = Infinity, watch = null, again = null, frame = 0, waits = 0;

  function stop() {
    audio.pause();
    cancelAnimationFrame(frame);
    clearTimeout(waits);
    waits = 0;
    if (watch) watch(null);
  }
  function tick() {
    if (audio.ended || audio.currentTime >= end) {
      if (!again?.()) return stop();
      audio.pause();
      waits = setTimeout(() => { waits = 0; start(begin); }, PAUSE_MS);
      return;
    }
    if (watch) watch(audio.currentTime);
    frame = requestAnimationFrame(tick);
  }
  async function start(from) {
    try {
      audio.currentTime = from;
      await audio.play();
      frame = requestAnimationFrame(tick);
    } catch (error) {
      if (error?.name === "AbortError") return;
      stop();
      if (error?.name === "NotAllowedError") return; // before the first key or click browsers play nothing
      source = null;
      say("This browser cannot play this recording.");
    }
  }
  // `repeats()`: asked at the end, whether to play once more.
  async function play(url, from, to, onTime, repeats = null) {
    stop();
    if (source !== url) { audio.src = url; source = url; }
    [watch, begin, end, again] = [onTime, from, to, repeats];
    if (audio.readyState < 1) await new Promise((done) => { audio.onloadedmetadata = audio.onerror = done; });
    if (source === url) await start(from);
  }
  return {
    play,
    stop,
    isPlaying: (url) => source === url && (!audio.paused || waits > 0),
    time: (url) => (source === url ? audio.currentTime : 0),
    setRate: (rate) => { audio.defaultPlaybackRate = audio.playbackRate = rate; audio.preservesPitch = true; },
  };
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
