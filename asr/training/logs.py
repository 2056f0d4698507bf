"""Logs of a run: TensorBoard events and a plot of its learning curves.

In: the records that the training loop hands to its observers. Out: ``run_dir/tensorboard/`` and
``run_dir/curves.png``. Both are made from what metrics.jsonl holds; losing them loses nothing.
"""

import contextlib
import importlib
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asr.figures import new_figure, save_figure
from asr.files import read_json_lines
from asr.training.records import EpochRecord, StepRecord, record_values

DRAW_EVERY_S = 60.0
STEP_SCALARS = ("loss", "grad_norm", "learning_rate")


class RunLogs:
    """An observer that writes TensorBoard events and, at the end of an epoch, the curves (at most once a minute)."""

    def __init__(self, run_path: Path, tensorboard: bool) -> None:
        self.run_path, self.tensorboard = run_path, tensorboard
        self._drawn = time.monotonic()
        self._events: Events | None = None
        if tensorboard:
            importlib.import_module("tensorboard.compat.proto.event_pb2")  # now: its seconds are not the first step's

    def message(self, text: str) -> None:
        """Nothing: messages are for the console."""

    def step(self, record: StepRecord) -> None:
        """Scalars of every tenth step. The first record says where a resumed run begins: later events are purged."""
        if record.step % 10 == 0 or self._events is None:
            self._add({f"train/{name}": getattr(record, name) for name in STEP_SCALARS}, record.step)

    def epoch(self, record: EpochRecord) -> None:
        """Scalars of the epoch; the plot, if the last is a minute old."""
        dev = {name: value for name, value in record_values(record).items() if name.startswith("dev_")}
        self._add({f"dev/{name.removeprefix('dev_')}": value for name, value in dev.items()}, record.step)
        if time.monotonic() - self._drawn > DRAW_EVERY_S:
            self.draw()

    def close(self) -> None:
        """Draw the last plot and close the file of events."""
        self.draw()
        if self._events is not None:
            self._events.close()

    def _add(self, scalars: Mapping[str, float], step: int) -> None:
        """Add to the events; where they cannot be written the run goes on without."""
        if not self.tensorboard:
            return
        try:
            if self._events is None:
                self._events = Events(self.run_path / "tensorboard", step)
            self._events.add(step, scalars)
        except OSError:
            self.tensorboard = False

    def draw(self) -> None:
        """Write curves.png from metrics.jsonl. A plot that cannot be drawn or written does not stop the run."""
        self._drawn = time.monotonic()
        with contextlib.suppress(OSError, ImportError):
            draw_curves(read_json_lines(self.run_path / "metrics.jsonl"), self.run_path / "curves.png")


class Events:
    """A file of TensorBoard's events, each on its way to the disk at once.

    torch's SummaryWriter has a thread write them, in which a full disk ends in a traceback.
    """

    def __init__(self, folder: Path, from_step: int) -> None:
        """``from_step``: events of earlier files from there on are purged. Raises OSError."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{platform.node()}.{os.getpid()}"
        self._event, self._summary = Event, Summary
        self._file = RecordWriter((folder / name).open("ab", buffering=0))
        self._write(file_version="brain.Event:2")
        self._write(step=from_step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Scalars by name. Raises OSError."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._write(step=step, summary=self._summary(value=values))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, **what: Any) -> None:
        self._file.write(self._event(wall_time=time.time(), **what).SerializeToString())


def draw_curves(records: list[dict[str, Any]], path: Path) -> None:
    """Loss, dev WER and CER, learning rate and gradient norm against epochs, as a PNG at ``path``.

    Without epochs it draws nothing.
    """
    epochs = [record for record in records if record["kind"] == "epoch"]
    steps = [record for record in records if record["kind"] == "step"]
    if not epochs:
        return
    figure, (loss, errors, rate, norm) = new_figure(2, 2, (11, 6.5))
    dev = [record for record in epochs if "dev_wer" in record]
    loss.plot(*_series(epochs, "train_loss"), label="train", color="#1f77b4")
    loss.plot(*_series(dev, "dev_loss"), label="dev", color="#d62728")
    errors.plot(*_series(dev, "dev_wer", 100), label="WER", color="#d62728")
    errors.plot(*_series(dev, "dev_cer", 100), label="CER", color="#2ca02c")
    _mark_best(errors, dev)
    rate.plot([_epochs(one) for one in steps], [one["learning_rate"] for one in steps], color="#555555")
    norm.plot([_epochs(one) for one in steps], [one["grad_norm"] for one in steps], color="#555555", linewidth=0.8)
    titles = ("CTC loss (nats per utterance)", "dev error (%)", "learning rate", "gradient norm before clipping")
    for axes, title in zip((loss, errors, rate, norm), titles, strict=True):
        axes.set(title=title, xlabel="epoch")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    for axes in (loss, errors):
        axes.legend()
    norm.set_yscale("symlog")
    save_figure(figure, path)


def _series(records: list[dict[str, Any]], key: str, factor: float = 1.0) -> tuple[list[float], list[float]]:
    return [one["epoch"] for one in records], [one[key] * factor for one in records]


def _epochs(record: dict[str, Any]) -> float:
    done: float = record["epoch"] - 1 + record["batch"] / record["batches"]
    return done


def _mark_best(axes: Any, dev: list[dict[str, Any]]) -> None:
    if best := next((one for one in reversed(dev) if one.get("best")), None):
        axes.plot([best["epoch"]], [best["dev_wer"] * 100], "o", color="#d62728")
        axes.annotate(f" {best['dev_wer']:.2%}", (best["epoch"], best["dev_wer"] * 100), va="bottom")
