"""Bars with interval whiskers: a table whose plot column is inline SVG in percent of its width.

In: ``Chart``s. Out: HTML that needs no script, prints, and reads as a table without eyes. Labels and figures are HTML
text beside the bars, so that they keep their size on a narrow screen.
"""

import math
from collections.abc import Sequence

from asr.pages.data import Bar, BarRow, Chart
from asr.pages.document import element, text
from asr.pages.parts import table_of

_SHOWN_ROWS = 12
_HEIGHT, _BAR_HEIGHT = 16, 10


def render_chart(chart: Chart, letters: Sequence[str], overall: Sequence[float]) -> str:
    """The chart as a figure; ``overall``: each system's rate on the whole set, drawn as a line to compare with."""
    top = axis_top([bar for row in chart.rows for bar in row.bars if bar])
    unit = f" ({chart.unit})" if chart.unit else ""
    shown, hidden = chart.rows[:_SHOWN_ROWS], chart.rows[_SHOWN_ROWS:]
    parts = [element("figcaption", text(f"WER by {chart.name}{unit}")), _table(chart, shown, letters, overall, top)]
    if hidden:
        summary = element("summary", text(f"{len(hidden):,} more, with lower WER" if not chart.unit else "more"))
        parts.append(element("details", summary, _table(chart, hidden, letters, overall, top)))
    return element("figure", *parts, class_="chart")


def axis_top(bars: Sequence[Bar]) -> float:
    """The axis' end, as a fraction: a round number that takes in every rate and most whiskers."""
    rates = [bar.rate for bar in bars if not math.isnan(bar.rate)]
    highest = max(rates, default=0.0)
    whiskers = [bar.high for bar in bars if bar.high is not None]
    wanted = max(highest, min(max(whiskers, default=0.0), 1.5 * highest), 0.001)
    step = 10.0 ** math.floor(math.log10(wanted))
    return next(step * factor for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * factor >= wanted * 0.9999)


def percent(rate: float) -> str:
    """A fraction as a person reads it: ``12.34 %``; a dash where there is none."""
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


def _table(chart: Chart, rows: Sequence[BarRow], letters: Sequence[str], overall: Sequence[float], top: float) -> str:
    lines = [line for row in rows for line in _lines(row, letters, overall, top)]
    names = ["", *(["system"] if len(letters) > 1 else []), "", "WER", "95 % interval", "words"]
    ticks = element("div", *(element("span", text(percent_tick(top * part))) for part in (0, 0.5, 1)), class_="ticks")
    before = element("td", colspan=2 if len(letters) > 1 else 1)
    axis = element("tr", before, element("td", ticks), element("td", colspan=3), class_="axis", aria_hidden="true")
    return table_of(names, [*lines, axis], "bars")


def _lines(row: BarRow, letters: Sequence[str], overall: Sequence[float], top: float) -> list[str]:
    lines = []
    several = len(letters) > 1
    for place, bar in enumerate(row.bars):
        cells = []
        if place == 0:
            label = element("bdi", text(row.label))
            rows = len(row.bars) if several else None
            cells.append(element("th", label, scope="row", rowspan=rows, title=row.label))
        if several:
            cells.append(element("td", text(letters[place]), class_="letter"))
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
