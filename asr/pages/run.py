"""The page of a training: its curves, hardest utterances and configuration, alone or over another run's.

In: one ``RunData``, or two to compare. Out: one HTML file. Figures, utterances and configuration are HTML made here;
``run.js`` draws the curves, and the table of epochs holds their figures for those without a script.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from asr.pages.document import Document, element, render_document, text
from asr.pages.parts import fact_list, header, note_list, section, table_of
from asr.pages.plots import percent
from asr.pages.run_curves import PLOTS, Plot, has_points, kept_epochs, run_points
from asr.pages.run_data import RunData, number
from asr.pages.run_hard import render_hardest

_LETTERS = "AB"
_X_NAMES = {"epoch": "epoch", "step": "step", "hours": "hours of training", "audio_h": "hours of audio heard"}


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
        head = _headline(run.average[1], f"dev WER of the model, the mean of the last {run.average[0]} epochs")
    elif best is not None:
        head = _headline(best["dev_wer"], f"dev WER, the best so far, of epoch {best['epoch']}")
    single = ""
    if run.average is not None and best is not None:
        single = element("p", text(f"best single epoch {best['epoch']}: {percent(best['dev_wer'])}"), class_="dim")
    tests = [
        element("p", text(f"{one.name}: WER {one.wer:.2f} %, CER {one.cer:.2f} % of {one.utterances:,} utterances"))
        for one in run.tests
    ]
    name = element("h3", letter, element("bdi", text(run.name)))
    return element("article", name, head, single, *tests, fact_list(run.facts), class_="card")


def _headline(rate: float, told: str) -> str:
    return element("p", element("strong", text(percent(rate)), class_="big"), text(f" {told}"), class_="headline")


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
    hint = "Point at a curve for its values; with the keys: Tab to a plot, then ← and →."
    return section(
        "curves", "Curves",
        element("noscript", element("p", text("Curves need JavaScript; the table of epochs below does not."))),
        element("p", element("select", options, id="x", aria_label="What lies along the curves"), " ",
                element("span", text(hint), class_="dim"), class_="along"),
        element("div", *figures, class_="grid"),
    )  # fmt: skip


def _payload(runs: Sequence[RunData], points: Sequence[Mapping[str, Any]], shown: Sequence[Plot]) -> dict[str, Any]:
    told = []
    for run, one in zip(runs, points, strict=True):
        kept, best = kept_epochs(run), run.best
        told.append(
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
    return {"runs": told, "plots": plots, "x": _X_NAMES}


def _short(value: float | None) -> float | int | None:
    """Six digits, which no plot can show more of."""
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
        told = f"{len(other)} of {len(keys)} settings differ." if other else "Both runs have the same configuration."
        parts = [element("p", text(told)), _config_table(other, runs) if other else ""]
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
    ("audio heard h", "audio_s", 1 / 3600, "{:.2f}"), ("time h", "seconds", 1 / 3600, "{:.2f}"),
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
