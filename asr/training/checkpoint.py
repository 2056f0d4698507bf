"""What a run keeps on disk: its checkpoint, the weights of its last epochs and of the best one, the model directory.

In: the parts of a training and its progress. Out: files written by the main process only, each atomically. A checkpoint
is one file: a magic line, the SHA-256 of what follows, and torch's own format of a plain state (tensors, numbers,
text). It is written aside, synced and renamed (FIELD_NOTES: overwriting in place lost 14 of 15 under SIGKILL), and read
with ``weights_only=True``, never as a pickle of code.
"""

import hashlib
import io
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NotRequired, Protocol, TypedDict, cast

import torch
from torch import nn

from asr.errors import (
    DISK_FULL,
    DiskFullError,
    ModelDamagedError,
    ModelError,
    ModelMissingError,
    TrainingError,
    reason,
)
from asr.features import Features
from asr.files import atomic_path
from asr.models import AcousticModel
from asr.pretrained import save_pretrained
from asr.text.tokenizer import Tokenizer
from asr.training.distributed import Processes
from asr.training.objective import TrainedModel
from asr.training.run_dir import RunDir

MAGIC = b"asr-checkpoint 1 "
HEADER_BYTES = len(MAGIC) + 64 + 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists and dicts of them) to ``path``, atomically.

    Raises TrainingError when it cannot be written; an earlier file at ``path`` is then unchanged.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    header = MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            stream.write(header)
            stream.write(payload)
    except OSError as error:
        kind = DiskFullError if error.errno in DISK_FULL else TrainingError
        raise kind(
            f"{path}: cannot be saved ({error.strerror}, {len(payload) / 2**20:.1f} MiB);"
            f" the checkpoint saved before is unchanged: {reason(error)}"
        ) from None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state in ``path``, on the CPU. Raises ModelError when it is absent, damaged or not one of ours."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelMissingError(f"{path}: no checkpoint can be read here ({error.strerror})") from None
    if not content.startswith(MAGIC) or len(content) < HEADER_BYTES:
        raise ModelDamagedError(f"{path}: not a checkpoint of this program")
    payload = memoryview(content)[HEADER_BYTES:]
    if hashlib.sha256(payload).hexdigest().encode() != content[len(MAGIC) : HEADER_BYTES - 1]:
        raise ModelDamagedError(f"{path}: damaged, its SHA-256 does not match; use an earlier copy, or train again")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # torch's own text advises weights_only=False: never repeat it
        raise ModelDamagedError(f"{path}: holds more than data, so it is not loaded ({type(error).__name__})") from None
    return state


@dataclass(slots=True)
class TrainProgress:
    """How far a run is; with weights and optimizer state it is the whole training state.

    ``epoch`` and ``batch`` are those of the next batch. Sums run over the current epoch, so that its record survives a
    resume. ``seconds`` of work in all starts, of which ``data_seconds`` were spent waiting for batches.
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
    best_loss: float | None = None  # None, too, in checkpoints of before it was kept
    best_epoch: int = 0
    stale_epochs: int = 0
    plateau_cuts: int = 0
    finished: bool = False

    def end_epoch(self) -> None:
        """Move to the next epoch's first batch."""
        self.epoch += 1
        self.batch, self.epoch_loss, self.epoch_utterances = 0, 0.0, 0

    def best(self, select_by: str) -> float | None:
        """The best dev figure of that kind: "wer" and "cer" as fractions, "loss" in nats an utterance."""
        return {"wer": self.best_wer, "cer": self.best_cer, "loss": self.best_loss}[select_by]

    def compare(self, dev: "DevFigures", select_by: str) -> int:
        """1 where ``dev`` is better than the best so far, 0 where it is as good, -1 where it is worse."""
        if self.best_wer is None or self.best_cer is None:
            return 1
        best_loss = math.inf if self.best_loss is None else self.best_loss
        best = selection_key(self.best_wer, self.best_cer, best_loss, select_by)
        found = selection_key(dev.wer, dev.cer, dev.loss, select_by)
        return (found < best) - (found > best)

    def take_best(self, dev: "DevFigures") -> None:
        """Let ``dev`` be the best."""
        self.best_wer, self.best_cer, self.best_loss = dev.wer, dev.cer, dev.loss

    def count_dev(self, dev: "DevFigures", select_by: str, plateau_patience: int) -> bool:
        """Count an epoch's dev figures; True where they are the best yet."""
        if self.compare(dev, select_by) > 0:
            self.take_best(dev)
            self.best_epoch, self.stale_epochs = self.epoch, 0
            return True
        self.stale_epochs += 1
        if self.stale_epochs % plateau_patience == 0:
            self.plateau_cuts += 1
        return False


