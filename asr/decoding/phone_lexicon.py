"""Decoding by phones: the tables of a search through a pronouncing dictionary.

In: the phones that a model tells apart, the pronunciations of words, a language model of words. Out: the letters,
tokens and trie of ``Tables``. The trie is walked by phones; a word ends with its last phone, without a space. What
sounds alike (``to``, ``two``) ends at one node: the tokens behind the phones are the endings, a last phone together
with the word that it ends, so that prefixes with different words are different prefixes.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.decoding.automata import build_trie
from asr.decoding.records import IMPOSSIBLE, TOKEN, TRIE_NODE, Records


@dataclass(frozen=True)
class PhoneLexicon:
    """``phones``: the columns of the log-probabilities, the blank first. ``pronunciations``: of words, in phones."""

    phones: Sequence[str]
    pronunciations: Mapping[str, Sequence[Sequence[str]]]

    @functools.cached_property
    def _known(self) -> set[str]:
        return {*self.phones[1:]}

    def pronunciations_of(self, word: str) -> list[Sequence[str]]:
        """The pronunciations of ``word`` in these phones."""
        return [one for one in self.pronunciations.get(word, ()) if self._known.issuperset(one)]

    def lacking(self, words: Iterable[str]) -> list[str]:
        """The words without one."""
        return [word for word in dict.fromkeys(words) if not self.pronunciations_of(word)]


def phone_tables(
    phone_lexicon: PhoneLexicon,
    words: Collection[str],
    alphabet: Sequence[str],
    score_of: Callable[[str], tuple[int, float]],
    unigram: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.int32], Records, Records]:
    """The letters int32 (all,), tokens (phones + endings,) and trie (nodes,) of a search for ``words``, each of letters
    of ``alphabet``.

    ``score_of(word)``: its number in the language model, and what is added to its log-probability. ``unigram``: of each
    number alone, natural log, (model's words,).
    """
    number = {phone: index for index, phone in enumerate(phone_lexicon.phones)}
    character = {phone: chr(index) for phone, index in number.items() if index}
    sounds: dict[str, list[str]] = {}  # the words of each pronunciation, whose phones are characters here
    for word in sorted(words):
        for one in phone_lexicon.pronunciations_of(word):
            sounds.setdefault("".join([character[phone] for phone in one]), []).append(word)
    endings = [(sound, word) for sound, alike in sounds.items() for word in alike]
    tokens = np.zeros(len(number) + len(endings), dtype=TOKEN)
    tokens["column"] = [*range(len(number)), *(ord(sound[-1]) for sound, _ in endings)]
    behind = tokens[len(number) :]
    scores = [score_of(word) for _, word in endings]
    behind["word"], behind["extra"] = [one for one, _ in scores], [extra for _, extra in scores]
    behind["end"] = np.cumsum([len(word) for _, word in endings])
    behind["start"][1:] = behind["end"][:-1]
    behind["ends_after"] = True
    trie = _trie(sounds, len(number), np.maximum(unigram[behind["word"]] + behind["extra"], IMPOSSIBLE))
    letter = {one: index for index, one in enumerate(alphabet)}
    return np.array([letter[one] for _, word in endings for one in word], dtype=np.int32), tokens, trie


def _trie(sounds: Mapping[str, Sequence[str]], phones: int, worth: npt.NDArray[np.float32]) -> Records:
    """The nodes, of which each knows the endings there and the best ``worth`` (endings,) at or below it."""
    walked = build_trie(list(sounds), [chr(index) for index in range(1, phones)])
    stop = np.cumsum([len(alike) for alike in sounds.values()])
    start = stop - [len(alike) for alike in sounds.values()]
    trie = np.zeros(len(walked.word), dtype=TRIE_NODE)
    trie["first_child"], trie["end_child"] = walked.first_child[:-1], walked.first_child[1:]
    trie["letter"], trie["word"], trie["end_word"] = walked.character, -1, -1
    ends = walked.word >= 0
    trie["word"][ends], trie["end_word"][ends] = phones + start[walked.word[ends]], phones + stop[walked.word[ends]]
    trie["ahead"] = walked.best_below(np.maximum.reduceat(worth, start).astype(np.float32))
    return trie
