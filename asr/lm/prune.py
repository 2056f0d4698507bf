"""Relative-entropy pruning (Stolcke, 1998): drop the n-grams that the model does nearly as well without.

In: a model and how often its n-grams stand in the text. Out: a smaller model whose contexts still sum to 1. Orders are
pruned from the highest down; an n-gram goes if that raises the training text's perplexity by less than the threshold,
relatively (SRILM's measure). The probability of a context is its share of the text and not, as in SRILM, the product of
the model's own probabilities: Kneser-Ney's lower orders are no estimate of that (Chelba et al., 2010).
"""

import itertools
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from asr.lm.trie import NgramTrie, backed_off, select, suffix_nodes
from asr.lm.vocabulary import BOS_ID

_LEAST = 1e-12


def prune_by_entropy(trie: NgramTrie, raw: npt.NDArray[np.int32], threshold: float) -> NgramTrie:
    """Drop n-grams whose loss raises perplexity by less than the share ``threshold``, such as 1e-8.

    Args:
        trie: a model in which every n-gram's context and suffix are n-grams too.
        raw: how often each n-gram stands in the text (n-grams,).
        threshold: relative rise of perplexity for each n-gram.
    """
    keys, suffix = trie.keys(), suffix_nodes(trie)
    predicted = raw[: len(trie.words)].sum() - raw[BOS_ID]
    kept = np.ones(len(trie.word), bool)
    children = np.zeros(len(trie.word) + 1, np.int64)
    for first, last in reversed(list(itertools.pairwise(trie.bounds()[1:]))):
        level = slice(first, last)
        rise = _perplexity_rise(trie, level, raw / predicted, keys, suffix)
        kept[level] = (children[first + 1 : last + 1] > 0) | (rise >= threshold)
        children += np.bincount(trie.parent[level][kept[level]], minlength=len(children))
    return renormalize(select(trie, kept))


def renormalize(trie: NgramTrie) -> NgramTrie:
    """The same n-grams with the backoff weights that make each context sum to 1."""
    keys, suffix = trie.keys(), suffix_nodes(trie)
    changed = replace(trie, backoff=np.zeros_like(trie.backoff))
    for first, last in itertools.pairwise(trie.bounds()[1:]):
        level = slice(first, last)
        parent = trie.parent[level]
        lower = np.exp(backed_off(changed, keys, suffix, parent, trie.word[level]))
        left = 1.0 - np.bincount(parent, weights=np.exp(trie.log_prob[level].astype(np.float64)))
        left_below = 1.0 - np.bincount(parent, weights=lower)
        contexts = np.unique(parent)
        weight = np.maximum(left[contexts], _LEAST) / np.maximum(left_below[contexts], _LEAST)
        changed.backoff[contexts - 1] = np.log(weight)
    return changed


def _perplexity_rise(
    trie: NgramTrie,
    level: slice,
    share: npt.NDArray[np.float64],
    keys: npt.NDArray[np.int64],
    suffix: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Relative rise of perplexity from dropping each n-gram of one order alone (equations 4 to 6)."""
    parent = trie.parent[level]
    log_p = trie.log_prob[level].astype(np.float64)
    log_lower = backed_off(trie, keys, suffix, parent, trie.word[level])
    p, lower = np.exp(log_p), np.exp(log_lower)
    log_weight = trie.backoff[parent - 1].astype(np.float64)
    left_below = np.maximum(1.0 - np.bincount(parent, weights=lower), _LEAST)[parent]
    left = np.exp(log_weight) * left_below
    new_log_weight = np.log((left + p) / (left_below + lower))
    divergence = p * (log_lower + new_log_weight - log_p) + left * (new_log_weight - log_weight)
    rise: npt.NDArray[np.float64] = np.expm1(-share[parent - 1] * divergence)
    return rise