class DevFigures(Protocol):
    """The figures of a dev pass: fractions, and nats an utterance."""

    @property
    def wer(self) -> float:
        """Word error rate."""

    @property
    def cer(self) -> float:
        """Character error rate."""

    @property
    def loss(self) -> float:
        """The mean CTC loss."""


def selection_key(wer: float, cer: float, loss: float, select_by: str) -> tuple[float, ...]:
    """Lower is better. WER and CER count at most 100%: what lies above is insertions, which come and go by chance while
    a model has learned little; then CER decides, or the loss.
    """
    wer, cer = min(wer, 1.0), min(cer, 1.0)
    return {"wer": (wer, cer), "cer": (cer, loss), "loss": (loss,)}[select_by]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIdentity:
    """What a run belongs to; stored in each of its checkpoints besides the state.

    ``data``: the hashes of its manifests; ``tokenizer`` as JSON; ``versions`` of libraries; ``facts`` for the model
    directory (seed, normaliser, command, commit, hardware); ``intermediate``: the fingerprint of that loss's targets;
    ``processes``: among how many the run began to share its batches.
    """

    data: str
    tokenizer: str
    versions: dict[str, str]
    facts: dict[str, Any]
    intermediate: str = ""
    processes: int = 1


class RunState(TypedDict):
    """The content of ``checkpoints/last.ckpt``: everything that a resumed run needs, as tensors and plain values."""

    progress: dict[str, Any]
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    feature_mean: torch.Tensor
    feature_std: torch.Tensor
    data: str
    tokenizer: str
    versions: dict[str, str]
    facts: dict[str, Any]
    intermediate: NotRequired[str]
    processes: NotRequired[int]
    intermediate_head: NotRequired[dict[str, torch.Tensor]]
    ema: NotRequired[dict[str, torch.Tensor]]


NEEDED = ("progress", "data", "tokenizer", "facts", "feature_mean", "feature_std")


def load_run_state(path: Path) -> RunState:
    """The state in ``path``. Raises ModelError when it cannot be loaded or is not the checkpoint of a run."""
    state = load_checkpoint(path)
    if missing := [key for key in NEEDED if key not in state]:
        raise ModelError(f"{path}: not the checkpoint of a run, it lacks {', '.join(missing)}; restore it from a copy")
    return cast(RunState, state)


