"""One optimizer step: forward, loss per utterance, backward, clip, update. Padding, order and process count change
nothing.

The loss of a step is the sum of its utterances' losses over their number in *all* its batches and *all* processes, so
that accumulation and distribution compute the same gradient as one large batch.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asr.ctc import ctc_loss, penalise_blank
from asr.data.dataset import Batch
from asr.errors import TrainingError
from asr.features import LogMel, SpecAugmentConfig, spec_augment
from asr.seeds import derive_seed
from asr.training.distributed import Processes

AMP_TYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """``loss`` in nats per utterance over the whole step; ``updated`` is False when the gradient was not finite."""

    loss: float
    grad_norm: float
    utterances: int
    updated: bool


@dataclass(slots=True)
class Stepper:
    """What a step needs. ``model`` is the acoustic model, wrapped for distribution where there are several
    processes.
    """

    features: LogMel
    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: "torch.amp.GradScaler"
    processes: Processes
    spec_augment: SpecAugmentConfig
    clip_norm: float
    precision: str
    seed: int
    ids: Sequence[str]  # of the training utterances, for messages

    def run(
        self, batches: Sequence[Batch | None], step: int, utterances: int, blank_penalty: float = 0.0
    ) -> StepResult:
        """Train on this process's ``batches`` of a step of ``utterances`` in all processes.

        None stands for a batch in which this process has no share. ``blank_penalty``: nats by which the loss lowers
        the blank's logit.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss_sum = torch.zeros((), dtype=torch.float64)
        for index, batch in enumerate(batches):
            last = index + 1 == len(batches)
            with contextlib.nullcontext() if last else self._no_sync():
                seed = derive_seed(self.seed, "step", step, index, self.processes.rank)
                loss_sum += self._backward(batch, seed, utterances, blank_penalty)
        loss_sum = self.processes.sum(loss_sum.to(self.processes.device, torch.float64)).cpu()
        self.scaler.unscale_(self.optimizer)
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm))
        finite = norm == norm and norm != float("inf")
        if finite or self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return StepResult(loss=float(loss_sum) / utterances, grad_norm=norm, utterances=utterances, updated=finite)

    def rehearse(self, batch: Batch) -> None:
        """Forward and back on ``batch`` without an update, to see whether memory holds."""
        self._backward(batch, 0, len(batch.indices))
        self.optimizer.zero_grad(set_to_none=True)

    def _backward(self, batch: Batch | None, seed: int, utterances: int, blank_penalty: float = 0.0) -> Tensor:
        # for dropout: each step's draws follow from its number, so resuming needs no generator state
        torch.manual_seed(seed)
        real = batch if batch is not None else _silence(self.features)
        losses = self._losses(real, torch.Generator().manual_seed(seed), blank_penalty)
        if batch is None:
            losses = losses * 0.0
        elif not bool(torch.isfinite(losses.detach()).all()) and not self.scaler.is_enabled():
            rows = (~torch.isfinite(losses.detach())).nonzero().flatten().tolist()
            raise TrainingError(
                f"training: the loss of {len(rows)} of {len(losses)} utterances is not a finite number:"
                f" {', '.join(self.ids[real.indices[row]] for row in rows[:10])};"
                " see 'asr check', or lower optimizer.learning_rate"
            )
        scale = self.processes.count / utterances  # DistributedDataParallel averages gradients over processes
        self.scaler.scale(losses.sum() * scale).backward()
        return losses.detach().double().sum().cpu()

    def _losses(self, batch: Batch, generator: torch.Generator, blank_penalty: float) -> Tensor:
        device = self.processes.device
        log_mel, frames = self.features(batch.waveforms.to(device), batch.lengths.to(device))
        log_mel = spec_augment(log_mel, frames, self.spec_augment, generator)
        kind = AMP_TYPES[self.precision]
        with torch.autocast(device.type, dtype=kind) if kind else contextlib.nullcontext():
            log_probs, lengths = self.model(log_mel, frames)
        if blank_penalty:
            log_probs = penalise_blank(log_probs, blank_penalty)
        return ctc_loss(log_probs, lengths, batch.targets)

    def _no_sync(self) -> contextlib.AbstractContextManager[object]:
        if isinstance(self.model, nn.parallel.DistributedDataParallel):
            return self.model.no_sync()
        return contextlib.nullcontext()


def _silence(features: LogMel) -> Batch:
    """A stand-in for a process that has no share of a batch: it must still take part in the gradient exchange."""
    samples = features.config.sample_rate
    return Batch(torch.zeros(1, samples), torch.tensor([samples]), [[1]], [-1])
