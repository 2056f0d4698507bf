"""What pages have in common: header, sections, notes, facts, tables.

In: text. Out: HTML made by ``element``; the classes are those of report.css.
"""

import re
from collections.abc import Mapping, Sequence

from asr.pages.data import Table
from asr.pages.document import element, text

_NUMBER = re.compile(r"[+−-]?[\d.,]*\d *(%|ms|s)?")


def header(title: str, line: str | None = None) -> str:
    """The title over a line of dim text, and the button for light and dark, which the script shows."""
    toggle = element("button", text("Theme"), id="theme", type="button", hidden=True)
    below = "" if line is None else element("p", text(line), class_="dim")
    return element("header", element("div", element("h1", text(title)), below), toggle)


def section(name: str, title: str, *children: str) -> str:
    """A section named ``h-NAME`` by its heading."""
    return element("section", element("h2", text(title), id=f"h-{name}"), *children, aria_labelledby=f"h-{name}")


def note_list(notes: Sequence[str]) -> str:
    """A list, or nothing."""
    return element("ul", *(element("li", text(note)) for note in notes), class_="notes") if notes else ""


def fact_list(facts: Mapping[str, str], **attributes: object) -> str:
    """Names with their values, or nothing."""
    pairs = [element("dt", text(name)) + element("dd", text(value)) for name, value in facts.items()]
    return element("dl", *pairs, **attributes) if pairs else ""


def table_of(names: Sequence[str], rows: Sequence[str], class_: str) -> str:
    """``rows`` (HTML already) under their columns' names; a column without a name has an empty cell there."""
    cells = [element("th", text(name), scope="col") if name else element("td") for name in names]
    return element("table", element("thead", element("tr", *cells)), element("tbody", *rows), class_=class_)


def figure_of(table: Table, *, wide: bool = False) -> str:
    """The table with its title and note, columns of numbers to the right; ``wide``: it scrolls sideways by itself."""
    numeric = [all(_is_number(row[n]) for row in table.rows) for n in range(len(table.header))]
    sides = ["number" if right else None for right in numeric]
    names = zip(table.header, sides, strict=True)
    head = element("tr", *(element("th", text(name), scope="col", class_=side) for name, side in names))
    rows = [element("tr", *(_cell(cell, side) for cell, side in zip(row, sides, strict=True))) for row in table.rows]
    drawn = element("table", element("thead", head), element("tbody", *rows), class_="small")
    return element(
        "figure",
        element("figcaption", text(table.title)),
        element("p", text(table.note), class_="dim") if table.note else "",
        element("div", drawn, class_="wide") if wide else drawn,
    )


def _cell(cell: str, side: str | None) -> str:
    return element("td", element("bdi", text(cell)), class_=side)


def _is_number(cell: str) -> bool:
    return cell in ("", "–", "∞") or _NUMBER.fullmatch(cell) is not None
