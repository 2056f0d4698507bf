"""What a run tells: one record a step, one an epoch, and messages. In: progress and figures. Out: plain dicts for
metrics.jsonl and for observers. What a clock told is in keys that end in "seconds"; all else repeats to the bit.

What a run leaves to look at: TensorBoard events and a picture of its learning curves.

In: the records that the loop hands to its observers. Out: ``run_dir/tensorboard/`` and ``run_dir/curves.png``.
metrics.jsonl is the loop's own; both of these can be made again from it.
"""

import contextlib
import importlib
import time
from pathlib import Path
from typing import Any, Protocol

from asr.files import atomic_path
from asr.training.checkpoint import Progress
from asr.training.config import TrainingConfig
from asr.training.evaluate import DevResult
from asr.training.run_dir import read_metrics
from asr.training.step import StepResult

DEV_FIGURES = ("wer", "cer", "loss", "blank_share", "empty_share")
PLATEAU_EPOCHS = 3  # epochs of nothing but blanks, or of one text for all, before it is said
LEAST_ALIKE = 5  # wrong texts that are the same, before that is no chance


class Observer(Protocol):
    """Who is told: the console, a log."""

    def message(self, text: str) -> None:
        """Something that a person should read."""

    def step(self, record: dict[str, Any]) -> None:
        """After every step: epoch, batch, batches, step, loss, seconds and the like."""

    def epoch(self, record: dict[str, Any]) -> None:
        """After every epoch, with its dev figures."""


def step_record(
    progress: Progress, result: StepResult, *, batches: int, epochs: int, learning_rate: float, padding: float
) -> dict[str, Any]:
    """The record of the step that ``progress`` has just counted."""
    return {
        "kind": "step",
        "step": progress.step,
        "epoch": progress.epoch + 1,
        "batch": progress.batch,
        "batches": batches,
        "epochs": epochs,
        "loss": result.loss,
        "grad_norm": result.grad_norm,
        "learning_rate": learning_rate,
        "padding": padding,
        "seconds": round(progress.seconds, 3),
        "data_seconds": round(progress.data_seconds, 3),
        "audio_s": round(progress.audio_s, 3),
    }


def epoch_record(
    progress: Progress,
    dev: DevResult | None,
    *,
    epochs: int,
    learning_rate: float,
    padding: float,
    dev_seconds: float,
) -> dict[str, Any]:
    """The record of the epoch that ``progress`` has come to the end of, before it moves to the next."""
    figures = (
        {f"dev_{key}": getattr(dev, key) for key in DEV_FIGURES} | {"dev_seconds": round(dev_seconds, 3)} if dev else {}
    )
    return {
        "kind": "epoch",
        "epoch": progress.epoch + 1,
        "step": progress.step,
        "epochs": epochs,
        "train_loss": progress.epoch_loss / max(progress.epoch_utterances, 1),
        **figures,
        "learning_rate": learning_rate,
        "padding": padding,
        "skipped": progress.skipped,
        "seconds": round(progress.seconds + dev_seconds, 3),
        "data_seconds": round(progress.data_seconds, 3),
        "audio_s": round(progress.audio_s, 3),
    }


def average_warning(training: TrainingConfig) -> str | None:
    """What to say before a run whose model will be the mean of all its epochs, whatever dev says."""
    if training.select != "average" or training.keep_last < training.epochs:
        return None
    return (
        f"training.select=average makes the mean of the last training.keep_last={training.keep_last} epochs the model,"
        f" of training.epochs={training.epochs}: the first, which have learned little, are in it and may spoil it."
        " Give fewer to training.keep_last, or training.select=dev"
    )


