"""The few numbers that say where a run stands. With weights and optimizer they are the whole training state."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from asr.errors import ModelError


@dataclass(slots=True)
class Progress:
    """``epoch`` and ``batch`` name the next batch.

    Sums run over the current epoch so that its record survives a resume. ``seconds`` of work in all starts, of which
    ``data_seconds`` went by in waiting for batches.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    data_seconds: float = 0.0
    audio_s: float = 0.0
    epoch_loss: float = 0.0
    epoch_utterances: int = 0
    skipped: int = 0
    best_wer: float | None = None
    best_cer: float | None = None
    best_epoch: int = 0
    stale_epochs: int = 0
    plateau_cuts: int = 0
    finished: bool = False

    def end_epoch(self) -> None:
        """Move to the next epoch's first batch."""
        self.epoch += 1
        self.batch, self.epoch_loss, self.epoch_utterances = 0, 0.0, 0

    def is_better(self, wer: float, cer: float) -> bool:
        """Lower WER, or equal WER and lower CER, than the best so far."""
        if self.best_wer is None or self.best_cer is None:
            return True
        return (wer, cer) < (self.best_wer, self.best_cer)

    def count_dev(self, wer: float, cer: float, plateau_patience: int) -> bool:
        """Count an epoch's dev figures; True where they are the best yet."""
        if self.is_better(wer, cer):
            self.best_wer, self.best_cer, self.best_epoch = wer, cer, self.epoch
            self.stale_epochs = 0
            return True
        self.stale_epochs += 1
        if self.stale_epochs % plateau_patience == 0:
            self.plateau_cuts += 1
        return False


def pack_state(
    progress: Progress,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: "torch.amp.GradScaler",
    extra: dict[str, Any],
) -> dict[str, Any]:
    """Everything that a resumed run needs, as tensors and plain values."""
    return {
        "progress": asdict(progress),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        **extra,
    }


def unpack_state(
    state: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer, scaler: "torch.amp.GradScaler"
) -> Progress:
    """Put a state back. Raises ModelError when it is of another model."""
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scaler.load_state_dict(state["scaler"])
        return Progress(**state["progress"])
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise ModelError(f"the checkpoint does not fit this run's configuration: {first}") from None


def average_weights(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of several models' weights, summed in float64."""
    mean = {}
    for name, first in states[0].items():
        total = sum(state[name].double() for state in states)
        mean[name] = (total / len(states)).to(first.dtype)  # type: ignore[union-attr]
    return mean
