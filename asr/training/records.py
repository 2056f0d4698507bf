"""What a run reports: a record of each step and epoch, and messages.

In: progress and figures. Out: frozen records, for observers and, as JSON, for metrics.jsonl. What a clock measured is
in keys that end in "seconds"; all other values repeat to the bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One optimizer step.

    ``batch`` of the epoch's ``batches`` are done, in ``epoch`` (from 1) of ``epochs``. ``loss`` in nats per utterance;
    ``grad_norm`` before clipping; ``padding``: share of the step's frames. ``seconds`` (of them ``data_seconds`` of
    waiting for batches) and ``audio_s`` count from the beginning of the run.
    """

    kind: Literal["step"] = field(default="step", init=False)
    step: int
    epoch: int
    batch: int
    batches: int
    epochs: int
    loss: float
    grad_norm: float
    learning_rate: float
    padding: float
    seconds: float
    data_seconds: float
    audio_s: float

    @property
    def epochs_done(self) -> float:
        """Epochs since the run began, with the fraction of this one."""
        return self.epoch - 1 + self.batch / self.batches


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipRecord:
    """A step without an update, as its loss or gradient was not finite: why, and the utterances that it was made of."""

    kind: Literal["skip"] = field(default="skip", init=False)
    step: int
    epoch: int
    cause: str
    batch: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRecord:
    """One epoch. The dev figures, and whether they are the ``best`` so far, are None where there was no dev pass.

    ``dev_wer``, ``dev_cer`` and the shares are fractions, losses nats per utterance; ``skipped``: steps of the run
    whose gradient was not finite. Times as in ``StepRecord``.
    """

    kind: Literal["epoch"] = field(default="epoch", init=False)
    epoch: int
    step: int
    epochs: int
    train_loss: float
    dev_wer: float | None = None
    dev_cer: float | None = None
    dev_loss: float | None = None
    dev_blank_share: float | None = None
    dev_empty_share: float | None = None
    dev_seconds: float | None = None
    learning_rate: float
    padding: float
    skipped: int
    seconds: float
    data_seconds: float
    audio_s: float
    best: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRecord:
    """One start of a run, for run.json: ``from_step`` 0, or the step at which it was resumed."""

    time: str
    from_step: int
    command: str | None = None
    commit: str | None = None
    init_from: str | None = None  # training.init_from, and the weights that it named
    init_from_sha256: str | None = None
    hardware: str
    versions: dict[str, str]


def record_values(record: StepRecord | SkipRecord | EpochRecord | StartRecord) -> dict[str, Any]:
    """The record as a JSON object, in the order of its fields; what is None is left out."""
    values = {one.name: getattr(record, one.name) for one in fields(record)}
    return {name: value for name, value in values.items() if value is not None}


class Observer(Protocol):
    """Who follows a run: the console, a log."""

    def message(self, text: str) -> None:
        """A line for the user."""

    def step(self, record: StepRecord) -> None:
        """After every step."""

    def epoch(self, record: EpochRecord) -> None:
        """After every epoch."""


class Observers:
    """Several observers as one."""

    def __init__(self, members: Sequence[Observer] = ()) -> None:
        self.members = list(members)

    def message(self, text: str) -> None:
        """A line for each."""
        for member in self.members:
            member.message(text)

    def step(self, record: StepRecord) -> None:
        """A step for each."""
        for member in self.members:
            member.step(record)

    def epoch(self, record: EpochRecord) -> None:
        """An epoch for each."""
        for member in self.members:
            member.epoch(record)
