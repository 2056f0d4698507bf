"""The record of an experiment: its results as JSON with all that is needed to repeat them; statistics and plots.

In: rows of figures, the settings and the command that gave them. Out: ``NAME.json``, and plots as PNG or SVG, written
atomically. Also intervals of means over seeds, which every experiment reports.
"""

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.files import write_text
from asr.provenance import commit, hardware, library_versions, local_time

LEVEL = 0.95
_NUMBERS = re.compile(r"\[\n([^\[\]{}\"]*)\n *\]")  # a list of numbers only: written on one line


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with the 95 % interval of Student's t; ``low`` and ``high`` are None for a single value."""

    mean: float
    low: float | None
    high: float | None
    count: int


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Mean:
    """The mean of ``values`` (seeds, utterances) and its interval."""
    from scipy.special import stdtrit  # late: scipy takes a while to import

    count = len(values)
    mean = math.fsum(values) / count
    if count < 2:
        return Mean(mean, None, None, count)
    deviation = math.sqrt(_variance(values, mean))
    half = float(stdtrit(count - 1, (1 + level) / 2)) * deviation / math.sqrt(count)
    return Mean(mean, mean - half, mean + half, count)


def _variance(values: Sequence[float], mean: float) -> float:
    """Exactly 0 if all values are equal, whose rounded mean may differ from each of them."""
    if min(values) == max(values):
        return 0.0
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


@dataclass(frozen=True, slots=True)
class MeanDifference:
    """A difference of two means, its 95 % interval and two-sided p-value; None where the values show no spread."""

    difference: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None


def welch(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> MeanDifference:
    """The mean of ``first`` less that of ``second``, by Welch's t (Biometrika 34, 1947)."""
    from scipy.special import stdtr, stdtrit

    means = [math.fsum(values) / len(values) for values in (first, second)]
    difference = means[0] - means[1]
    counts = len(first), len(second)
    if min(counts) < 2:
        return MeanDifference(difference)
    parts = [_variance(values, mean) / len(values) for values, mean in zip((first, second), means, strict=True)]
    variance = math.fsum(parts)
    if variance == 0:
        return MeanDifference(difference)
    freedom = variance**2 / math.fsum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True))
    half = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(variance)
    p_value = 2 * float(stdtr(freedom, -abs(difference) / math.sqrt(variance)))
    return MeanDifference(difference, difference - half, difference + half, p_value)


def geometric_interval(values: Sequence[float]) -> Mean:
    """The geometric mean and its interval, for values over orders of magnitude; all must be above 0."""
    found = mean_interval([math.log(value) for value in values])
    low, high = (None if end is None else math.exp(end) for end in (found.low, found.high))
    return Mean(math.exp(found.mean), low, high, found.count)


class Record:
    """When, where and by which command and code an experiment ran; made at its start."""

    def __init__(self, experiment: str, command: str, device: str) -> None:
        self._began_s = time.monotonic()
        self.facts: dict[str, Any] = {
            "experiment": experiment,
            "command": command,
            "commit": commit(),
            "time": local_time(),
            "hardware": hardware(device),
            "versions": library_versions(),
        }

    def write(self, path: Path, settings: Mapping[str, Any], results: Mapping[str, Any]) -> None:
        """The facts of the run, its ``settings`` and then ``results``, as one JSON file."""
        seconds = round(time.monotonic() - self._began_s, 1)
        value = {**self.facts, "settings": dict(settings), "seconds": seconds, **_rounded(results)}
        text = json.dumps(value, indent=2, ensure_ascii=False)
        write_text(path, _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text) + "\n")


def _rounded(value: Any) -> Any:
    """``value`` with every float in it rounded to six significant digits; more is noise."""
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


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


def interval_caption(row: Mapping[str, Any]) -> str:
    """For the title of a plot of ``error_row``s: what `draw_bars` shows beside the bars."""
    several = len(row["wers"]) > 1
    shown = "dots: each model, lines: from the least to the most" if several else "95 % intervals over them"
    return f"{row['utterances']} utterances; {shown}"


def draw_bars(axes: Any, labels: Sequence[str], rows: Sequence[Mapping[str, Any]], key: str = "wer") -> None:
    """A pale bar of ``row[key]`` for each row, and its interval, ``row["low"]`` to ``row["high"]``, where there is one.

    Where ``row["wers"]`` holds several trainings, each is a dot on a line from the least to the most, in place of the
    interval over utterances, which would hide that trainings fall into groups.
    """
    places = range(len(rows))
    axes.barh(places, [row[key] for row in rows], color=COLOURS[3], height=0.6, alpha=0.55)
    for place, row in zip(places, rows, strict=True):
        each = list(row.get("wers", ()))
        several = len(each) > 1
        ends = [min(each), max(each)] if several else [row["low"], row["high"]]
        if ends[0] is not None:
            axes.plot(ends, [place, place], color="#333333", linewidth=1.0, marker="" if several else "|")
        if several:
            axes.plot(each, [place] * len(each), "o", color=COLOURS[0], markersize=5, zorder=3)
        mean = "  mean" if several else " "
        axes.annotate(f"{mean} {row[key]:.2f}", (max(row[key], ends[1] or 0.0), place), va="center", fontsize=9)
    axes.set_yticks(list(places), labels)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3, axis="x")
