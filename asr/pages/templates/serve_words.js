// A transcript: words that are coloured by confidence, heard by a click, and changed in place; files of every format.

const wordTitle = (word) => `${clock(word.start)}, confidence ${word.confidence.toFixed(2)}`;

// `words`: [{word, start, end, confidence}] in seconds; `onPlay(from, to)`. The list of words is changed in place.
function wordsView(words, onPlay) {
  const holder = el("p", { class: "words", role: "group", "aria-label": "Transcript" });
  if (!words.length) holder.append(el("span", { class: "dim" }, "No word was recognised."));
  const spans = () => [...holder.querySelectorAll(".word")];

  function move(from, step) {
    const all = spans(), to = all[all.indexOf(from) + step];
    if (!to) return;
    all.forEach((one) => one.setAttribute("tabindex", one === to ? 0 : -1));
    to.focus();
  }
  function edit(span) {
    const before = span.textContent;
    span.setAttribute("contenteditable", "plaintext-only");
    span.focus();
    getSelection().selectAllChildren(span);
    const finish = (keep) => {
      span.removeEventListener("blur", blurred);
      span.removeEventListener("keydown", pressed);
      span.removeAttribute("contenteditable");
      const text = span.textContent.split(/\s+/).filter(Boolean).join(" ");
      if (!keep || text === before) { span.textContent = before; return; }
      span.word.word = text;
      if (text) {
        span.word.confidence = 1; // somebody has heard it
        span.textContent = text;
        span.className = "word changed";
        return;
      }
      const all = spans(), next = all[all.indexOf(span) + 1] || all[all.indexOf(span) - 1];
      words.splice(words.indexOf(span.word), 1);
      span.nextSibling?.remove(); // the space
      span.remove();
      next?.setAttribute("tabindex", 0);
      next?.focus();
    };
    const blurred = () => finish(true);
    const pressed = (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      finish(event.key === "Enter");
      if (span.isConnected) span.focus();
    };
    span.addEventListener("blur", blurred);
    span.addEventListener("keydown", pressed);
  }
  const acts = {
    ArrowRight: (span) => move(span, 1),
    ArrowLeft: (span) => move(span, -1),
    F2: edit,
    Enter: (span) => onPlay(span.word.start, span.word.end),
    " ": (span) => onPlay(span.word.start, span.word.end),
  };
  words.forEach((word, n) => {
    const span = el("span", {
      class: `word ${sureness(word.confidence)}`, tabindex: n ? -1 : 0, role: "button",
      title: wordTitle(word),
      on: {
        click: () => { if (!span.isContentEditable) onPlay(word.start, word.end); },
        dblclick: () => { if (!span.isContentEditable) edit(span); },
        keydown: (event) => { if (acts[event.key]) { event.preventDefault(); acts[event.key](span); } },
      },
    }, word.word);
    span.word = word;
    holder.append(span, " ");
  });
  const showTime = (now) => spans().forEach((span) => {
    span.classList.toggle("now", now !== null && now >= span.word.start && now < span.word.end);
  });
  return { holder, showTime };
}

// What was typed as several words shares the time of the one that it replaces, by length.
function separateWords(words) {
  return words.flatMap((one) => {
    const parts = one.word.split(/\s+/).filter(Boolean), letters = parts.join("").length;
    let at = one.start;
    return parts.map((word) => {
      const start = at;
      at += ((one.end - one.start) * word.length) / letters;
      return { ...one, word, start, end: at };
    });
  });
}

function fileButtons(name, duration, words) {
  const holder = el("div", { class: "files" }, el("span", { class: "dim" }, "Download:"));
  for (const [format, ending] of readData("formats")) {
    holder.append(el("button", { type: "button", "data-format": format, on: { click: async () => {
      const body = JSON.stringify({ format, name, duration, words: separateWords(words) });
      const answer = await fetch("v1/transcripts", { method: "POST", headers: authorization(), body });
      if (!answer.ok) return say(await messageOf(answer));
      save(await answer.blob(), `${name.replace(/\.[^.]*$/, "")}${ending}`);
    } } }, format));
  }
  return holder;
}

function save(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
