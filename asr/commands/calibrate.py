"""``asr calibrate MODEL DEV_MANIFEST``: make word confidence a probability.

In: a model directory and a manifest that the model was not trained on. Out: ``calibration.json`` in the model
directory, which every recogniser made from it uses from then on; calibration error and Brier score before and after on
stdout, the latter by cross-validation; a reliability plot.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import DataError
from asr.text.normalize import NORMALIZERS, Normalizer, get_normalizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from asr.data.utterance import Utterance
    from asr.recognition import Hypothesis, Recognizer

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


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``asr calibrate``."""
    parser = argparse.ArgumentParser(
        prog="asr calibrate",
        description="Fit word confidence to a dev set, so that of the words with confidence 0.9 nine in ten are right. "
        "Calibrate again after a change of the decoder or its language model.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model directory, such as runs/fsdd/model")
    parser.add_argument(
        "manifest", type=Path, metavar="DEV_MANIFEST", help="recordings not trained on, with their text"
    )
    parser.add_argument(
        "--out", type=Path, metavar="PLOT.png", help="the reliability plot (default: calibration.png in MODEL)"
    )
    parser.add_argument(
        "--normalizer", choices=NORMALIZERS, default="basic", help="what counts as the same word (default: basic)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    return parser


def run(arguments: list[str]) -> int:
    """Calibrate; returns 0, or raises an AsrError."""
    options = build_parser().parse_args(arguments)
    from asr.data.manifest import read_manifest

    utterances = read_manifest(options.manifest)
    from asr.recognition import Recognizer
    from asr.recognition.calibration import fit_calibration, store_calibration
    from asr.recognition.confidence import uncalibrated
    from asr.recognition.reliability import cross_validated, draw_reliability

    recognizer = Recognizer.from_pretrained(options.model, device=options.device, calibrated=False)
    hypotheses = _transcribe(recognizer, utterances)
    judged = judge(utterances, hypotheses, get_normalizer(options.normalizer))
    if not len(judged.right):
        raise DataError(f"{options.manifest}: the model recognised no word of it; there is nothing to calibrate with")
    before = uncalibrated(judged.evidence)
    calibration = fit_calibration(judged.evidence, judged.right)
    after = cross_validated(judged.evidence, judged.right, judged.groups)
    honest = after is not None
    after = calibration.confidence(judged.evidence) if after is None else after
    facts = _facts(judged, before, after, honest) | {
        "manifest": str(options.manifest),
        "normalizer": options.normalizer,
    }
    plot = options.out or options.model / "calibration.png"
    draw_reliability([("before", before), (facts["how"], after)], judged.right, plot)
    store_calibration(options.model, dataclasses.replace(calibration, facts=facts))
    _report(facts, options.model, plot)
    return 0


def judge(utterances: "list[Utterance]", hypotheses: "list[Hypothesis]", normalizer: Normalizer) -> Judged:
    """Every recognised word against the reference of its utterance."""
    import numpy as np

    from asr.recognition.confidence import EVIDENCE
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


def _transcribe(recognizer: "Recognizer", utterances: "list[Utterance]") -> "list[Hypothesis]":
    from asr.terminal import Progress

    with Progress(len(utterances), "transcribing", "utterances") as progress:
        return recognizer.transcribe_utterances(
            utterances, progress=lambda done, total: progress.update(done - progress.done)
        )


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


def _report(facts: dict[str, Any], model: Path, plot: Path) -> None:
    from asr.recognition.calibration import FILE
    from asr.terminal import table

    print(f"{facts['words']:,} recognised words of {facts['manifest']}, {facts['wrong_words']:,} of them wrong")
    rows = [
        [name, f"{facts[f'ece_{key}']:.2%}", f"{facts[f'brier_{key}']:.4f}"]
        for name, key in (("before", "before"), (facts["how"], "after"))
    ]
    print(table(rows, ["confidence", "expected calibration error", "Brier score"]))
    print(f"a perfect calibration would show {facts['ece_of_chance']:.2%} on so many words, by chance")
    for note in notes(facts):
        print(f"note: {note}")
    print(f"stored: {model / FILE}\nplot: {plot}")


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
