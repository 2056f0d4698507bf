"""The hardest dev utterances over the epochs: a strip of cells each, and what was heard in them.

In: ``RunData`` with histories. Out: HTML and SVG that need no script.
"""

import math
from collections.abc import Sequence

from asr.pages.document import element, text
from asr.pages.parts import section, table_of
from asr.pages.run_data import DevHistory, RunData

SHOWN = 30
MOST_CELLS = 60
_LAST_EPOCHS = 5  # over which hardness is measured
_LEVELS = 5
_TEXTS = 6


def hardest(history: DevHistory, count: int = SHOWN) -> list[int]:
    """Places of the utterances with most errors in the last epochs; of equals, with most in all; never one without."""
    recent = {place: sum(row[-_LAST_EPOCHS:]) for place, row in enumerate(history.errors)}
    wrong = [place for place, errors in recent.items() if errors]
    return sorted(wrong, key=lambda place: (-recent[place], -sum(history.errors[place]), place))[:count]


def story(history: DevHistory) -> str:
    """How many utterances were learnt, never learnt, and forgotten again, in a sentence."""
    rows = history.errors
    right = sum(1 for row in rows if row[-1] == 0)
    never = sum(1 for row in rows if min(row) > 0)
    lost = sum(1 for row in rows if row[-1] > 0 and min(row) == 0)
    first, last = history.epochs[0], history.epochs[-1]
    span = f"epochs {first} to {last}" if first != last else f"epoch {first}"
    return (
        f"Of {len(rows):,} dev utterances, {right:,} have no word error after epoch {last}; {lost:,} had none once and"
        f" have some again; {never:,} never were without one in {span}."
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
        " darker, the more errors for the words said. Open a line for what was heard."
        + (" The upper strip is A, the lower B." if several else "")
    )
    names = ("utterance", "words", "errors", f"epochs {history.epochs[0]} to {history.epochs[-1]}")
    shown = element("p", text(note), class_="dim") + element("div", table_of(names, rows, "hard"), class_="panel")
    return section("hard", "The hardest utterances", element("p", text(story(history))), shown if rows else "")


def _row(place: int, history: DevHistory, others: Sequence[DevHistory | None]) -> str:
    key = history.ids[place]
    strips = [_strip(history, place)]
    for other in others:
        if (found := _place_in(other, key)) is not None and other is not None:
            strips.append(_strip(other, found))
    name = element("bdi", text(key))
    heard = history.heard.get(place, ())
    if heard:
        name = element("details", element("summary", name), _texts(history, place))
    return element(
        "tr",
        element("th", name, scope="row"),
        element("td", text(history.words[place]), class_="number"),
        element("td", text(history.errors[place][-1]), class_="number"),
        element("td", *strips),
    )


def _texts(history: DevHistory, place: int) -> str:
    heard = history.heard[place]
    lines = [element("dt", text("said")), element("dd", element("bdi", text(heard[-1].reference)))]
    for one in heard[-_TEXTS:]:
        lines += [
            element("dt", text(f"epoch {one.epoch}")),
            element("dd", element("bdi", text(one.text or "(nothing)")), " ", element("i", text(f"{one.errors}"))),
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
