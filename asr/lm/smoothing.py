"""Interpolated modified Kneser-Ney smoothing (Chen and Goodman 1998, section 4.1.6), as KenLM's lmplz does it.

In: `NgramCounts`. Out: an `NgramTrie` whose probabilities sum to 1 in every context. For an n-gram with context c and
adjusted count a

    p(w | c) = (a - D(a)) / A(c) + gamma(c) p(w | shorter c),    gamma(c) = (sum of the discounts) / A(c)

where A(c) is the sum of c's adjusted counts and D takes one of three values for a = 1, 2, 3 and more, estimated for
each order from how many n-grams have a count of 1 to 4. Unigrams are interpolated with the uniform distribution over
all words but <s>, from which <unk> and words that were never seen get what they have. A pruned n-gram leaves its whole
count to gamma.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.lm.counts import NgramCounts
from asr.lm.trie import NgramTrie, select
from asr.lm.vocabulary import BOS_ID

Floats = npt.NDArray[np.float64]
LOG_ZERO = -99.0 * float(np.log(10.0))  # ARPA's -99: what stands for log 0
_DEFAULT = (0.5, 1.0, 1.5)  # lmplz's --discount_fallback


@dataclass(frozen=True, slots=True)
class Discounts:
    """One order's discounts for counts of 1, 2, and 3 or more, and where they come from."""

    values: tuple[float, float, float]
    source: str  # "modified" | "absolute" | "default"


def estimate_discounts(adjusted: npt.NDArray[np.int32]) -> Discounts:
    """Discounts from counts of counts (Chen and Goodman 1998, equation 26).

    Where the counts of counts cannot give three discounts in their bounds (tiny texts, single characters), Ney's one
    absolute discount stands for all, and where not even that exists, lmplz's fallback of 0.5, 1 and 1.5.
    """
    t1, t2, t3, t4 = (int(np.count_nonzero(adjusted == count)) for count in (1, 2, 3, 4))
    if t1 == 0 or t2 == 0:
        return Discounts(_DEFAULT, "default")
    y = t1 / (t1 + 2 * t2)
    if t3 and t4:
        values = (1 - 2 * y * t2 / t1, 2 - 3 * y * t3 / t2, 3 - 4 * y * t4 / t3)
        if all(0 < value < count for count, value in enumerate(values, start=1)):
            return Discounts(values, "modified")
    return Discounts((y, y, y), "absolute")


def smooth(
    counts: NgramCounts, unit: str, cutoffs: Sequence[int] = ()
) -> tuple[NgramTrie, list[Discounts], npt.NDArray[np.int32]]:
    """Estimate the model.

    Args:
        counts: the n-grams of the text.
        unit: "word" or "character", for the model to remember.
        cutoffs: one number an order, none smaller than the one before: n-grams seen so often or less are pruned. The
            first is 0: words are dropped by the vocabulary.

    Returns:
        The model, the discounts of each order, and how often each of the model's n-grams stands in the text (n-grams,).
    """
    kept = _kept(counts, cutoffs)
    discounts: list[Discounts] = []
    probability = np.zeros(len(counts.word))
    gamma = np.zeros(0)
    backoff = np.zeros(len(counts.word), np.float32)
    for order, level in enumerate(counts.levels(), start=1):
        adjusted, parent = counts.adjusted[level], counts.parent[level]
        discounts.append(estimate_discounts(adjusted))
        first = int(parent[0])
        discounted = adjusted - _discount(adjusted, discounts[-1])
        discounted[~kept[level]] = 0.0
        total = np.bincount(parent - first, weights=adjusted)
        gamma = np.ones(len(total))
        seen = total > 0
        held_back = np.bincount(parent - first, weights=adjusted - discounted)
        gamma[seen] = held_back[seen] / total[seen]
        share = discounted / total[parent - first]
        if order == 1:
            lower = np.full(len(adjusted), 1.0 / (len(adjusted) - 1))
            lower[BOS_ID] = 0.0
        else:
            lower = probability[counts.suffix[level] - 1]
            backoff[first - 1 : first - 1 + len(gamma)] = np.log(gamma)
        probability[level] = share + gamma[parent - first] * lower
    with np.errstate(divide="ignore"):
        log_prob = np.maximum(np.log(probability), LOG_ZERO).astype(np.float32)
    trie = NgramTrie(unit, counts.words, counts.orders, counts.parent, counts.word, log_prob, backoff)
    return (trie, discounts, counts.raw) if kept.all() else (select(trie, kept), discounts, counts.raw[kept])


def _kept(counts: NgramCounts, cutoffs: Sequence[int]) -> npt.NDArray[np.bool_]:
    kept = np.ones(len(counts.word), bool)
    for level, cutoff in zip(counts.levels()[1:], cutoffs[1:], strict=False):
        kept[level] = counts.raw[level] > cutoff
    return kept


def _discount(adjusted: npt.NDArray[np.int32], discounts: Discounts) -> Floats:
    table = np.array([0.0, *discounts.values])
    chosen: Floats = table[np.minimum(adjusted, 3)]
    return chosen
