"""Interpolated modified Kneser-Ney by the book, with dictionaries and no cleverness: the reference for the fast one."""

from collections import Counter
from collections.abc import Sequence

Ngram = tuple[str, ...]


class BruteForce:
    """Chen and Goodman 1998; <unk> and unseen words share in the uniform distribution, <s> is never predicted."""

    def __init__(self, sentences: Sequence[Sequence[str]], order: int, discounts: Sequence[Sequence[float]]) -> None:
        self.order = order
        raw = self._raw(sentences)
        self.vocabulary = sorted({gram[0] for gram in raw if gram[0] != "<s>"} | {"<unk>"})
        self.counts = [self._adjusted(raw, length) for length in range(1, order + 1)]
        self.discounts = discounts

    def _raw(self, sentences: Sequence[Sequence[str]]) -> Counter[Ngram]:
        raw: Counter[Ngram] = Counter()
        for sentence in sentences:
            padded = ("<s>", *sentence, "</s>")
            for length in range(1, self.order + 2):
                for i in range(len(padded) - length + 1):
                    raw[padded[i : i + length]] += 1
        return raw

    def _adjusted(self, raw: Counter[Ngram], length: int) -> dict[Ngram, int]:
        grams = [gram for gram in raw if len(gram) == length and gram != ("<s>",)]
        if length == self.order:
            return {gram: raw[gram] for gram in grams}
        lefts: dict[Ngram, set[str]] = {gram: set() for gram in grams}
        for longer in raw:
            if longer[1:] in lefts:
                lefts[longer[1:]].add(longer[0])
        return {gram: raw[gram] if gram[0] == "<s>" else len(lefts[gram]) for gram in grams}

    def estimate(self, length: int) -> list[float]:
        """The three discounts that the paper's formulas give for n-grams of one length."""
        t = Counter(self.counts[length - 1].values())
        y = t[1] / (t[1] + 2 * t[2])
        return [k - (k + 1) * y * t[k + 1] / t[k] for k in (1, 2, 3)]

    def probability(self, word: str, context: Ngram) -> float:
        """p(word | context), by recursion down to the uniform distribution."""
        lower = 1 / len(self.vocabulary) if not context else self.probability(word, context[1:])
        counts = self.counts[len(context)]
        after = {gram: count for gram, count in counts.items() if gram[:-1] == context}
        if not after:
            return self.probability(word, context[1:])
        discount = {gram: self.discounts[len(context)][min(count, 3) - 1] for gram, count in after.items()}
        gram, total = (*context, word), sum(after.values())
        own = (after[gram] - discount[gram]) / total if gram in after else 0.0
        return own + sum(discount.values()) / total * lower
