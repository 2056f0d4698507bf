"""The automata that a search walks letter by letter: a trie of the known words, and the hotwords.

In: words, or phrases with boosts, and the alphabet of the tokens. Out: numpy arrays that the compiled search reads. The
trie says which word the letters so far are, or can become; it is built one level at a time from the sorted words, so
that 200,000 words take a fraction of a second.

The hotwords are an Aho-Corasick automaton (1975) over the text written as " word word ": a phrase is the pattern "
phrase ", so that it begins and ends at word boundaries only and may overlap the next by a space. A phrase that is half
spelled has part of its boost, in proportion; the next state's credit replaces it, so that leaving the path takes it
back. A negative boost counts at the end only.
"""

from collections.abc import Mapping, Sequence
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
    node = np.zeros(len(places), dtype=np.int64)  # that each word's walk has reached
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
    starts = np.cumsum([0, *(len(words[index]) for index in places)], dtype=np.int64)
    codes = character_numbers("".join([words[index] for index in places]), alphabet)
    return np.array(places, dtype=np.int64), codes, starts


def character_numbers(text: str, alphabet: Sequence[str]) -> Ints:
    """The place in the sorted ``alphabet`` of each character of ``text``, all of which it has."""
    points, letters = (np.frombuffer(one.encode("utf-32-le"), dtype=np.uint32) for one in (text, "".join(alphabet)))
    return np.searchsorted(letters, points).astype(np.int64)


@dataclass(frozen=True, slots=True)
class HotwordAutomaton:
    """``next_state[state, symbol[character]]``; a space is the character after the last of the alphabet.

    ``credit``: nats held in a state for what is half spelled there. ``gain``: nats earned for good on entering it.
    ``start``: the state before the first word. Shapes: symbol int32 (alphabet + 1,), next_state int32 (states,
    symbols), credit and gain float64 (states,).
    """

    symbol: npt.NDArray[np.int32]
    next_state: npt.NDArray[np.int32]
    credit: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]
    start: int


def build_hotwords(boosts: Mapping[str, float], alphabet: Sequence[str]) -> HotwordAutomaton:
    """The automaton of ``boosts``, phrase to nats; every character of a phrase must be in ``alphabet`` or a space."""
    number = {character: index for index, character in enumerate([*alphabet, " "])}
    patterns = [([number[one] for one in f" {' '.join(phrase.split())} "], boost) for phrase, boost in boosts.items()]
    used = sorted({number[" "], *(one for pattern, _ in patterns for one in pattern)})
    symbol = np.zeros(len(number), dtype=np.int32)  # 0: every character that no phrase has
    symbol[used] = np.arange(1, len(used) + 1)
    children, credit, gain = _trie(patterns, symbol)
    next_state = _link(children, credit, gain, len(used) + 1)
    start = int(next_state[0, symbol[number[" "]]])
    return HotwordAutomaton(symbol, next_state, np.array(credit), np.array(gain), start)


def _trie(
    patterns: Sequence[tuple[list[int], float]], symbol: npt.NDArray[np.int32]
) -> tuple[list[dict[int, int]], list[float], list[float]]:
    children: list[dict[int, int]] = [{}]
    credit, gain = [0.0], [0.0]
    for pattern, boost in patterns:
        state = 0
        for depth, character in enumerate(pattern):
            share = max(depth - 1, 0) / (len(pattern) - 1)  # the space before earns nothing
            credit[state] = max(credit[state], boost * share)
            step = int(symbol[character])
            if step not in children[state]:
                children[state][step] = len(children)
                children.append({})
                credit.append(0.0)
                gain.append(0.0)
            state = children[state][step]
        gain[state] += boost
    return children, credit, gain


def _link(
    children: list[dict[int, int]], credit: list[float], gain: list[float], symbols: int
) -> npt.NDArray[np.int32]:
    """Where each state goes on each symbol; its longest ending that begins a pattern adds what that one is worth."""
    next_state = np.zeros((len(children), symbols), dtype=np.int32)
    fallback = [0] * len(children)
    queue = [0]
    for state in queue:  # nearest the start first
        other = fallback[state]
        if state:
            credit[state] = max(credit[state], credit[other])
            gain[state] += gain[other]
            next_state[state] = next_state[other]
        for step, child in children[state].items():
            fallback[child] = int(next_state[other, step]) if state else 0
            next_state[state, step] = child
            queue.append(child)
    return next_state
