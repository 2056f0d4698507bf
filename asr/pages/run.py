"""The page of a training run: its curves, hardest utterances and configuration, alone or compared with another run.

In: one ``RunData``, or two to compare. Out: one HTML file. Figures, utterances and configuration are HTML and SVG made
here; ``run.js`` draws the curves, and the table of epochs has their figures for readers without a script.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from asr.pages.document import (
    Document,
    element,
    fact_list,
    header,
    note_list,
    percent,
    render_document,
    section,
    table_of,
    text,
)
from asr.pages.run_curves import PLOTS, Plot, has_points, kept_epochs, run_points
from asr.pages.run_data import DevHistory, RunData, number

SHOWN = 30
MOST_CELLS = 60
_LAST_EPOCHS = 5  # utterances are ranked by their errors in these
_LEVELS = 5
_TEXTS = 6


def hardest(history: DevHistory, count: int = SHOWN) -> list[int]:
    """Indices of the utterances with most errors in the last epochs, ties by all epochs; only those with errors."""
    recent = {place: sum(row[-_LAST_EPOCHS:]) for place, row in enumerate(history.errors)}
    wrong = [place for place, errors in recent.items() if errors]
    return sorted(wrong, key=lambda place: (-recent[place], -sum(history.errors[place]), place))[:count]


def learning_summary(history: DevHistory) -> str:
    """How many utterances are correct, never were, or no longer are, in a sentence."""
    rows = history.errors
    right = sum(1 for row in rows if row[-1] == 0)
    never = sum(1 for row in rows if min(row) > 0)
    lost = sum(1 for row in rows if row[-1] > 0 and min(row) == 0)
    first, last = history.epochs[0], history.epochs[-1]
    span = f"epochs {first} to {last}" if first != last else f"epoch {first}"
    return (
        f"Of {len(rows):,} dev utterances, {right:,} have no word error after epoch {last}; {lost:,} had none earlier"
        f" and have some again; {never:,} had word errors in all of {span}."
    )


def render_hardest(runs: Sequence[RunData]) -> str:
    """The section, or nothing where the first run has no history."""
    history = runs[0].history
    if history is None:
        return ""
    others = [run.history for run in runs[1:]]
    rows = [_row(place, history, others) for place in hardest(history)]
    several = any(_place_in(one, history.ids[place]) is not None for one in others for place in hardest(history))
    note = (
        f"Ranked by word errors in the last {min(_LAST_EPOCHS, len(history.epochs))} epochs. A cell is an epoch: the"
        " darker, the more errors per reference word. Open a line for the recognised texts."
        + (" The upper strip is A, the lower B." if several else "")
    )
    names = ("utterance", "words", "errors", f"epochs {history.epochs[0]} to {history.epochs[-1]}")
    shown = element("p", text(note), class_="dim") + element("div", table_of(names, rows, "hard"), class_="panel")
    return section(
        "hard", "The hardest utterances", element("p", text(learning_summary(history))), shown if rows else ""
    )


def _row(place: int, history: DevHistory, others: Sequence[DevHistory | None]) -> str:
    key = history.ids[place]
    strips = [_strip(history, place)]
    for other in others:
        if (found := _place_in(other, key)) is not None and other is not None:
            strips.append(_strip(other, found))
    name = element("bdi", text(key))
    if history.texts.get(place):
        name = element("details", element("summary", name), _texts(history, place))
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", text(history.words[place]), class_="number"),
        element("td", text(history.errors[place][-1]), class_="number"),
        element("td", *strips),
    )


def _texts(history: DevHistory, place: int) -> str:
    texts = history.texts[place]
    lines = [element("dt", text("reference")), element("dd", element("bdi", text(texts[-1].reference)))]
    for one in texts[-_TEXTS:]:
        lines += [
            element("dt", text(f"epoch {one.epoch}")),
            element(
                "dd", element("bdi", text(one.hypothesis or "(nothing)")), " ", element("i", text(f"{one.errors}"))
            ),
        ]
    return element("dl", *lines)


def _strip(history: DevHistory, place: int) -> str:
    """A cell for each epoch, or for a few in a row where there are many; widths are shares, so that it fits."""
    row, size = history.errors[place], math.ceil(len(history.epochs) / MOST_CELLS)
    words = max(history.words[place], 1)
    cells = []
    starts = range(0, len(row), size)
    for column, start in enumerate(starts):
        part, epochs = row[start : start + size], history.epochs[start : start + size]
        mean = sum(part) / len(part)
        level = math.ceil(min(mean / words, 1.0) * (_LEVELS - 1))
        named = f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}"
        title = element("title", text(f"{named}: {mean:.3g} errors in {words} words"))
        cells.append(element("rect", title, x=column, width=1, height=1, class_=f"h{level}"))
    box = f"0 0 {len(starts)} 1"
    label = f"errors by epoch: {', '.join(map(str, row[-12:]))}"
    return element("svg", *cells, viewBox=box, preserveAspectRatio="none", class_="strip", role="img", aria_label=label)


def _place_in(history: DevHistory | None, key: str) -> int | None:
    if history is None:
        return None
    try:
        return list(history.ids).index(key)
    except ValueError:
        return None


_LETTERS = "AB"
_X_NAMES = {"epoch": "epoch", "step": "step", "hours": "hours of training", "audio_h": "hours of audio"}


def render_run(runs: Sequence[RunData], title: str) -> str:
    """The whole page as HTML, of one run or of two."""
    points = [run_points(run) for run in runs]
    shown = [plot for plot in PLOTS if any(has_points(one, plot) for one in points)]
    sections = [
        _header(title, runs),
        _summary(runs, points),
        _curves(shown, runs),
        render_hardest(runs),
        _config(runs),
        _epochs(runs),
    ]
    body = element("div", *[one for one in sections if one], id="main", class_="page")
    data = {"curves": _payload(runs, points, shown)}
    styles = ("report.css", "run.css")
    return render_document(
        Document(title=title, body=body, styles=styles, scripts=("run_plot.js", "run.js"), data=data)
    )


def _header(title: str, runs: Sequence[RunData]) -> str:
    line = " · ".join(run.state if len(runs) == 1 else f"{_LETTERS[n]}: {run.state}" for n, run in enumerate(runs))
    return header(title, line)


def _summary(runs: Sequence[RunData], points: Sequence[Any]) -> str:
    notes = []
    for place, (run, one) in enumerate(zip(runs, points, strict=True)):
        missing = [plot.title.lower() for plot in PLOTS if not has_points(one, plot)]
        own = [*run.notes, *([f"not recorded, so not shown: {', '.join(missing)}"] if missing else [])]
        if run.history is None and run.epochs:
            own.append("errors by utterance were not recorded, so the hardest are not shown")
        notes += [f"{_LETTERS[place]}: {note}" if len(runs) > 1 else note[:1].upper() + note[1:] for note in own]
    cards = [_card(run, place, len(runs) > 1) for place, run in enumerate(runs)]
    return section("summary", "Summary", element("div", *cards, class_="cards"), note_list(notes))


def _card(run: RunData, place: int, several: bool) -> str:
    letter = element("span", text(_LETTERS[place]), class_=f"badge s{place}") if several else ""
    best, head = run.best, ""
    if run.average is not None:
        head = _headline(run.average[1], f"dev WER of the model: the average of the last {run.average[0]} epochs")
    elif best is not None:
        head = _headline(best["dev_wer"], f"best dev WER so far, of epoch {best['epoch']}")
    single = ""
    if run.average is not None and best is not None:
        single = element("p", text(f"best single epoch {best['epoch']}: {percent(best['dev_wer'])}"), class_="dim")
    tests = [
        element("p", text(f"{one.name}: WER {one.wer:.2f} %, CER {one.cer:.2f} % of {one.utterances:,} utterances"))
        for one in run.test_scores
    ]
    name = element("h3", letter, element("bdi", text(run.name)))
    return element("article", name, head, single, *tests, fact_list(run.facts), class_="card")


def _headline(rate: float, label: str) -> str:
    return element("p", element("strong", text(percent(rate)), class_="big"), text(f" {label}"), class_="headline")


def _curves(shown: Sequence[Plot], runs: Sequence[RunData]) -> str:
    if not shown:
        return ""
    options = "".join(element("option", text(f"against {name}"), value=key) for key, name in _X_NAMES.items())
    figures = [
        element(
            "figure",
            element("figcaption", text(f"{plot.title} ({plot.unit})" if plot.unit else plot.title)),
            element("p", text(plot.note), class_="dim") if plot.note else "",
            element("div", class_="curve", data_plot=plot.key),
            class_="curved",
        )
        for plot in shown
    ]
    hint = "Point at a curve for its values, or press Tab to a plot, then ← and →."
    return section(
        "curves", "Curves",
        element("noscript", element("p", text("Curves need JavaScript; the table of epochs below does not."))),
        element("p", element("select", options, id="x", aria_label="The horizontal axis"), " ",
                element("span", text(hint), class_="dim"), class_="along"),
        element("div", *figures, class_="grid"),
    )  # fmt: skip


def _payload(runs: Sequence[RunData], points: Sequence[Mapping[str, Any]], shown: Sequence[Plot]) -> dict[str, Any]:
    shown_runs = []
    for run, one in zip(runs, points, strict=True):
        kept, best = kept_epochs(run), run.best
        shown_runs.append(
            {
                "name": run.name,
                "points": {base: {k: [_short(v) for v in column] for k, column in one[base].items()} for base in one},
                "best": next((n for n, record in enumerate(kept) if record is best), None),
                "average": None if run.average is None else {"epochs": run.average[0], "wer": _short(run.average[1])},
                "clip": _clip_norm(run),
                "resumed": list(run.resumed_at),
            }
        )
    plots = [
        {
            "key": plot.key, "title": plot.title, "unit": plot.unit, "factor": plot.factor, "log": plot.log,
            "series": [{"label": s.label, "base": s.base, "key": s.key, "faint": s.faint} for s in plot.series],
        }
        for plot in shown
    ]  # fmt: skip
    return {"runs": shown_runs, "plots": plots, "x": _X_NAMES}


def _short(value: float | None) -> float | int | None:
    """Six significant digits, more than a plot can show."""
    if value is None:
        return None
    return int(value) if value == int(value) and abs(value) < 1e15 else float(f"{value:.6g}")


def _clip_norm(run: RunData) -> float | None:
    try:
        return number({"clip": float(run.config["optimizer.clip_norm"])}, "clip")
    except (KeyError, ValueError):
        return None


def _config(runs: Sequence[RunData]) -> str:
    keys = list(dict.fromkeys(key for run in runs for key in run.config))
    if not keys:
        return ""
    parts = []
    if len(runs) > 1:
        other = [key for key in keys if len({run.config.get(key) for run in runs}) > 1]
        summary = f"{len(other)} of {len(keys)} settings differ." if other else "Both runs have the same configuration."
        parts = [element("p", text(summary)), _config_table(other, runs) if other else ""]
    whole = _config_table(keys, runs) if len(runs) > 1 else _config_list(runs[0])
    parts.append(element("details", element("summary", text(f"All {len(keys)} settings")), whole, open=len(runs) == 1))
    return section("config", "Configuration", *parts)


def _config_list(run: RunData) -> str:
    pairs = [
        element("div", element("dt", text(key)), element("dd", element("bdi", text(value))))
        for key, value in run.config.items()
    ]
    return element("div", element("dl", *pairs, class_="settings-list"), class_="panel")


def _config_table(keys: Sequence[str], runs: Sequence[RunData]) -> str:
    rows = [
        element(
            "tr",
            element("th", text(key), scope="row"),
            *(element("td", element("bdi", text(run.config.get(key, "–")))) for run in runs),
            class_="other" if len({run.config.get(key) for run in runs}) > 1 else None,
        )
        for key in keys
    ]
    names = ["setting", *(f"{_LETTERS[n]} {run.name}" for n, run in enumerate(runs))]
    return element("div", table_of(names, rows, "settings"), class_="panel")


def _epochs(runs: Sequence[RunData]) -> str:
    parts = []
    for place, run in enumerate(runs):
        if run.epochs:
            label = f"Epochs of {_LETTERS[place]}" if len(runs) > 1 else "Epochs as a table"
            parts.append(element("details", element("summary", text(label)), _epoch_table(run)))
    return section("epochs", "Epochs", *parts) if parts else ""


_COLUMNS = (
    ("step", "step", 1, "{:,.0f}"), ("train loss", "train_loss", 1, "{:.4g}"), ("dev loss", "dev_loss", 1, "{:.4g}"),
    ("WER %", "dev_wer", 100, "{:.2f}"), ("CER %", "dev_cer", 100, "{:.2f}"),
    ("blank %", "dev_blank_share", 100, "{:.1f}"),
    ("padding %", "padding", 100, "{:.1f}"), ("learning rate", "learning_rate", 1, "{:.3g}"),
    ("audio h", "audio_s", 1 / 3600, "{:.2f}"), ("time h", "seconds", 1 / 3600, "{:.2f}"),
)  # fmt: skip


def _epoch_table(run: RunData) -> str:
    kept, best = kept_epochs(run), run.best
    columns = [one for one in _COLUMNS if any(number(record, one[1]) is not None for record in kept)]
    rows = []
    for record in kept:
        cells = []
        for _, key, factor, form in columns:
            value = number(record, key)
            cells.append(element("td", text("–" if value is None else form.format(value * factor)), class_="number"))
        mark = " (best)" if record is best else ""
        name = element("th", text(f"{record['epoch']}{mark}"), scope="row")
        rows.append(element("tr", name, *cells, class_="other" if record is best else None))
    return element("div", table_of(["epoch", *(one[0] for one in columns)], rows, "epochs"), class_="wide panel")
