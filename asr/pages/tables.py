"""The tables of a report page: words missed and confused, rare words, places of insertions, oracle of the n-best.

In: a ``Breakdown``. Out: ``Table``s of plain text, the first rows of each; breakdown.json holds the rest.
"""

import math
from collections.abc import Iterator

from asr.pages.data import Table
from asr.scoring.breakdown import Breakdown

SHOWN = 15


def error_tables(breakdown: Breakdown, system: str = "") -> list[Table]:
    """Those that have rows; ``system`` stands in the titles where there are several."""
    name = f" ({system})" if system else ""
    return [
        Table(f"{table.title}{name}", table.note, table.header, table.rows)
        for table in _tables(breakdown)
        if table.rows
    ]


def _tables(breakdown: Breakdown) -> Iterator[Table]:
    words = breakdown.words
    missed = [one for one in words.tokens if one.missed]
    yield Table(
        "Words most often missed",
        _more(len(missed)),
        ("word", "said", "right", "recall"),
        [(one.token, f"{one.said:,}", f"{one.hits:,}", _share(one.recall)) for one in missed[:SHOWN]],
    )
    yield Table(
        "Words most often confused",
        _more(len(words.confusions)),
        ("said", "recognised", "times"),
        [(one.reference, one.hypothesis, f"{one.count:,}") for one in words.confusions[:SHOWN]],
    )
    inserted = words.most_inserted()
    yield Table(
        "Words most often inserted",
        _more(len(inserted)),
        ("word", "inserted", "recognised"),
        [(one.token, f"{one.inserted:,}", f"{one.recognised:,}") for one in inserted[:SHOWN]],
    )
    yield Table(
        "Rare and unseen words",
        "By how often the training text holds them.",
        ("times in training", "said", "right", "recall"),
        [(one.label, f"{one.said:,}", f"{one.hits:,}", _share(one.recall)) for one in breakdown.training or ()],
    )


def _more(count: int) -> str:
    return f"The first {SHOWN} of {count:,}; breakdown.json beside the results has all." if count > SHOWN else ""


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}%"
