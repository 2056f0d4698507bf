"""Where the errors are, computed once, and as JSON: groups, words, characters, n-best, confidence.

In: ``Results`` and, where there is one, how often the training text holds each word. Out: a ``Breakdown``; pages and
tables are views of it. What the results have no data for is None: the ``Oracle``, the error of the best text in the
n-best, needs ``n_best`` with ``word_errors`` (as `asr evaluate` writes them); the ``ConfidenceReport`` needs words with
a ``confidence`` and, from `asr evaluate`, whether they are ``right``.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asr.files import finite
from asr.scoring.breakdown.groups import Grouping, GroupRow, all_groupings, number
from asr.scoring.breakdown.tokens import (
    Places,
    TokenBreakdown,
    TokenErrors,
    TrainingBin,
    break_down_tokens,
    by_training_count,
    find_places,
)
from asr.scoring.confidence import (
    brier_score,
    chance_error,
    expected_calibration_error,
    ranking_quality,
    reliability_bins,
)
from asr.scoring.counts import ErrorCounts, align_words, character_alignments, word_alignments
from asr.scoring.measures import measures_in, percent
from asr.scoring.report import UtteranceScore
from asr.scoring.results import Results

_NAMES = tuple(ErrorCounts.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Oracle:
    """``by_depth``: alternatives considered (1, 2, 4, ... and all) and the counts of the best text among them.

    ``utterances_with_n_best`` of ``utterances`` have one; for the others the one text known counts.
    """

    utterances: int
    utterances_with_n_best: int
    by_depth: tuple[tuple[int, ErrorCounts], ...]


def oracle(results: Results) -> Oracle | None:
    """The oracle error; None where no utterance has an n-best list of more than one text."""
    lists = [_alternatives(one, results.extras.get(one.id, {})) for one in results.report.utterances]
    deepest = max(map(len, lists), default=0)
    if deepest < 2:
        return None
    depths = [1]
    while depths[-1] < deepest:
        depths.append(min(2 * depths[-1], deepest))
    bests = [list(itertools.accumulate(texts, _better)) for texts in lists]
    by_depth = [(depth, ErrorCounts.total(best[:depth][-1] for best in bests)) for depth in depths]
    return Oracle(len(lists), sum(len(texts) > 1 for texts in lists), tuple(by_depth))


def _better(one: ErrorCounts, other: ErrorCounts) -> ErrorCounts:
    return other if other.errors < one.errors else one


def _alternatives(utterance: UtteranceScore, extras: Mapping[str, Any]) -> list[ErrorCounts]:
    """The word counts of the n-best, the recognised text first."""
    n_best = extras.get("n_best")
    alternatives = n_best if isinstance(n_best, list) else []
    counts = [_counts(one.get("word_errors")) for one in alternatives if isinstance(one, Mapping)]
    return [utterance.words, *(one for one in counts[1:] if one is not None)]


def _counts(value: Any) -> ErrorCounts | None:
    if not isinstance(value, Mapping):
        return None
    numbers = [number for name in _NAMES if type(number := value.get(name)) is int]
    return ErrorCounts(*numbers) if len(numbers) == len(_NAMES) else None


_CHANCE_DRAWS = 20


@dataclass(frozen=True, slots=True)
class ConfidenceReport:
    """Figures over the ``words`` whose confidence and outcome are known; ``without_outcome`` are the others.

    ``calibration_error`` (0 to 1) is given with ``chance_error``: what so many words show when confidence is perfect.
    ``ranking_quality``: area under the ROC curve, NaN unless some words are right and some wrong. ``bins``: mean
    confidence, share right, number of words, in tenths of the words.
    """

    words: int
    without_outcome: int
    right: int
    mean_confidence: float
    calibration_error: float
    chance_error: float
    brier_score: float
    ranking_quality: float
    bins: tuple[tuple[float, float, int], ...]


def confidence_report(results: Results) -> ConfidenceReport | None:
    """None where no word has both a confidence and an outcome."""
    found = [pair for one in results.report.utterances for pair in _word_outcomes(one, results.extras.get(one.id, {}))]
    known = [(confidence, right) for confidence, right in found if right is not None]
    if not known:
        return None
    confidence = np.array([pair[0] for pair in known])
    right = np.array([pair[1] for pair in known], dtype=np.bool_)
    return ConfidenceReport(
        words=len(known),
        without_outcome=len(found) - len(known),
        right=int(right.sum()),
        mean_confidence=float(confidence.mean()),
        calibration_error=expected_calibration_error(confidence, right),
        chance_error=chance_error(confidence, draws=_CHANCE_DRAWS),
        brier_score=brier_score(confidence, right),
        ranking_quality=ranking_quality(confidence, right),
        bins=tuple(reliability_bins(confidence, right)),
    )


def _word_outcomes(utterance: UtteranceScore, extras: Mapping[str, Any]) -> list[tuple[float, bool | None]]:
    """Confidence and outcome of each word; where ``right`` is absent, by the alignment, if there is a compared word for
    each.
    """
    given = extras.get("words")
    words = [word for word in given if isinstance(word, Mapping)] if isinstance(given, list) else []
    outcomes: list[bool | None] = [word.get("right") for word in words]
    if words and not any("right" in word for word in words):
        pairs = align_words(utterance.reference_normalized, utterance.hypothesis_normalized)
        hits = [pair.operation == "hit" for pair in pairs if pair.hypothesis is not None]
        outcomes = list(hits) if len(hits) == len(words) else [None] * len(words)
    known = []
    for word, outcome in zip(words, outcomes, strict=True):
        confidence = number(word.get("confidence"))
        if confidence is not None and 0 <= confidence <= 1:
            known.append((confidence, outcome if isinstance(outcome, bool) else None))
    return known


_ALIGNMENT = "fewest errors on normalised text; where several have the fewest, rapidfuzz's, as jiwer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Where the errors are; ``training``: by how often training saw a word."""

    groupings: tuple[Grouping, ...]
    words: TokenBreakdown
    characters: TokenBreakdown
    places: Places
    training: tuple[TrainingBin, ...] | None
    oracle: Oracle | None
    confidence: ConfidenceReport | None


