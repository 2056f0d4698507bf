"""How far a calibration can be believed: cross-validation, and a picture.

In: confidences and whether each word was right. Out: confidences of words that the calibration never saw, and a
reliability plot. The figures (calibration error, Brier score) are those of asr/scoring/confidence.py.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.files import atomic_path
from asr.recognition.calibration import fit_calibration
from asr.scoring.confidence import expected_calibration_error, reliability_bins, wilson_interval

Array = NDArray[np.float64]
FOLDS = 5


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
