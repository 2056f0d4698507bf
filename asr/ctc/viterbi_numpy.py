"""The search of asr/ctc/viterbi.py in NumPy: the same states and costs to the bit, without numba.

In and out as there. For the first short recordings of a process: importing numba takes a second of processor time, and
compiling the loop, where no compiled one is kept yet, eight more; a frame here takes some 20 microseconds, which is 5
milliseconds for six seconds of speech.
"""

import numpy as np
from numpy.typing import NDArray


def cheapest_path(
    log_probs: NDArray[np.float32],  # (frames, vocab)
    best: NDArray[np.float32],  # (frames,)
    labels: NDArray[np.int32],  # (states,)
    can_skip: NDArray[np.bool_],  # (states,)
    need: NDArray[np.int32],  # (states,)
    beam: float,
    bound: float,
) -> tuple[NDArray[np.int32], float, float]:
    """See ``asr.ctc.viterbi.cheapest_path``; the window may be as wide as the text."""
    frames, states = log_probs.shape[0], labels.size
    costs = best[:, None].astype(np.float64) - log_probs[:, labels].astype(np.float64)  # (frames, states)
    no_skip = np.where(can_skip, 0.0, np.inf)  # added to what cannot be entered from two before
    before = np.full(states + 2, np.inf)  # state s is at s + 2, so that s - 2 always exists
    steps: list[NDArray[np.uint8]] = []
    first_state: list[int] = []
    path = np.empty(frames, np.int32)
    cut, feasible, low, high = np.inf, 0, 0, 0
    for frame in range(frames):
        while need[feasible] > frames - 1 - frame:
            feasible += 1
        first, last = max(low, feasible), min(high + 2, states)
        if first >= last:
            return path, np.inf, cut
        entered, step = _entered(before, no_skip, first, last) if frame else (np.zeros(last - first), _NO_STEPS)
        now = entered + costs[frame, first:last]
        lowest = float(now.min())
        if lowest == np.inf or lowest > bound:
            return path, np.inf, cut
        steps.append(step)
        first_state.append(first)
        kept = np.flatnonzero(now <= min(lowest + beam, bound))
        start, stop = int(kept[0]), int(kept[-1]) + 1
        if start or stop < now.size:
            cut = min(cut, float(now[:start].min(initial=np.inf)), float(now[stop:].min(initial=np.inf)))
        low, high = first + start, first + stop
        before.fill(np.inf)
        before[low + 2 : high + 2] = now[start:stop]
    state = states - 1
    if low < states - 1 and (high < states or before[-2] <= before[-1]):
        state = states - 2
    cost = float(before[state + 2])
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= int(steps[frame][state - first_state[frame]])
    return path, cost, cut


_NO_STEPS = np.zeros(2, np.uint8)  # of the first frame, where a path is in state 0 or 1


def _entered(
    before: NDArray[np.float64], no_skip: NDArray[np.float64], first: int, last: int
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """The least cost of entering each state, and how far before it the cheapest way began; ties go to the nearest."""
    cost = before[first + 2 : last + 2]
    one = before[first + 1 : last + 1]
    two = before[first:last] + no_skip[first:last]
    step = (one < cost).astype(np.uint8)
    cost = np.minimum(cost, one)
    step[two < cost] = 2
    return np.minimum(cost, two), step
