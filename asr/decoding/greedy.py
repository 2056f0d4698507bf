"""Greedy decoding, and the values that every decoder returns.

Greedy is the likeliest token of every frame, collapsed: exact for the best path, not for the best text. It needs
nothing of the beam search.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from asr.ctc import best_path, collapse
from asr.text.tokenizer import BLANK_ID, Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One text of an n-best list with the natural logarithms that ranked it.

    ``score`` is ``ctc_score + lm_weight * lm_score + word_score * words + hotword boosts``. ``ctc_score``: of all paths
    that spell the text and that the search kept; ``lm_score``: of the language model, the end of the text included, 0.0
    without one.
    """

    text: str
    score: float
    ctc_score: float
    lm_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedText:
    """``text`` and its ``score``: the natural log-probability of the best path (greedy), or what ranked it (beam).

    ``tokens``: the label ids that spell it, no blanks. ``n_best``: the best texts, this one first; empty for greedy.
    """

    text: str
    score: float
    tokens: tuple[int, ...] = ()
    n_best: tuple[Alternative, ...] = ()


def greedy_decode(log_probs: ArrayLike, lengths: ArrayLike, tokenizer: Tokenizer) -> list[DecodedText]:
    """One text per utterance from ``log_probs`` ``(batch, frames, vocab)`` and ``lengths`` ``(batch,)``."""
    rows, frames = np.asarray(log_probs), np.asarray(lengths)
    best = rows.max(axis=2).astype(np.float64)
    scores = [float(row[:length].sum()) for row, length in zip(best, frames, strict=True)]
    labels = [tuple(collapse(path)) for path in best_path(rows, frames)]
    return [
        DecodedText(text=tidy_text(tokenizer, tokens), score=score, tokens=tokens)
        for tokens, score in zip(labels, scores, strict=True)
    ]


class GreedySearch:
    """Greedy decoding of one recording that comes in parts; as ``asr.decoding.beam.BeamSearch``."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._tokens: list[int] = []
        self._last = BLANK_ID
        self._score = 0.0

    def advance(self, log_probs: NDArray[np.float32]) -> None:
        """The next ``(frames, vocab)``."""
        best = log_probs.argmax(axis=1).tolist()
        self._score += float(log_probs.max(axis=1, initial=-np.inf).sum(dtype=np.float64))
        before = [self._last, *best]
        self._tokens += [one for one, last in zip(best, before, strict=False) if one not in (last, BLANK_ID)]
        self._last = before[-1]

    def tokens(self) -> tuple[int, ...]:
        """Those so far."""
        return tuple(self._tokens)

    def settled(self) -> int:
        """How many of them nothing that follows changes: all."""
        return len(self._tokens)

    def finish(self) -> DecodedText:
        """The text, where the recording ends here."""
        return DecodedText(text=tidy_text(self.tokenizer, self._tokens), score=self._score, tokens=self.tokens())


def greedy_texts(paths: Sequence[Sequence[int]], tokenizer: Tokenizer) -> list[str]:
    """The text of each frame path, spaces at the ends and doubled spaces removed."""
    return [tidy_text(tokenizer, collapse(path)) for path in paths]


def tidy_text(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    """The text of label ids, spaces at the ends and doubled spaces removed."""
    return " ".join(tokenizer.decode(tokens).split())
