"""Vocabulary and counts of n-grams, with numpy: no loop over n-grams in Python.

In: sentences, and limits on the vocabulary. Out: a `Corpus`: words numbered by falling frequency after <unk>, <s> and
</s>, and all tokens in a row, each sentence between <s> and </s>, words outside the vocabulary as <unk>; then every
n-gram up to an order as a sorted trie (asr/lm/trie.py) with how often it occurs in the text and with Kneser and Ney's
adjusted count: in how many different ways it continues to the left. An n-gram that begins with <s> cannot continue to
the left and keeps its own count, and so do those of the highest order.
"""

import itertools
from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.errors import DataError
from asr.lm.model import BOS, EOS, UNK

SPECIAL = (UNK, BOS, EOS)
UNK_ID, BOS_ID, EOS_ID = range(3)


@dataclass(frozen=True, slots=True)
class Corpus:
    """words: the vocabulary; tokens int32 (tokens,): word numbers, 1 before and 2 behind each sentence."""

    words: tuple[str, ...]
    tokens: npt.NDArray[np.int32]
    sentences: int
    unknown: int  # tokens that are outside the vocabulary


class _Numbering(dict[str, int]):
    """Gives each new word the next number."""

    def __missing__(self, word: str) -> int:
        self[word] = number = len(self)
        return number


def encode(
    sentences: Iterable[list[str]],
    *,
    limit: Collection[str] | None = None,
    vocab_size: int | None = None,
    min_count: int = 1,
) -> Corpus:
    """Number the words of all sentences.

    Args:
        sentences: lists of words; <unk> is any unknown word, <s> and </s> at the ends are dropped.
        limit: the only words to know (all of them, seen or not), if given.
        vocab_size: keep this many words, the most frequent ones (<unk>, <s> and </s> do not count).
        min_count: keep words seen as often as this.

    Raises:
        DataError: there are no words, or <s> or </s> is inside a sentence.
    """
    numbering = _Numbering(zip(SPECIAL, range(3), strict=True))
    tokens, total = array("i"), 0
    for words in sentences:
        tokens.append(BOS_ID)
        tokens.extend(map(numbering.__getitem__, _inner(words)))
        tokens.append(EOS_ID)
        total += 1
    numbers = np.frombuffer(tokens, np.int32) if tokens else np.zeros(0, np.int32)
    if len(numbers) == 2 * total:
        raise DataError("the texts contain no words, so no language model can be built; check the files")
    counts = np.bincount(numbers, minlength=len(numbering)).tolist()
    kept = _choose(numbering, counts, limit, vocab_size, min_count)
    final = dict(zip([*SPECIAL, *kept], range(len(kept) + 3), strict=True))
    mapping = np.array([final.get(word, UNK_ID) for word in numbering], np.int32)
    mapped = mapping[numbers]
    return Corpus(tuple(final), mapped, total, int(np.count_nonzero(mapped == UNK_ID)))


def _inner(words: list[str]) -> list[str]:
    if BOS in words or EOS in words:
        words = words[words[0] == BOS : len(words) - (words[-1] == EOS)]
        if BOS in words or EOS in words:
            raise DataError(f"<s> or </s> inside a sentence: {' '.join(words)[:80]!r}. Take it out of the text.")
    return words


def _choose(
    numbering: dict[str, int],
    counts: list[int],
    limit: Collection[str] | None,
    vocab_size: int | None,
    min_count: int,
) -> list[str]:
    """The words to keep, most frequent first, equals in alphabetical order."""
    candidates = set(numbering) if limit is None else set(limit)
    count_of = {word: counts[number] for word, number in numbering.items()}
    floor = min_count if limit is None or min_count > 1 else 0
    frequent = [word for word in candidates.difference(SPECIAL) if count_of.get(word, 0) >= floor]
    return sorted(frequent, key=lambda word: (-count_of.get(word, 0), word))[:vocab_size]


Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NgramCounts:
    """All n-grams of a text; node i + 1 is n-gram i, node 0 the empty context; unigram i is word i, seen or not.

    Shapes (n-grams,): parent int32 (node of the context), word int32, suffix int32 (node without the first word), raw
    int32 (how often), adjusted int32 (<s> alone has 0: it is never predicted).
    """

    words: tuple[str, ...]
    orders: tuple[int, ...]  # n-grams of each order
    parent: npt.NDArray[np.int32]
    word: npt.NDArray[np.int32]
    suffix: npt.NDArray[np.int32]
    raw: npt.NDArray[np.int32]
    adjusted: npt.NDArray[np.int32]

    def levels(self) -> list[slice]:
        """The n-grams of each order, as a slice."""
        bounds = [0, *itertools.accumulate(self.orders)]
        return [slice(first, last) for first, last in itertools.pairwise(bounds)]


