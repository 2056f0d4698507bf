"""The trie of words holds exactly the words, however it is built, and knows the best of what lies below."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asr.decoding.automata import WordTrie, build_trie

ALPHABET = "abcé中"


def nodes_of(trie: WordTrie, alphabet: str = ALPHABET) -> dict[str, int]:
    """Every node by the letters that lead to it, walked as the search does."""
    found, queue = {"": 0}, [""]
    for letters in queue:
        node = found[letters]
        below = range(trie.first_child[node], trie.first_child[node + 1])
        assert list(trie.character[below]) == sorted(set(trie.character[below]))
        for child in below:
            longer = letters + alphabet[trie.character[child]]
            found[longer] = child
            queue.append(longer)
    return found


@given(st.lists(st.text(alphabet="abcé中z", max_size=5), max_size=30))
def test_it_holds_the_words_and_their_beginnings_and_nothing_else(words: list[str]) -> None:
    nodes = nodes_of(trie := build_trie(words, ALPHABET))
    spelled = [word for word in words if word and "z" not in word]
    assert nodes.keys() == {""} | {word[:end] for word in spelled for end in range(1, len(word) + 1)}
    assert len(trie.word) == len(nodes)
    for letters, node in nodes.items():
        assert trie.word[node] == (words.index(letters) if letters in spelled else -1)
    values = np.arange(len(words), dtype=np.float32)[::-1].copy()
    best = trie.best_below(values)
    for letters, node in nodes.items():
        below = [values[words.index(word)] for word in spelled if word.startswith(letters)]
        assert best[node] == max(below, default=-np.inf)
