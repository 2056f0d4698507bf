"""The words that a search knows, as a trie over characters: which word the letters so far are, or can become.

In: words and the alphabet of the tokens. Out: numpy arrays that the compiled search walks. Built one level at a time,
the words sorted, so that 200,000 words take a fraction of a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class WordTrie:
    """Node 0 is the start of a word; the children of node n are ``first_child[n] : first_child[n + 1]``.

    ``character[n]``: the number of the character that leads to it, ascending among siblings. ``word[n]``: the place, in
    the list it was made from, of the word that ends there, or -1. ``level[d]``: the first node d characters deep.
    Shapes: first_child int32 (nodes + 1,), character int32 (nodes,), word int32 (nodes,), level int64 (depths + 1,).
    """

    first_child: npt.NDArray[np.int32]
    character: npt.NDArray[np.int32]
    word: npt.NDArray[np.int32]
    level: Ints

    def best_below(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The largest of ``values`` (one a word) among the words at or under each node, -inf where there are none."""
        best = np.full(len(self.word), -np.inf, dtype=np.float32)
        best[self.word >= 0] = values[self.word[self.word >= 0]]
        parent = np.repeat(np.arange(len(self.word)), np.diff(self.first_child))  # parent[n - 1] is node n's
        for begin, end in zip(self.level[-2:0:-1], self.level[:1:-1], strict=True):  # the deepest level first
            np.maximum.at(best, parent[begin - 1 : end - 1], best[begin:end])
        return best


def build_trie(words: Sequence[str], alphabet: Sequence[str]) -> WordTrie:
    """The trie of ``words`` over the sorted ``alphabet``; those with other characters, and the empty one, are left out.

    Of equal words the first counts.
    """
    places, codes, starts = _sorted_codes(words, alphabet)
    lengths = np.diff(starts)
    node = np.zeros(len(places), dtype=np.int64)  # where each word's walk stands
    parents, characters, ends = [np.empty(0, np.int64)], [np.array([-1])], [np.array([-1])]
    level = [0, 1]
    active = np.arange(len(places))
    for depth in range(int(lengths.max(initial=0))):
        active = active[lengths[active] > depth]
        above, letter = node[active], codes[starts[active] + depth]
        fresh = np.ones(len(active), dtype=np.bool_)  # sorted: words with an equal beginning are neighbours
        fresh[1:] = (above[1:] != above[:-1]) | (letter[1:] != letter[:-1])
        node[active] = level[-1] + np.cumsum(fresh) - 1
        parents.append(above[fresh])
        characters.append(letter[fresh])
        level.append(level[-1] + int(fresh.sum()))
        ends.append(_ends(node, active[lengths[active] == depth + 1], places, level))
    counts = np.bincount(np.concatenate(parents), minlength=level[-1])
    return WordTrie(
        first_child=np.cumsum(np.append(1, counts), dtype=np.int32),
        character=np.concatenate(characters).astype(np.int32),
        word=np.concatenate(ends).astype(np.int32),
        level=np.array(level, dtype=np.int64),
    )


def _ends(node: Ints, ending: Ints, places: Ints, level: list[int]) -> Ints:
    """Of the nodes of the last level, which word ends there; assigned backwards, so that the first of equals stays."""
    ends = np.full(level[-1] - level[-2], -1, dtype=np.int64)
    ends[node[ending[::-1]] - level[-2]] = places[ending[::-1]]
    return ends


def _sorted_codes(words: Sequence[str], alphabet: Sequence[str]) -> tuple[Ints, Ints, Ints]:
    """Spellable words in order: their places in ``words``, their character numbers in one row, where each begins."""
    known = set(alphabet)
    places = [index for index, word in enumerate(words) if word and known.issuperset(word)]
    places.sort(key=words.__getitem__)
    points = np.frombuffer("".join(words[index] for index in places).encode("utf-32-le"), dtype=np.uint32)
    letters = np.frombuffer("".join(alphabet).encode("utf-32-le"), dtype=np.uint32)
    starts = np.cumsum([0, *(len(words[index]) for index in places)], dtype=np.int64)
    return np.array(places, dtype=np.int64), np.searchsorted(letters, points).astype(np.int64), starts
