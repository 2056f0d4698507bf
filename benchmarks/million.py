"""What a million utterances cost: seconds and memory to read a manifest, plan an epoch, start a training, check texts.

In: how many utterances, a folder for the made-up corpus (kept, so that a second call finds it), and with --before
another checkout. Out: a row for each part on stdout, and as JSON with --out. Each part runs in a process of its own:
its wall seconds, the CPU seconds of it and of the processes that it starts, and the peaks of their resident memory, of
which they share what was there when they began. "read" and "start" run twice: the first process checks every line and
text and keeps what it finds beside the manifest; the second is what each further process and run pays.
"start" is `asr train` from the settings to the first batch of audio. Texts are random words and repeated phrases.

    .venv/bin/python benchmarks/million.py --utterances 1000000 --folder /tmp/million --out million.json
    .venv/bin/python benchmarks/million.py --utterances 100000 --folder /tmp/tenth --before ../main   # with ratios
"""

import argparse
import itertools
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
import wave
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LONGEST_S, RATE, FILES_A_FOLDER = 16.0, 8000, 1000
PARTS = ("import", "read", "read", "plan", "start", "start", "texts", "check")


def make(folder: Path, count: int, seed: int = 1) -> None:
    """A corpus of the ends of ``count`` recordings, links to few files, and a dev set of 20; only what is not there."""
    if (folder / "train.jsonl").exists():
        return
    generator = random.Random(seed)
    words = ["".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=generator.randint(2, 9))) for _ in range(20_000)]
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(words))))
    phrases = [" ".join(generator.choices(words, cum_weights=weights, k=6)) for _ in range(count // 50 + 1)]
    folder.mkdir(parents=True, exist_ok=True)
    for split, number in (("dev", 20), ("train", count)):
        with (folder / f"{split}.part").open("w") as stream:
            for place in range(number):
                audio = f"{split}/{place // FILES_A_FOLDER:05d}/{place:07d}.wav"
                if place % FILES_A_FOLDER == 0:
                    (folder / audio).parent.mkdir(parents=True, exist_ok=True)
                    _write_noise(folder / audio, generator)
                    first = folder / audio
                else:
                    os.link(first, folder / audio)
                duration_s = round(generator.uniform(1, LONGEST_S), 3)
                text = " ".join(generator.choices(words, cum_weights=weights, k=max(1, round(2.2 * duration_s))))
                text = f"{text} {generator.choice(phrases)}" if place % 20 == 0 else text
                line = {"id": f"{split}-{place:07d}", "audio": audio, "duration_s": duration_s, "text": text}
                line |= {"start_s": round(LONGEST_S - duration_s, 3), "speaker": f"s{place // 500}"}
                stream.write(json.dumps(line) + "\n")
        (folder / f"{split}.part").rename(folder / f"{split}.jsonl")


def _write_noise(path: Path, generator: random.Random) -> None:
    with wave.open(str(path), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(RATE)
        stream.writeframes(generator.randbytes(int(LONGEST_S * RATE) * 2))


def measure(part: str, folder: Path) -> dict[str, float]:
    """Do one part in this process: seconds, CPU seconds, and the megabytes that the process had at most."""
    do = _prepared(part, folder)
    began, cpu = time.perf_counter(), sum(os.times()[:4])
    do()
    found = {"seconds": time.perf_counter() - began, "cpu_s": sum(os.times()[:4]) - cpu}
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    of_children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return found | {"peak_mb": int(peak.split()[1]) / 1024, "peak_of_children_mb": of_children / 1024}


def _prepared(part: str, folder: Path) -> Callable[[], object]:
    """The part as a function, everything imported."""
    if part == "import":  # what any training has in memory before it reads anything
        import asr.training.start  # noqa: F401

        return lambda: None
    from asr.data.manifest import read_manifest

    if part == "read":
        return lambda: read_manifest(folder / "train.jsonl")
    if part == "plan":
        from asr.data.batching import BatchingConfig, plan_epoch

        generator = random.Random(0)
        durations_s = [generator.uniform(1, LONGEST_S) for _ in range(len(read_manifest(folder / "train.jsonl")))]
        return lambda: plan_epoch(durations_s, BatchingConfig(), seed=1, epoch=1, speeds=(0.9, 1.0, 1.1))
    if part == "check":
        return _check(folder)
    if part == "texts":
        return _texts(folder)
    return _start(folder)


def _check(folder: Path) -> Callable[[], object]:
    """`asr check --decode none`: the texts and their times, and every recording is opened."""
    from asr.data.quality.check import CheckOptions, check_manifests, summarize

    options = CheckOptions(manifests=[folder / "train.jsonl"], decode=0)
    return lambda: [summarize(one) for one in check_manifests(options).manifests]


def _texts(folder: Path) -> Callable[[], object]:
    """Its part without opening recordings."""
    from asr.audio import AudioInfo
    from asr.data.manifest import read_manifest
    from asr.data.quality.check import check_utterances

    facts = {"frames": int(LONGEST_S * RATE), "sample_rate": RATE, "duration_s": LONGEST_S}
    wave_ = AudioInfo(channels=1, format="WAV", subtype="PCM_16", **facts)  # type: ignore[arg-type]

    def check() -> list[object]:
        utterances = list(read_manifest(folder / "train.jsonl"))
        return [*check_utterances(utterances, defaultdict(lambda: wave_))]

    return check


def _start(folder: Path) -> Callable[[], object]:
    """From the settings to the first batch: tokens, spelled texts, alphabet, model, plan."""
    from asr.data.dataset import load_batches
    from asr.schema import build
    from asr.training import start
    from asr.training.config import TrainSettings
    from asr.training.distributed import start_processes
    from asr.training.records import Observers
    from asr.training.setup import prepare_setup
    from asr.training.step import EpochSteps

    model = {"num_layers": 1, "hidden_size": 32}
    data = {"dir": str(folder), "cache_mb": 0.0, "unspellable": "drop", "normalizer": "basic"}
    settings = build(TrainSettings, {"data": data, "model": model, "features": {"sample_rate": RATE}})

    def begin() -> object:
        start.manifest_hashes(settings)
        setup = prepare_setup(settings)
        start._report_alphabet(setup, settings, None, Observers())
        steps = EpochSteps(setup.train, settings, start_processes("cpu"))
        return next(load_batches(setup.train, steps.plan(0)[:4], 2))

    return begin


def run(parts: tuple[str, ...], folder: Path, checkout: Path) -> list[dict[str, Any]]:
    """Each part with the code of ``checkout``, in a process of its own."""
    shutil.rmtree(folder / ".index", ignore_errors=True)
    rows = []
    for number, part in enumerate(parts):
        name = f"{part}, again" if part in parts[:number] else part
        command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
        known = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        found = subprocess.run(command, env=known, cwd=checkout, check=True, capture_output=True, text=True)
        rows.append({"part": name, **json.loads(found.stdout.splitlines()[-1])})
        print(_row(rows[-1]), flush=True)
    return rows


def _row(row: dict[str, Any]) -> str:
    seconds = f"{row['part']:14} {row['seconds']:8.2f} s {row['cpu_s']:8.2f} s of CPU"
    return f"{seconds} {row['peak_mb']:8.0f} MB, {row['peak_of_children_mb']:.0f} MB in each child"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, required=True, help="of the made-up corpus")
    parser.add_argument("--parts", type=lambda text: tuple(text.split(",")), default=PARTS)
    parser.add_argument("--before", type=Path, help="another checkout, measured too")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--part", choices=sorted(set(PARTS)), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(measure(options.part, options.folder)))
        return
    make(options.folder, options.utterances)
    result: dict[str, Any] = {"utterances": options.utterances, "now": run(options.parts, options.folder, ROOT)}
    if options.before:
        print(f"with the code in {options.before}:")
        result["before"] = run(options.parts, options.folder, options.before.resolve())
        for now, before in zip(result["now"], result["before"], strict=True):
            ratios = (f"{key} {before[key] / max(now[key], 1e-3):.1f}" for key in ("cpu_s", "peak_mb"))
            print(f"{now['part']:14} before/now: {', '.join(ratios)}")
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
