"""``asr calibrate MODEL DEV_MANIFEST``: make word confidence a probability.

In: a model directory and a manifest that the model was not trained on. Out: ``calibration.json`` in the model
directory, which every recogniser made from it uses from then on; calibration error and Brier score before and after on
stdout, the latter by cross-validation; a reliability plot.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.parser import Parser
from asr.errors import UsageError
from asr.files import check_output_folder
from asr.shipped import check_not_shipped, model_directory
from asr.terminal import Progress, table
from asr.text.normalize import NORMALIZERS, get_normalizer

if TYPE_CHECKING:
    from asr.recognition.reliability import CalibrationReport


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateOptions:
    """The arguments of ``asr calibrate``."""

    model: Path
    manifest: Path
    out: Path | None
    normalizer: str
    device: str


def build_parser() -> argparse.ArgumentParser:
    """The arguments of ``asr calibrate``."""
    parser = Parser(
        prog="asr calibrate",
        description="Fit word confidence to a dev set, so that of the words with confidence 0.9 nine in ten are right. "
        "Calibrate again after a change of the decoder or its language model.",
    )
    parser.add_argument(
        "model", type=model_directory, metavar="MODEL", help="a model directory, such as runs/fsdd/model"
    )
    parser.add_argument(
        "manifest", type=Path, metavar="DEV_MANIFEST", help="a manifest that was not used in training, with transcripts"
    )
    parser.add_argument(
        "--out", type=Path, metavar="PLOT.png", help="the reliability plot (default: calibration.png in MODEL)"
    )
    parser.add_argument(
        "--normalizer",
        choices=NORMALIZERS,
        default="basic",
        help="normaliser of both texts (default: basic)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, ... (default: auto)")
    return parser


def run(arguments: list[str]) -> int:
    """Calibrate; returns 0, or raises an AsrError."""
    options = CalibrateOptions(**vars(build_parser().parse_args(arguments)))
    check_not_shipped(options.model)
    plot = options.out or options.model / "calibration.png"
    if plot.is_dir():
        raise UsageError(f"--out {plot} is a folder; give a file, such as {plot / 'calibration.png'}")
    if plot.suffix.lower() != ".png":  # the manifest, or a file of the model, would be lost
        raise UsageError(f"--out {plot}: the plot is a PNG; give a file such as {plot.with_suffix('.png')}")
    check_output_folder(plot.parent)
    from asr.data.manifest import read_manifest

    utterances = read_manifest(options.manifest)  # what it refuses is said before torch is imported
    from asr.recognition import Recognizer
    from asr.recognition.calibration import FILE, store_calibration
    from asr.recognition.reliability import calibrate

    recognizer = Recognizer.from_pretrained(options.model, device=options.device, calibrated=False)
    with Progress(len(utterances), "transcribing", "utterances") as progress:
        result = calibrate(
            recognizer,
            utterances,
            get_normalizer(options.normalizer),
            manifest=options.manifest,
            progress=lambda done, total: progress.update(done - progress.done),
        )
    store_calibration(options.model, result.calibration)
    result.draw(plot)
    _print(result.report)
    print(f"stored: {options.model / FILE}\nplot: {plot}")
    return 0


def _print(report: "CalibrationReport") -> None:
    print(f"{report.words:,} recognised words of {report.manifest}, {report.wrong_words:,} of them wrong")
    rows = [
        ["before", f"{report.ece_before:.2%}", f"{report.brier_before:.4f}"],
        [report.how, f"{report.ece_after:.2%}", f"{report.brier_after:.4f}"],
    ]
    print(table(rows, ["confidence", "expected calibration error", "Brier score"]))
    print(f"expected by chance for a perfectly calibrated model on this many words: {report.ece_of_chance:.2%}")
    for note in report.notes():
        print(f"note: {note}")
