"""From sentences to a language model: vocabulary, counts, smoothing, pruning.

In: sentences as words (or characters) and `BuildOptions`. Out: a `BuiltModel`: the n-grams to write or query, and what
a person wants to know of how they came about. Everything after the vocabulary is numpy on whole arrays.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from asr.errors import ConfigError
from asr.lm.counts import count_ngrams
from asr.lm.model import UNITS
from asr.lm.prune import prune_by_entropy
from asr.lm.smoothing import Discounts, smooth
from asr.lm.trie import NgramTrie
from asr.lm.vocabulary import encode

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
                f"prune must begin with 0 and never fall, such as 0 0 1 1, not {' '.join(map(str, self.cutoffs))} "
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
    """Build an interpolated modified Kneser-Ney model (asr/lm/smoothing.py).

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
