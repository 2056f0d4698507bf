"""How fast whole files become text: pooled batches on all cores against one file at a time.

In: a model directory and real recordings. Out: times real time, end to end (reading and decoding the audio, features,
model, speech gate, decoder), of three ways taken in turn, in rounds: ``one by one`` (each file alone through the model,
one core, the plain path), ``pooled`` on one core, and ``pooled`` with a thread a core. That all give the same texts is
checked.

    OMP_NUM_THREADS=1 python benchmarks/transcription_speed.py runs/an4/model --corpus an4 --out speed.json
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr.audio import load_audio  # noqa: E402
from asr.cores import limited_cores, usable_cores  # noqa: E402
from asr.errors import AsrError  # noqa: E402
from asr.files import write_json  # noqa: E402
from asr.recognition import Recognizer  # noqa: E402
from benchmarks.recordings import PARTS, recordings  # noqa: E402


def one_by_one(recognizer: Recognizer, paths: list[str]) -> list[str]:
    """Each file on one core: load, transcribe."""
    rate = recognizer.sample_rate
    with limited_cores(1):
        return [recognizer.transcribe(load_audio(path, sample_rate=rate), sample_rate=rate).text for path in paths]


def pooled(recognizer: Recognizer, paths: list[str], workers: int) -> list[str]:
    """All files together."""
    texts = []
    with limited_cores(workers):
        for _, hypothesis in recognizer.transcribe_files(paths, workers=workers):
            if isinstance(hypothesis, AsrError):
                raise hypothesis
            texts.append(hypothesis.text)
    return texts


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Take the ways in turn; medians of their speeds and of their ratios to the plain path."""
    recognizer = Recognizer.from_pretrained(options.model, device="cpu")
    paths = options.files or recordings(options.corpus, reported=True, count=options.count)
    audio_s = sum(len(load_audio(path, sample_rate=8000)) / 8000 for path in paths)
    cores = options.workers or usable_cores()
    ways: dict[str, Callable[[], list[str]]] = {
        "one by one": lambda: one_by_one(recognizer, paths),
        "pooled, 1 core": lambda: pooled(recognizer, paths, 1),
        f"pooled, {cores} cores": lambda: pooled(recognizer, paths, cores),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    texts: dict[str, list[str]] = {}
    for index in range(options.rounds):
        for name in list(ways)[:: 1 if index % 2 else -1]:
            start_s = time.perf_counter()
            texts[name] = ways[name]()
            seconds[name].append(time.perf_counter() - start_s)
    if len({tuple(one) for one in texts.values()}) != 1:
        raise SystemExit("the ways do not give the same texts")
    plain = seconds["one by one"]
    return {
        "files": len(paths),
        "audio_s": audio_s,
        "times_real_time": {name: audio_s / statistics.median(found) for name, found in seconds.items()},
        "ratio": {
            name: statistics.median(a / b for a, b in zip(plain, found, strict=True)) for name, found in seconds.items()
        },
        "model": options.model,
        "torch": torch.__version__,
    }


def main() -> int:
    """Measure and say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="a model directory")
    parser.add_argument("--corpus", choices=PARTS, default="an4", help="whose recordings (default: an4)")
    parser.add_argument("--files", nargs="*", help="recordings to transcribe instead")
    parser.add_argument("--count", type=int, default=120, help="recordings at most (default: 120)")
    parser.add_argument("--workers", type=int, help="threads (default: one a core)")
    parser.add_argument("--rounds", type=int, default=5, help="of each way (default: 5)")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(options)
    if options.out:
        write_json(options.out, found)
    for name, speed in found["times_real_time"].items():
        print(f"{name}: {speed:.0f} times real time, {found['ratio'][name]:.2f} of the plain path")
    return 0


if __name__ == "__main__":
    sys.exit(main())
