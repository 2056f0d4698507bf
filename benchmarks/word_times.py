"""How far word times are off, on recordings whose word bounds are known by construction.

In: model directories that know the digits, and optionally the Free Spoken Digit Dataset. Out: for each model and kind
of recording, the median, the 95th percentile and the share beyond 100 ms of the absolute error of starts and ends, over
all words correctly recognised; as a table on stdout, and as JSON with --out. Required: median <= 40 ms, 95% <= 100 ms.

    OMP_NUM_THREADS=1 python benchmarks/word_times.py runs/digits/model --corpus CORPORA/free-spoken-digit-dataset

See benchmarks/known_words.py for what a true bound is. Clips: the test voices of recipes/digits (unheard in its
training), and FSDD's published test recordings (indices 0 to 4). Kinds: pauses of 50 to 500 ms between words under
noise at 15 to 45 dB SNR ("pauses, noisy") or in digital silence ("pauses, clean"), and words that touch, 0 to 30 ms
apart, at 20 to 45 dB ("touching, noisy"). --no-level leaves the sound out: times from CTC's peaks alone.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.errors import AsrError  # noqa: E402
from asr.files import write_json  # noqa: E402
from asr.recognition import Hypothesis, Recognizer  # noqa: E402
from asr.scoring import align_words  # noqa: E402
from asr.terminal import table  # noqa: E402
from benchmarks.known_words import Clip, KnownRecording, fsdd_clips, join_clips, synthetic_clips  # noqa: E402

KINDS: dict[str, dict[str, Any]] = {
    "pauses, noisy": {"silence_s": (0.05, 0.5), "snr_db": (15.0, 45.0)},
    "pauses, clean": {"silence_s": (0.05, 0.5), "snr_db": None},
    "touching, noisy": {"silence_s": (0.0, 0.03), "snr_db": (20.0, 45.0)},
}


def main() -> None:
    """Measure every model on every kind of recording."""
    options = parse()
    rows: list[dict[str, Any]] = []
    for directory in options.models:
        recognizer = Recognizer.from_pretrained(directory, device="cpu")
        for source, clips in all_clips(recognizer.sample_rate, options).items():
            for kind, settings in KINDS.items():
                words = (1, options.most_words)
                made = join_clips(
                    clips, recognizer.sample_rate, count=options.count, words=words, seed=options.seed, **settings
                )
                rows.append(
                    {"model": str(directory), "clips": source, "kind": kind} | measure(recognizer, made, options)
                )
                print(f"{directory}, {source}, {kind}: done", file=sys.stderr)
    header = list(rows[0])
    print(table([[str(row[name]) for name in header] for row in rows], header))
    if options.out:
        write_json(options.out, {"seed": options.seed, "count": options.count, "rows": rows})


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="a model directory that knows the digits")
    parser.add_argument("--corpus", type=Path, metavar="FOLDER", help="the Free Spoken Digit Dataset")
    parser.add_argument("--count", type=int, default=150, help="recordings of each kind (default: 150)")
    parser.add_argument("--most-words", type=int, default=6, help="words in a recording at most (default: 6)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-level", action="store_true", help="times from CTC's peaks alone, for comparison")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    return parser.parse_args()


def all_clips(rate: int, options: argparse.Namespace) -> dict[str, dict[str, list[Clip]]]:
    """Clips by where they come from."""
    with tempfile.TemporaryDirectory() as folder:
        clips = {"synthetic": synthetic_clips(Path(folder), rate, per_word=3, seed=options.seed)}
    if options.corpus:
        clips["FSDD"] = fsdd_clips(options.corpus, rate)
    return clips


def measure(
    recognizer: Recognizer, recordings: Sequence[KnownRecording], options: argparse.Namespace
) -> dict[str, Any]:
    """Errors over the words of ``recordings`` that were recognised."""
    errors_s: list[list[float]] = []
    for recording, hypothesis in zip(recordings, transcribe(recognizer, recordings, options), strict=True):
        errors_s += word_errors_s(recording, hypothesis)
    spoken = sum(len(recording.words) for recording in recordings)
    found = np.array(errors_s).reshape(-1, 2)
    off_ms = np.abs(found) * 1000
    row: dict[str, Any] = {"words": spoken, "recognised": len(found)}
    for name, values in (("start", off_ms[:, 0]), ("end", off_ms[:, 1]), ("both", off_ms.ravel())):
        row |= {
            f"{name} median ms": round(float(np.median(values))),
            f"{name} 95% ms": round(float(np.percentile(values, 95))),
        }
    return row | {"beyond 100 ms": f"{np.mean(off_ms > 100):.1%}", "bias ms": round(float(np.median(found)) * 1000)}


def transcribe(
    recognizer: Recognizer, recordings: Sequence[KnownRecording], options: argparse.Namespace
) -> list[Hypothesis]:
    """As anyone would, or from emissions whose speech level is taken away."""
    waveforms = [recording.waveform for recording in recordings]
    if not options.no_level:
        return recognizer.transcribe_waveforms(waveforms)
    import dataclasses

    found = []
    for emissions in recognizer.emissions(waveforms, workers=1):
        if isinstance(emissions, AsrError):
            raise emissions
        found.append(recognizer.decode(dataclasses.replace(emissions, level=None)))
    return found


def word_errors_s(recording: KnownRecording, hypothesis: Hypothesis) -> list[list[float]]:
    """Start and end of each recognised word, said less true, in seconds."""
    errors_s, spoken, said = [], 0, 0
    for pair in align_words(" ".join(recording.words), hypothesis.text):
        if pair.operation == "hit":
            word, (start_s, end_s) = hypothesis.words[said], recording.bounds_s[spoken]
            errors_s.append([word.start_s - start_s, word.end_s - end_s])
        spoken += pair.reference is not None
        said += pair.hypothesis is not None
    return errors_s


if __name__ == "__main__":
    main()
