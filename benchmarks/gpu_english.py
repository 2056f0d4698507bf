"""Part 3 of gpu.py: trains the English starter, evaluates it, and packs what is worth keeping into small files.

In: a folder that `asr prepare recipes/english` wrote, or one that gpu_pack.py made of it. Out: a run in --out/english,
rows for the training and for each dev and test set, and with --bring a folder of files of at most 16 MB: results.json,
and english.tar.00 and so on with the model, the metrics and the evaluations:

    cat english.tar.* | tar x

A call that ends before the training does stops it as SIGTERM would, so that the next one resumes it exactly.
"""

import argparse
import io
import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from asr.files import read_json_lines, read_json_object, write_json

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = (
    "training=gpu", "model.hidden_size=384", "data.batching.batch_s=960", "data.batching.max_utterances=128",
    "training.epochs=100", "training.save_every_steps=200", "data.workers=15", "training.keep_last=10",
)  # fmt: skip
TOY = (
    "training.precision=fp32", "training.device=cpu", "model.num_layers=1", "model.hidden_size=8",
    "model.subsampling.channels=2", "model.subsampling.output_size=8", "data.workers=0", "training.epochs=2",
    "training.keep_last=2", "training.tensorboard=false",
)  # fmt: skip
STOP_S, KILL_S = 30.0, 20.0  # a training is stopped so long before the call has to end, and killed so long after that
EVALUATION_S = 30.0  # none is begun with less time left
LARGEST_MB = 16.0  # of a file in --bring
KEPT = ("config.yaml", "run.json", "metrics.jsonl", "dev_utterances.jsonl", "curves.png")


class Rows(Protocol):
    """What a part of gpu.py is to this one."""

    complete: bool

    @property
    def seconds_left(self) -> float:
        """Until the call has to end."""

    def row(self, name: str, measure: Any, watched: bool = True) -> None:
        """Measure a row unless it is there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What this part needs to know."""
    group = parser.add_argument_group("english")
    group.add_argument(
        "--data", type=Path, help="folder with train.jsonl and dev.jsonl; without it the part is left out"
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another setting of the training; may be repeated",
    )
    group.add_argument("--bring", type=Path, metavar="FOLDER", help="pack results, model and evaluations there")


def run_english(part: Rows, device: torch.device, options: argparse.Namespace) -> None:
    """Train, then evaluate on every dev and test set of the data."""
    if options.data is None:
        print("english: left out, it needs --data FOLDER", flush=True)
        return
    run_dir = options.out / "english"
    part.row("train", lambda: _train(part, run_dir, options), watched=False)
    if not (run_dir / "model" / "config.json").exists() or not part.complete:
        return
    for manifest in sorted([*options.data.glob("dev*.jsonl"), *options.data.glob("test*.jsonl")]):
        if part.seconds_left < EVALUATION_S:
            part.complete = False
            return
        part.row(manifest.stem, lambda manifest=manifest: _evaluate(part, run_dir, manifest, device), watched=False)


def _train(part: Rows, run_dir: Path, options: argparse.Namespace) -> dict[str, Any] | None:
    """The run's last figures; None where time ran out first."""
    folders = [f"data.dir={options.data.resolve()}", f"run_dir={run_dir.resolve()}"]
    words = [*SETTINGS, *(TOY if options.toy else ()), *options.set, *folders]
    process = _asr("train", str(ROOT / "recipes" / "english" / "bilstm.yaml"), *words)
    if not _wait(process, part, STOP_S):
        return None
    if process.returncode:
        raise RuntimeError(f"asr train ended with {process.returncode}; its message is above")
    epochs = [one for one in read_json_lines(run_dir / "metrics.jsonl") if one["kind"] == "epoch"]
    last = epochs[-1]
    facts = read_json_object(run_dir / "model" / "config.json")["facts"]
    return {
        "dev_wer": facts["dev_wer"],
        "dev_cer": facts["dev_cer"],
        "averaged_epochs": facts["averaged_epochs"],
        "hardware": facts["hardware"],
        **{key: last[key] for key in ("epoch", "step", "seconds", "data_seconds", "audio_s", "skipped", "train_loss")},
        "audio_s_per_s": last["audio_s"] / last["seconds"],
        "settings": words,
    }


def _evaluate(part: Rows, run_dir: Path, manifest: Path, device: torch.device) -> dict[str, Any] | None:
    out = run_dir / "evaluation" / manifest.stem
    words = [
        str(run_dir.resolve() / "model"),
        str(manifest.resolve()),
        "--out",
        str(out.resolve()),
        "--decoder",
        "greedy",
        "--device",
        str(device),
    ]
    process = _asr("evaluate", *words)
    if not _wait(process, part, 0.0):
        return None
    if process.returncode:
        raise RuntimeError(f"asr evaluate ended with {process.returncode}; its message is above")
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return {key: summary[key] for key in ("wer", "cer", "utterances", "real_time_factor")}


def _asr(*words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "asr", *words], cwd=ROOT)


def _wait(process: "subprocess.Popen[bytes]", part: Rows, spare_s: float) -> bool:
    """Whether ``process`` ends before no more than ``spare_s`` is left; else it is stopped."""
    while process.poll() is None:
        if part.seconds_left <= spare_s:
            _stop(process)
            return False
        time.sleep(0.05)
    return True


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(KILL_S)
    except subprocess.TimeoutExpired:
        process.kill()  # its last checkpoint is whole
        process.wait()


def bring(out: Path, folder: Path) -> str:
    """Write what is worth keeping of ``out`` into ``folder``, in files of at most 16 MB, and say how much that is."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("english.tar.*"):
        old.unlink()
    results = {path.stem: read_json_object(path) for path in sorted(out.glob("*.json"))}
    write_json(folder / "results.json", {"time": time.strftime("%Y-%m-%d %H:%M:%S"), **results})
    size, content = int(LARGEST_MB * 1e6), _archive(out / "english")
    parts = [content[start : start + size] for start in range(0, len(content), size)]
    for number, part in enumerate(parts):
        (folder / f"english.tar.{number:02d}").write_bytes(part)
    return f"{folder}: results.json and {len(parts)} parts of english.tar, {len(content) / 1e6:.1f} MB"


def _archive(run_dir: Path) -> bytes:
    """A tar file of the model, the run's records and the evaluations; no bytes without a model."""
    if not (run_dir / "model" / "config.json").exists():
        return b""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path in _kept(run_dir):
            archive.add(path, arcname=str(path.relative_to(run_dir.parent)))
    return stream.getvalue()


def _kept(run_dir: Path) -> Sequence[Path]:
    evaluations = [path for path in sorted((run_dir / "evaluation").glob("*/*")) if path.name != "breakdown.json"]
    records = [run_dir / name for name in KEPT if (run_dir / name).exists()]
    return [*sorted((run_dir / "model").iterdir()), *records, *evaluations]
