"""Which lm_weight and word_score to decode with: a search on dev that looks at as few points as it can.

In: a function that decodes dev with a pair of weights and counts its errors. Out: every point looked at, the best
first. A coarse grid comes first, because the surface has ridges (a larger word_score makes up for a larger lm_weight);
then the surroundings of the best point, at half the distance each round. Nothing is drawn at random: the same dev gives
the same weights.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LM_WEIGHTS = (0.2, 0.6, 1.0, 1.4)
WORD_SCORES = (-1.0, 0.5, 2.0)
ROUNDS = 2
LARGEST_WEIGHT = 5.0
MOST_POINTS = len(LM_WEIGHTS) * len(WORD_SCORES) + 8 * ROUNDS


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class DevErrors:
    """Errors on dev, compared by words first and by characters where words are equal."""

    words: int
    characters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TunePoint:
    """``errors`` on dev with ``lm_weight`` (α) and ``word_score`` (β)."""

    lm_weight: float
    word_score: float
    errors: DevErrors


def search_weights(
    count: Callable[[float, float], DevErrors],
    *,
    lm_weights: Sequence[float] = LM_WEIGHTS,
    word_scores: Sequence[float] = WORD_SCORES,
    rounds: int = ROUNDS,
) -> list[TunePoint]:
    """All points looked at, the best first; of equals, the one nearest to no language model at all.

    ``count(lm_weight, word_score)`` decodes dev. The grid is ``lm_weights`` x ``word_scores``; each of ``rounds`` then
    looks at the eight neighbours of the best point at half the distance of the round before.
    """
    found: dict[tuple[float, float], DevErrors] = {}
    for pair in itertools.product(lm_weights, word_scores):
        found[pair] = count(*pair)
    steps = [_spacing(lm_weights), _spacing(word_scores)]
    for _ in range(rounds):
        steps = [step / 2 for step in steps]
        for pair in _around(min(found, key=lambda one: _rank(one, found[one])), steps):
            if pair not in found:
                found[pair] = count(*pair)
    ranked = sorted(found, key=lambda one: _rank(one, found[one]))
    return [TunePoint(lm_weight=pair[0], word_score=pair[1], errors=found[pair]) for pair in ranked]


def _around(centre: tuple[float, float], steps: Sequence[float]) -> list[tuple[float, float]]:
    moves = itertools.product((-1, 0, 1), repeat=2)
    pairs = [(round(centre[0] + x * steps[0], 4), round(centre[1] + y * steps[1], 4)) for x, y in moves]
    return [pair for pair in pairs if 0 < pair[0] <= LARGEST_WEIGHT]


def _rank(pair: tuple[float, float], errors: DevErrors) -> tuple[DevErrors, float, float]:
    return (errors, pair[0], abs(pair[1]))


def _spacing(values: Sequence[float]) -> float:
    return (max(values) - min(values)) / max(1, len(values) - 1)
