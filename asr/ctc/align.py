"""CTC forced alignment: at which frames each token of a known text was heard.

In: log-probabilities of one recording and the tokens of its text. Out: an ``Alignment``: the likeliest path that spells
just these tokens, and where on it each token lies. Equal to ``torchaudio.functional.forced_align``, which needs a
compiled extension that does not load everywhere, but in a window that follows the good paths: an hour of speech has
90,000 frames and 100,000 states, and 9 billion cells are neither stored nor visited.

Why the window loses nothing: a frame's cost is how far its token's log-probability lies below the frame's largest, so
costs are never negative, and what costs more than a whole known path cannot lie on a cheaper one. The first pass cuts
off what is ``BEAM`` nats behind its frame's cheapest. Where nothing cut off was cheaper than the path found, that path
is the best; else a second pass cuts at that path's cost, which is safe. Only where even this takes more than
``MAX_CELLS`` (text that does not fit its sound, flat posteriors, on a long recording) the result may be beaten, and
``Alignment.exact`` says so.

Source: Viterbi over the CTC states of Graves et al. 2006. numba is imported with the first alignment, not before.

The compiled inner loop of ``forced_align``: the cheapest way through the states of a text, in a moving window.

In: costs of frames and states. Out: a state per frame, its cost, and the least cost that was cut away, by which the
caller can prove that nothing better was lost. The only module of this room that imports numba: import it late.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError, TextError
from asr.text.tokenizer import BLANK_ID

_SIGNATURE = (
    "Tuple((int32[::1], float64, float64))"
    "(float32[:, ::1], float32[::1], int32[::1], boolean[::1], int32[::1], float64, float64, int64)"
)


@numba.njit("Tuple((int64, int64, float64))(float64[::1], int64, int64, float64, int64)", cache=True, nogil=True)
def _narrowed(cost: NDArray[np.float64], low: int, high: int, limit: float, width: int) -> tuple[int, int, float]:
    """The window less what costs over ``limit`` at its ends, at most ``width`` wide; and the least cost cut off."""
    cut = np.inf
    while cost[low] > limit:
        cut = min(cut, cost[low])
        low += 1
    while cost[high - 1] > limit:
        cut = min(cut, cost[high - 1])
        high -= 1
    while high - low > width:
        if cost[low] > cost[high - 1]:
            cut = min(cut, cost[low])
            low += 1
        else:
            cut = min(cut, cost[high - 1])
            high -= 1
    return low, high, cut


@numba.njit(nogil=True)
def _trace_back(path: NDArray[np.int32], state: int, steps: NDArray[np.uint8], place: NDArray[np.int64]) -> None:
    """Fill ``path`` (frames,) from its last ``state``; ``steps[place[frame] + state]`` says how far before it began."""
    for frame in range(path.size - 1, -1, -1):
        path[frame] = state
        state -= steps[place[frame] + state]


@numba.njit(_SIGNATURE, cache=True, nogil=True)
def cheapest_path(
    log_probs: NDArray[np.float32],  # (frames, vocab)
    best: NDArray[np.float32],  # (frames,) the largest log-probability of each frame
    labels: NDArray[np.int32],  # (states,) blank, token, blank, token, ..., blank
    can_skip: NDArray[np.bool_],  # (states,) whether a state may follow the one two before it
    need: NDArray[np.int32],  # (states,) frames that the rest of the text takes at least, falling
    beam: float,
    bound: float,
    width: int,
) -> tuple[NDArray[np.int32], float, float]:
    """Viterbi over CTC states, where a frame's cost is ``best - log_prob >= 0``.

    States at either end of the window are cut off where they cost more than ``bound``, or than the frame's cheapest by
    more than ``beam``; at most ``width`` stay. Returns the state of each frame, the path's cost (infinite: no path, or
    none within ``bound``, was found), and the least cost that was cut off. States from which the end cannot be reached
    are never entered.
    """
    frames, states = log_probs.shape[0], labels.size
    before, now = np.empty(states), np.empty(states)
    first_state, offset = np.empty(frames, np.int64), np.empty(frames, np.int64)
    # how each state was entered: from itself, from one or from two before; memory that no step fills is never touched
    steps = np.empty(frames * min(states, width + 2), np.uint8)
    path = np.empty(frames, np.int32)
    cut, filled, feasible, low, high = np.inf, 0, 0, 0, 0
    for frame in range(frames):
        while need[feasible] > frames - 1 - frame:
            feasible += 1
        first, last = max(low, feasible), min(high + 2, states)
        first_state[frame], offset[frame] = first, filled
        lowest = np.inf
        for state in range(first, last):
            cost, step = np.inf, 0
            if frame == 0:
                cost = 0.0
            else:
                if low <= state < high:
                    cost = before[state]
                if low <= state - 1 < high and before[state - 1] < cost:
                    cost, step = before[state - 1], 1
                if can_skip[state] and low <= state - 2 < high and before[state - 2] < cost:
                    cost, step = before[state - 2], 2
            cost += np.float64(best[frame]) - np.float64(log_probs[frame, labels[state]])
            now[state] = cost
            steps[filled + state - first] = step
            lowest = min(lowest, cost)
        if lowest == np.inf or lowest > bound:  # the window holds no way to the end at that cost
            return path, np.inf, cut
        filled += last - first
        low, high, least = _narrowed(now, first, last, min(lowest + beam, bound), width)
        cut = min(cut, least)
        before, now = now, before
    state = states - 1
    if low < states - 1 and (high < states or before[states - 2] <= before[states - 1]):
        state = states - 2
    _trace_back(path, state, steps, offset - first_state)
    return path, before[state], cut


BEAM = 40.0  # nats; a trained model's runner-up alignment of its own text is rarely 10 behind
MAX_CELLS = 1 << 24  # one byte each: an hour at 25 frames a second keeps 186 states, about 6 s of speech
MIN_WIDTH = 64  # states that are kept however long the recording


class TokenSpan(NamedTuple):
    """``token`` holds frames ``start_frame`` to before ``end_frame``; ``log_prob``: its natural log mean over them."""

    token: int
    start_frame: int
    end_frame: int
    log_prob: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """The likeliest path that spells a text.

    ``path``: ``(frames,)`` int32 token ids, blanks among them. ``spans``: one per token, in order. ``score``: its
    natural log-probability. ``exact``: whether it is proven that no other path is likelier.
    """

    path: NDArray[np.int32]
    spans: tuple[TokenSpan, ...]
    score: float
    exact: bool


def forced_align(log_probs: NDArray[np.float32], tokens: Sequence[int]) -> Alignment:
    """Align ``tokens`` (ids, no blanks) with ``log_probs`` ``(frames, vocab)``, natural logs, blank id 0.

    Raises TextError when a token is the blank or outside the vocabulary, when CTC needs more frames than there are, or
    when every path has probability 0; ModelError when ``log_probs`` hold NaN or infinity.
    """
    emissions = np.ascontiguousarray(log_probs, dtype=np.float32)
    if emissions.ndim != 2:
        raise ValueError(f"expected log_probs (frames, vocab), got {emissions.shape}")
    ids = np.asarray(tokens, dtype=np.int32)
    frames, vocab_size = emissions.shape
    repeats = np.concatenate([ids[1:] == ids[:-1], [False]]) if ids.size else np.zeros(0, bool)
    _check(ids, vocab_size, frames, int(ids.size + repeats.sum()))
    if not frames:
        return Alignment(np.zeros(0, np.int32), (), 0.0, True)
    best = emissions.max(axis=1)
    _check_numbers(best)
    states, cost, exact = _search(emissions, best, ids, repeats)
    if not np.isfinite(cost):
        raise TextError("align: the model gives every alignment of the text probability 0")
    path = np.where(states % 2 == 1, ids[np.minimum(states // 2, ids.size - 1)], BLANK_ID) if ids.size else states * 0
    found = emissions[np.arange(frames), path]
    return Alignment(path.astype(np.int32), _spans(states, found, ids), float(found.sum(dtype=np.float64)), exact)


def _check(ids: NDArray[np.int32], vocab_size: int, frames: int, needed: int) -> None:
    for place in np.flatnonzero((ids <= BLANK_ID) | (ids >= vocab_size))[:1]:
        kind = "the blank" if ids[place] == BLANK_ID else "outside the vocabulary"
        raise TextError(
            f"align: token {place} of the text is {ids[place]}, {kind}; tokens must be 1 to {vocab_size - 1}"
        )
    if frames < needed:
        raise TextError(
            f"align: the text needs {needed} frames (tokens, and a blank between equal ones) but the recording has "
            f"{frames}; is it the text of another recording?"
        )


def _check_numbers(best: NDArray[np.float32]) -> None:
    """A row's largest value tells of NaN and of infinities that matter."""
    for frame in np.flatnonzero(~np.isfinite(best))[:1]:
        raise ModelError(f"align: the log-probabilities of frame {frame} are no probabilities ({best[frame]})")