@dataclass(frozen=True, slots=True)
class _Level:
    """The n-grams of one order, in the order of their keys; each field as in `NgramCounts`."""

    parent: npt.NDArray[np.int32]
    word: npt.NDArray[np.int32]
    suffix: npt.NDArray[np.int32]
    raw: npt.NDArray[np.int32]


def count_ngrams(corpus: Corpus, order: int) -> NgramCounts:
    """Count all n-grams of orders 1 to ``order`` (the highest that occurs, if sentences are shorter)."""
    vocab_size = len(corpus.words)
    node_at = corpus.tokens + np.int32(1)  # the node of the n-gram that ends at each token; 0: none of this order does
    raw = np.bincount(corpus.tokens, minlength=vocab_size).astype(np.int32)
    zeros = np.zeros(vocab_size, np.int32)
    levels = [_Level(zeros, np.arange(vocab_size, dtype=np.int32), zeros, raw)]
    first_node = 1
    for _ in range(2, order + 1):
        first_node += len(levels[-1].word)
        level, node_at = _extend(corpus.tokens, node_at, vocab_size, first_node)
        if not len(level.word):
            break
        levels.append(level)
    return _join(corpus.words, levels)


def _extend(
    tokens: npt.NDArray[np.int32], node_at: npt.NDArray[np.int32], vocab_size: int, first_node: int
) -> tuple[_Level, npt.NDArray[np.int32]]:
    """The n-grams one word longer than those in ``node_at``, and where they end."""
    ends = 1 + np.flatnonzero((node_at[:-1] != 0) & (tokens[1:] != BOS_ID))
    key = node_at[ends - 1].astype(np.int64)
    key *= vocab_size
    key += tokens[ends]
    by_key = np.argsort(key)
    key = key[by_key]
    is_new = np.concatenate([np.ones(min(1, len(key)), bool), key[1:] != key[:-1]])
    begins = np.flatnonzero(is_new)
    rank = np.cumsum(is_new, dtype=np.int32)
    longer_at = np.zeros_like(node_at)
    longer_at[ends[by_key]] = rank + np.int32(first_node - 1)
    parent, word = np.divmod(key[begins], vocab_size)
    level = _Level(
        parent=parent.astype(np.int32),
        word=word.astype(np.int32),
        suffix=node_at[ends[by_key[begins]]],
        raw=np.diff(begins, append=len(key)).astype(np.int32),
    )
    return level, longer_at


def _join(words: tuple[str, ...], levels: list[_Level]) -> NgramCounts:
    parent = np.concatenate([level.parent for level in levels])
    word = np.concatenate([level.word for level in levels])
    suffix = np.concatenate([level.suffix for level in levels])
    raw = np.concatenate([level.raw for level in levels])
    adjusted = np.bincount(suffix[len(words) :], minlength=len(word) + 1)[1:].astype(np.int32)
    orders = tuple(len(level.word) for level in levels)
    own = _begins_with_bos(parent, orders)
    own[len(word) - orders[-1] :] = True
    adjusted[own] = raw[own]
    adjusted[BOS_ID] = 0
    return NgramCounts(words, orders, parent, word, suffix, raw, adjusted)


def _begins_with_bos(parent: npt.NDArray[np.int32], orders: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    begins = np.zeros(len(parent), bool)
    begins[BOS_ID] = True
    for first, last in itertools.pairwise(itertools.accumulate(orders)):
        begins[first:last] = begins[parent[first:last] - 1]
    return begins
