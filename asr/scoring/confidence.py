"""How reliable word confidence is: which words are right, calibration error, Brier score, and quality of ranking.

In: confidences and whether each word was right. Out: figures. The expected calibration error (Guo et al. 2017, with
bins of equal mass) is the mean distance between a bin's mean confidence and its share of right words; the Brier score
(1950) is the mean squared error of the probability; the area under the ROC curve is the chance that a right word has a
higher confidence than a wrong one (Hanley and McNeil 1982).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asr.scoring.counts import align_words
from asr.text.normalize import Normalizer

Array = NDArray[np.float64]
BINS = 10


def words_correct(words: Sequence[str], reference: str, normalizer: Normalizer) -> list[bool | None]:
    """Whether each of ``words`` is right, by the alignment of the fewest errors with ``reference``.

    What normalises to several words is right when all of them are; what normalises to none has no outcome (None).
    """
    pieces = [normalizer(word).split() for word in words]
    flat = " ".join(piece for group in pieces for piece in group)
    pairs = align_words(normalizer(reference), flat)
    hits = iter([pair.operation == "hit" for pair in pairs if pair.hypothesis is not None])
    outcomes = [[next(hits) for _ in group] for group in pieces]
    return [all(group) if group else None for group in outcomes]


def expected_calibration_error(confidence: Array, right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Mean over words of how far their bin's mean confidence is from its share of right words, 0 to 1."""
    rows = reliability_bins(confidence, right, bins)
    return float(sum(count * abs(promised - held) for promised, held, count in rows) / len(confidence))


def chance_error(confidence: Array, bins: int = BINS, draws: int = 200) -> float:
    """The calibration error that so many words would show if each were right with just its confidence's probability."""
    generator = np.random.default_rng(0)
    ordered = np.sort(confidence, kind="stable")  # once: the bins are those of every draw
    starts = np.array([part[0] for part in np.array_split(np.arange(len(ordered)), bins) if len(part)])
    promised = np.add.reduceat(ordered, starts)
    held = [np.add.reduceat((generator.random(len(ordered)) < ordered).astype(float), starts) for _ in range(draws)]
    return float(np.mean(np.abs(np.array(held) - promised).sum(axis=1)) / len(ordered))


def brier_score(confidence: Array, right: NDArray[np.bool_]) -> float:
    """Mean squared difference between confidence and 1 (right) or 0 (wrong)."""
    return float(np.mean((confidence - right) ** 2))


def ranking_quality(confidence: Array, right: NDArray[np.bool_]) -> float:
    """The area under the ROC curve, 0.5 for no use, 1 where every right word is above every wrong one; ties half.

    NaN unless there are both right and wrong words.
    """
    positives, negatives = int(right.sum()), int((~right).sum())
    if not positives or not negatives:
        return float("nan")
    _, places, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]  # equal values share their mean rank
    return float((ranks[right].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def reliability_bins(confidence: Array, right: NDArray[np.bool_], bins: int = BINS) -> list[tuple[float, float, int]]:
    """Mean confidence, share of right words and number of words of each bin; bins of (nearly) as many words each."""
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [(float(confidence[part].mean()), float(right[part].mean()), len(part)) for part in parts]


def wilson_interval(share: Array, count: NDArray[np.int64]) -> tuple[Array, Array]:
    """The 95% interval of a share of ``count`` (Wilson 1927)."""
    z = 1.959964
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return middle - half, middle + half
