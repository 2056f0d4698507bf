"""Backends of recognition: how fast, how far from torch's log-probabilities, and at which WER.

In: a model directory and manifests. Out, for each manifest and backend: processor seconds of the acoustic model alone
(on features in batches as recognition makes them) and of transcription end to end (reading and decoding audio,
features, speech gate, model, decoder, word times), as medians over rounds in which the backends take turns, and the
median of the paired ratios to torch; the largest and mean error of log-probabilities; WER. One thread on one core.
Processor seconds, not wall seconds, so that other work on the machine counts less; the load average is printed.

    OMP_NUM_THREADS=1 python benchmarks/backends.py english data/an4/test.jsonl --count 100 --out backends.json
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from asr import wer  # noqa: E402
from asr.cores import limited_cores  # noqa: E402
from asr.data.manifest import Utterance, read_manifest  # noqa: E402
from asr.files import write_json  # noqa: E402
from asr.recognition import Recognizer  # noqa: E402
from asr.recognition.pool import plan_batches  # noqa: E402
from asr.recognition.reading import Reader, utterance_source  # noqa: E402
from asr.recognition.recognizer import BATCH_S  # noqa: E402
from asr.recognition.windows import Array, Window, compute_windows  # noqa: E402

BACKENDS = ("torch", "onnx", "onnx-int8")


def batches(recognizer: Recognizer, utterances: Sequence[Utterance]) -> list[list[Window]]:
    """The utterances' features, each a window, in batches of like length."""
    windows: list[Window] = []
    for one in utterances:
        source = utterance_source(one, recognizer.sample_rate)
        windows += Reader(source, recognizer.pretrained.features, recognizer.sizes, gate=False).windows()
    longest = BATCH_S / recognizer.frame_s * recognizer.sizes.factor
    return [
        [windows[index] for index in batch] for batch in plan_batches([len(one.log_mel) for one in windows], longest)
    ]


def emissions(recognizer: Recognizer, windows: Sequence[Sequence[Window]]) -> list[Array]:
    """The acoustic model alone."""
    return [row for batch in windows for row in compute_windows(recognizer.pretrained.log_probs, batch)]


def in_turn(calls: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """The last results, and medians of processor seconds and of ratios to torch; every other round in reverse order."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, Any] = {}
    for index in range(rounds):
        for name in list(calls)[:: 1 if index % 2 else -1]:
            start_s = time.process_time()
            results[name] = calls[name]()
            seconds[name].append(time.process_time() - start_s)
    figures = {
        name: {
            "cpu_s": statistics.median(found),
            "ratio": statistics.median(a / b for a, b in zip(seconds["torch"], found, strict=True)),
        }
        for name, found in seconds.items()
    }
    return results, figures


def measure(recognizers: dict[str, Recognizer], utterances: Sequence[Utterance], rounds: int) -> dict[str, Any]:
    """The figures of each backend on these utterances."""
    windows = batches(recognizers["torch"], utterances)
    found, alone = in_turn({name: partial(emissions, one, windows) for name, one in recognizers.items()}, rounds)
    heard, whole = in_turn(
        {name: partial(one.transcribe_utterances, utterances, workers=1) for name, one in recognizers.items()},
        rounds,
    )
    figures = {}
    for name in recognizers:
        error = np.concatenate([np.abs(a - b).ravel() for a, b in zip(found[name], found["torch"], strict=True)])
        same = np.concatenate([a.argmax(1) == b.argmax(1) for a, b in zip(found[name], found["torch"], strict=True)])
        texts = [one.text for one in heard[name]]
        figures[name] = {
            "acoustic_model": alone[name],
            "end_to_end": whole[name],
            "largest_error": float(error.max()),
            "mean_error": float(error.mean()),
            "same_best_token": float(same.mean()),
            "wer": wer([one.text for one in utterances], texts),
            "texts_that_differ": sum(one != other.text for one, other in zip(texts, heard["torch"], strict=True)),
        }
    return {"utterances": len(utterances), "audio_s": sum(one.duration_s for one in utterances), "backends": figures}


def show(name: str, found: dict[str, Any]) -> None:
    """A table in Markdown."""
    audio_s = found["audio_s"]
    print(f"\n{name}: {found['utterances']} utterances, {audio_s / 60:.1f} minutes\n")
    print("| backend | acoustic model | end to end | times real time | largest, mean error | WER | texts that differ |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for backend, one in found["backends"].items():
        print(
            f"| {backend} | {one['acoustic_model']['ratio']:.2f}x | {one['end_to_end']['ratio']:.2f}x"
            f" | {audio_s / one['end_to_end']['cpu_s']:.0f} | {one['largest_error']:.2g}, {one['mean_error']:.2g}"
            f" | {one['wer']:.2%} | {one['texts_that_differ']} |"
        )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="a model directory, or english")
    parser.add_argument("manifests", nargs="+", type=Path, metavar="MANIFEST")
    parser.add_argument("--count", type=int, default=100, help="utterances of each, evenly spread (default: 100)")
    parser.add_argument("--rounds", type=int, default=5, help="of each backend (default: 5)")
    parser.add_argument("--greedy", action="store_true", help="greedy decoding, whatever the model directory asks for")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    decoding = {"name": "greedy"} if options.greedy else {}
    found: dict[str, Any] = {"load_before": os.getloadavg(), "torch": torch.__version__}
    with limited_cores(1):
        recognizers = {
            name: Recognizer.from_pretrained(options.model, "cpu", decoding=decoding, backend=name) for name in BACKENDS
        }
        for path in options.manifests:
            utterances = read_manifest(path)
            chosen = utterances[:: max(1, len(utterances) // options.count)][: options.count]
            found[str(path)] = measure(recognizers, chosen, options.rounds)
            show(str(path), found[str(path)])
    found["load_after"] = os.getloadavg()
    print(
        f"\n{recognizers['torch'].decoding.name} decoding; load average {found['load_before'][0]:.1f} before,", end=" "
    )
    print(f"{found['load_after'][0]:.1f} after")
    if options.out:
        write_json(options.out, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
