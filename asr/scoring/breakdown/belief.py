"""How far the recogniser's confidence in its words can be believed on this test set.

In: results whose words have a ``confidence`` and, from `asr evaluate`, whether they are ``right``. Out: ``Belief``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr.scoring.align import align_words
from asr.scoring.breakdown.groups import number
from asr.scoring.confidence import (
    brier_score,
    chance_error,
    expected_calibration_error,
    ranking_quality,
    reliability_bins,
)
from asr.scoring.report import UtteranceScore
from asr.scoring.results import Results

_CHANCE_DRAWS = 20


@dataclass(frozen=True, slots=True)
class Belief:
    """Figures over the ``words`` whose confidence and verdict are known; ``unjudged`` are those without a verdict.

    ``calibration_error`` (0 to 1) stands beside ``chance_error``: what so many words show when confidence is perfect.
    ``ranking_quality``: area under the ROC curve, NaN unless some words are right and some wrong. ``bins``: mean
    confidence, share right, number of words, in tenths of the words.
    """

    words: int
    unjudged: int
    right: int
    mean_confidence: float
    calibration_error: float
    chance_error: float
    brier_score: float
    ranking_quality: float
    bins: tuple[tuple[float, float, int], ...]


def believe(results: Results) -> Belief | None:
    """None where no word has both a confidence and a verdict."""
    found = [pair for one in results.report.utterances for pair in _judged_words(one, results.extras.get(one.id, {}))]
    judged = [(confidence, right) for confidence, right in found if right is not None]
    if not judged:
        return None
    confidence = np.array([pair[0] for pair in judged])
    right = np.array([pair[1] for pair in judged], dtype=np.bool_)
    return Belief(
        words=len(judged),
        unjudged=len(found) - len(judged),
        right=int(right.sum()),
        mean_confidence=float(confidence.mean()),
        calibration_error=expected_calibration_error(confidence, right),
        chance_error=chance_error(confidence, draws=_CHANCE_DRAWS),
        brier_score=brier_score(confidence, right),
        ranking_quality=ranking_quality(confidence, right),
        bins=tuple(reliability_bins(confidence, right)),
    )


def _judged_words(utterance: UtteranceScore, extras: Mapping[str, Any]) -> list[tuple[float, bool | None]]:
    """Confidence and verdict of each word; where no verdict is told, by the alignment, if words can be told apart."""
    told = extras.get("words")
    words = [word for word in told if isinstance(word, Mapping)] if isinstance(told, list) else []
    verdicts: list[bool | None] = [word.get("right") for word in words]
    if words and not any("right" in word for word in words):
        pairs = align_words(utterance.reference_normalized, utterance.hypothesis_normalized)
        hits = [pair.operation == "hit" for pair in pairs if pair.hypothesis is not None]
        verdicts = list(hits) if len(hits) == len(words) else [None] * len(words)
    judged = []
    for word, verdict in zip(words, verdicts, strict=True):
        confidence = number(word.get("confidence"))
        if confidence is not None and 0 <= confidence <= 1:
            judged.append((confidence, verdict if isinstance(verdict, bool) else None))
    return judged
