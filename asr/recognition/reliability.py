"""Calibrate a recogniser on a dev set, and say how far the calibration can be trusted.

In: a recogniser, utterances with their texts. Out: a ``Calibration``; a ``CalibrationReport`` with the figures before
and after, the latter by cross-validation, so that they are of words that the calibration has not seen; a reliability
plot. Calibration error and Brier score are those of asr/scoring/confidence.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.data.manifest import Utterance
from asr.errors import DataError
from asr.figures import new_figure, save_figure
from asr.recognition.calibration import EVIDENCE, Calibration, fit_calibration, uncalibrated
from asr.recognition.hypothesis import Hypothesis
from asr.recognition.recognizer import Recognizer
from asr.scoring.confidence import (
    brier_score,
    chance_error,
    expected_calibration_error,
    reliability_bins,
    wilson_interval,
    words_correct,
)
from asr.text.normalize import Normalizer

Array = NDArray[np.float64]
FOLDS = 5
FEW_ERRORS = 20


@dataclass(frozen=True, slots=True)
class WordOutcomes:
    """Recognised words of a dev set, one row or entry each: evidence, whether right, and the group of its recording.

    ``by_speaker``: whether groups are speakers, else they are recordings.
    """

    evidence: Array
    right: NDArray[np.bool_]
    groups: list[str]
    by_speaker: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationReport:
    """Calibration error (ECE) and Brier score before and after; ``how`` the figures after were found.

    ``ece_of_chance``: what a perfect calibration would show on so many words.
    """

    words: int
    wrong_words: int
    how: str
    ece_before: float
    ece_after: float
    ece_of_chance: float
    brier_before: float
    brier_after: float
    manifest: str
    normalizer: str

    def notes(self) -> list[str]:
        """What limits the use of this calibration."""
        found = []
        if self.wrong_words < FEW_ERRORS:
            found.append(
                f"only {self.wrong_words} wrong words: too few to fit the calibration reliably; use a larger dev set"
            )
        if self.brier_after > self.brier_before:
            found.append(
                "on held-out words the Brier score got worse; delete calibration.json to go back to uncalibrated "
                "confidence"
            )
        return found


@dataclass(frozen=True, slots=True)
class CalibrationResult:
    """``calibration`` with its report as ``facts``, and the confidence of each dev word before and after."""

    calibration: Calibration
    report: CalibrationReport
    right: NDArray[np.bool_]
    before: Array
    after: Array

    def draw(self, path: Path) -> None:
        """The reliability plot, as PNG."""
        draw_reliability([("before", self.before), (self.report.how, self.after)], self.right, path)


def calibrate(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    normalizer: Normalizer,
    *,
    manifest: Path,
    progress: Callable[[int, int], None] | None = None,
) -> CalibrationResult:
    """Transcribe ``utterances`` (of ``manifest``) and fit confidence to what was right of it.

    ``recognizer`` is one without calibration. Raises AudioError for a recording that cannot be read, DataError when no
    word was recognised.
    """
    hypotheses = recognizer.transcribe_utterances(utterances, progress=progress)
    outcomes = word_outcomes(utterances, hypotheses, normalizer)
    if not len(outcomes.right):
        raise DataError(
            f"{manifest}: the model recognised no word in these recordings, so there is nothing to calibrate on"
        )
    before = uncalibrated(outcomes.evidence)
    calibration = fit_calibration(outcomes.evidence, outcomes.right)
    held_out = cross_validated(outcomes.evidence, outcomes.right, outcomes.groups)
    after = calibration.confidence(outcomes.evidence) if held_out is None else held_out
    groups = "speakers" if outcomes.by_speaker else "recordings"
    report = CalibrationReport(
        words=len(outcomes.right),
        wrong_words=int((~outcomes.right).sum()),
        how="after, on the words that it was fitted to" if held_out is None else f"after, on {groups} held out",
        ece_before=expected_calibration_error(before, outcomes.right),
        ece_after=expected_calibration_error(after, outcomes.right),
        ece_of_chance=chance_error(after),
        brier_before=brier_score(before, outcomes.right),
        brier_after=brier_score(after, outcomes.right),
        manifest=str(manifest),
        normalizer=normalizer.name,
    )
    return CalibrationResult(replace(calibration, facts=asdict(report)), report, outcomes.right, before, after)


def word_outcomes(
    utterances: Sequence[Utterance], hypotheses: Sequence[Hypothesis], normalizer: Normalizer
) -> WordOutcomes:
    """Compare every recognised word with the reference of its utterance."""
    by_speaker = len({one.speaker for one in utterances}) > 1 and all(one.speaker for one in utterances)
    evidence: list[tuple[float, ...]] = []
    right: list[bool] = []
    groups: list[str] = []
    for utterance, hypothesis in zip(utterances, hypotheses, strict=True):
        outcomes = words_correct([word.text for word in hypothesis.words], utterance.text, normalizer)
        for is_right, row in zip(outcomes, hypothesis.evidence, strict=True):
            if is_right is not None:
                evidence.append(row)
                right.append(is_right)
                groups.append(str(utterance.speaker if by_speaker else utterance.audio))
    rows = np.array(evidence, np.float64).reshape(len(right), len(EVIDENCE))
    return WordOutcomes(rows, np.array(right, bool), groups, by_speaker)


def cross_validated(evidence: Array, right: NDArray[np.bool_], groups: Sequence[str]) -> Array | None:
    """Each word's confidence from a calibration that never saw its group (speaker, or recording), ``(words,)``.

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
    """A PNG: confidence against the share of right words, and the distribution of confidence, for each ``(name,
    confidences)``.
    """
    figure, (upper, lower) = new_figure(2, 1, (7, 7.5), sharex=True, height_ratios=[3, 1])
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
    save_figure(figure, path)
