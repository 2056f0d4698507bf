"""From sentences to a language model: vocabulary, counts, smoothing, pruning.

In: sentences as words (or characters) and `BuildOptions`. Out: a `BuiltModel`: the n-grams to write or query, and the
figures of how they were estimated. Everything after the vocabulary is numpy on whole arrays.

Smoothing is interpolated modified Kneser-Ney (Chen and Goodman 1998, section 4.1.6), as in KenLM's lmplz; probabilities
sum to 1 in every context. For an n-gram with context c and adjusted count a

    p(w | c) = (a - D(a)) / A(c) + gamma(c) p(w | shorter c),    gamma(c) = (sum of the discounts) / A(c)

where A(c) is the sum of c's adjusted counts and D takes one of three values for a = 1, 2, 3 and more, estimated for
each order from how many n-grams have a count of 1 to 4. Unigrams are interpolated with the uniform distribution over
all words but <s>, from which <unk> and words that were never seen get what they have. A pruned n-gram leaves its whole
count to gamma.

Pruning by relative entropy (Stolcke, 1998) drops the n-grams that the model does nearly as well without, from the
highest order down: those whose loss raises the training text's perplexity by less than the threshold, relatively
(SRILM's measure). The probability of a context is its share of the text and not, as in SRILM, the product of the
model's own probabilities: Kneser-Ney's lower orders are no estimate of that (Chelba et al., 2010).
"""

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from asr.errors import ConfigError
from asr.lm.counts import BOS_ID, NgramCounts, count_ngrams, encode
from asr.lm.model import UNITS
from asr.lm.trie import NgramTrie, backed_off, select, suffix_nodes

Floats = npt.NDArray[np.float64]
LOG_ZERO = -99.0 * float(np.log(10.0))  # ARPA's -99, used for log 0
_DEFAULT = (0.5, 1.0, 1.5)  # lmplz's --discount_fallback


@dataclass(frozen=True, slots=True)
class Discounts:
    """One order's discounts for counts of 1, 2, and 3 or more, and where they come from."""

    values: tuple[float, float, float]
    source: str  # "modified" | "absolute" | "default"


def estimate_discounts(adjusted: npt.NDArray[np.int32]) -> Discounts:
    """Discounts from counts of counts (Chen and Goodman 1998, equation 26).

    Where the counts of counts cannot give three discounts in their bounds (tiny texts, single characters), Ney's one
    absolute discount is used for all, and where not even that exists, lmplz's fallback of 0.5, 1 and 1.5.
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
        The model, the discounts of each order, and how often each of the model's n-grams occurs in the text (n-grams,).
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


_LEAST = 1e-12


def prune_by_entropy(trie: NgramTrie, raw: npt.NDArray[np.int32], threshold: float) -> NgramTrie:
    """Drop n-grams whose loss raises perplexity by less than the share ``threshold``, such as 1e-8.

    Args:
        trie: a model in which every n-gram's context and suffix are n-grams too.
        raw: how often each n-gram occurs in the text (n-grams,).
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


MOST_ORDERS = 10


@dataclass(kw_only=True, slots=True)
class BuildOptions:
    """What model to build.

    Args:
        order: words in the longest n-grams.
        unit: "word" or "character".
        cutoffs: n-grams seen so often or less are dropped, one number an order, the last one for all higher orders.
        prune_entropy: relative rise of perplexity below which an n-gram is dropped; 0 drops none.
        limit: the only words to know, seen or not; None takes them from the text.
        vocab_size: keep this many words, the most frequent ones; None keeps all.
        min_count: keep words seen as often as this.
    """

    order: int = 4
    unit: str = "word"
    cutoffs: tuple[int, ...] = ()
    prune_entropy: float = 0.0
    limit: Collection[str] | None = None
    vocab_size: int | None = None
    min_count: int = 1

    def __post_init__(self) -> None:
        _require(1 <= self.order <= MOST_ORDERS, f"order must be 1 to {MOST_ORDERS}, not {self.order}")
        _require(self.unit in UNITS, f"unit must be {' or '.join(UNITS)}, not {self.unit!r}")
        _require(
            len(self.cutoffs) <= self.order, f"prune has {len(self.cutoffs)} numbers, but the order is {self.order}"
        )
        if self.cutoffs:
            _require(
                self.cutoffs[0] == 0 and list(self.cutoffs) == sorted(self.cutoffs),
                f"prune must begin with 0 and never decrease, such as 0 0 1 1, not {' '.join(map(str, self.cutoffs))} "
                "(words are dropped by vocab-size, min-count or limit-words)",
            )
        _require(0.0 <= self.prune_entropy < 1.0, f"prune-entropy must be from 0 to 1, not {self.prune_entropy}")
        _require(self.vocab_size is None or self.vocab_size > 0, f"vocab-size must be above 0, not {self.vocab_size}")
        _require(self.min_count > 0, f"min-count must be above 0, not {self.min_count}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(f"{message}.")


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """A model and its origin; ``counted``: the n-grams of each order in the text, before pruning."""

    trie: NgramTrie
    discounts: tuple[Discounts, ...]
    counted: tuple[int, ...]
    sentences: int
    tokens: int  # words and ends of sentences
    unknown: int


def build_lm(sentences: Iterable[list[str]], options: BuildOptions) -> BuiltModel:
    """Build an interpolated modified Kneser-Ney model (asr/lm/build.py).

    Raises:
        DataError: the sentences hold no words.
    """
    corpus = encode(sentences, limit=options.limit, vocab_size=options.vocab_size, min_count=options.min_count)
    counts = count_ngrams(corpus, options.order)
    missing = options.order - len(options.cutoffs)
    cutoffs = (*options.cutoffs, *options.cutoffs[-1:] * missing)
    trie, discounts, raw = smooth(counts, options.unit, cutoffs)
    counted = counts.orders
    del counts  # a third of the peak, which pruning would raise
    if options.prune_entropy:
        trie = prune_by_entropy(trie, raw, options.prune_entropy)
    return BuiltModel(
        trie=trie,
        discounts=tuple(discounts),
        counted=counted,
        sentences=corpus.sentences,
        tokens=len(corpus.tokens) - corpus.sentences,
        unknown=corpus.unknown,
    )