def plateau_warning(progress: Progress, dev: DevResult | None) -> str | None:
    """What to say where dev texts are still empty, or still one and the same, after ``PLATEAU_EPOCHS`` epochs."""
    if dev is None or progress.epoch != PLATEAU_EPOCHS:
        return None
    if dev.empty_share > 0.99:
        return (
            f"after {PLATEAU_EPOCHS} epochs dev texts are still empty (blank share {dev.blank_share:.1%}):"
            " CTC's blank-only plateau."
            " It often ends by itself after a few hundred steps; if not: more or longer warm-up, a lower"
            " optimizer.learning_rate, less dropout and masking, or smaller batches (more steps)"
        )
    wrong = dev.utterances.heard if dev.utterances else {}
    texts = set(wrong.values())
    if len(texts) == 1 and len(wrong) >= LEAST_ALIKE and dev.wer > 0.5:
        return (
            f"after {PLATEAU_EPOCHS} epochs the worst {len(wrong)} dev recordings all have the same text,"
            f" {texts.pop()!r}: it may be given before it is heard, from where training leads nowhere."
            " If that stays so: training.flat_start_epochs=2, above all for a model in one direction;"
            " for model=rnn also model.input_gain=0.1"
        )
    return None


DRAW_EVERY_S = 60.0
STEP_SCALARS = ("loss", "grad_norm", "learning_rate")


class RunLogs:
    """An observer that writes TensorBoard events and redraws the curves at the end of epochs, at most once a minute."""

    def __init__(self, run_path: Path, tensorboard: bool) -> None:
        self.run_path, self.tensorboard = run_path, tensorboard
        self._drawn = time.monotonic()
        self._writer: Any = None
        if tensorboard:
            importlib.import_module("torch.utils.tensorboard")  # now, so that its seconds are not the first step's

    def message(self, text: str) -> None:
        """Nothing: messages are for people."""

    def step(self, record: dict[str, Any]) -> None:
        """Scalars of every tenth step. The first record tells where a resumed run stands: later events are purged."""
        if self.tensorboard and self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.run_path / "tensorboard"), purge_step=record["step"])
        if self._writer is not None and record["step"] % 10 == 0:
            for name in STEP_SCALARS:
                self._writer.add_scalar(f"train/{name}", record[name], record["step"])

    def epoch(self, record: dict[str, Any]) -> None:
        """Scalars of the epoch; the picture, if the last is a minute old."""
        if self._writer is not None:
            for name in (key for key in record if key.startswith("dev_")):
                self._writer.add_scalar(f"dev/{name.removeprefix('dev_')}", record[name], record["step"])
            self._writer.flush()
        if time.monotonic() - self._drawn > DRAW_EVERY_S:
            self.draw()

    def close(self) -> None:
        """The last picture, and the writer's end."""
        self.draw()
        if self._writer is not None:
            self._writer.close()

    def draw(self) -> None:
        """Write curves.png from metrics.jsonl. A picture that cannot be written ends no run."""
        self._drawn = time.monotonic()
        with contextlib.suppress(OSError):
            draw_curves(read_metrics(self.run_path / "metrics.jsonl"), self.run_path / "curves.png")


def draw_curves(records: list[dict[str, Any]], path: Path) -> None:
    """Loss, dev WER and CER, learning rate and gradient norm against epochs, as a PNG at ``path``.

    Without epochs it draws nothing.
    """
    epochs = [record for record in records if record["kind"] == "epoch"]
    steps = [record for record in records if record["kind"] == "step"]
    if not epochs:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    (loss, errors), (rate, norm) = figure.subplots(2, 2)
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
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        figure.savefig(stream, format="png", dpi=110)


def _series(records: list[dict[str, Any]], key: str, factor: float = 1.0) -> tuple[list[float], list[float]]:
    return [one["epoch"] for one in records], [one[key] * factor for one in records]


def _epochs(record: dict[str, Any]) -> float:
    done: float = record["epoch"] - 1 + record["batch"] / record["batches"]
    return done


def _mark_best(axes: Any, dev: list[dict[str, Any]]) -> None:
    if dev:
        best = min(dev, key=lambda one: (one["dev_wer"], one["dev_cer"]))
        axes.plot([best["epoch"]], [best["dev_wer"] * 100], "o", color="#d62728")
        axes.annotate(f" {best['dev_wer']:.2%}", (best["epoch"], best["dev_wer"] * 100), va="bottom")
