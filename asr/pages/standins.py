"""Until the branches ``stats`` and ``breakdown`` are merged: intervals and groupings in their interfaces.

To merge: ``assemble`` imports ``bootstrap_interval`` and ``Interval`` from ``asr.scoring.intervals``, and
``all_groupings`` from ``asr.scoring.breakdown``, and this file goes. ``members`` (places of the row's utterances in the
report) is what a row needs for an interval of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from asr.scoring import ErrorCounts, Results, UtteranceScore


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Bounds of a rate, as fractions, at ``level``, from ``draws`` resamples of ``unit``."""

    low: float
    high: float
    level: float
    draws: int
    unit: str


def bootstrap_interval(
    errors: Sequence[int], lengths: Sequence[int], *, draws: int = 10_000, level: float = 0.95, seed: int = 0
) -> Interval:
    """The percentile bootstrap over utterances of sum(errors) / sum(lengths)."""
    generator = np.random.default_rng(seed)
    count = len(errors)
    both = np.stack([np.asarray(errors, float), np.asarray(lengths, float)], axis=1)  # (utterances, 2)
    rates = np.empty(draws)
    block = max(1, 2_000_000 // count)
    for start in range(0, draws, block):
        picked = generator.integers(0, count, (min(block, draws - start), count))
        sums = both[picked].sum(axis=1)
        rates[start : start + block] = sums[:, 0] / np.maximum(sums[:, 1], 1)
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return Interval(low=float(low), high=float(high), level=level, draws=draws, unit="utterance")


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The sums over the utterances of one group."""

    label: str
    utterances: int
    words: ErrorCounts
    characters: ErrorCounts
    members: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Grouping:
    """All groups of one property, in order."""

    name: str
    unit: str | None
    rows: tuple[GroupRow, ...]


def all_groupings(results: Results) -> list[Grouping]:
    """By speaker, by duration and by length, where known."""
    scores = results.report.utterances
    found = [
        _grouping("speaker", None, scores, lambda u: u.speaker),
        _grouping("duration", "s", scores, lambda u: None if u.duration_s is None else _bin(u.duration_s)),
        _grouping("reference length", "words", scores, lambda u: _bin(u.words.reference_length)),
    ]
    return [one for one in found if len(one.rows) > 1]


def _grouping(
    name: str, unit: str | None, scores: Sequence[UtteranceScore], key: Callable[[UtteranceScore], str | None]
) -> Grouping:
    members: dict[str, list[int]] = {}
    for place, score in enumerate(scores):
        label = key(score)
        if label is not None:
            members.setdefault(label, []).append(place)
    rows = [
        GroupRow(
            label,
            len(places),
            ErrorCounts.total(scores[place].words for place in places),
            ErrorCounts.total(scores[place].characters for place in places),
            tuple(places),
        )
        for label, places in sorted(members.items(), key=lambda item: (_number(item[0]), item[0]))
    ]
    return Grouping(name, unit, tuple(rows))


def _bin(value: float) -> str:
    edges = (0, 1, 2, 5, 10, 15, 20, 30)
    low = max(edge for edge in edges if edge <= value)
    later = [edge for edge in edges if edge > low]
    return f"{low} to {later[0]}" if later else f"{low} or more"


def _number(label: str) -> float:
    first = label.split()[0] if label.split() else ""
    return float(first) if first.isdigit() else float("inf")
