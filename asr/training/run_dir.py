"""A run's folder: its lock, its metrics, and the paths of its files.

``run_dir/`` holds config.yaml, run.json (command, commit, versions of each start), alphabet.tsv, metrics.jsonl,
dev_utterances.jsonl, skipped.jsonl (steps whose loss was not finite), checkpoints/last.ckpt, checkpoints/epochs/,
model/ (what is shared), tensorboard/, curves.png.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import IO

from asr.errors import OF_THE_DISK, TrainingError
from asr.files import append_line, read_json_lines, read_json_object, write_json, write_text
from asr.training.records import EpochRecord, SkipRecord, StartRecord, StepRecord, record_values

_held: set[IO[bytes]] = set()  # locks of this process, which a forked data worker must not keep alive


class RunDir:
    """Paths inside a run's folder; ``with RunDir(path):`` holds its lock so that two runs never share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "checkpoints" / "last.ckpt"
        self.best = path / "checkpoints" / "best.ckpt"
        self.epochs = path / "checkpoints" / "epochs"
        self.metrics = path / "metrics.jsonl"
        self.dev_utterances = path / "dev_utterances.jsonl"
        self.skips = path / "skipped.jsonl"
        self.model = path / "model"
        self._lock: IO[bytes] | None = None

    def __enter__(self) -> "RunDir":
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / ".lock").open("a+b", buffering=0)
        except OSError as error:
            if error.errno in OF_THE_DISK:
                raise
            raise TrainingError(
                f"{self.path}: the run folder cannot be written ({error.strerror}); choose another run_dir"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = _refusal(lock, error)
            lock.close()
            raise TrainingError(f"{self.path}: {message}") from None
        with contextlib.suppress(OSError):  # it only tells others who holds the lock
            lock.truncate(0)
            lock.write(f"process {os.getpid()}".encode())
        self._lock = lock
        _held.add(lock)
        self._tidy()
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock:
            _held.discard(self._lock)
            with contextlib.suppress(OSError):
                self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    def _tidy(self) -> None:
        """Delete what a killed run left half-written; restore a model directory that it had just moved aside."""
        aside = sorted(self.path.glob(".model.old.*/old"))
        if aside and not self.model.exists():
            os.rename(aside[-1], self.model)
        for folder in self.path.glob(".model.*"):
            shutil.rmtree(folder, ignore_errors=True)
        for folder in (self.path, self.checkpoint.parent, self.epochs):
            for file in folder.glob(".*.tmp"):
                file.unlink(missing_ok=True)

    def record_start(self, start: StartRecord) -> None:
        """Add a start to run.json."""
        path = self.path / "run.json"
        starts = read_json_object(path).get("starts")
        write_json(path, {"starts": [*(starts if isinstance(starts, list) else []), record_values(start)]})

    def append_metrics(self, record: StepRecord | EpochRecord) -> None:
        """Add a line to metrics.jsonl."""
        append_line(self.metrics, json.dumps(record_values(record)))

    def append_skip(self, record: SkipRecord) -> None:
        """Add a line to skipped.jsonl."""
        append_line(self.skips, json.dumps(record_values(record)))

    def forget_metrics_after(self, step: int, epochs: int) -> None:
        """Drop the records written after a checkpoint at ``step`` with ``epochs`` finished: the run repeats them."""
        for path in (self.metrics, self.dev_utterances, self.skips):
            records = [one for one in read_json_lines(path) if isinstance(one, dict) and "step" in one]  # ours
            records = [record for record in records if record["step"] <= step]
            kept = [record for record in records if record.get("kind") != "epoch" or record["epoch"] <= epochs]
            if path.exists():
                write_text(path, "".join(json.dumps(record) + "\n" for record in kept))


def _refusal(lock: IO[bytes], error: OSError) -> str:
    if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
        return f"the run folder cannot be locked ({error.strerror}); choose one on a local disk"
    lock.seek(0)
    owner = lock.read().decode(errors="replace").strip()
    return f"in use by {owner or 'another process'}; wait for it, stop it, or choose another run_dir"


def _drop_locks() -> None:
    """In a forked child: close the locks, so that they end with the process that took them although workers linger."""
    for lock in _held:
        lock.close()
    _held.clear()


os.register_at_fork(after_in_child=_drop_locks)
