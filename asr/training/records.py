"""What a run tells: one record a step, one an epoch, and messages. In: progress and figures. Out: plain dicts for
metrics.jsonl and for observers. What a clock told is in keys that end in "seconds"; all else repeats to the bit.
"""

from typing import Any, Protocol

from asr.training.config import TrainingConfig
from asr.training.evaluate import DevResult
from asr.training.state import Progress
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