def _search(
    emissions: NDArray[np.float32], best: NDArray[np.float32], ids: NDArray[np.int32], repeats: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], float, bool]:
    """States ``(frames,)``, the path's cost, and whether it is proven the least."""

    labels = np.zeros(2 * ids.size + 1, np.int32)
    labels[1::2] = ids
    can_skip = np.zeros(labels.size, bool)
    can_skip[3::2] = ~repeats[:-1]
    rest = np.arange(ids.size, -1, -1) + np.concatenate([np.cumsum(repeats[::-1])[::-1], [0]])  # from each token on
    need = np.zeros(labels.size, np.int32)
    need[0::2], need[1::2] = rest, rest[:-1] - 1
    width = max(MIN_WIDTH, MAX_CELLS // len(best))
    states, cost, cut = cheapest_path(emissions, best, labels, can_skip, need, BEAM, np.inf, width)
    if cut < cost or not np.isfinite(cost):
        wider = cheapest_path(emissions, best, labels, can_skip, need, np.inf, cost, width)
        if wider[1] <= cost:
            states, cost, cut = wider
    return states, cost, bool(cut >= cost)


def _spans(states: NDArray[np.int32], found: NDArray[np.float32], ids: NDArray[np.int32]) -> tuple[TokenSpan, ...]:
    """A span per token from the path's states ``(frames,)`` and log-probabilities ``(frames,)``."""
    wanted = 2 * np.arange(ids.size) + 1
    starts, ends = np.searchsorted(states, wanted, "left"), np.searchsorted(states, wanted, "right")
    sums = np.concatenate([[0.0], np.cumsum(found, dtype=np.float64)])
    means = (sums[ends] - sums[starts]) / (ends - starts) if ids.size else sums[:0]
    rows = zip(ids.tolist(), starts.tolist(), ends.tolist(), means.tolist(), strict=True)
    return tuple(TokenSpan(*row) for row in rows)