def average_weights(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of several models' weights, summed in float64."""
    mean = {}
    for name, first in states[0].items():
        total = sum(state[name].double() for state in states)
        mean[name] = (total / len(states)).to(first.dtype)  # type: ignore[union-attr]
    return mean


class MovingAverage:
    """The exponential moving average of a model's ``weights``: a = d a + (1 - d) w after each step.

    d is ``decay``, but at most (1 + n) / (10 + n) after n steps, as in TensorFlow's ExponentialMovingAverage, so that
    the first weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._model = model
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def update(self, steps: int) -> None:
        """Add the model's present weights; ``steps``: how many steps were taken before the one that gave them."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_([*self.weights.values()], [*self._model.state_dict().values()], 1 - decay)

    def restore(self, weights: dict[str, torch.Tensor]) -> None:
        """Continue from ``weights``. Raises KeyError or RuntimeError where they are of another model."""
        for name, value in self.weights.items():
            value.copy_(weights[name])


@dataclass(slots=True)
class CheckpointManager:
    """Saves and restores the parts of one training."""

    run_dir: RunDir
    processes: Processes
    features: Features
    trained: TrainedModel
    tokenizer: Tokenizer
    optimizer: torch.optim.Optimizer
    scaler: "torch.amp.GradScaler"
    identity: RunIdentity
    average: MovingAverage | None = None

    @property
    def model(self) -> AcousticModel:
        """What a model directory holds."""
        return self.trained.acoustic

    def restore(self, state: RunState) -> TrainProgress:
        """Set model, optimizer and features to ``state``. Raises ModelError when it is of another model."""
        try:
            self.model.load_state_dict(state["model"])
            if self.trained.own_head is not None:
                self.trained.own_head.load_state_dict(state["intermediate_head"])
            if self.average is not None:
                self.average.restore(state["ema"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            progress = TrainProgress(**state["progress"])
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            first = str(error).splitlines()[0]
            raise ModelError(f"the checkpoint does not fit this run's configuration: {first}") from None
        device = self.processes.device
        self.features.set_normalisation(state["feature_mean"].to(device), state["feature_std"].to(device))
        return progress

    def save(self, progress: TrainProgress) -> None:
        """Write the checkpoint from which a run resumes; returns in every process once it is on disk."""
        self.write(progress)
        self.processes.wait()

    def write(self, progress: TrainProgress) -> None:
        """The same, without waiting for the other processes."""
        if self.processes.is_main:
            state = {
                "progress": asdict(progress),
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "feature_mean": self.features.mean,
                "feature_std": self.features.std,
                **asdict(self.identity),
            }
            if self.trained.own_head is not None:
                state["intermediate_head"] = self.trained.own_head.state_dict()
            if self.average is not None:
                state["ema"] = self.average.weights
            save_checkpoint(self.run_dir.checkpoint, state)

    def keep_epoch(self, epoch: int, last: int) -> None:
        """Keep the weights of ``epoch``, which has ended, and of the ``last`` epochs only."""
        if not self.processes.is_main or not last:
            return
        save_checkpoint(self.run_dir.epochs / f"{epoch:04d}.ckpt", {"model": self.model.state_dict()})
        for path in self._epoch_files():
            if int(path.stem) <= epoch - last:
                path.unlink()

    def epoch_weights(self, until: int) -> list[dict[str, torch.Tensor]]:
        """The kept weights of epochs up to ``until``, oldest first."""
        return [load_checkpoint(path)["model"] for path in self._epoch_files() if int(path.stem) <= until]

    def keep_best(self, progress: TrainProgress, averaged: int = 1, ema_decay: float = 0.0) -> None:
        """Save the present weights, the mean of ``averaged`` epochs or a moving average, as the best; export them."""
        if self.processes.is_main:
            facts = self._facts(progress, averaged, ema_decay)
            save_checkpoint(self.run_dir.best, {"model": self.model.state_dict(), "facts": facts})
            self._export(facts)

    def export_again(self, progress: TrainProgress) -> None:
        """Write the model directory of a finished run again where it is missing, from the best weights."""
        if self.processes.is_main and not (self.run_dir.model / "config.json").exists():
            best = load_checkpoint(self.run_dir.best)
            self.model.load_state_dict(best["model"])
            self._export(best.get("facts") or self._facts(progress))  # none in runs of before they were kept

    def _export(self, facts: dict[str, Any]) -> None:
        save_pretrained(self.run_dir.model, self.features, self.model, self.tokenizer, facts)

    def _facts(self, progress: TrainProgress, averaged: int = 1, ema_decay: float = 0.0) -> dict[str, Any]:
        return {
            "epoch": progress.epoch,
            "step": progress.step,
            "averaged_epochs": averaged,
            "dev_wer": progress.best_wer,
            "dev_cer": progress.best_cer,
            "dev_loss": progress.best_loss,
            "training_seconds": round(progress.seconds, 1),
            "audio_hours": round(progress.audio_s / 3600, 3),
            **({"ema_decay": ema_decay} if ema_decay else {}),
            **self.identity.facts,
        }

    def _epoch_files(self) -> list[Path]:
        return sorted(self.run_dir.epochs.glob("*.ckpt"))
