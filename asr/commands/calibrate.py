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
from asr.recognition.reliability import _facts, judge, notes
from asr.text.normalize import NORMALIZERS, get_normalizer

if TYPE_CHECKING:
    from asr.data.manifest import Utterance
    from asr.recognition import Hypothesis, Recognizer


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
    from asr.recognition.calibration import fit_calibration, store_calibration, uncalibrated
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


def _transcribe(recognizer: "Recognizer", utterances: "list[Utterance]") -> "list[Hypothesis]":
    from asr.terminal import Progress

    with Progress(len(utterances), "transcribing", "utterances") as progress:
        return recognizer.transcribe_utterances(
            utterances, progress=lambda done, total: progress.update(done - progress.done)
        )


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
