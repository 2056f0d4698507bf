"""What the n-best would have given: the error of the best text in it, which a better choice could reach.

In: utterances and, in their extras, ``n_best`` with ``word_errors`` (as `asr evaluate` writes them). Out: error counts
by how many alternatives are looked at.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asr.scoring.counts import ErrorCounts
from asr.scoring.report import UtteranceScore
from asr.scoring.results import Results

_NAMES = tuple(ErrorCounts.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Oracle:
    """``by_depth``: alternatives looked at (1, 2, 4, ... and all) and the counts of the best text among them.

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
    told = extras.get("n_best")
    alternatives = told if isinstance(told, list) else []
    counts = [_counts(one.get("word_errors")) for one in alternatives if isinstance(one, Mapping)]
    return [utterance.words, *(one for one in counts[1:] if one is not None)]


def _counts(value: Any) -> ErrorCounts | None:
    if not isinstance(value, Mapping):
        return None
    numbers = [number for name in _NAMES if type(number := value.get(name)) is int]
    return ErrorCounts(*numbers) if len(numbers) == len(_NAMES) else None
