"""The compiled inner loops of ``align_words``: the search over words with detours, and the way back.

In: log-probabilities and the states of a text. Out: where each state's cheapest path was at a few marks, or the state
of each frame. A text of ``tokens`` and ``words`` has three kinds of states, numbered in this order: ``tokens`` of
tokens, ``tokens`` of the blanks behind them, and ``words + 1`` away from the text, before the first word and behind
each. Each loop over all tokens writes one array and takes no branch, so that it is compiled to vector instructions: an
hour of speech has billions of steps. The second module of asr/ctc that imports numba: import it late.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from asr.compiling import cached_njit

# how a state was entered: a token from itself, the blank or the token before it, from away, or from the blank or the
# last token of the word before, the separator left out; a blank from its token; away from the last blank or token
STAY, FROM_BLANK, FROM_TOKEN, FROM_AWAY, OVER_BLANK, OVER_TOKEN = range(6)
SKIPPED = 3  # an away state: from the one before it, in the same frame
RENORMALISE = 256  # frames after which the least cost becomes 0: single precision suffices then

Costs = NDArray[np.float32]
Places = NDArray[np.int32]
Steps = NDArray[np.uint8]


@numba.njit(nogil=True)
def _emit(log_probs: Costs, best: float, limit: float, labels: NDArray[np.uint32], here: Costs, cost: Costs) -> None:
    """A frame's cost of each token of the vocabulary, and of the text."""
    for token in range(len(here)):
        here[token] = min(best - log_probs[token], limit)
    for place in range(len(labels)):
        cost[place] = here[labels[place]]


@numba.njit(nogil=True)
def _advance(cost: Costs, blank: float, joins: Costs, tokens: Costs, blanks: Costs, to: Costs, to_blank: Costs) -> None:
    """Costs of tokens and their blanks after a frame, by what plain CTC allows; all arrays begin with one token."""
    to[0] = tokens[0] + cost[0]
    for place in range(1, len(to)):
        own, other, joined = tokens[place], blanks[place - 1], tokens[place - 1] + joins[place]
        least = other if other < own else own
        to[place] = (joined if joined < least else least) + cost[place]
    for place in range(len(to)):
        own, token = blanks[place], tokens[place]
        to_blank[place] = (token if token < own else own) + blank


@numba.njit(nogil=True)
def _steps_of(joins: Costs, tokens: Costs, blanks: Costs, steps: Steps, blank_steps: Steps) -> None:
    """How ``_advance`` enters each state."""
    steps[0] = STAY
    for place in range(1, len(steps)):
        own, other, joined = tokens[place], blanks[place - 1], tokens[place - 1] + joins[place]
        least = other if other < own else own
        step = np.uint8(FROM_BLANK) if other < own else np.uint8(STAY)
        steps[place] = np.uint8(FROM_TOKEN) if joined < least else step
    for place in range(len(steps)):
        blank_steps[place] = np.uint8(tokens[place] < blanks[place])


@numba.njit(nogil=True)
def _sources_of(
    joins: Costs, tokens: Costs, blanks: Costs, was: Places, was_blank: Places, to: Places, to_blank: Places
) -> None:
    """Where the path of each state that ``_advance`` enters was at the last mark."""
    to[0] = was[0]
    for place in range(1, len(to)):
        own, other, joined = tokens[place], blanks[place - 1], tokens[place - 1] + joins[place]
        here, there, before = was[place], was_blank[place - 1], was[place - 1]
        least = other if other < own else own
        source = there if other < own else here
        to[place] = before if joined < least else source
    for place in range(len(to)):
        own, other = was_blank[place], was[place]
        to_blank[place] = other if tokens[place] < blanks[place] else own


@numba.njit(nogil=True)
def _enter_words(
    low: int, high: int, cost: Costs, labels: NDArray[np.uint32], firsts: Places, stops: Places,
    before: Costs, now: Costs, steps: Steps,
) -> None:  # fmt: skip
    """Enter words' first tokens from away, or from the word before without the separator; STAY: neither is cheaper."""
    count = len(labels)
    for word in range(low, high):
        token, step = firsts[word], STAY
        own, least = cost[token], now[token]
        if before[2 * count + word] + own < least:
            least, step = before[2 * count + word] + own, FROM_AWAY
        if word > low and token > stops[word - 1]:
            last = stops[word - 1] - 1
            if before[count + last] + own < least:
                least, step = before[count + last] + own, OVER_BLANK
            if labels[last] != labels[token] and before[last] + own < least:
                least, step = before[last] + own, OVER_TOKEN
        now[token], steps[word] = least, step


