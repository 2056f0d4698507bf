"""How far confidence can be believed: calibration error, Brier score, cross-validation, and a picture.

In: confidences and whether each word was right. Out: figures and a reliability plot. The expected calibration error
(Guo et al. 2017, with bins of equal mass) is the mean distance between what a bin of words promises and what it holds;
the Brier score (1950) is the mean squared error of the probability.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.files import atomic_path
from asr.recognition.calibration import fit_calibration
from asr.scoring import align_words
from asr.text.normalize import Normalizer

Array = NDArray[np.float64]
BINS = 10
FOLDS = 5


def judge_words(words: Sequence[str], reference: str, normalizer: Normalizer) -> list[bool | None]:
    """Whether each of ``words`` is right, by the alignment of the fewest errors with ``reference``.

    What normalises to several words is right when all of them are; what normalises to none is not judged (None).
    """
    pieces = [normalizer(word).split() for word in words]
    flat = " ".join(piece for group in pieces for piece in group)
    pairs = align_words(normalizer(reference), flat)
    hits = iter([pair.operation == "hit" for pair in pairs if pair.hypothesis is not None])
    verdicts = [[next(hits) for _ in group] for group in pieces]
    return [all(group) if group else None for group in verdicts]


def expected_calibration_error(confidence: Array, right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Mean over words of how far their bin's mean confidence lies from its share of right words, 0 to 1."""
    rows = reliability_bins(confidence, right, bins)
    return float(sum(count * abs(promised - held) for promised, held, count in rows) / len(confidence))


def chance_error(confidence: Array, bins: int = BINS, draws: int = 200) -> float:
    """The calibration error that so many words would show if each were right with just its confidence's probability."""
    generator = np.random.default_rng(0)
    rights = generator.random((draws, len(confidence))) < confidence
    return float(np.mean([expected_calibration_error(confidence, right, bins) for right in rights]))


def brier_score(confidence: Array, right: NDArray[np.bool_]) -> float:
    """Mean squared difference between confidence and 1 (right) or 0 (wrong)."""
    return float(np.mean((confidence - right) ** 2))


def reliability_bins(confidence: Array, right: NDArray[np.bool_], bins: int = BINS) -> list[tuple[float, float, int]]:
    """Mean confidence, share of right words and number of words of each bin; bins of (nearly) as many words each."""
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return [(float(confidence[part].mean()), float(right[part].mean()), len(part)) for part in parts]


def cross_validated(evidence: Array, right: NDArray[np.bool_], groups: Sequence[str]) -> Array | None:
    """Each word's confidence from a calibration that never saw its group (speaker, or utterance), ``(words,)``.

    None where all words are of one group.
    """
    folds = deal_groups(groups, FOLDS)
    if len(set(folds.tolist())) < 2:
        return None
    confidence = np.zeros(len(right))
    for fold in sorted(set(folds.tolist())):
        held_out = folds == fold
        confidence[held_out] = fit_calibration(evidence[~held_out], right[~held_out]).confidence(evidence[held_out])
    return confidence


def deal_groups(groups: Sequence[str], folds: int) -> NDArray[np.int64]:
    """A fold for each word, whole groups together; the largest group first, always to the smallest fold."""
    names, sizes = np.unique(np.array(groups), return_counts=True)
    load = np.zeros(min(folds, len(names)), np.int64)
    fold_of: dict[str, int] = {}
    for index in np.argsort(-sizes, kind="stable"):
        fold = int(np.argmin(load))
        fold_of[str(names[index])] = fold
        load[fold] += sizes[index]
    return np.array([fold_of[group] for group in groups], np.int64)


def draw_reliability(curves: Sequence[tuple[str, Array]], right: NDArray[np.bool_], path: Path) -> None:
    """A PNG: promised against held probability, and how confidences are spread, for each ``(name, confidences)``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.plot([0, 1], [0, 1], color="#999999", linestyle="--", linewidth=1, label="perfect")
    for (name, confidence), colour in zip(curves, ("#d62728", "#1f77b4", "#2ca02c"), strict=False):
        promised, held, counts = (np.array(column) for column in zip(*reliability_bins(confidence, right), strict=True))
        low, high = wilson_interval(held, counts)
        label = f"{name}: ECE {expected_calibration_error(confidence, right):.1%}"
        bars = np.stack([np.maximum(held - low, 0), np.maximum(high - held, 0)])
        upper.errorbar(
            promised, held, bars, color=colour, marker="o", markersize=4, capsize=2, linewidth=1.2, label=label
        )
        lower.hist(
            confidence, bins=np.linspace(0, 1, 41).tolist(), color=colour, histtype="step", linewidth=1.4, log=True
        )
    upper.set(
        ylabel="share of right words", title=f"Reliability of word confidence, {len(right)} words", ylim=(0, 1.02)
    )
    upper.legend(loc="upper left")
    lower.set(xlabel="confidence (mean of each tenth of the words)", ylabel="words", xlim=(0, 1.01))
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        figure.savefig(stream, format="png", dpi=110)


def wilson_interval(share: Array, count: NDArray[np.int64]) -> tuple[Array, Array]:
    """The 95% interval of a share of ``count`` (Wilson 1927)."""
    z = 1.959964
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return middle - half, middle + half
