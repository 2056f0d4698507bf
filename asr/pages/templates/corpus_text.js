// The text of a segment, edited in place: a field over a layer that colours its words by the draft's confidence.

const tidy = (text) => text.split(/\s+/u).filter(Boolean).join(" ");

// The words of `text`, aligned with the draft's by the fewest changes: [{text, from, to, start_s, end_s, draft, same}].
// `from` and `to` are places in the text; a word that the draft lacks (`draft` null) has the time between its neighbours.
function matched(text, words) {
  const found = [...text.matchAll(/\S+/gu)].map((one) => ({ text: one[0], from: one.index, to: one.index + one[0].length, draft: null, same: false }));
  const cost = [Int32Array.from({ length: words.length + 1 }, (_, n) => n)];
  for (let i = 1; i <= found.length; i += 1) {
    cost.push(new Int32Array(words.length + 1).fill(i));
    for (let j = 1; j <= words.length; j += 1) {
      const changed = found[i - 1].text === words[j - 1].text ? 0 : 1;
      cost[i][j] = Math.min(cost[i - 1][j - 1] + changed, cost[i - 1][j] + 1, cost[i][j - 1] + 1);
    }
  }
  for (let i = found.length, j = words.length; i > 0;) {
    const changed = j && found[i - 1].text === words[j - 1].text ? 0 : 1;
    if (j && cost[i][j] === cost[i - 1][j - 1] + changed) {
      const draft = words[j -= 1];
      Object.assign(found[i -= 1], { draft, same: !changed, start_s: draft.start_s, end_s: draft.end_s });
    } else if (j && cost[i][j] === cost[i][j - 1] + 1) j -= 1;
    else i -= 1;
  }
  found.forEach((one, n) => {
    if (one.draft) return;
    one.start_s = found[n - 1]?.end_s ?? 0;
    one.end_s = Math.max(one.start_s + 0.3, found.slice(n + 1).find((next) => next.draft)?.start_s ?? 0);
  });
  return found;
}
// What else stands for the draft's word `draft` in the n-best `alternatives`; "" where it is left out.
function readingsOf(draft, words, alternatives) {
  const found = alternatives.map(({ text }) => {
    const tokens = matched(text, words), first = tokens.findIndex((one) => one.draft);
    const of = tokens.map((one, n) => one.draft || tokens.slice(0, n).findLast((other) => other.draft)?.draft || tokens[first]?.draft);
    return tokens.filter((one, n) => of[n] === draft).map((one) => one.text).join(" ");
  });
  return [...new Set(found)].filter((text) => text !== draft.text);
}
const sureOf = (one) => (one.same && one.draft.confidence !== null ? sureness(one.draft.confidence) : "");

const field = (() => {
  const box = byId("text"), layer = byId("layer"), about = byId("word");
  let words = [], found = [], parts = [], now = null;

  function draw() {
    found = matched(box.value, words);
    parts = found.map((one) => el("span", { class: sureOf(one) }, one.text));
    const pieces = found.flatMap((one, n) => [box.value.slice(n ? found[n - 1].to : 0, one.from), parts[n]]);
    layer.replaceChildren(...pieces, `${box.value.slice(found.at(-1)?.to || 0)}\u200b`);
    showTime(now);
    tellWord();
  }
  function showTime(time) {
    now = time;
    found.forEach((one, n) => parts[n].classList.toggle("now", time !== null && time >= one.start_s && time < one.end_s));
  }
  const here = () => found.find((one) => box.selectionStart >= one.from && box.selectionStart <= one.to);

  function tellWord() {
    const one = document.activeElement === box ? here() : null, draft = one?.draft;
    const sure = draft && draft.confidence !== null ? `, confidence ${draft.confidence.toFixed(2)}` : "";
    about.replaceChildren(...(!one ? [] : [
      el("bdi", {}, one.text), ` at ${clock(one.start_s)}`, ...(one.same ? [sure] : draft ? [", in the draft ", el("bdi", {}, draft.text), sure] : [", not in the draft"]),
    ]));
  }
  // The next word (`step` 1, or -1) that the model is not sure of is selected; after the last one comes the first.
  function nextUnsure(step) {
    const unsure = found.filter(sureOf), at = box.selectionStart, later = step > 0 ? unsure : unsure.reverse();
    const one = later.find((other) => (step > 0 ? other.from > at || (other.from === at && box.selectionEnd === at) : other.from < at)) || later[0];
    if (!one) return null;
    box.focus();
    box.setSelectionRange(one.from, one.to);
    return one;
  }
  function fill(text, draftWords = words) {
    words = draftWords;
    last = null;
    box.value = text;
    box.setSelectionRange(0, 0);
    draw();
  }
  // The word of the draft that is selected as a whole.
  const selected = () => found.find((one) => one.draft && one.from === box.selectionStart && one.to === box.selectionEnd) || null;
  let last = null;
  document.addEventListener("selectionchange", () => {
    tellWord();
    const one = selected();
    if (one === last || (last && document.activeElement !== box)) return; // a click on a reading leaves the word selected
    last = one;
    field.onSelect();
  });
  function replaceSelected(text) {
    const { from } = last;
    box.focus();
    box.setSelectionRange(last.from, last.to);
    insert(text);
    box.setSelectionRange(from, from + text.length);
  }
  function insert(text) { // so that the browser's own undo brings back what was there
    if (document.execCommand(text ? "insertText" : "delete", false, text)) return;
    box.setRangeText(text);
    box.dispatchEvent(new Event("input"));
  }
  function replace(text) {
    box.focus();
    box.select();
    insert(text);
  }
  box.addEventListener("input", draw);
  box.addEventListener("blur", tellWord);
  const focus = () => { if (!matchMedia("(pointer: coarse)").matches) box.focus({ preventScroll: true }); }; // no keyboard on the screen unasked
  return { box, fill, replace, replaceSelected, selected, showTime, nextUnsure, here, focus, text: () => tidy(box.value), onSelect: null };
})();

// `text` with the words marked that are not in `other`.
function marked(text, other) {
  const known = other.split(/\s+/u).filter(Boolean).map((one) => ({ text: one }));
  return el("bdi", {}, ...matched(text, known).flatMap((one, n) => [n ? " " : "", one.same ? one.text : el("mark", {}, one.text)]));
}