def break_down(results: Results, training_counts: Mapping[str, int] | None = None) -> Breakdown:
    """Compute all parts; ``training_counts``: normalised words of the training text and how often each is in it."""
    utterances = results.report.utterances
    references, hypotheses = (
        [one.reference_normalized for one in utterances],
        [one.hypothesis_normalized for one in utterances],
    )
    alignments = word_alignments(references, hypotheses)
    words = break_down_tokens(alignments)
    extras = [results.extras.get(one.id, {}) for one in utterances]
    return Breakdown(
        groupings=tuple(all_groupings(results)),
        words=words,
        characters=break_down_tokens(character_alignments(references, hypotheses)),
        places=find_places(list(zip(alignments, extras, strict=True))),
        training=None if training_counts is None else by_training_count(words, training_counts),
        oracle=oracle(results),
        confidence=confidence_report(results),
    )


def breakdown_json(breakdown: Breakdown) -> dict[str, Any]:
    """All of it as JSON values, rates in percent; what is not known is null."""
    return {
        "alignment": _ALIGNMENT,
        "groupings": [
            {"name": one.name, "unit": one.unit, "rows": [_group(row) for row in one.rows]}
            for one in breakdown.groupings
        ],
        "words": _tokens(breakdown.words),
        "characters": _tokens(breakdown.characters),
        "places": asdict(breakdown.places),
        "training": None
        if breakdown.training is None
        else [asdict(one) | {"recall": _percent(one.recall)} for one in breakdown.training],
        "oracle": None if breakdown.oracle is None else _oracle(breakdown.oracle),
        "confidence": None if breakdown.confidence is None else _confidence(breakdown.confidence),
    }


def _group(row: GroupRow) -> dict[str, Any]:
    return asdict(row) | {
        "small": row.small,
        **{one.key: one.percent(getattr(row, one.counts)) for one in measures_in("group")},
    }


def _tokens(tokens: TokenBreakdown) -> dict[str, Any]:
    return {"tokens": [_token(one) for one in tokens.tokens], "confusions": [asdict(one) for one in tokens.confusions]}


def _token(one: TokenErrors) -> dict[str, Any]:
    derived = {"said": one.said, "recognised": one.recognised}
    return asdict(one) | derived | {"recall": _percent(one.recall), "precision": _percent(one.precision)}


def _oracle(found: Oracle) -> dict[str, Any]:
    by_depth = [{"depth": n, "wer": percent(counts), "words": asdict(counts)} for n, counts in found.by_depth]
    return asdict(found) | {"by_depth": by_depth}


def _confidence(found: ConfidenceReport) -> dict[str, Any]:
    names = ("confidence", "right", "words")
    bins = [dict(zip(names, (round(row[0], 6), round(row[1], 6), row[2]), strict=True)) for row in found.bins]
    figures = {name: finite(value, 6) for name, value in asdict(found).items() if name != "bins"}
    return figures | {"bins": bins}


def _percent(share: float) -> float | None:
    return None if math.isnan(share) else round(100 * share, 4)
