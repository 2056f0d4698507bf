"""A corpus of tones and a recogniser of a few hundred weights: a whole training in a second, for tests of the loop.

In: a folder. Out: manifests of recordings in which each letter is a different tone, settings and overrides for `asr`.
"""

import json
import os
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from asr.data.manifest import Utterance, write_manifest
from asr.files import read_json_lines
from asr.schema import build
from asr.training.checkpoint import load_checkpoint
from asr.training.config import TrainSettings
from asr.training.records import EpochRecord, StepRecord

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_RATE = 8000
TONES_HZ = {"a": 400.0, "b": 900.0, "c": 1600.0}
SETTINGS: dict[str, Any] = {
    "seed": 3,
    "data": {"workers": 0, "batching": {"batch_s": 1.6, "max_utterances": 4}},
    "features": {"sample_rate": SAMPLE_RATE, "n_mels": 16},
    "augment": {"spec_augment": {"frequency_mask_max_mels": 3, "time_mask_max_frames": 4}},
    "model": {
        "num_layers": 2, "hidden_size": 8, "dropout": 0.2, "output_dropout": 0.1,
        "subsampling": {"factor": 2, "channels": 4, "output_size": 8, "dropout": 0.1},
    },
    "optimizer": {"learning_rate": 0.01},
    "schedule": {"warmup_epochs": 0.5},
    "training": {
        "epochs": 3, "keep_last": 2, "threads": 1, "device": "cpu", "tensorboard": False, "save_every_steps": None,
    },
}  # fmt: skip


def make_corpus(folder: Path, *, train: int = 13, dev: int = 3, test: int = 2, seed: int = 0) -> Path:
    """Recordings of 0.3 to 0.5 s with texts such as "ab", and their three manifests, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for split, count in (("train", train), ("dev", dev), ("test", test)):
        made = [make_utterance(folder, f"{split}{number}", _text(generator), generator) for number in range(count)]
        if made:
            write_manifest(folder / f"{split}.jsonl", made)
    return folder


def make_utterance(
    folder: Path, name: str, text: str, generator: np.random.Generator, duration_s: float = 0
) -> Utterance:
    """One recording in which each letter of ``text`` takes the same time."""
    duration_s = duration_s or float(generator.uniform(0.3, 0.5))
    samples = int(duration_s * SAMPLE_RATE)
    letters = [letter for letter in text if letter in TONES_HZ] or ["a"]
    places = np.minimum(np.arange(samples) * len(letters) // samples, len(letters) - 1)
    tones = np.array([TONES_HZ[letter] for letter in letters])[places]
    waveform = 0.3 * np.sin(2 * np.pi * tones * np.arange(samples) / SAMPLE_RATE)
    waveform += 0.01 * generator.standard_normal(samples)
    with wave.open(str(folder / f"{name}.wav"), "wb") as stream:
        stream.setnchannels(1)
        stream.setsampwidth(2)
        stream.setframerate(SAMPLE_RATE)
        stream.writeframes((waveform * 32767).astype("<i2").tobytes())
    return Utterance(id=name, audio=str(folder / f"{name}.wav"), duration_s=samples / SAMPLE_RATE, text=text)


def settings(data: Path, **changes: Any) -> TrainSettings:
    """The tiny settings on ``data``; ``changes`` by dotted key with ``__`` for the dot, e.g. ``training__epochs=2``."""
    values = json.loads(json.dumps(SETTINGS))
    values["data"]["dir"] = str(data)
    for dotted, value in changes.items():
        *groups, key = dotted.split("__")
        place = values
        for group in groups:
            place = place.setdefault(group, {})
        place[key] = value
    return build(TrainSettings, values)


def overrides(data: Path, run_dir: Path, **changes: Any) -> list[str]:
    """The same as overrides of `asr train`: key=value."""
    values = flat(SETTINGS) | {"data.dir": str(data), "run_dir": str(run_dir)}
    values |= {key.replace("__", "."): value for key, value in changes.items()}
    return [f"{key}={'null' if value is None else value}" for key, value in values.items()]


def write_recipe(folder: Path, name: str = "tiny", text: str = "defaults: [base, _self_]\n") -> Path:
    """A recipe that holds nothing but the defaults of the config groups."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / f"{name}.yaml"


def start_asr(arguments: list[str], cwd: Path, **environment: str) -> "subprocess.Popen[str]":
    """``asr`` in a process of its own, in ``cwd``."""
    known = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    return subprocess.Popen(
        [sys.executable, "-m", "asr", *arguments], cwd=cwd, env=known, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    """The weights of the run's last checkpoint."""
    model: dict[str, torch.Tensor] = load_checkpoint(run_dir / "checkpoints" / "last.ckpt")["model"]
    return model


def equal_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether both are the same to the last bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def timeless_metrics(run_dir: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what a clock measured."""
    return [
        {key: value for key, value in one.items() if not key.endswith("seconds")}
        for one in read_json_lines(run_dir / "metrics.jsonl")
    ]


class Quiet:
    """An observer that keeps messages and records; ``on_step(record)`` may act."""

    def __init__(self, on_step: Callable[[StepRecord], None] | None = None) -> None:
        self.messages: list[str] = []
        self.steps: list[StepRecord] = []
        self.epochs: list[EpochRecord] = []
        self.on_step = on_step

    def message(self, text: str) -> None:
        self.messages.append(text)

    def step(self, record: StepRecord) -> None:
        self.steps.append(record)
        if self.on_step:
            self.on_step(record)

    def epoch(self, record: EpochRecord) -> None:
        self.epochs.append(record)


def _text(generator: np.random.Generator) -> str:
    return "".join(generator.choice(list(TONES_HZ), size=int(generator.integers(1, 4))))


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
