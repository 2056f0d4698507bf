"""One step of an n-gram model, compiled: what the beam search calls inside its own compiled loop.

In: the arrays of an `NgramModel`, a state and a word. Out: what `NgramModel.score` returns, to the last bit. Importing
this module imports numba; only the beam search, perplexity and mixing do.

How well a model predicts a text: perplexity, with and without the words it does not know.

In: a model and sentences. Out: the counts and log-probabilities behind the figures, which are those of KenLM's `query`:
each sentence begins in the context of <s>, its end is predicted as well, and an unknown word counts as <unk>.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.compiling import cached_njit, int64
from asr.lm.model import NgramModel


@cached_njit()
def lm_step(
    arc_start: npt.NDArray[np.int64],
    arc_word: npt.NDArray[np.int32],
    arc_log_prob: npt.NDArray[np.float32],
    arc_next: npt.NDArray[np.int32],
    backoff_log_weight: npt.NDArray[np.float32],
    backoff_state: npt.NDArray[np.int32],
    state: int,
    word: int,
) -> tuple[float, int]:
    """Natural-log probability of ``word`` after ``state``, and the next state.

    The arrays are those of an `NgramModel`. Nothing is checked here: the model's reader has checked them, and ``word``
    must be one of its numbers.
    """
    log_prob = 0.0
    at = np.int64(state)
    while at != 0:
        low, high = arc_start[at], arc_start[at + 1]
        while low < high:
            middle = (low + high) // 2
            if arc_word[middle] < word:
                low = middle + 1
            else:
                high = middle
        if low < arc_start[at + 1] and arc_word[low] == word:
            return float(log_prob + np.float64(arc_log_prob[low])), int64(arc_next[low])
        log_prob += np.float64(backoff_log_weight[at])
        at = np.int64(backoff_state[at])
    return float(log_prob + np.float64(arc_log_prob[word])), int64(arc_next[word])  # the empty context: arc i is word i


_CHUNK_TOKENS = 1 << 20


@dataclass(frozen=True, slots=True)
class Perplexity:
    """tokens: words and ends of sentences; log_prob: natural log of all of them; unknown_log_prob: of the unknown."""

    sentences: int
    tokens: int
    unknown: int
    log_prob: float
    unknown_log_prob: float

    @property
    def including_unknown(self) -> float:
        """Perplexity over all tokens."""
        return _perplexity(self.log_prob, self.tokens)

    @property
    def excluding_unknown(self) -> float:
        """Perplexity over the tokens that the model knows."""
        return _perplexity(self.log_prob - self.unknown_log_prob, self.tokens - self.unknown)

    @property
    def unknown_rate(self) -> float:
        """Unknown words as a share of all words; ends of sentences are no words."""
        words = self.tokens - self.sentences
        return self.unknown / words if words else math.nan


def _perplexity(log_prob: float, tokens: int) -> float:
    if not tokens:
        return math.nan
    mean = -log_prob / tokens
    return math.exp(mean) if mean < 700 else math.inf


def measure(model: NgramModel, sentences: Iterable[Sequence[str]]) -> Perplexity:
    """Score sentences given as words (characters with "<space>" for a character model)."""
    totals = np.zeros(4)  # tokens, unknown, log_prob, unknown_log_prob
    count, numbers = 0, list[int]()
    for words in sentences:
        count += 1
        numbers.extend(map(model.word_id, words))
        numbers.append(model.eos)
        if len(numbers) >= _CHUNK_TOKENS:
            totals += _score(model, numbers)
            numbers.clear()
    totals += _score(model, numbers)
    return Perplexity(count, int(totals[0]), int(totals[1]), float(totals[2]), float(totals[3]))


def _score(model: NgramModel, numbers: list[int]) -> npt.NDArray[np.float64]:
    """tokens, unknown, log_prob, unknown_log_prob of whole sentences."""
    tokens = np.array(numbers, np.int32)
    log_probs = token_log_probs(
        model.arc_start, model.arc_word, model.arc_log_prob, model.arc_next,
        model.backoff_log_weight, model.backoff_state, model.start_state, model.eos, tokens,
    )  # fmt: skip
    unknown = tokens == model.unk
    return np.array([len(tokens), np.count_nonzero(unknown), log_probs.sum(), log_probs[unknown].sum()])


@cached_njit()
def token_log_probs(
    arc_start: npt.NDArray[np.int64],
    arc_word: npt.NDArray[np.int32],
    arc_log_prob: npt.NDArray[np.float32],
    arc_next: npt.NDArray[np.int32],
    backoff_log_weight: npt.NDArray[np.float32],
    backoff_state: npt.NDArray[np.int32],
    start_state: int,
    eos: int,
    tokens: npt.NDArray[np.int32],
) -> npt.NDArray[np.float64]:
    """Natural-log probability of each token; after each ``eos`` a new sentence begins. Shapes (tokens,)."""
    log_probs = np.zeros(len(tokens))
    state = start_state
    for i in range(len(tokens)):
        log_probs[i], state = lm_step(
            arc_start, arc_word, arc_log_prob, arc_next, backoff_log_weight, backoff_state, state, int64(tokens[i])
        )
        if tokens[i] == eos:
            state = start_state
    return log_probs