@numba.njit(nogil=True)
def _leave_words(
    low: int, high: int, away: float, enter: float, skips: Costs, stops: Places, count: int,
    before: Costs, now: Costs, steps: Steps,
) -> None:  # fmt: skip
    """The states away from the text; that before word ``low`` is not reached from the text."""
    left = now[2 * count + low] = before[2 * count + low] + away
    steps[low] = STAY
    for word in range(low + 1, high + 1):
        last = stops[word - 1] - 1
        cost, step = before[2 * count + word], STAY
        if before[count + last] + enter < cost:
            cost, step = before[count + last] + enter, FROM_BLANK
        if before[last] + enter < cost:
            cost, step = before[last] + enter, FROM_TOKEN
        cost += away
        if left + skips[word - 1] < cost:
            cost, step = left + skips[word - 1], SKIPPED
        left = now[2 * count + word] = cost
        steps[word] = step


@numba.njit(nogil=True)
def _came_from(state: int, step: int, count: int, word: int, last: int) -> int:
    """The state in the frame before, and of a skip that in the same frame.

    ``word``: of a first token or away; ``last``: the last token of the word before it.
    """
    if state >= 2 * count:
        if step == STAY:
            return state
        if step == SKIPPED:
            return state - 1
        return last + (count if step == FROM_BLANK else 0)
    if state >= count:
        return state - count if step else state
    if step == STAY:
        return state
    if step == FROM_BLANK:
        return count + state - 1
    if step == FROM_TOKEN:
        return state - 1
    if step == FROM_AWAY:
        return 2 * count + word
    return last + (count if step == OVER_BLANK else 0)


@numba.njit(nogil=True)
def _word_sources(
    low: int,
    high: int,
    count: int,
    firsts: Places,
    stops: Places,
    entered: Steps,
    left: Steps,
    was: Places,
    came: Places,
) -> None:
    """Where the paths that enter and leave words were at the last mark."""
    for word in range(low, high + 1):
        last = stops[word - 1] - 1 if word else 0
        if word < high and entered[word] != STAY:
            came[firsts[word]] = was[_came_from(firsts[word], entered[word], count, word, last)]
        source = _came_from(2 * count + word, left[word], count, word, last)
        came[2 * count + word] = came[source] if left[word] == SKIPPED else was[source]


