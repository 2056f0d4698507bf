"""The compiled inner loop of ``forced_align``: the cheapest way through the states of a text, in a moving window.

In: costs of frames and states. Out: a state per frame, its cost, and the least cost that was pruned, by which the
caller can prove that nothing better was lost. The only module of asr/ctc that imports numba: import it late.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from asr.compiling import cached_njit

_SIGNATURE = (
    "Tuple((int32[::1], float64, float64))"
    "(float32[:, ::1], float32[::1], int32[::1], boolean[::1], int32[::1], float64, float64, int64)"
)


@cached_njit("Tuple((int64, int64, float64))(float64[::1], int64, int64, float64, int64)")
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


@cached_njit(_SIGNATURE)
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
