"""The results of ``asr learning-curve`` as a table with sentences, and as a picture.

In: what asr/probes/curve_results.py found, as it is in learning-curve.json. Out: Markdown; a PNG or SVG file.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asr.figures import new_figure, save_figure
from asr.probes.learning_curve import size_label
from asr.probes.record import COLOURS


def render(found: Mapping[str, Any]) -> str:
    """The table as Markdown, and a sentence for each fit, check and prediction."""
    header = ["curve", "part", "minutes", "speakers", "steps", "WER %", "over utterances", "over speakers", "each seed"]
    lines = [f"| {' | '.join(header)} |", "|---|---|---:|---:|---:|---:|---|---|---|"]
    for curve in found["curves"]:
        for point in curve["points"]:
            speakers = "–" if point["speakers"] is None else str(point["speakers"])
            cells = [curve["curve"], size_label(point["part"]), f"{point['minutes']:.1f}", speakers]
            cells += [f"{point['steps']:,}", f"{point['wer']:.2f}", _bracket([point["low"], point["high"]])]
            cells += [_bracket(point["over_speakers"]), ", ".join(f"{wer:.2f}" for wer in point["wers"])]
            lines.append(f"| {' | '.join(cells)} |")
    for curve in found["curves"]:
        lines += ["", f"**{curve['curve']}**", "", *(f"- {line}" for line in _sentences(curve))]
    first = found["curves"][0]["points"][0]
    lines += [
        "",
        f"Test: {first['utterances']:,} utterances, {first['words'] // len(first['seeds']):,} words; seeds"
        f" {', '.join(map(str, first['seeds']))}. Brackets are 95 % intervals: in the table of the mean of the seeds,"
        " over test utterances and over test speakers; below, of one training's WER, over utterances and trainings.",
        *(f"Note: {note}." for note in found["notes"]),
    ]
    return "\n".join(lines)


def _sentences(curve: Mapping[str, Any]) -> list[str]:
    fit, check = curve["fit"], curve["check"]
    if "withheld" in fit:
        return [f"no fit: {fit['withheld']}"]
    a, b, c = fit["a"], fit["b"], fit["c"]
    law = f"fit: WER = {a[0]:.4g} · minutes^−{b[0]:.2f}"
    law += "" if c is None else f" + {c[0]:.2f}"
    law += f" %; exponent {_bracket(b[1:])}" + ("" if c is None else f", floor {_bracket(c[1:])} %")
    said = [law]
    if "withheld" in check:
        said.append(f"not checked on the longest part: {check['withheld']}")
    else:
        value = check["predicted"]
        said.append(
            f"predicted without the longest part ({check['minutes']:.1f} min): {value[0]:.2f} % {_bracket(value[1:])},"
            f" measured {check['measured']:.2f} %"
        )
    for one in curve["predictions"]:
        name = f"with {one['with']} ({one['minutes']:.1f} min in all)"
        if "withheld" in one:
            said.append(f"{name}: no prediction: {one['withheld']}")
        else:
            said.append(f"{name}: {one['wer'][0]:.2f} % {_bracket(one['wer'][1:])}, extrapolated")
    return said


def _bracket(ends: Sequence[float | None] | None) -> str:
    if ends is None or ends[0] is None or ends[1] is None:
        return "–"
    return f"[{ends[0]:.2f}, {ends[1]:.2f}]"


def draw_curves(found: Mapping[str, Any], path: Path) -> None:
    """WER against minutes on a logarithmic axis: a dot per training, the mean with its interval, the fit with its band.

    The fit is dashed beyond the longest part; parts near 100 %, which are not fitted, are hollow.
    """
    figure, (axes,) = new_figure(size=(8.0, 5.2))
    for curve, colour in zip(found["curves"], itertools.cycle(_colours()), strict=False):
        _draw_curve(axes, curve, colour)
    axes.set_xscale("log")
    marked = {point["minutes"] for curve in found["curves"] for point in curve["points"]}
    marked |= {one["minutes"] for curve in found["curves"] for one in curve["predictions"] if "wer" in one}
    ticks: list[float] = []
    for minutes in sorted(marked):
        if not ticks or minutes > 1.3 * ticks[-1]:  # else the labels overlap
            ticks.append(minutes)
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(0, min(105.0, axes.get_ylim()[1]))
    axes.grid(alpha=0.3)
    title = "Dots: trainings; bars: mean, 95 % over utterances; band: 95 % of one training; dashed: extrapolated"
    axes.set(xlabel="minutes of training speech", ylabel="WER %")
    axes.set_title(title, fontsize=9)
    axes.legend()
    save_figure(figure, path)


def _colours() -> list[str]:
    return [COLOURS[index] for index in (4, 0, 1, 5, 6, 7, 8, 9, 10, 2, 3)]


def _draw_curve(axes: Any, curve: Mapping[str, Any], colour: str) -> None:
    left_out = curve["fit"].get("left_out", ())
    for point in curve["points"]:
        fill = "none" if point["part"] in left_out else colour
        x = point["minutes"]
        axes.plot([x] * len(point["wers"]), point["wers"], "o", color=colour, markersize=3, alpha=0.5, linewidth=0)
        axes.plot([x], [point["wer"]], "o", color=colour, markerfacecolor=fill, markersize=7)
        if point["low"] is not None:
            axes.plot([x, x], [point["low"], point["high"]], color=colour, linewidth=1.4)
    axes.plot([], [], "o-", color=colour, label=curve["curve"])
    most = max(point["minutes"] for point in curve["points"])
    inside = sum(row[0] <= most for row in curve["drawn"])
    for rows, dashes in ((curve["drawn"][:inside], "-"), (curve["drawn"][max(0, inside - 1) :], "--")):
        if rows:
            minutes, wer, low, high = zip(*rows, strict=True)
            axes.plot(minutes, wer, dashes, color=colour, linewidth=1.4)
            axes.fill_between(minutes, low, high, color=colour, alpha=0.12, linewidth=0)
    for one in curve["predictions"]:
        if "wer" in one:
            axes.errorbar(
                [one["minutes"]], [one["wer"][0]], [[one["wer"][0] - one["wer"][1]], [one["wer"][2] - one["wer"][0]]],
                color=colour, marker="D", markerfacecolor="white", capsize=3, linewidth=1.0,
            )  # fmt: skip
