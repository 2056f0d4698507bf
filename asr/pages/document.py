"""The base of every page: one HTML file with its style, script and data inside, under a strict content policy.

In: a title, the body as HTML, the names of style and script files in ``templates``, and data. Out: HTML text, the same
for the same input. The policy (a meta element) allows the page's own script and style by their hash and nothing else:
no request, no inline handler, no style attribute. Text becomes HTML through ``element`` and ``text`` only; data are
JSON in which no character can end the script element that holds them.

Also the parts that pages share: header, sections, notes, facts, tables, and bars with interval whiskers: a table whose
plot column is inline SVG in percent of its width. Bars need no script, print well and are read as a table by screen
readers; their labels and figures are HTML text, so that they keep their size on a narrow screen.
"""

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from asr import __version__
from asr.pages.data import Bar, BarRow, Chart, Table

_SLOT = re.compile(r"\{\{(\w+)\}\}")
_VOID = {"br", "col", "hr", "img", "input", "meta"}
# The only characters that could be markup in a script element, or (the line separators) end a line of script.
_JSON_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
_SHARED_STYLES, _SHARED_SCRIPTS = ("base.css",), ("base.js",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """``body`` is HTML made by ``element``; ``data``: by element id, what the script reads as JSON.

    ``late`` is such data too, read after the page is shown. ``styles`` and ``scripts`` are names in ``templates``,
    joined in order after the shared ones; no ``scripts`` at all (None) makes a page that runs nothing and follows the
    browser's light or dark. ``linked_audio``: the page may play audio files next to it (else only embedded ones).
    ``requests``: it may ask the server that it comes from. ``worklets``: its script may load modules, such as audio
    worklets; markup still may not.
    """

    title: str
    body: str
    styles: Sequence[str] = ()
    scripts: Sequence[str] | None = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    late: Mapping[str, Any] = field(default_factory=dict)
    linked_audio: bool = False
    requests: bool = False
    worklets: bool = False


def render_document(document: Document) -> str:
    """The whole file."""
    style = "\n".join(template(name) for name in (*_SHARED_STYLES, *document.styles))
    script = None if document.scripts is None else _joined(document.scripts)
    return fill(
        template("base.html"),
        policy=_policy(document, script, style),
        title=text(document.title),
        version=text(__version__),
        style=style,
        body=document.body,
        data=_data_elements(document.data),
        script="" if script is None else f"<script>{script}</script>",
        late=_data_elements(document.late),
    )


def _joined(scripts: Sequence[str]) -> str:
    parts = "\n".join(template(name) for name in (*_SHARED_SCRIPTS, *scripts))
    return f'(() => {{\n"use strict";\n{parts}\n}})();\n'


def template(name: str) -> str:
    """A file of ``templates``."""
    return resources.files("asr.pages").joinpath("templates", name).read_text(encoding="utf-8")


def fill(pattern: str, **values: str) -> str:
    """Each ``{{name}}`` replaced once; inserted text is not expanded again. Raises KeyError for a name not given."""
    return _SLOT.sub(lambda match: values[match[1]], pattern)


def text(value: object) -> str:
    """Any value as HTML text; lone surrogates, which UTF-8 cannot hold, become the replacement character."""
    return html.escape(str(value).encode("utf-8", "replace").decode("utf-8"))


def element(name: str, *children: str, **attributes: object) -> str:
    """An element around ``children`` (HTML already).

    ``class_`` is class, ``aria_label`` is aria-label; None and False leave an attribute out, True gives it no value.
    """
    written = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        written.append(f" {label}" if value is True else f' {label}="{text(value)}"')
    opened = f"<{name}{''.join(written)}>"
    return opened if name in _VOID else f"{opened}{''.join(children)}</{name}>"


def embedded_json(value: Any) -> str:
    """Compact JSON that is safe inside a script element; NaN and infinity raise ValueError."""
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return written.encode("utf-8", "replace").decode("utf-8").translate(_JSON_ESCAPES)


def _data_elements(data: Mapping[str, Any]) -> str:
    return "\n".join(
        f'<script type="application/json" id="{text(name)}">{embedded_json(value)}</script>'
        for name, value in data.items()
    )


def _policy(document: Document, script: str | None, style: str) -> str:
    rules = {
        "default-src": "'none'",
        "script-src": "'none'" if script is None else _hash(script) + " 'strict-dynamic'" * document.worklets,
        "style-src": _hash(style),
        "img-src": "data:",
        "media-src": "data: blob: 'self' file:" if document.linked_audio else "data: blob:",
        **({"connect-src": "'self'"} if document.requests else {}),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


_NUMBER = re.compile(r"[+−-]?[\d.,]*\d *(%|ms|s)?")


def header(title: str, line: str | None = None) -> str:
    """The title, a line of dim text below it, and the button for light and dark, which the script shows."""
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
    """The table with its title and note, numbers aligned right; ``wide``: it scrolls sideways on its own."""
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


_SHOWN_ROWS = 12
_HEIGHT, _BAR_HEIGHT = 16, 10


def render_chart(chart: Chart, names: Sequence[str], overall: Sequence[float]) -> str:
    """The chart as a figure; ``names``: the systems; ``overall``: each one's rate on the whole set, drawn as a line."""
    top = axis_top([bar for row in chart.rows for bar in row.bars if bar])
    unit = f" ({chart.unit})" if chart.unit else ""
    shown, hidden = chart.rows[:_SHOWN_ROWS], chart.rows[_SHOWN_ROWS:]
    parts = [element("figcaption", text(f"WER by {chart.name}{unit}")), _table(chart, shown, names, overall, top)]
    if hidden:
        summary = element("summary", text(f"{len(hidden):,} more, with lower WER" if not chart.unit else "more"))
        parts.append(element("details", summary, _table(chart, hidden, names, overall, top)))
    return element("figure", *parts, class_="chart")


def axis_top(bars: Sequence[Bar]) -> float:
    """The end of the axis, as a fraction: a round number above every rate and most whiskers."""
    rates = [bar.rate for bar in bars if not math.isnan(bar.rate)]
    highest = max(rates, default=0.0)
    whiskers = [bar.high for bar in bars if bar.high is not None]
    wanted = max(highest, min(max(whiskers, default=0.0), 1.5 * highest), 0.001)
    step = 10.0 ** math.floor(math.log10(wanted))
    return next(step * factor for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * factor >= wanted * 0.9999)


def percent(rate: float) -> str:
    """A fraction as ``12.34 %``; a dash for NaN."""
    return "–" if math.isnan(rate) else f"{100 * rate:.2f} %"


def bounds(bar: Bar) -> str:
    """``3.21 to 4.56 %``, or nothing."""
    return "" if bar.low is None or bar.high is None else f"{100 * bar.low:.2f} to {100 * bar.high:.2f} %"


def bar_svg(bar: Bar, top: float, system: int, overall: float | None = None) -> str:
    """One bar of height 16 px and as wide as its cell."""
    middle = _HEIGHT / 2
    marks = []
    if not math.isnan(bar.rate):
        width = f"{_share(bar.rate, top)}%"
        marks.append(
            element(
                "rect",
                x=0,
                y=(_HEIGHT - _BAR_HEIGHT) // 2,
                width=width,
                height=_BAR_HEIGHT,
                rx=2,
                class_=f"bar s{system}{' pale' if bar.small else ''}",
            )
        )
    if overall is not None and not math.isnan(overall):
        at = f"{_share(overall, top)}%"
        marks.append(element("line", x1=at, x2=at, y1=0, y2=_HEIGHT, class_="overall"))
    if bar.low is not None and bar.high is not None:
        low, high = f"{_share(bar.low, top)}%", f"{_share(bar.high, top)}%"
        marks.append(element("line", x1=low, x2=high, y1=middle, y2=middle, class_="whisker"))
        marks += [
            element("line", x1=x, x2=x, y1=middle - 4, y2=middle + 4, class_="whisker")
            for x, inside in ((low, True), (high, bar.high <= top))
            if inside
        ]
    return element("svg", *marks, class_="plot", height=_HEIGHT, width="100%", aria_hidden="true", focusable="false")


def _table(chart: Chart, rows: Sequence[BarRow], names: Sequence[str], overall: Sequence[float], top: float) -> str:
    lines = [line for row in rows for line in _lines(row, names, overall, top)]
    columns = ["", *(["system"] if len(names) > 1 else []), "", "WER", "95 % interval", "words"]
    ticks = element("div", *(element("span", text(percent_tick(top * part))) for part in (0, 0.5, 1)), class_="ticks")
    before = element("td", colspan=2 if len(names) > 1 else 1)
    axis = element("tr", before, element("td", ticks), element("td", colspan=3), class_="axis", aria_hidden="true")
    return table_of(columns, [*lines, axis], "bars")


def _lines(row: BarRow, names: Sequence[str], overall: Sequence[float], top: float) -> list[str]:
    lines = []
    several = len(names) > 1
    for place, bar in enumerate(row.bars):
        cells = []
        if place == 0:
            label = element("bdi", text(row.label))
            rows = len(row.bars) if several else None
            cells.append(element("th", label, scope="row", rowspan=rows, title=row.label))
        if several:
            cells.append(element("td", element("bdi", text(names[place])), class_="system", title=names[place]))
        if bar is None:
            cells.append(element("td", text("no utterance"), colspan=4, class_="none"))
        else:
            cells += [
                element("td", bar_svg(bar, top, place, overall[place]), class_="drawn"),
                element("td", text(percent(bar.rate)), class_="number"),
                element("td", text(bounds(bar)), class_="number dim"),
                element("td", text(f"{bar.reference_length:,}"), class_="number dim"),
            ]
        lines.append(element("tr", *cells, class_="first" if place == 0 and several else None))
    return lines


def percent_tick(rate: float) -> str:
    """A fraction as an axis label: ``7.5 %``."""
    return f"{100 * rate:.3g} %"


def _share(value: float, top: float) -> float:
    return round(100 * min(value / top, 1.0), 2)
