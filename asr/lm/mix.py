"""Linear interpolation of n-gram models into one: a small model of the task and a large one of the language.

In: models and weights, or a text to fit the weights to. Out: one `NgramTrie` with the n-grams of all, each with the
weighted sum of the models' probabilities, and backoff weights that make every context sum to 1 (as SRILM's
``-mix-lm``). A word that a model does not know has probability 0 in it and is <unk> in its contexts, so that the
sum over the joint vocabulary stays 1. The weights are fitted by expectation maximisation (Jelinek and Mercer, 1980).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.compiling import cached_njit
from asr.errors import DataError, ModelError
from asr.lm.build import LOG_ZERO, renormalize
from asr.lm.counts import BOS_ID, EOS_ID, SPECIAL, UNK_ID
from asr.lm.model import NgramModel
from asr.lm.query import lm_step, token_log_probs
from asr.lm.trie import NgramTrie, to_model

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_MOST_ROUNDS = 200
_SETTLED = 1e-6


@dataclass(frozen=True, slots=True)
class _Part:
    """A model in the joint vocabulary: ``numbers`` int32 (joint words,) gives its own number of each joint word."""

    model: NgramModel
    numbers: npt.NDArray[np.int32]
    knows: npt.NDArray[np.bool_]  # (joint words,)


def mix(tries: Sequence[NgramTrie], weights: Sequence[float]) -> NgramTrie:
    """Interpolate models of one unit; the weights are above 0 and sum to 1.

    Raises:
        ModelError: the models are of different units.
    """
    words = joint_words(tries)
    joined = _union(tries, words)
    probability = np.zeros(len(joined.word))
    for trie, weight in zip(tries, weights, strict=True):
        part = _part(trie, words)
        log_prob = _score_ngrams(part, joined)
        log_prob[~part.knows[joined.word]] = -np.inf
        probability += weight * np.exp(log_prob)
    joined.log_prob[:] = np.maximum(np.log(np.maximum(probability, 1e-300)), LOG_ZERO)
    joined.log_prob[BOS_ID] = LOG_ZERO
    return renormalize(joined)


def fit_weights(tries: Sequence[NgramTrie], sentences: Iterable[Sequence[str]]) -> list[float]:
    """The weights under which the mixture predicts the sentences best; tokens that no model knows are left out.

    Raises:
        DataError: there is nothing to fit to.
    """
    words = joint_words(tries)
    ids = {word: number for number, word in enumerate(words)}
    tokens: list[int] = []
    for sentence in sentences:
        tokens.extend(ids.get(word, UNK_ID) for word in sentence)
        tokens.append(EOS_ID)
    text = np.array(tokens, np.int32)
    if not (text != EOS_ID).any():
        raise DataError("--dev: the texts contain no words to fit the weights to")
    known = text != UNK_ID
    probabilities = np.stack([_token_probabilities(_part(trie, words), text)[known] for trie in tries])
    weights = np.full(len(tries), 1.0 / len(tries))
    for _ in range(_MOST_ROUNDS):
        shares = weights[:, None] * probabilities  # (models, tokens)
        improved = (shares / shares.sum(axis=0)).mean(axis=1)
        settled = np.abs(improved - weights).max() < _SETTLED
        weights = improved
        if settled:
            break
    return [float(weight) for weight in weights]


def joint_words(tries: Sequence[NgramTrie]) -> tuple[str, ...]:
    """The words of all models, <unk>, <s> and </s> first, the rest in the order of the models."""
    units = {trie.unit for trie in tries}
    if len(units) > 1:
        raise ModelError(f"models of {' and '.join(sorted(units))} cannot be mixed; mix models of one unit")
    return tuple(dict.fromkeys([*SPECIAL, *(word for trie in tries for word in trie.words)]))


def _part(trie: NgramTrie, words: tuple[str, ...]) -> _Part:
    model = to_model(trie)
    numbers = np.array([model.word_id(word) for word in words], np.int32)
    knows = numbers != model.unk
    knows[UNK_ID] = True
    return _Part(model, numbers, knows)


def _union(tries: Sequence[NgramTrie], words: tuple[str, ...]) -> NgramTrie:
    """All n-grams of all models, without probabilities."""
    ids = {word: number for number, word in enumerate(words)}
    own = [np.array([ids[word] for word in trie.words], np.int64) for trie in tries]
    node = [np.zeros(len(trie.word) + 1, np.int64) for trie in tries]  # of each model's node, in the union
    counts, parents, lasts = list[int](), list[Ints](), list[Ints]()
    for order in range(max(len(trie.counts) for trie in tries)):
        made: list[tuple[int, slice, Ints]] = []
        for i, trie in enumerate(tries):
            if order < len(trie.counts):
                level = slice(*trie.bounds()[order : order + 2])
                made.append((i, level, node[i][trie.parent[level]] * len(words) + own[i][trie.word[level]]))
        keys = np.unique(np.concatenate([key for _, _, key in made])) if order else np.arange(len(words))
        for i, level, key in made:
            node[i][1:][level] = np.searchsorted(keys, key) + sum(counts) + 1
        counts.append(len(keys))
        parents.append(keys // len(words))
        lasts.append(keys % len(words))
    empty = np.zeros(sum(counts), np.float32)
    parent, last = np.concatenate(parents).astype(np.int32), np.concatenate(lasts).astype(np.int32)
    return NgramTrie(tries[0].unit, words, tuple(counts), parent, last, empty, empty.copy())


def _score_ngrams(part: _Part, joined: NgramTrie) -> Floats:
    """Natural-log probability of each n-gram's last word in its context, by one model (n-grams,)."""
    model = part.model
    return _walk(
        model.arc_start, model.arc_word, model.arc_log_prob, model.arc_next,
        model.backoff_log_weight, model.backoff_state, joined.parent, part.numbers[joined.word],
    )  # fmt: skip


@cached_njit()
def _walk(
    arc_start: npt.NDArray[np.int64],
    arc_word: npt.NDArray[np.int32],
    arc_log_prob: npt.NDArray[np.float32],
    arc_next: npt.NDArray[np.int32],
    backoff_log_weight: npt.NDArray[np.float32],
    backoff_state: npt.NDArray[np.int32],
    parent: npt.NDArray[np.int32],
    words: npt.NDArray[np.int32],
) -> npt.NDArray[np.float64]:
    """Step from each n-gram's context, which comes before it, along its last word."""
    state = np.zeros(len(words) + 1, np.int64)
    log_probs = np.zeros(len(words))
    for i in range(len(words)):
        log_probs[i], state[i + 1] = lm_step(
            arc_start, arc_word, arc_log_prob, arc_next, backoff_log_weight, backoff_state,
            state[parent[i]], int(words[i]),
        )  # fmt: skip
    return log_probs


def _token_probabilities(part: _Part, text: npt.NDArray[np.int32]) -> Floats:
    model = part.model
    log_probs = token_log_probs(
        model.arc_start, model.arc_word, model.arc_log_prob, model.arc_next,
        model.backoff_log_weight, model.backoff_state, model.start_state, model.eos, part.numbers[text],
    )  # fmt: skip
    probabilities: Floats = np.exp(log_probs) * part.knows[text]
    return probabilities
