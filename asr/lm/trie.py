"""N-grams as a flat trie: what building, ARPA and mixing work on, and how it becomes the automaton that is queried.

In: n-grams with natural-log probabilities and backoff weights. Out: an `NgramModel`. Node 0 is the empty context; node
i + 1 is n-gram i. N-grams are sorted by order, then by context, then by last word, so that ``parent * words + word`` is
one sorted key for all of them and a child is found by binary search, many at once.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.lm.model import BOS, EOS, UNK, NgramModel

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NgramTrie:
    """All n-grams of a model; the unigrams come first, n-gram i being word i.

    Shapes (n-grams,): parent int32 (node of the context), word int32, log_prob and backoff float32 (natural log).
    """

    unit: str
    words: tuple[str, ...]  # holds <unk>, <s> and </s>
    counts: tuple[int, ...]  # n-grams of each order
    parent: npt.NDArray[np.int32]
    word: npt.NDArray[np.int32]
    log_prob: npt.NDArray[np.float32]
    backoff: npt.NDArray[np.float32]

    def keys(self) -> Ints:
        """One number an n-gram, ascending."""
        return self.parent.astype(np.int64) * len(self.words) + self.word

    def bounds(self) -> list[int]:
        """Where each order begins among the n-grams; order n is ``bounds[n - 1]:bounds[n]``."""
        return [0, *np.cumsum(self.counts).tolist()]


def find_children(keys: Ints, vocab_size: int, nodes: Ints, words: npt.NDArray[np.int32]) -> Ints:
    """The child of each node by each word, 0 where there is none; shapes (queries,)."""
    wanted = nodes * vocab_size + words
    place = np.searchsorted(keys, wanted)
    found = place < len(keys)
    found[found] = keys[place[found]] == wanted[found]
    return np.where(found, place + 1, 0)


def suffix_nodes(trie: NgramTrie) -> Ints:
    """For each node its longest proper suffix that is a node too; (n-grams + 1,), 0 for the root and the unigrams."""
    keys, vocab_size, bounds = trie.keys(), len(trie.words), trie.bounds()
    suffix = np.zeros(len(keys) + 1, np.int64)
    for first, last in itertools.pairwise(bounds[1:]):
        words = trie.word[first:last]
        context = suffix[trie.parent[first:last]]
        waiting = np.arange(last - first)
        while waiting.size:
            child = find_children(keys, vocab_size, context, words[waiting])
            suffix[first + 1 + waiting] = child
            lost = child == 0
            waiting, context = waiting[lost], suffix[context[lost]]
    return suffix


def backed_off(
    trie: NgramTrie, keys: Ints, suffix: Ints, contexts: npt.NDArray[np.int32], words: npt.NDArray[np.int32]
) -> npt.NDArray[np.float64]:
    """Natural-log probability of each word in the next shorter context than its own, backing off where need be.

    Args:
        trie: its n-grams' ``log_prob`` and ``backoff`` are used, those of orders below the contexts' at most.
        keys: `NgramTrie.keys`.
        suffix: `suffix_nodes` of the trie.
        contexts: nodes, not the root (queries,).
        words: what follows (queries,).
    """
    context = suffix[contexts]
    total = np.zeros(len(words))
    waiting = np.arange(len(words))
    while waiting.size:
        here = context[waiting]
        child = find_children(keys, len(trie.words), here, words[waiting])
        found = child > 0
        total[waiting[found]] += trie.log_prob[child[found] - 1]
        waiting, here = waiting[~found], here[~found]
        total[waiting] += trie.backoff[here - 1]
        context[waiting] = suffix[here]
    return total


def to_model(trie: NgramTrie) -> NgramModel:
    """The automaton: its states are the contexts that have a continuation or a backoff weight; its arcs the n-grams."""
    nodes = len(trie.word) + 1
    children = np.bincount(trie.parent, minlength=nodes)
    is_state = children > 0
    is_state[1:] |= trie.backoff != 0.0
    is_state[0] = True
    if len(trie.counts) > 1:
        is_state[trie.bounds()[-2] + 1 :] = False
    else:
        is_state[1:] = False
    number = np.cumsum(is_state) - 1
    suffix = suffix_nodes(trie)
    state = _nearest_states(is_state, suffix)  # node -> node of its state
    own = np.flatnonzero(is_state)
    weight = np.concatenate([np.zeros(1, np.float32), trie.backoff])[own]
    ids = {word: i for i, word in enumerate(trie.words)}
    return NgramModel(
        order=len(trie.counts),
        unit=trie.unit,
        words=trie.words,
        unk=ids[UNK],
        bos=ids[BOS],
        eos=ids[EOS],
        arc_start=np.concatenate([[0], np.cumsum(children[own])]).astype(np.int64),
        arc_word=trie.word,
        arc_log_prob=trie.log_prob,
        arc_next=number[state[1:]].astype(np.int32),
        backoff_log_weight=weight,
        backoff_state=number[state[suffix[own]]].astype(np.int32),
        start_state=int(number[state[ids[BOS] + 1]]),
    )


def _nearest_states(is_state: npt.NDArray[np.bool_], suffix: Ints) -> Ints:
    """The node itself where it is a state, else its longest suffix that is one."""
    state = np.arange(len(suffix))
    waiting = np.flatnonzero(~is_state)
    while waiting.size:
        state[waiting] = suffix[state[waiting]]
        waiting = waiting[~is_state[state[waiting]]]
    return state


def select(trie: NgramTrie, kept: npt.NDArray[np.bool_]) -> NgramTrie:
    """The trie with only some of its n-grams: all unigrams, and the context of every n-gram that is kept.

    Orders of which nothing is left are dropped; an n-gram's backoff weight stays as it is.
    """
    number = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
    bounds = trie.bounds()
    counts = [int(np.count_nonzero(kept[first:last])) for first, last in itertools.pairwise(bounds)]
    while counts[-1] == 0:
        counts.pop()
    return NgramTrie(
        unit=trie.unit,
        words=trie.words,
        counts=tuple(counts),
        parent=number[trie.parent[kept]].astype(np.int32),
        word=trie.word[kept],
        log_prob=trie.log_prob[kept],
        backoff=trie.backoff[kept],
    )


def ngram_counts(model: NgramModel) -> tuple[int, ...]:
    """How many n-grams of each order a model holds."""
    return tuple(last - first for first, last in itertools.pairwise(_order_bounds(_arc_parents(model), model)))


def to_trie(model: NgramModel) -> NgramTrie:
    """The trie that a model was made of (`to_model` backwards)."""
    parent = _arc_parents(model)
    backoff = np.zeros(len(model.arc_word), np.float32)
    backoff[_state_nodes(model)[1:] - 1] = model.backoff_log_weight[1:]
    bounds = _order_bounds(parent, model)
    return NgramTrie(
        unit=model.unit,
        words=model.words,
        counts=tuple(last - first for first, last in itertools.pairwise(bounds)),
        parent=parent.astype(np.int32),
        word=model.arc_word,
        log_prob=model.arc_log_prob,
        backoff=backoff,
    )


def _state_nodes(model: NgramModel) -> Ints:
    """The node of each state: the first of the n-grams that lead there, as the others are longer."""
    node = np.zeros(len(model.backoff_state), np.int64)
    node[model.arc_next[::-1]] = np.arange(len(model.arc_word), 0, -1)  # where several assign, the last one stays
    node[0] = 0
    return node


def _arc_parents(model: NgramModel) -> Ints:
    return np.repeat(_state_nodes(model), np.diff(model.arc_start))


def _order_bounds(parent: Ints, model: NgramModel) -> list[int]:
    bounds = [0, len(model.words)]
    while bounds[-1] < len(parent):
        bounds.append(int(np.searchsorted(parent, bounds[-1], side="right")))
    return bounds
