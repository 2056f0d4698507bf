// The microphone: recorded and then transcribed, or transcribed while somebody speaks.

async function microphone() {
  say("");
  try { return await navigator.mediaDevices.getUserMedia({ audio: true }); } catch (error) {
    say(`The microphone cannot be used: ${error.message}`);
    return null;
  }
}

const record = byId("record"), live = byId("live");
let recorder = null, captions = null;

function toggled(button, on, text) {
  button.textContent = text;
  button.classList.toggle("on", on);
}

const timeName = (began) => began.toTimeString().slice(0, 8).replaceAll(":", ".");

for (const [button, possible] of [[record, window.MediaRecorder], [live, window.AudioWorkletNode]]) {
  if (navigator.mediaDevices && possible) continue;
  button.disabled = true;
  button.title = "This browser uses the microphone only on localhost and over https";
}

record.addEventListener("click", async () => {
  if (recorder) return recorder.stop();
  const sound = await microphone();
  if (!sound) return;
  const kind = ["audio/ogg;codecs=opus", "audio/webm;codecs=opus", "audio/mp4"].find((one) => MediaRecorder.isTypeSupported(one));
  const parts = [], began = new Date();
  recorder = new MediaRecorder(sound, kind ? { mimeType: kind } : {});
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = () => {
    sound.getTracks().forEach((track) => track.stop());
    const type = recorder.mimeType, ending = type.includes("ogg") ? "ogg" : type.includes("mp4") ? "mp4" : "webm";
    recorder = null;
    toggled(record, false, "● Record");
    add([new File(parts, `recording ${timeName(began)}.${ending}`, { type })]);
  };
  recorder.start(1000);
  toggled(record, true, "■ Stop recording");
});

live.addEventListener("click", async () => {
  if (captions) return captions.stop();
  live.disabled = true; // until the browser has asked
  const sound = await microphone();
  if (sound) captions = await listen(sound).catch((error) => {
    sound.getTracks().forEach((track) => track.stop());
    say(`The microphone cannot be heard live: ${error.message}`);
    return null;
  });
  live.disabled = false;
  if (captions) toggled(live, true, "■ Stop captions");
});

const RATES = [{ sampleRate: 24000 }, {}]; // OpenAI's; a browser that cannot resample its microphone uses its own

// `hear(block, peak)` with blocks of PCM16. Returns {rate, close}.
async function capture(sound, hear) {
  const module = URL.createObjectURL(new Blob([readData("capture")], { type: "text/javascript" }));
  for (const options of RATES) {
    const context = new AudioContext(options);
    try {
      const source = context.createMediaStreamSource(sound);
      await context.audioWorklet.addModule(module);
      const node = new AudioWorkletNode(context, "capture");
      node.port.onmessage = ({ data }) => hear(data.block, data.peak);
      source.connect(node).connect(context.destination); // which it gives silence: what leads nowhere may not run
      URL.revokeObjectURL(module);
      return { rate: context.sampleRate, close: () => context.close() };
    } catch (error) {
      context.close();
      if (options === RATES.at(-1)) throw error;
    }
  }
}

function openSocket() {
  const url = new URL("v1/realtime", location.href), key = byId("key").value;
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("model", byId("model").value);
  return new WebSocket(url, ["realtime", ...(key ? [`openai-insecure-api-key.${key}`] : [])]);
}

function base64(block) {
  return btoa(String.fromCharCode(...new Uint8Array(block.buffer)));
}

function wavFile(parts, rate, name) {
  const bytes = parts.reduce((sum, one) => sum + one.byteLength, 0), head = new DataView(new ArrayBuffer(44));
  [..."RIFF....WAVEfmt "].forEach((one, n) => head.setUint8(n, one.charCodeAt(0)));
  [..."data"].forEach((one, n) => head.setUint8(36 + n, one.charCodeAt(0)));
  for (const [at, value] of [[4, 36 + bytes], [16, 16], [24, rate], [28, 2 * rate], [40, bytes]]) head.setUint32(at, value, true);
  for (const [at, value] of [[20, 1], [22, 1], [32, 2], [34, 16]]) head.setUint16(at, value, true);
  return new File([head, ...parts], name, { type: "audio/wav" });
}

