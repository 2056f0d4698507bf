"""A run's folder: its lock, its metrics, and where its files lie.

``run_dir/`` holds config.yaml, command and versions (run.json), metrics.jsonl, checkpoints/last.ckpt, checkpoints/epochs/,
model/ (what is shared), tensorboard/, curves.png.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Any

from asr.errors import TrainingError
from asr.files import write_text


class RunDir:
    """Paths inside a run's folder; ``with RunDir(path):`` holds its lock so that two runs never share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoints" / "last.ckpt"
        self.best = path / "checkpoints" / "best.ckpt"
        self.epochs = path / "checkpoints" / "epochs"
        self.metrics = path / "metrics.jsonl"
        self.model = path / "model"
        self._lock: IO[str] | None = None

    def __enter__(self) -> "RunDir":
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("a+")
        except OSError as error:
            raise TrainingError(f"{self.path}: the run folder cannot be written ({error.strerror}); choose another run_dir") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            lock.close()
            raise TrainingError(f"{self.path}: in use by {owner}; wait for it, stop it, or choose another run_dir") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    def append_metrics(self, record: dict[str, Any]) -> None:
        """One more line of metrics.jsonl."""
        with self.metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """Every whole line of metrics.jsonl; a half-written last one is passed over."""
        return read_metrics(self.metrics)

    def forget_metrics_after(self, step: int) -> None:
        """Drop records of steps that the checkpoint does not know, so that a resumed run writes them once."""
        kept = [record for record in self.read_metrics() if record["step"] <= step]
        if self.metrics.exists():
            write_text(self.metrics, "".join(json.dumps(record) + "\n" for record in kept))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl; an absent file has none."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records
