"""Optimizer steps: the batches of an epoch, forward, loss, backward, clip, update; the learning rate.

In: the training data, settings, processes. Out: changed weights and a ``StepResult`` for each step. Padding, order and
the number of processes change nothing: the loss of a step is the sum of its utterances' losses over their number in
*all* its batches and *all* processes, so that accumulation and distribution compute the gradient of one large batch.
Batches, random draws and the learning rate follow from the numbers of epoch and step alone, so a resumed run needs no
state of sampler, generator or scheduler.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from asr.ctc import frames_needed
from asr.ctc.loss import consistency_loss, ctc_loss, penalise_blank
from asr.data.batching import Plan, Request, padding_share, plan_epoch, share
from asr.data.dataset import Batch, SpeechDataset, load_batches
from asr.data.passes import durations_of
from asr.devices import autocast, upload
from asr.errors import TrainingError
from asr.features import Features, SpecAugmentConfig, spec_augment
from asr.models import AcousticModel
from asr.models.streaming import in_frames
from asr.seeds import derive_seed, numpy_generator
from asr.training.config import OptimizerConfig, ScheduleConfig, TrainSettings
from asr.training.distributed import Processes
from asr.training.objective import ChunkingConfig, LossConfig, TrainedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """``loss`` in nats per utterance over the whole step; ``updated`` is False when it or the gradient was not finite,
    and ``cause`` then says where that arose.
    """

    loss: float
    grad_norm: float
    utterances: int
    updated: bool
    cause: str = ""


@dataclass(slots=True)
class Stepper:
    """What a step needs. ``model`` is a ``TrainedModel``, with several processes wrapped for distribution."""

    features: Features
    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: "torch.amp.GradScaler"
    processes: Processes
    spec_augment: SpecAugmentConfig
    clip_norm: float
    precision: str
    seed: int
    ids: Sequence[str]  # of the training utterances, for messages
    loss: LossConfig = field(default_factory=LossConfig)
    intermediate_targets: Sequence[list[int]] | None = None  # of the training utterances; None: the model's
    chunking: ChunkingConfig = field(default_factory=ChunkingConfig)

    def step(
        self, batches: Sequence[Batch | None], number: int, utterances: int, blank_penalty: float = 0.0
    ) -> StepResult:
        """Train on this process's ``batches`` of step ``number``, which has ``utterances`` in all processes.

        None is a batch of which this process has no share. ``blank_penalty``: nats by which the loss lowers the
        blank's logit.
        """
        self.optimizer.zero_grad(set_to_none=True)
        all_losses = []
        for index, batch in enumerate(batches):
            last = index + 1 == len(batches)
            with contextlib.nullcontext() if last else self._no_sync():
                seed = derive_seed(self.seed, "step", number, index, self.processes.rank)
                chunks = self.chunking.draw(numpy_generator(self.seed, "chunks", number, index))  # of all processes
                all_losses.append(self._backward(batch, seed, utterances, blank_penalty, chunks))
        loss_sum = self.processes.sum(sum(one.double().sum() for one in all_losses))  # type: ignore[arg-type]
        self.scaler.unscale_(self.optimizer)
        gradients = [one.grad for one in self.model.parameters() if one.grad is not None]
        norms = torch.stack(torch._foreach_norm(gradients))  # before clipping, which spreads a NaN to all
        total = nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        # The step's one wait for a GPU: everything that this process looks at comes in one copy.
        loss, norm, *each = torch.cat((loss_sum.view(1), total.view(1), norms.double())).tolist()
        finite = math.isfinite(norm) and math.isfinite(loss)
        cause = "" if finite else self._cause(batches, all_losses, each)
        if finite or (self.scaler.is_enabled() and not math.isfinite(norm)):  # there it skips the update by itself
            self.scaler.step(self.optimizer)
        self.scaler.update()
        return StepResult(loss=loss / utterances, grad_norm=norm, utterances=utterances, updated=finite, cause=cause)

    def _cause(self, batches: Sequence[Batch | None], all_losses: list[Tensor], norms: list[float]) -> str:
        """The utterances whose loss is not finite; where all are, the weights whose gradient is not."""
        losses = [one for part in all_losses for one in part.tolist()]
        indices = [index for batch in batches for index in (batch.indices if batch is not None else [-1])]
        if bad := [index for index, loss in zip(indices, losses, strict=True) if not math.isfinite(loss)]:
            names = ", ".join(self.ids[index] for index in bad[:10])
            return f"the loss of {len(bad)} of {len(losses)} utterances is not a finite number: {names}"
        named = self._trained_model.named_parameters()
        names_with_gradient = [name.removeprefix("acoustic.") for name, one in named if one.grad is not None]
        weights = [name for name, norm in zip(names_with_gradient, norms, strict=True) if not math.isfinite(norm)]
        if not weights:
            return "the loss or the gradient is not a finite number, in another process or in the sum"
        more = f" and {len(weights) - 3} more" if len(weights) > 3 else ""
        return f"the gradient of {', '.join(weights[:3])}{more} is not a finite number"

    def try_batch(self, batch: Batch) -> None:
        """Forward and backward on ``batch`` without an update, to see whether it fits into memory."""
        self._backward(batch, 0, len(batch.indices), chunks=self.chunking.largest)
        self.optimizer.zero_grad(set_to_none=True)

    def _backward(
        self,
        batch: Batch | None,
        seed: int,
        utterances: int,
        blank_penalty: float = 0.0,
        chunks: tuple[float, float] | None = None,
    ) -> Tensor:
        # for dropout: each step's draws follow from its number, so resuming needs no generator state
        torch.manual_seed(seed)
        real = batch if batch is not None else _silence(self.features)
        losses = self._losses(real, torch.Generator().manual_seed(seed), blank_penalty, chunks)
        if batch is None:
            losses = losses * 0.0
        scale = self.processes.count / utterances  # DistributedDataParallel averages gradients over processes
        self.scaler.scale(losses.sum() * scale).backward()
        return losses.detach()

    def _losses(
        self, batch: Batch, generator: torch.Generator, blank_penalty: float, chunks: tuple[float, float] | None
    ) -> Tensor:
        # Lengths are on the device for masks, and on the CPU for what is drawn or checked there: none is read back.
        device, views = self.processes.device, self.loss.views
        log_mel, frames = self.features(upload(batch.waveforms, device), upload(batch.lengths, device))
        frames_here = self.features.frame_lengths(batch.lengths)
        masked = [spec_augment(log_mel, frames_here, self._masking, generator) for _ in range(views)]
        with autocast(device, self.precision):
            parts = (in_frames(*chunks, self._frame_s),) if chunks else ()
            heads, _ = self.model(torch.cat(masked) if views > 1 else masked[0], frames.repeat(views), *parts)
        if blank_penalty:
            heads = [penalise_blank(one, blank_penalty) for one in heads]
        lengths, targets = self._acoustic_model.output_lengths(frames_here), list(batch.targets) * views
        losses = ctc_loss(heads[0], lengths.repeat(views), targets)
        if len(heads) > 1:
            if self.intermediate_targets is not None:
                targets = [self.intermediate_targets[index] if index >= 0 else [] for index in batch.indices] * views
            losses = self._with_intermediate(losses, heads[1], lengths.repeat(views), targets)
        if views > 1:
            agreement = consistency_loss(heads[0], lengths)
            losses = losses.view(views, -1).mean(dim=0) + self.loss.consistency_weight * agreement
        return losses

    def _with_intermediate(
        self, losses: Tensor, log_probs: Tensor, lengths: Tensor, targets: list[list[int]]
    ) -> Tensor:
        """``losses`` with the share of the intermediate one, for the utterances that have targets which fit."""
        weight = self.loss.intermediate_weight
        if self.intermediate_targets is None:
            return torch.lerp(losses, ctc_loss(log_probs, lengths, targets), weight)
        fits = [
            bool(one) and frames_needed(one) <= frames for one, frames in zip(targets, lengths.tolist(), strict=True)
        ]
        losses = losses + 0.0 * log_probs.sum()  # each weight has a gradient, which processes wait for
        if not any(fits):
            return losses
        rows = torch.tensor(fits).nonzero().squeeze(1)
        here = upload(rows, losses.device)
        found = ctc_loss(log_probs[here], lengths[rows], [targets[row] for row in rows.tolist()])
        return losses.index_copy(0, here, torch.lerp(losses[here], found, weight))

    @property
    def _masking(self) -> SpecAugmentConfig:
        if self.loss.views == 1:
            return self.spec_augment
        masks = round(self.spec_augment.time_masks * self.loss.consistency_mask_factor)
        return replace(self.spec_augment, time_masks=masks)

    @property
    def _trained_model(self) -> TrainedModel:
        is_wrapped = isinstance(self.model, nn.parallel.DistributedDataParallel)
        return cast(TrainedModel, self.model.module if is_wrapped else self.model)

    @property
    def _acoustic_model(self) -> AcousticModel:
        return self._trained_model.acoustic

    @property
    def _frame_s(self) -> float:
        """Seconds from one output frame to the next."""
        config = self.features.config
        return config.hop_length * self._acoustic_model.subsampling.factor / config.sample_rate

    def _no_sync(self) -> contextlib.AbstractContextManager[object]:
        if isinstance(self.model, nn.parallel.DistributedDataParallel):
            return self.model.no_sync()
        return contextlib.nullcontext()


def _silence(features: Features) -> Batch:
    """A batch for a process that has no share of a real one: it must still take part in the gradient exchange."""
    samples = features.config.sample_rate
    return Batch(torch.zeros(1, samples), torch.tensor([samples]), [[1]], [-1])


class EpochSteps:
    """The steps of an epoch; ``plan(epoch)`` follows from the seed and the epoch's number alone.

    ``planned_for``: the processes for which a batch is large enough; where others resume a run, they share its batches.
    ``waited_s``: how long the last step waited for its batches (with workers=0: how long it read them).
    """

    def __init__(
        self, data: SpeechDataset, settings: TrainSettings, processes: Processes, planned_for: int | None = None
    ) -> None:
        self.data, self.settings, self.processes = data, settings, processes
        self.planned_for = planned_for or processes.count
        self.durations_s = durations_of(data.utterances)
        self.views = settings.training.loss.views
        self.waited_s = 0.0

    def plan(self, epoch: int) -> Plan:
        """The epoch's batches, each of all processes together."""
        return plan_epoch(
            self.durations_s,
            self.settings.data.batching.of_views(self.views),
            seed=self.settings.seed,
            epoch=epoch,
            speeds=self.settings.augment.speeds,
            processes=self.planned_for,
        )

    def from_batch(
        self, plan: Plan, start: int, is_done: Callable[[], bool]
    ) -> Iterator[tuple[list[list[Request]], list[Batch | None]]]:
        """For each step from batch ``start`` until ``is_done``: the requests of all processes, this one's batches.

        None is a batch of which this process has no share.
        """
        accumulate = self.settings.training.accumulate
        shares = plan.of_process(self.processes.rank, self.processes.count)
        read = shares[start:].without_empty()
        loaded = load_batches(self.data, read, self.settings.data.workers, self.processes.pins)
        loaded = uploaded_ahead(loaded, self.processes.device)
        for offset in range(start, len(plan), accumulate):
            if is_done():
                return
            requests, mine = list(plan[offset : offset + accumulate]), shares[offset : offset + accumulate]
            began = time.monotonic()
            batches = [next(loaded) if one else None for one in mine]
            self.waited_s = time.monotonic() - began
            yield requests, batches

    def audio_s(self, requests: list[list[Request]]) -> float:
        """Seconds of audio that a step computes for ``requests``: at their speeds, each view counted."""
        lengths_s = (float(self.durations_s[one.index]) / one.speed for batch in requests for one in batch)
        return self.views * sum(lengths_s)

    def padding(self, requests: Sequence[list[Request]]) -> float:
        """The share of padding in the frames that all processes compute for ``requests``, from 0 to 1."""
        count = self.processes.count
        shares = (share(batch, rank, count) for batch in requests for rank in range(count))
        return padding_share(self.durations_s, filter(None, shares))