// Shows captions of `sound` as they come. Returns {stop}, after which they are a transcript like others; null where it failed.
async function listen(sound) {
  const name = `live ${timeName(new Date())}.wav`, parts = [], words = [];
  const told = el("span", { class: "dim" }, "Connecting"), level = el("meter", { max: 1, "aria-label": "Level of the microphone" });
  const partial = el("span", { class: "partial", "aria-live": "off" }), text = el("p", { class: "words captions" }, partial), buttons = el("div");
  const state = el("div", { class: "listening" }, level, told);
  const article = el("article", {}, el("header", {}, el("h2", {}, name), buttons), state, text);
  let heard = 0, failure = "", ended = false, opened = false;
  const socket = openSocket();
  const input = await capture(sound, (block, peak) => {
    if (ended) return;
    parts.push(block);
    heard += block.length;
    level.value = Math.sqrt(peak);
    if (socket.readyState !== WebSocket.OPEN) return;
    append(block);
    const waiting = socket.bufferedAmount / ((input.rate * 2 * 4) / 3);
    told.textContent = `Listening, ${clock(heard / input.rate, 0)}${waiting > 3 ? `; the server is ${Math.round(waiting)} s behind` : ""}`;
  }).catch((error) => { socket.close(); throw error; });
  byId("transcripts").prepend(article);

  const send = (event) => socket.send(JSON.stringify(event));
  const append = (block) => send({ type: "input_audio_buffer.append", audio: base64(block) });
  socket.onopen = () => {
    opened = true;
    const format = { type: "audio/pcm", rate: input.rate }, prompt = byId("prompt").value;
    send({ type: "session.update", session: { type: "transcription", audio: { input: { format, transcription: { prompt } } } } });
    parts.forEach(append);
  };
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.type.endsWith("input_audio_transcription.delta")) hearWords(event);
    else if (event.type.endsWith("input_audio_transcription.completed")) {
      partial.textContent = "";
      if (event.words.length) partial.before(el("br"));
    } else if (event.type === "error" && event.error.code !== "input_audio_buffer_commit_empty") {
      failure = event.error.message;
      stop();
    } else if (event.type === "input_audio_buffer.cleared") socket.close(1000);
  };
  socket.onclose = (event) => {
    const why = opened ? "The connection to the server broke off." : "The server takes no live sound: see the API key, its limits and its log.";
    if (event.code === 1006) failure ||= why; // browsers tell no more
    end();
  };

  function hearWords({ words: settled, partial: rest }) {
    const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 40;
    for (const word of settled) {
      words.push(word);
      partial.before(el("span", { class: `word ${sureness(word.confidence)}`, title: wordTitle(word) }, word.word), " ");
    }
    partial.textContent = rest;
    if (atEnd) text.scrollTop = text.scrollHeight;
  }
  function quiet() {
    ended = true;
    sound.getTracks().forEach((track) => track.stop());
    input.close();
    level.remove();
    captions = null;
    toggled(live, false, "● Live captions");
  }
  function stop() {
    if (ended) return;
    quiet();
    told.textContent = "Waiting for the last words";
    if (socket.readyState !== WebSocket.OPEN) return socket.close();
    send({ type: "input_audio_buffer.commit" });
    send({ type: "input_audio_buffer.clear" }); // its answer comes when all is told
  }
  function end() {
    if (!ended) quiet();
    state.remove();
    text.remove();
    const file = wavFile(parts, input.rate, name);
    if (heard) {
      buttons.append(button("Transcribe as a whole", () => add([file]))); // which knows what comes behind each word
      fill(article, buttons, file, { duration: heard / input.rate, words });
    } else buttons.append(removal(file, article));
    if (failure) article.append(el("p", { class: "failed" }, failure));
  }
  sound.getAudioTracks()[0].addEventListener("ended", stop); // unplugged
  if (socket.readyState === WebSocket.OPEN) socket.onopen();
  if (socket.readyState === WebSocket.CLOSED) socket.onclose({ code: 1006 });
  return ended ? null : { stop };
}