@numba.njit(nogil=True)
def _moved_window(
    costs: Costs, begins: Places, stops: Places, low: int, high: int, width: int
) -> tuple[int, int]:  # fmt: skip
    """``width`` words around the cheapest state; costs become relative to its, and infinite where none were."""
    count, words = stops[-1], len(stops)
    first, stop = begins[low], stops[high - 1]
    lowest, where = np.float32(np.inf), low
    for word in range(low, high + 1):
        cost = costs[2 * count + word]
        if word < high:
            for token in range(begins[word], stops[word]):
                cost = min(cost, costs[token], costs[count + token])
        if cost < lowest:
            lowest, where = cost, word
    for token in range(first, stop):
        costs[token] -= lowest
        costs[count + token] -= lowest
    for word in range(low, high + 1):
        costs[2 * count + word] -= lowest
    new_low = max(low, min(where - width // 2, words - width))
    new_high = min(words, max(new_low + width, 1))
    for token in range(stop, stops[new_high - 1]):
        costs[token] = costs[count + token] = np.inf
    for word in range(high + 1, new_high + 1):
        costs[2 * count + word] = np.inf
    return new_low, new_high


@cached_njit(
    "Tuple((float32[::1], int64))(float32[:, ::1], float32[::1], uint32[::1], float32[::1], int32[::1], int32[::1],"
    " int32[::1], float32[::1], float32, float32, float32, int64, int64, int64[::1], int32[:, ::1])",
    slow="the alignment of words (some seconds)",
)
def mark_paths(
    log_probs: Costs,  # (frames, vocab)
    best: Costs,  # (frames,) the largest of each frame
    labels: NDArray[np.uint32],  # (tokens,)
    joins: Costs,  # (tokens,) 0 where a token may follow the one before it without a blank, else infinite
    begins: Places,  # (words,) each word's first token, its separator included
    firsts: Places,  # (words,) ... without
    stops: Places,  # (words,) the token behind its last
    skips: Costs,  # (words,) of leaving a word out
    enter: float,
    away: float,
    limit: float,
    start: int,
    width: int,
    marks: NDArray[np.int64],  # frames, rising, the last being the number of frames
    origins: Places,  # (marks, states), to be filled
) -> tuple[Costs, int]:
    """Each state's cost after the last frame, and the number of words in the window then.

    ``origins[m, state]``: where the cheapest path to ``state`` after ``marks[m]`` frames was at the mark before.
    """
    count, words = len(labels), len(stops)
    states = 2 * count + words + 1
    before, now = np.full(states, np.float32(np.inf)), np.full(states, np.float32(np.inf))
    was, came = np.empty(states, np.int32), np.empty(states, np.int32)
    here, cost = np.empty(log_probs.shape[1], np.float32), np.empty(count, np.float32)
    entered, left = np.zeros(words, np.uint8), np.zeros(words + 1, np.uint8)
    for state in range(states):
        was[state] = start
    before[start] = 0.0
    low, high, mark = 0, min(words, width), 0
    for frame in range(len(log_probs)):
        if frame % RENORMALISE == RENORMALISE - 1:
            low, high = _moved_window(before, begins, stops, low, high, width)
        first, stop = begins[low], stops[high - 1]
        _emit(log_probs[frame], best[frame], limit, labels[first:stop], here, cost[first:stop])
        tokens, blanks = before[first:stop], before[count + first : count + stop]
        _advance(
            cost[first:stop], here[0], joins[first:stop], tokens, blanks,
            now[first:stop], now[count + first : count + stop],
        )  # fmt: skip
        _sources_of(
            joins[first:stop], tokens, blanks, was[first:stop], was[count + first : count + stop],
            came[first:stop], came[count + first : count + stop],
        )  # fmt: skip
        _enter_words(low, high, cost, labels, firsts, stops, before, now, entered)
        _leave_words(low, high, min(here[0], away), enter, skips, stops, count, before, now, left)
        _word_sources(low, high, count, firsts, stops, entered, left, was, came)
        before, now = now, before
        was, came = came, was
        if frame + 1 == marks[mark]:
            for state in range(states):
                origins[mark, state] = was[state]
                was[state] = state
            mark += 1
    return before, high


@cached_njit(
    "int32[::1](float32[:, ::1], float32[::1], uint32[::1], float32[::1], int32[::1], int32[::1], float32[::1],"
    " float32, float32, float32, int64, int64)",
)
def cheapest_states(
    log_probs: Costs, best: Costs, labels: NDArray[np.uint32], joins: Costs, firsts: Places, stops: Places,
    skips: Costs, enter: float, away: float, limit: float, start: int, end: int,
) -> Places:  # fmt: skip
    """The state of each frame ``(frames,)`` on the cheapest path from ``start``, before the first, to ``end``.

    Arguments as for ``mark_paths``. Keeps a byte for every frame and state.
    """
    count, words = len(labels), len(stops)
    states = 2 * count + words + 1
    before, now = np.full(states, np.float32(np.inf)), np.full(states, np.float32(np.inf))
    steps = np.empty((len(log_probs), states), np.uint8)
    here, cost = np.empty(log_probs.shape[1], np.float32), np.empty(count, np.float32)
    path, entered = np.empty(len(log_probs), np.int32), np.zeros(words, np.uint8)
    before[start] = 0.0
    for frame in range(len(log_probs)):
        _emit(log_probs[frame], best[frame], limit, labels, here, cost)
        tokens, blanks, own = before[:count], before[count : 2 * count], steps[frame]
        _advance(cost, here[0], joins, tokens, blanks, now[:count], now[count : 2 * count])
        _steps_of(joins, tokens, blanks, own[:count], own[count : 2 * count])
        _enter_words(0, words, cost, labels, firsts, stops, before, now, entered)
        for word in range(words):
            if entered[word] != STAY:
                own[firsts[word]] = entered[word]
        _leave_words(0, words, min(here[0], away), enter, skips, stops, count, before, now, own[2 * count :])
        before, now = now, before
    state = end
    for frame in range(len(log_probs) - 1, -1, -1):
        path[frame] = state
        while state >= 2 * count and steps[frame, state] == SKIPPED:
            state -= 1
        word = state - 2 * count if state >= 2 * count else int(np.searchsorted(firsts, state))
        last = stops[word - 1] - 1 if word else 0
        state = _came_from(state, steps[frame, state], count, word, last)
    return path
