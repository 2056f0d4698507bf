"""Words to the frames of a long recording, where text may be missing from the sound and sound from the text.

In: log-probabilities and the tokens of each word. Out: for each word its first frame and the one behind its last, or
that it is not spoken here; and which frames belong to no word. A plain forced alignment (``asr.ctc.align``) must spell
the whole text: it squeezes a paragraph that nobody read into the next sentence. Here a path may go away from the text
after any word, and come back before any later one. Away, a frame costs what its blank costs, but at most ``away``, a
word that is left out costs ``skip`` a token, and to go away costs ``enter`` once. So one detour stands for extra sound,
for missing text, or for both.

Viterbi over all frames and states, in memory that grows with their sum: the first pass keeps, at a few marks, where
each state's path was at the mark before; between two marks the search is repeated for the words that lie between
(Hirschberg 1975's idea, with CTC's states of Graves et al. 2006). An hour of 55,000 letters has 5 billion cells;
beyond ``MAX_CELLS`` frames times tokens the search keeps to a window of words around the likeliest.

Like ctc-segmentation (Kürzinger et al. 2020, arXiv 2007.09127) the start and the end of the text are not bound to those
of the recording; other than there, passages inside are found too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.ctc.align import check_emissions
from asr.errors import TextError
from asr.text.tokenizer import BLANK_ID

MAX_CELLS = 50_000_000_000  # two or three minutes on one core
MAX_STEPS = 1 << 25  # bytes kept for the way back through a part
MARKS = 16


@dataclass(frozen=True, slots=True)
class DetourCosts:
    """In nats. ``limit``: what any frame costs at most. The defaults: see ``benchmarks/alignment.py``."""

    enter: float = 20.0
    away: float = 3.0
    skip: float = 0.0
    limit: float = 12.0


@dataclass(frozen=True, slots=True)
class WordPath:
    """``spans`` ``(words, 2)``: each word's first frame and the one behind its last, -1 where it is not spoken.

    ``tokens`` ``(tokens, 2)``: the same of all tokens in order. ``costs`` ``(frames,)``: by how much each frame's
    log-probability on the path is below its largest. ``away`` ``(frames,)``: which frames belong to no word.
    """

    spans: NDArray[np.int64]
    costs: NDArray[np.float32]
    away: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Text:
    """Tokens of words as the search has them; see ``asr.ctc.detours.mark_paths``."""

    labels: NDArray[np.uint32]
    joins: NDArray[np.float32]
    begins: NDArray[np.int32]
    firsts: NDArray[np.int32]
    stops: NDArray[np.int32]
    skips: NDArray[np.float32]

    @classmethod
    def of(cls, words: Sequence[Sequence[int]], separator: int | None, skip: float) -> "_Text":
        between = [] if separator is None else [separator]
        lengths = np.array([len(word) for word in words])
        gaps = np.full(len(words), len(between))
        gaps[0] = 0
        stops = np.cumsum(lengths + gaps)
        labels = np.array([token for n, word in enumerate(words) for token in (*between * (n > 0), *word)], np.uint32)
        joins = np.zeros(len(labels), np.float32)
        joins[1:][labels[1:] == labels[:-1]] = np.inf
        begins, firsts, ends = (one.astype(np.int32) for one in (stops - lengths - gaps, stops - lengths, stops))
        return cls(labels, joins, begins, firsts, ends, (skip * lengths).astype(np.float32))

    def part(self, low: int, high: int) -> "_Text":
        """Words ``low`` to ``high - 1``; the first keeps its separator."""
        first, stop = self.begins[low], self.stops[high - 1]
        begins, firsts, stops = (one[low:high] - first for one in (self.begins, self.firsts, self.stops))
        return _Text(self.labels[first:stop], self.joins[first:stop], begins, firsts, stops, self.skips[low:high])

    @property
    def states(self) -> int:
        return 2 * len(self.labels) + len(self.stops) + 1

    def word_of(self, state: int, after: bool) -> int:
        """The word that a state is in; of one away from the text that behind it, or (``after``) before it."""
        count = len(self.labels)
        if state >= 2 * count:
            return state - 2 * count - after
        return int(np.searchsorted(self.stops, state % count, "right"))

    def renumbered(self, states: NDArray[np.int32], low: int, part: "_Text") -> NDArray[np.int32]:
        """States of ``part``, whose words begin with ``low``, as those of this text."""
        here, there = len(self.labels), len(part.labels)
        kind = np.minimum(states // there, 2)
        moved: NDArray[np.int32] = states + kind * (here - there) + np.where(kind < 2, self.begins[low], low)
        return moved.astype(np.int32)


class _Search:
    def __init__(self, log_probs: NDArray[np.float32], best: NDArray[np.float32], costs: DetourCosts) -> None:
        self.log_probs, self.best, self.costs = log_probs, best, costs

    def states(self, text: _Text, first: int, stop: int, start: int, end: int | None) -> NDArray[np.int32]:
        """The path's state in each frame from ``first`` to before ``stop``; ``start``: in the frame before.

        ``end``: in the last frame; None: wherever it is cheapest that the text ends.
        """
        from asr.ctc.detours import cheapest_states, mark_paths  # numba takes a second to import

        frames, costs = (self.log_probs[first:stop], self.best[first:stop]), self.costs
        prices = (costs.enter, costs.away, costs.limit)
        if end is not None and (stop - first <= 1 or (stop - first) * text.states <= MAX_STEPS):
            return cheapest_states(
                *frames, text.labels, text.joins, text.firsts, text.stops, text.skips, *prices, start, end
            )
        marks = np.unique(np.linspace(0, stop - first, MARKS + 1).astype(np.int64))[1:]
        origins = np.empty((len(marks), text.states), np.int32)
        width = max(1, len(text.stops) * MAX_CELLS // max(1, (stop - first) * len(text.labels)))
        last, high = mark_paths(
            *frames, text.labels, text.joins, text.begins, text.firsts, text.stops, text.skips, *prices, start,
            min(width, len(text.stops)), marks, origins,
        )  # fmt: skip
        state = _cheapest_end(text, last, high) if end is None else end
        parts = []
        for number in range(len(marks) - 1, -1, -1):
            before = int(origins[number, state])
            part_first = first + (int(marks[number - 1]) if number else 0)
            parts.append(self._between(text, part_first, first + int(marks[number]), before, state))
            state = before
        return np.concatenate(parts[::-1])

    def _between(self, text: _Text, first: int, stop: int, start: int, end: int) -> NDArray[np.int32]:
        """The same, by a search among the words that lie between the two states."""
        low, high = text.word_of(start, after=False), text.word_of(end, after=True) + 1
        if low >= high:  # away all the time
            return np.full(stop - first, end, np.int32)
        part = text.part(low, high)
        inner = [_inner_state(text, part, low, state) for state in (start, end)]
        return text.renumbered(self.states(part, first, stop, inner[0], inner[1]), low, part)


def _inner_state(text: _Text, part: _Text, low: int, state: int) -> int:
    here, there = len(text.labels), len(part.labels)
    kind = min(state // here, 2)
    return int(state - kind * (here - there) - (text.begins[low] if kind < 2 else low))


def _cheapest_end(text: _Text, last: NDArray[np.float32], high: int) -> int:
    count = len(text.labels)
    ends = [2 * count + high]
    if high == len(text.stops):
        ends += [count - 1, 2 * count - 1]
    return min(ends, key=lambda state: float(last[state]))


def align_words(
    log_probs: NDArray[np.float32],
    words: Sequence[Sequence[int]],
    separator: int | None = None,
    costs: DetourCosts | None = None,
) -> WordPath:
    """Align ``words``, each a sequence of token ids, with ``log_probs`` ``(frames, vocab)``, natural logs, blank id 0.

    ``separator``: a token that may be between words (the space of a character model).

    Raises TextError when there is no word, one has no tokens, or a token is the blank or outside the vocabulary;
    ModelError when ``log_probs`` hold NaN or infinity.
    """
    emissions, best = check_emissions(log_probs)
    if not words or not all(words):
        raise TextError("align: there is no word to align, or one without tokens")
    costs = costs or DetourCosts()
    if not all(BLANK_ID < token < emissions.shape[1] for word in words for token in word):
        raise TextError(f"align: tokens of the text must be 1 to {emissions.shape[1] - 1}")
    text = _Text.of(words, separator, costs.skip)
    text.skips[0] += costs.enter
    count, frames = len(text.labels), len(emissions)
    if not frames:
        raise TextError("align: the recording has no frames")
    states = _Search(emissions, best, costs).states(text, 0, frames, 2 * count, None)
    spans = np.full((len(words), 2), -1)
    starts, ends = np.full(count, -1), np.full(count, -1)
    token_frames = np.flatnonzero(states < count)
    tokens = states[token_frames]
    starts[tokens[::-1]], ends[tokens] = token_frames[::-1], token_frames + 1  # the first and the last frame of each
    spans[:, 0], spans[:, 1] = starts[text.firsts], ends[text.stops - 1]
    on_path = np.where(states < count, text.labels[np.minimum(states, count - 1)], BLANK_ID)
    return WordPath(spans, best - emissions[np.arange(frames), on_path], states >= 2 * count)
