"""What a run keeps on disk: the checkpoint, the last epochs' weights, the best ones, and the model directory.

In: the parts of a training and where it stands. Out: files, each whole or not there, written by the main process only.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from asr.features import LogMel
from asr.models import AcousticModel
from asr.pretrained import save_pretrained
from asr.text.tokenizer import Tokenizer
from asr.training.checkpoint import load_checkpoint, save_checkpoint
from asr.training.distributed import Processes
from asr.training.run_dir import RunDir
from asr.training.state import Progress, pack_state, unpack_state


@dataclass(slots=True)
class Keeper:
    """Saves and restores the parts of one training. ``extra`` goes into every checkpoint and says what it belongs to;
    its "facts" go into the model directory.
    """

    run_dir: RunDir
    processes: Processes
    features: LogMel
    model: AcousticModel
    tokenizer: Tokenizer
    optimizer: torch.optim.Optimizer
    scaler: "torch.amp.GradScaler"
    extra: dict[str, Any]

    def restore(self, state: dict[str, Any]) -> Progress:
        """Put everything where ``state`` left it. Raises ModelError when it is of another model."""
        progress = unpack_state(state, self.model, self.optimizer, self.scaler)
        device = self.processes.device
        self.features.set_normalisation(state["feature_mean"].to(device), state["feature_std"].to(device))
        return progress

    def save(self, progress: Progress) -> None:
        """The checkpoint from which a run goes on; returns in every process once it is on disk."""
        if self.processes.is_main:
            extra = {"feature_mean": self.features.mean, "feature_std": self.features.std, **self.extra}
            state = pack_state(progress, self.model, self.optimizer, self.scaler, extra)
            save_checkpoint(self.run_dir.checkpoint, state)
        self.processes.wait()

    def keep_epoch(self, epoch: int, last: int) -> None:
        """Keep the weights of an epoch that has ended, and of the ``last`` ones only."""
        if not self.processes.is_main or not last:
            return
        save_checkpoint(self.run_dir.epochs / f"{epoch:04d}.ckpt", {"model": self.model.state_dict()})
        for path in self._epoch_files():
            if int(path.stem) <= epoch - last:
                path.unlink()

    def epoch_weights(self, until: int) -> list[dict[str, torch.Tensor]]:
        """The kept weights of epochs up to ``until``, oldest first."""
        return [load_checkpoint(path)["model"] for path in self._epoch_files() if int(path.stem) <= until]

    def keep_best(self, progress: Progress, averaged: int = 1) -> None:
        """Keep the weights as they are now as the best, and export them."""
        if self.processes.is_main:
            save_checkpoint(self.run_dir.best, {"model": self.model.state_dict()})
            self.export(progress, averaged)

    def export_again(self, progress: Progress) -> None:
        """Make the model directory of a finished run again where it is gone, from the best weights."""
        if self.processes.is_main and not (self.run_dir.model / "config.json").exists():
            self.model.load_state_dict(load_checkpoint(self.run_dir.best)["model"])
            self.export(progress)

    def export(self, progress: Progress, averaged: int = 1) -> None:
        """Write the model directory with the weights as they are now."""
        facts = {
            "epoch": progress.epoch,
            "step": progress.step,
            "averaged_epochs": averaged,
            "dev_wer": progress.best_wer,
            "dev_cer": progress.best_cer,
            "training_seconds": round(progress.seconds, 1),
            "audio_hours_heard": round(progress.audio_s / 3600, 3),
            **self.extra["facts"],
        }
        save_pretrained(self.run_dir.model, self.features, self.model, self.tokenizer, facts)

    def _epoch_files(self) -> list[Path]:
        return sorted(self.run_dir.epochs.glob("*.ckpt"))
