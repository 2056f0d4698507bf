// The queue: the segments to do in the order chosen, how many are done, and what the drafts of the rest still take.

const settings = { order: "useful", status: "open", rate: 1, repeat: false, atOnce: true, by: "", ...kept.read("settings") };
function set(name, value) { settings[name] = value; kept.write("settings", { ...settings }); }

const MARKS = { open: "○", corrected: "✓", skipped: "–", waiting: "↑" };

const queue = (() => {
  const LIMIT = 100, BUSY_MS = 60000, rows = new Map(); // by id, in order: {segment, node}
  let generation = 0, drafting = null;

  function draw(id) {
    const row = rows.get(id);
    if (!row) return;
    const { segment, node } = row, change = outbox.get(id), status = change ? "waiting" : segment.status;
    const text = change?.text ?? kept.read(`text ${id}`)?.text ?? segment.text;
    const sure = segment.confidence === null || segment.status !== "open" ? "" : `${Math.round(100 * segment.confidence)} % · `;
    node.className = `row ${status}`;
    node.replaceChildren(
      el("span", { class: "mark", title: status === "waiting" ? "not sent yet" : status }, MARKS[status]),
      el("span", { class: "line", dir: "auto" }, text || "no words"),
      el("span", { class: "dim" }, `${sure}${(segment.end_s - segment.start_s).toFixed(1)} s`),
    );
  }
  function add(segment) {
    const node = el("button", { type: "button", on: { click: () => queue.onOpen(segment.id) } });
    rows.set(segment.id, { segment, node });
    draw(segment.id);
    byId("queue").append(el("li", {}, node));
  }
  function renew(segment) { // as the server has it now
    const row = rows.get(segment.id);
    if (row && row.segment.version <= segment.version) row.segment = segment;
    draw(segment.id);
  }
  function update(segment) { // the same, of one that the counts do not know yet
    const known = rows.get(segment.id)?.segment;
    if (known && known.version < segment.version && known.status !== segment.status) count(known.status, segment.status);
    renew(segment);
  }

  let counts = { open: 0, corrected: 0, skipped: 0 };
  function count(from, to) { counts[from] -= 1; counts[to] += 1; tell(); }
  function tell() {
    const all = counts.open + counts.corrected + counts.skipped, bar = byId("progress");
    bar.max = all || 1;
    bar.value = counts.corrected + counts.skipped;
    const drafts = drafting && drafting.done < drafting.total ? `; drafts: ${drafting.done} of ${drafting.total} recordings` : "";
    byId("counts").textContent = `${counts.corrected} corrected, ${counts.skipped} skipped, ${counts.open} to do${drafts}`;
    const failed = drafting?.failed || [];
    byId("failed").hidden = !failed.length;
    byId("failed").replaceChildren(el("summary", {}, `${failed.length} recordings could not be drafted`), ...failed.map((one) => el("p", {}, `${one.recording}: ${one.message}`)));
    byId("more").hidden = [...rows.values()].filter(isWanted).length >= wanted();
  }

  // Asks for segments from `offset` on and appends those that are new; returns how many.
  async function fetchFrom(offset, limit = LIMIT) {
    const query = new URLSearchParams({ order: settings.order, status: settings.status, offset, limit }), asked = generation;
    const answer = await ask(`segments?${query}`);
    if (asked !== generation) return 0;
    ({ counts, drafting } = answer);
    const fresh = answer.segments.filter((one) => !rows.has(one.id));
    answer.segments.forEach((one) => (rows.has(one.id) ? renew(one) : add(one)));
    if (offset === 0 && settings.order === "useful") sort(answer.segments);
    tell();
    return fresh.length;
  }
  // What has been opened here comes first, then the most useful of the rest as it is now: drafts and corrections change it.
  function sort(segments) {
    const seen = [...rows].filter(([, row]) => row.seen), before = [...rows.keys()].join();
    const sorted = new Map([...seen, ...segments.map(({ id }) => [id, rows.get(id)]), ...rows]);
    if ([...sorted.keys()].join() === before) return;
    rows.clear();
    sorted.forEach((row, id) => rows.set(id, row));
    byId("queue").append(...[...rows.values()].map((row) => row.node.parentNode));
    show(shown);
  }
  const wanted = () => counts[settings.status] ?? counts.open + counts.corrected + counts.skipped;
  const isWanted = (row) => settings.status === "all" || row.segment.status === settings.status;
  async function more() {
    return (await fetchFrom([...rows.values()].filter(isWanted).length)) || fetchFrom(0, 500);
  }
  function clear() {
    generation += 1;
    rows.clear();
    byId("queue").replaceChildren();
  }
  let shown = null;
  function show(id) {
    shown = id;
    if (rows.has(id)) rows.get(id).seen = true;
    for (const [one, { node }] of rows) node.setAttribute("aria-current", one === id);
    const list = byId("queue"), node = rows.get(id)?.node; // scrolled on its own: scrollIntoView would move the page, too
    if (node) list.scrollTop = Math.min(node.offsetTop, Math.max(list.scrollTop, node.offsetTop + node.offsetHeight - list.clientHeight));
  }
  // The segment after `id` (or before, with `step` -1); `open`: one that nobody has done, from the start again at the end.
  function after(id, step = 1, open = false) {
    const ids = [...rows.keys()], at = ids.indexOf(id);
    if (!open) return at < 0 && step < 0 ? ids.at(-1) : ids[at + step];
    return [...ids.slice(at + 1), ...ids.slice(0, Math.max(0, at))].filter(isOpen).sort((one, other) => isBusy(one) - isBusy(other))[0]; // the sort keeps the order of equals
  }
  const isBusy = (id) => Date.now() - (rows.get(id)?.busyAt || 0) < BUSY_MS, markBusy = (id) => { if (rows.has(id)) rows.get(id).busyAt = Date.now(); };
  const isOpen = (id) => rows.get(id).segment.status === "open" && !outbox.get(id);
  const isDrafting = () => Boolean(drafting) && drafting.done < drafting.total;
  return { draw, update, isBusy, markBusy, more, clear, show, after, fetchFrom, isDrafting, size: () => rows.size, openLeft: () => [...rows.keys()].filter(isOpen).length, onOpen: null };
})();
