// The layer's units as a table: a click on a heading sorts them (the images too), a click on a row selects one.

function makeTable(choose, order, units) {
  const body = el("tbody"), head = el("tr");
  const table = el("table", { class: "units" }, el("thead", {}, head), body);
  const node = el("div", { class: "units-frame", tabindex: "0", "aria-label": "Units, scrolls" }, table);

  function fill() {
    const columns = columnsOf(view());
    head.replaceChildren(...columns.map((column) => {
      const own = column.key === state.sort;
      const button = el("button", { type: "button", title: column.long ? `${column.long}, share of frames` : null, "data-order": own ? (state.down ? "down" : "up") : null }, column.name);
      button.addEventListener("click", () => order(column.key, own ? !state.down : column.key !== "unit"));
      return el("th", { scope: "col", class: column.key === "follows" ? null : "number", "aria-sort": own ? (state.down ? "descending" : "ascending") : null }, button);
    }));
    body.replaceChildren(...units().map((unit) => {
      const cells = columns.map((column) => el("td", { class: column.key === "follows" ? null : "number" }, column.text(unit)));
      return el("tr", { "data-unit": unit, on: { click: () => choose(unit) } }, ...cells);
    }));
    mark();
  }

  function mark() {
    body.querySelector("[aria-selected]")?.removeAttribute("aria-selected");
    const row = body.querySelector(`[data-unit="${state.unit}"]`);
    if (!row) return;
    row.setAttribute("aria-selected", "true");
    const above = row.offsetTop - node.scrollTop;
    if (above < 30 || above > node.clientHeight - 30) node.scrollTop = row.offsetTop - node.clientHeight / 2;
  }
  return { node, fill, mark };
}
