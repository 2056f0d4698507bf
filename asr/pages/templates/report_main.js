// Events: filters, opening rows, keys.

const number = (text, otherwise) => (text.trim() === "" || Number.isNaN(Number(text)) ? otherwise : Number(text));

function readFilters() {
  state.query = fold(byId("search").value).split(/\s+/).filter(Boolean);
  state.speaker = byId("speaker").value; state.kind = byId("kind").value; state.winner = byId("winner").value;
  state.low = number(byId("low").value, 0); state.high = number(byId("high").value, Infinity);
  update();
}

for (const id of ["search", "low", "high"]) byId(id).addEventListener("input", readFilters);
for (const id of ["speaker", "kind", "winner"]) byId(id).addEventListener("change", readFilters);
byId("reset").addEventListener("click", () => {
  for (const id of ["search", "low", "high", "speaker", "kind", "winner"]) byId(id).value = "";
  state.key = ""; drawHead(); readFilters();
});
byId("back").addEventListener("click", () => { update(state.page - 1); byId("h-list").scrollIntoView(); });
byId("next").addEventListener("click", () => { update(state.page + 1); byId("h-list").scrollIntoView(); });

const body = byId("rows").tBodies[0];
const rowNodes = () => { drawRest(); return [...body.querySelectorAll("tr.row")]; };

function close() {
  player.stop();
  body.querySelector("tr.detail")?.remove();
  const open = body.querySelector("tr.open");
  open?.classList.remove("open");
  open?.querySelector(".id").setAttribute("aria-expanded", "false");
  opened = null;
}

function open(node, focus = true) {
  close();
  const place = Number(node.dataset.place), row = DATA.rows[place];
  node.classList.add("open");
  const name = node.querySelector(".id");
  name.setAttribute("aria-expanded", "true");
  node.after(el("tr", { class: "detail" }, el("td", { colspan: COLUMNS.length }, detailOf(row, place))));
  opened.picture?.draw();
  if (focus) { name.focus({ preventScroll: true }); node.scrollIntoView({ block: "nearest" }); node.nextSibling.scrollIntoView({ block: "nearest" }); }
  try { history.replaceState(null, "", `#u=${encodeURIComponent(row.id)}`); } catch { /* some browsers refuse it for files */ }
}

function step(by) {
  const rows = rowNodes(), at = rows.findIndex((one) => one.classList.contains("open"));
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by;
  if (next >= 0 && next < rows.length) return open(rows[next]);
  const page = state.page + by;
  if (page < 0 || page * PAGE_ROWS >= state.found.length) return;
  update(page);
  const fresh = rowNodes();
  open(by > 0 ? fresh[0] : fresh[fresh.length - 1]);
}

function playOpen() {
  if (!opened) return;
  const row = DATA.rows[opened.place];
  if (player.hasSound(row, opened.place)) playSpan(row, opened.place, 0);
}

body.addEventListener("click", (event) => {
  const node = event.target.closest("tr.row");
  if (!node || getSelection().toString()) return;
  const word = event.target.closest(".playable");
  if (!word) return node.classList.contains("open") ? close() : open(node, false);
  const line = word.closest(".line"), system = Number(line.dataset.system), n = [...line.querySelectorAll(".word")].indexOf(word);
  const place = Number(node.dataset.place), row = DATA.rows[place];
  if (!node.classList.contains("open")) open(node, false);
  const [from, to] = spanOf(alignedWords(row.sys[system]), n, row.dur);
  if (player.hasSound(row, place)) playSpan(row, place, from - 0.03, to + 0.03);
});

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target, typing = target.matches("input, select, textarea");
  if (event.key === "Escape") {
    if (typing) target.blur();
    else if (!player.audio.paused) player.stop();
    else close();
    return;
  }
  if (typing) return;
  const inList = target.closest("#rows tbody") || target === document.body;
  const key = event.key === "ArrowDown" && target.closest("#rows tbody") ? "j" : event.key === "ArrowUp" && target.closest("#rows tbody") ? "k" : event.key;
  if (key === "j") step(1);
  else if (key === "k") step(-1);
  else if (key === "/") { byId("search").focus(); byId("search").select(); }
  else if (key === "Enter" && opened && inList && (!target.matches("button") || target.getAttribute("aria-expanded") === "true")) playOpen();
  else return;
  event.preventDefault();
});

const redraw = () => opened?.picture?.draw();
addEventListener("resize", redraw);
onTheme.push(redraw);
onPrint.push(() => drawRest());

function openLinked() {
  const id = location.hash.startsWith("#u=") ? decodeURIComponent(location.hash.slice(3)) : null;
  const at = id === null ? -1 : state.found.findIndex((one) => one.row.id === id);
  if (at < 0) return;
  update(Math.floor(at / PAGE_ROWS));
  const node = rowNodes()[at % PAGE_ROWS];
  open(node);
  node.scrollIntoView({ block: "start" });
}

drawHead();
update();
performance.mark("list"); // usable now; the clips come last
let acted = false; // once the user acts, the link in the address is not followed
for (const name of ["keydown", "pointerdown"]) addEventListener(name, () => { acted = true; }, { once: true, capture: true });
whenRead(() => {
  if (opened?.early) open(body.querySelector("tr.open"), false);
  else if (!acted && !opened) openLinked();
  document.documentElement.dataset.ready = "yes";
  performance.mark("ready");
});
