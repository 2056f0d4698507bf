// The page of `asr serve`: recordings in by drop, choice or microphone, one after the other; their transcripts out.

async function showModels() {
  try {
    const answer = await fetch("v1/models", { headers: authorization() });
    if (answer.status === 401) byId("key-field").hidden = false;
    if (!answer.ok) return say(await messageOf(answer));
    byId("model").replaceChildren(...(await answer.json()).data.map((one) => el("option", {}, one.id)));
    say("");
  } catch { say("The server does not answer."); }
}

// The last event of the stream. `onShare(what, share)`; `abort(stop)` is given a function that cancels.
function transcribe(file, onShare, abort) {
  return new Promise((good, bad) => {
    const form = new FormData();
    for (const [key, value] of [["model", byId("model").value], ["prompt", byId("prompt").value], ["stream", "true"],
      ["response_format", "verbose_json"], ["timestamp_granularities[]", "word"]]) if (value) form.append(key, value);
    form.append("file", file, file.name);
    const request = new XMLHttpRequest();
    request.open("POST", "v1/audio/transcriptions");
    for (const [key, value] of Object.entries(authorization())) request.setRequestHeader(key, value);
    request.upload.onprogress = (event) => onShare("Uploading", event.loaded / event.total);
    request.onprogress = () => {
      const told = request.responseText.lastIndexOf(": progress ");
      if (told >= 0) onShare("Transcribing", parseFloat(request.responseText.slice(told + 11)));
    };
    request.onerror = () => bad({ message: "The connection to the server broke off." });
    request.onabort = () => bad({ message: "Cancelled." });
    request.onload = () => {
      let events;
      try {
        if (request.status !== 200) events = [JSON.parse(request.responseText)];
        else events = request.responseText.split("\n\n").filter((one) => one.startsWith("data: ")).map((one) => JSON.parse(one.slice(6)));
      } catch { events = []; }
      const last = events.at(-1);
      if (last?.type === "transcript.text.done") return good(last);
      const wait = [429, 503].includes(request.status) && Number(request.getResponseHeader("retry-after"));
      bad({ message: last?.error?.message || `The server answered with status ${request.status}.`, wait });
    };
    abort(() => request.abort());
    request.send(form);
  });
}

const TRIES = 20;

async function patiently(file, onShare, abort) {
  let given = false;
  for (let tries = 1; ; tries += 1) {
    try {
      return await transcribe(file, onShare, (stop) => abort(() => { given = true; stop(); }));
    } catch (error) {
      if (!error.wait || given || tries >= TRIES) throw error;
      onShare("Waiting", 0);
      await new Promise((go) => setTimeout(go, error.wait * 1000));
      if (given) throw { message: "Cancelled." };
    }
  }
}

// A row for `file`. Returns what transcribes it once it is its turn.
function show(file) {
  let stop = null, given = false;
  const bar = el("progress", { max: 1, "aria-label": `Progress of ${file.name}` }), told = el("p", { class: "dim" }, "Waiting");
  const buttons = el("div", {}, button("Cancel", () => { given = true; if (stop) stop(); else fail({ message: "Cancelled." }); }));
  const article = el("article", {}, el("header", {}, el("h2", {}, file.name), buttons), bar, told);
  byId("transcripts").prepend(article);
  const clear = () => [bar, told, ...buttons.children].forEach((one) => one.remove());
  function fail(error) {
    clear();
    buttons.append(button("Try again", () => { article.remove(); add([file]); }), removal(file, article));
    article.append(el("p", { class: "failed" }, error.message || String(error)));
  }
  return async () => {
    if (given) return;
    try {
      const onShare = (what, share) => { bar.value = share; told.textContent = `${what}, ${Math.round(100 * share)} %`; };
      const found = await patiently(file, onShare, (act) => { stop = act; });
      clear();
      fill(article, buttons, file, found);
    } catch (error) { fail(error); }
  };
}

function removal(file, article, act) {
  return el("button", { type: "button", "aria-label": `Remove ${file.name}`, on: { click: () => {
    const next = (article.nextElementSibling || article.previousElementSibling)?.querySelector("button") || byId("files");
    act?.();
    article.remove();
    next.focus(); // for the keyboard
  } } }, "✕");
}

// The transcript of `file`, to be heard, changed and saved. `found`: {duration, words}.
function fill(article, buttons, file, found) {
  const url = URL.createObjectURL(file), words = found.words;
  const picture = pictureOf(file, found.duration, (from) => player.play(url, from, Infinity, onTime));
  const view = wordsView(words, (from, to) => player.play(url, from, to, onTime));
  function onTime(now) {
    view.showTime(now);
    picture.show(now);
    play.textContent = now === null ? "▶ Play" : "■ Stop";
  }
  const play = button("▶ Play", () => { if (player.isPlaying(url)) player.stop(); else player.play(url, 0, Infinity, onTime); });
  buttons.append(play, removal(file, article, () => {
    player.stop();
    URL.revokeObjectURL(url);
    picture.forget();
  }));
  article.append(picture.holder, view.holder, fileButtons(file.name, found.duration, words));
  byId("keys").hidden = false;
}

let queue = Promise.resolve();
function add(files) {
  say("");
  for (const file of files) queue = queue.then(show(file));
}

byId("files").addEventListener("change", (event) => { add(event.target.files); event.target.value = ""; });
const drop = byId("drop");
addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
addEventListener("dragleave", () => drop.classList.remove("over"));
addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("over"); add(event.dataTransfer.files); });
byId("key").addEventListener("change", showModels);

showModels();
document.documentElement.dataset.ready = "yes";
