"""Plots of experiments: lines with bands, bars with intervals. In: rows. Out: a PNG or SVG file, written whole.

matplotlib is imported here and late; nothing is shown on a screen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.files import atomic_path

COLOURS = (
    "#d62728", "#2ca02c", "#9ecae1", "#4292c6", "#08519c", "#9467bd", "#ff7f0e", "#8c564b", "#e377c2", "#17becf",
    "#7f7f7f",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """``y`` against ``x``, with the ends of each point's interval, None where there is none."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()
    dashes: str = field(default="-", kw_only=True)


def new_figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (8.0, 5.0)) -> tuple[Any, list[Any]]:
    """A figure and its axes, row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def save_figure(figure: Any, path: Path) -> None:
    """Write ``figure`` in the format that the name's end says: .png or .svg."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        figure.savefig(stream, format=path.suffix.removeprefix("."), dpi=110)


def draw_lines(axes: Any, lines: Sequence[Line], colours: Mapping[str, str] | None = None, marker: str = "") -> None:
    """Each line and, as a band, its interval."""
    for number, line in enumerate(lines):
        colour = (colours or {}).get(line.label) or COLOURS[number % len(COLOURS)]
        style = {"linestyle": line.dashes, "linewidth": 1.6, "marker": marker, "markersize": 4}
        axes.plot(line.x, line.y, color=colour, label=line.label, **style)
        ends = [(x, low, high) for x, low, high in zip(line.x, line.low, line.high, strict=False) if low is not None]
        if ends:
            axes.fill_between(*zip(*ends, strict=True), color=colour, alpha=0.18, linewidth=0)
    axes.grid(alpha=0.3)


def said_of(row: Mapping[str, Any]) -> str:
    """What stands in a title of a row of ``error_row``: over what its interval is, and what dots are."""
    dots = "; dots: each model" if len(row["wers"]) > 1 else ""
    return f"{row['utterances']} utterances, 95 % intervals over them{dots}"


def draw_bars(axes: Any, labels: Sequence[str], rows: Sequence[Mapping[str, Any]], key: str = "wer") -> None:
    """A bar of ``row[key]`` for each row, with ``row["low"]`` to ``row["high"]`` as its interval where there is one.

    Where ``row["wers"]`` holds several trainings, each is a dot: an interval over utterances hides how they differ.
    """
    places = range(len(rows))
    axes.barh(places, [row[key] for row in rows], color=COLOURS[3], height=0.6)
    for place, row in zip(places, rows, strict=True):
        if row["low"] is not None:
            axes.plot([row["low"], row["high"]], [place, place], color="#333333", linewidth=1.6, marker="|")
        each = list(row.get("wers", ()))
        if len(each) > 1:
            axes.plot(each, [place] * len(each), "o", color=COLOURS[0], markersize=4, zorder=3)
        axes.annotate(f"  {row[key]:.2f}", (max(row[key], row["high"] or 0.0, *each), place), va="center", fontsize=9)
    axes.set_yticks(list(places), labels)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3, axis="x")
