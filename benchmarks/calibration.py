"""How far a calibrated model's confidence can be believed on recordings that calibration never saw.

In: a model directory that `asr calibrate` was run on (with dev), and a manifest (test). Out: calibration error and
Brier score of word confidence there, before and after, on stdout; a reliability plot with --plot.

    python benchmarks/calibration.py runs/an4/model runs/an4/data/test.jsonl --plot reliability.png
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.data.manifest import read_manifest  # noqa: E402
from asr.recognition import Recognizer  # noqa: E402
from asr.recognition.calibration import uncalibrated  # noqa: E402
from asr.recognition.reliability import draw_reliability, word_outcomes  # noqa: E402
from asr.scoring.confidence import brier_score, chance_error, expected_calibration_error  # noqa: E402
from asr.terminal import table  # noqa: E402
from asr.text.normalize import get_normalizer  # noqa: E402


def main() -> None:
    """Judge every recognised word of the manifest."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument("manifest", type=Path, metavar="MANIFEST")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    options = parser.parse_args()
    recognizer = Recognizer.from_pretrained(options.model, device="cpu")
    if recognizer.calibration is None:
        sys.exit(f"{options.model} is not calibrated: run `asr calibrate` with its dev manifest first")
    utterances = read_manifest(options.manifest)
    outcomes = word_outcomes(utterances, recognizer.transcribe_utterances(utterances), get_normalizer("basic"))
    curves = {"before": uncalibrated(outcomes.evidence), "after": recognizer.calibration.confidence(outcomes.evidence)}
    print(f"{len(outcomes.right)} recognised words of {options.manifest}, {(~outcomes.right).sum()} of them wrong")
    rows = [
        [
            name,
            f"{expected_calibration_error(values, outcomes.right):.2%}",
            f"{brier_score(values, outcomes.right):.4f}",
        ]
        for name, values in curves.items()
    ]
    print(table(rows, ["confidence", "expected calibration error", "Brier score"]))
    print(
        f"expected by chance for a perfectly calibrated model on this many words: {chance_error(curves['after']):.2%}"
    )
    if options.plot:
        draw_reliability(list(curves.items()), outcomes.right, options.plot)


if __name__ == "__main__":
    main()
