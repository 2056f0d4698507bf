"""How far a calibration can be believed: cross-validation, and a picture.

In: confidences and whether each word was right. Out: confidences of words that the calibration never saw, and a
reliability plot. The figures (calibration error, Brier score) are those of asr/scoring/confidence.py.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asr.files import atomic_path
from asr.recognition.calibration import fit_calibration
from asr.scoring.confidence import expected_calibration_error, reliability_bins, wilson_interval
from asr.text.normalize import Normalizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from asr.data.manifest import Utterance
    from asr.recognition.hypothesis import Hypothesis


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


FEW_ERRORS = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """Recognised words of a dev set, one row or entry each: evidence, whether right, and the group of its recording.

    ``by_speaker``: whether groups are speakers, else they are recordings.
    """

    evidence: "NDArray[np.float64]"
    right: "NDArray[np.bool_]"
    groups: list[str]
    by_speaker: bool


def judge(utterances: "list[Utterance]", hypotheses: "list[Hypothesis]", normalizer: Normalizer) -> Judged:
    """Every recognised word against the reference of its utterance."""
    import numpy as np

    from asr.recognition.calibration import EVIDENCE
    from asr.scoring.confidence import judge_words

    by_speaker = len({one.speaker for one in utterances}) > 1 and all(one.speaker for one in utterances)
    evidence: list[tuple[float, ...]] = []
    right: list[bool] = []
    groups: list[str] = []
    for utterance, hypothesis in zip(utterances, hypotheses, strict=True):
        verdicts = judge_words([word.text for word in hypothesis.words], utterance.text, normalizer)
        for verdict, row in zip(verdicts, hypothesis.evidence, strict=True):
            if verdict is not None:
                evidence.append(row)
                right.append(verdict)
                groups.append(str(utterance.speaker if by_speaker else utterance.id))
    rows = np.array(evidence, np.float64).reshape(len(right), len(EVIDENCE))
    return Judged(rows, np.array(right, bool), groups, by_speaker)


def _facts(judged: Judged, before: "NDArray[np.float64]", after: "NDArray[np.float64]", honest: bool) -> dict[str, Any]:
    from asr.scoring.confidence import brier_score, chance_error, expected_calibration_error

    groups = "speakers" if judged.by_speaker else "recordings"
    how = f"after, on {groups} held out" if honest else "after, on the words it was fitted to"
    return {
        "words": len(judged.right),
        "wrong_words": int((~judged.right).sum()),
        "how": how,
        "ece_before": expected_calibration_error(before, judged.right),
        "ece_after": expected_calibration_error(after, judged.right),
        "ece_of_chance": chance_error(after),
        "brier_before": brier_score(before, judged.right),
        "brier_after": brier_score(after, judged.right),
    }


def notes(facts: dict[str, Any]) -> list[str]:
    """What a person should know before trusting the calibration."""
    found = []
    if facts["wrong_words"] < FEW_ERRORS:
        found.append(
            f"{facts['wrong_words']} wrong words say little about what wrong ones look like; use a larger dev set"
        )
    if facts["brier_after"] > facts["brier_before"]:
        found.append(
            "on held-out words the Brier score got worse; delete calibration.json to go back to what was before"
        )
    return found
