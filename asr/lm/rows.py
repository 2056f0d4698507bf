"""N-grams in any order, as rows of word numbers, become a sorted trie that misses no context.

In: for each order the rows (word numbers), probabilities and backoff weights, as an ARPA file gives them. Out: an
`NgramTrie`. A context that has continuations but no line of its own (SRILM prunes so) is put in with the probability
that backing off gives it and weight 1, which changes no probability.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from asr.lm.trie import NgramTrie, backed_off, suffix_nodes

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NgramRows:
    """The n-grams of one order: words int32 (n-grams, order); log_prob, backoff float32 (n-grams,), natural log."""

    words: npt.NDArray[np.int32]
    log_prob: npt.NDArray[np.float32]
    backoff: npt.NDArray[np.float32]


class DuplicateNgram(ValueError):
    """The same n-gram stands twice: in ``row`` of ``order`` for the second time."""

    def __init__(self, order: int, row: int) -> None:
        super().__init__(f"n-gram of order {order} twice")
        self.order, self.row = order, row


def trie_from_rows(unit: str, words: tuple[str, ...], rows: list[NgramRows]) -> NgramTrie:
    """Sort rows of orders 1, 2, ... into a trie; row i of order 1 is word i.

    Raises:
        DuplicateNgram: a row stands twice.
    """
    at = [each.words[:, 0].astype(np.int64) + 1 for each in rows]  # the node of each row's prefix so far
    columns = [(np.zeros(len(words), np.int32), np.arange(len(words), dtype=np.int32))]
    filled = [(rows[0].log_prob, rows[0].backoff)]
    counts = [len(words)]
    for order in range(2, len(rows) + 1):
        made = [at[i] * len(words) + rows[i].words[:, order - 1] for i in range(order - 1, len(rows))]
        keys = _distinct(np.concatenate(made))
        start = sum(counts) + 1  # the first node of this order
        for i, key in enumerate(made, start=order - 1):
            at[i] = np.searchsorted(keys, key) + start
        filled.append(_place(order, rows[order - 1], at[order - 1] - start, len(keys)))
        columns.append(((keys // len(words)).astype(np.int32), (keys % len(words)).astype(np.int32)))
        counts.append(len(keys))
    trie = NgramTrie(
        unit=unit,
        words=words,
        counts=tuple(counts),
        parent=np.concatenate([parent for parent, _ in columns]),
        word=np.concatenate([word for _, word in columns]),
        log_prob=np.concatenate([log_prob for log_prob, _ in filled]),
        backoff=np.concatenate([backoff for _, backoff in filled]),
    )
    return _fill_in(trie)


def _distinct(values: Ints) -> Ints:
    """What np.unique gives; several times faster than its hashing on millions of numbers."""
    values.sort()
    is_new = np.concatenate([np.ones(min(1, len(values)), bool), values[1:] != values[:-1]])
    distinct: Ints = values[is_new]
    return distinct


def _place(
    order: int, rows: NgramRows, place: Ints, size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The rows' values at their places; NaN where no row is."""
    if len(place) and np.bincount(place).max() > 1:
        again = np.ones(len(place), bool)
        again[np.unique(place, return_index=True)[1]] = False
        raise DuplicateNgram(order, int(np.flatnonzero(again)[0]))
    log_prob = np.full(size, np.nan, np.float32)
    backoff = np.zeros(size, np.float32)
    log_prob[place] = rows.log_prob
    backoff[place] = rows.backoff
    return log_prob, backoff


def _fill_in(trie: NgramTrie) -> NgramTrie:
    """Give the contexts that had no line the probability that backing off gives."""
    if not np.isnan(trie.log_prob).any():
        return trie
    keys, suffix = trie.keys(), suffix_nodes(trie)
    filled = replace(trie, log_prob=trie.log_prob.copy())
    for first, last in itertools.pairwise(trie.bounds()[1:]):
        empty = first + np.flatnonzero(np.isnan(trie.log_prob[first:last]))
        context = trie.parent[empty]
        lower = backed_off(filled, keys, suffix, context, trie.word[empty])
        filled.log_prob[empty] = trie.backoff[context - 1] + lower
    return filled