def uploaded_ahead(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """``batches`` with their waveforms on ``device``, each copied while a GPU still computes the one before it.

    On the CPU they pass as they are.
    """
    if device.type != "cuda":
        yield from batches
        return
    copying = torch.cuda.Stream(device)
    waiting: tuple[Batch, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(copying):
            ahead = replace(batch, waveforms=upload(batch.waveforms, device)), copying.record_event()
        if waiting is not None:
            yield _arrived(*waiting, device)
        waiting = ahead
    if waiting is not None:
        yield _arrived(*waiting, device)


def _arrived(batch: Batch, event: torch.cuda.Event, device: torch.device) -> Batch:
    """``batch``, which the device's present stream uses only once its copy, made by another stream, has ended."""
    now = torch.cuda.current_stream(device)
    now.wait_event(event)
    batch.waveforms.record_stream(now)  # its memory is not used again before this stream is done with it
    return batch


def check_largest_batch_fits(
    plan: Plan,
    data: SpeechDataset,
    stepper: Stepper,
    settings: TrainSettings,
    processes: Processes,
) -> None:
    """Forward and backward, without an update, on silence of the shape of ``plan``'s largest batch.

    Raises TrainingError where it does not fit into memory: before the first step, not in the middle of an epoch.
    """
    largest = plan.longest(durations_of(data.utterances))
    mine = share(largest, processes.rank, processes.count) or largest[:1]
    rate = settings.features.sample_rate
    samples = max(int(_length_s(data, one) * rate) for one in largest)
    targets, indices = [data.targets[one.index] for one in mine], [one.index for one in mine]
    with memory_named(data, mine, settings, "the largest batch"):
        stepper.try_batch(Batch(torch.zeros(len(mine), samples), torch.full((len(mine),), samples), targets, indices))


@contextlib.contextmanager
def memory_named(data: SpeechDataset, batch: Sequence[Request], settings: TrainSettings, name: str) -> Iterator[None]:
    """Raise TrainingError with the longest utterance of ``batch`` where what is done inside needs too much memory."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch's for a GPU is a RuntimeError, too
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        longest = max(batch, key=lambda one: _length_s(data, one))
        size = f"{len(batch)} x {_length_s(data, longest):.1f} s, the longest {data.utterances[longest.index].id}"
        raise TrainingError(
            f"training: {name} ({size}) does not fit into memory; end other programs and run the same command again, or"
            f" lower data.batching.batch_s (now {settings.data.batching.batch_s:g}) and raise training.accumulate"
        ) from None


def _length_s(data: SpeechDataset, request: Request) -> float:
    return data.utterances[request.index].duration_s / request.speed


def build_optimizer(
    model: nn.Module, config: OptimizerConfig, slow: Iterable[nn.Parameter] = (), slow_factor: float = 1.0
) -> torch.optim.Optimizer:
    """The configured optimizer over ``model``; weight decay acts on tensors of two or more axes only.

    ``slow``: weights whose learning rate is ``slow_factor`` times that of the others (``set_learning_rate``).
    Adam is torch's fused one: one pass over all weights, where the other makes a dozen passes over each tensor.
    """
    slow_ids = {id(one) for one in slow} if slow_factor != 1.0 else set()
    groups: list[dict[str, Any]] = []
    for factor in (1.0, slow_factor) if slow_ids else (1.0,):
        learning = [one for one in model.parameters() if one.requires_grad and (id(one) in slow_ids) == (factor != 1.0)]
        groups += [
            {"params": [one for one in learning if one.dim() >= 2], "weight_decay": config.weight_decay},
            {"params": [one for one in learning if one.dim() < 2], "weight_decay": 0.0},
        ]
        if slow_ids:
            groups[-2]["factor"] = groups[-1]["factor"] = factor
    rate, betas = config.learning_rate, (config.betas[0], config.betas[1])
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=betas, eps=config.eps, fused=True)
    if config.name == "adam":
        return torch.optim.Adam(groups, lr=rate, betas=betas, eps=config.eps, fused=True)
    if config.name == "adadelta":
        return torch.optim.Adadelta(groups, lr=rate, eps=config.eps)
    return torch.optim.SGD(groups, lr=rate, momentum=config.momentum)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set ``rate``, or that times its factor for a group of weights that has one."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("factor", 1.0)


def learning_rate_factor(epochs_done: float, epochs: int, config: ScheduleConfig, plateau_cuts: int = 0) -> float:
    """The factor on the peak learning rate after ``epochs_done``, which may be a fraction, of ``epochs``.

    Warm-up is linear; then cosine, linear, constant, inverse square root (from the end of warm-up) or plateau cuts.
    """
    warmup = config.warmup_epochs
    if epochs_done < warmup:
        return epochs_done / warmup
    share = min(1.0, (epochs_done - warmup) / max(epochs - warmup, 1e-9))
    if config.name == "cosine":
        return config.final_factor + (1 - config.final_factor) * 0.5 * (1 + math.cos(math.pi * share))
    if config.name == "linear":
        return 1 - (1 - config.final_factor) * share
    if config.name == "inverse_sqrt":
        return math.sqrt(max(warmup, 1.0) / max(epochs_done, max(warmup, 1.0)))
    if config.name == "plateau":
        return max(config.final_factor, config.plateau_factor**plateau_cuts)
    return 1.0
