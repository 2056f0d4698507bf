"""The best prefixes of the next beam while they are being found: a heap of bounded size, the worst on top (compiled).

In: candidates with scores, in any order. Out: the best ``width`` of them. The top tells at once what need not be tried.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asr.decoding.records import NODE, Records, compiled

Ints = npt.NDArray[np.int32]
STAY = -1  # the token of a candidate that adds none

# A prefix of the next beam, as far as is known: prefix ``slot`` of this one with ``token`` added, or STAY.
CANDIDATE = np.dtype(
    [
        ("score", np.float64),
        ("blank", np.float64),
        ("label", np.float64),
        ("total", np.float64),
        ("worth", np.float64),
        ("slot", np.int32),
        ("token", np.int32),
    ],
    align=True,
)


class WorkSpace(NamedTuple):
    """Arrays to work in: ``best`` CANDIDATE (width,), ``heap`` (width,), ``tokens`` (vocab,), ``draft`` NODE (1,)."""

    best: Records
    heap: Ints
    tokens: Ints
    draft: Records


def new_work_space(width: int, vocab_size: int) -> WorkSpace:
    """What ``advance`` needs."""
    best, draft = np.empty(width, dtype=CANDIDATE), np.empty(1, dtype=NODE)
    return WorkSpace(best, np.empty(width, dtype=np.int32), np.empty(vocab_size, dtype=np.int32), draft)


@compiled
def put(candidate: Any, total: float, gain: float, slot: int, token: int) -> None:
    """Write down a prefix that ends in its last token only."""
    candidate.score, candidate.worth = total + gain, gain
    candidate.blank, candidate.label, candidate.total = -np.inf, total, total
    candidate.slot, candidate.token = slot, token


@compiled
def make_heap(best: Records, heap: Ints, count: int) -> float:
    """Order the candidates' numbers so that the worst is on top; its score."""
    for place in range(count):
        heap[place] = place
    for place in range(count // 2 - 1, -1, -1):
        sift_down(best, heap, place, count)
    return float(best[heap[0]].score)


@compiled
def sift_down(best: Records, heap: Ints, place: int, count: int) -> float:
    """Let a candidate sink to where its score belongs; the worst score."""
    number = heap[place]
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and best[heap[child + 1]].score < best[heap[child]].score:
            child += 1
        if best[heap[child]].score >= best[number].score:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = number
    return float(best[heap[0]].score)
