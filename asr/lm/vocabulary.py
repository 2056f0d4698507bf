"""Sentences become one array of word numbers, and the vocabulary is chosen.

In: sentences, and limits on the vocabulary. Out: a `Corpus`: words numbered by falling frequency behind <unk>, <s> and
</s>, and all tokens in a row, each sentence between <s> and </s>. Words outside the vocabulary are <unk>.
"""

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
        sentences: lists of words; <unk> stands for any unknown word, <s> and </s> at the ends are dropped.
        limit: the only words to know (all of them, seen or not), if given.
        vocab_size: keep this many words, the most frequent ones (<unk>, <s> and </s> do not count).
        min_count: keep words seen as often as this.

    Raises:
        DataError: there are no words, or <s> or </s> stands inside a sentence.
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
        raise DataError("the texts hold no words; a language model cannot be made of nothing")
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
            raise DataError(f"<s> or </s> stands inside a sentence: {' '.join(words)[:80]!r}. Take it out of the text.")
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
