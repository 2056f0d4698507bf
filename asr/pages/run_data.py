"""What the page of a training shows, as plain values: read by commands, put into curves by ``run_curves``.

Records are those of metrics.jsonl and dev_utterances.jsonl, as they were written; nothing here trusts their figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asr.pages.data import finite


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in one utterance at the end of one epoch."""

    epoch: int
    reference: str
    text: str
    errors: int


@dataclass(frozen=True, slots=True)
class DevHistory:
    """Word errors of every dev utterance over the recorded epochs.

    ``errors[place][n]`` belongs to ``epochs[n]``; ``words`` in the references; ``heard`` by place, oldest first.
    """

    ids: Sequence[str]
    words: Sequence[int]
    epochs: Sequence[int]
    errors: Sequence[Sequence[int]]
    heard: Mapping[int, Sequence[Heard]]


@dataclass(frozen=True, slots=True)
class TestResult:
    """A line of the results on a test set: WER and CER in percent."""

    name: str
    utterances: int
    wer: float
    cer: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunData:
    """One training. ``steps`` and ``epochs``: its records in order; ``config``: dotted keys to values as text.

    ``average``: the number of epochs whose mean is the model, and its dev WER (a fraction), where one is.
    ``resumed_at``: steps at which it was started again.
    """

    name: str
    state: str
    steps: Sequence[Mapping[str, Any]]
    epochs: Sequence[Mapping[str, Any]]
    facts: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    average: tuple[int, float] | None = None
    resumed_at: Sequence[int] = ()
    tests: Sequence[TestResult] = ()
    history: DevHistory | None = None
    notes: Sequence[str] = ()

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The record of the single epoch with the lowest dev WER, of equals the lowest CER."""
        known = [one for one in self.epochs if number(one, "dev_wer") is not None]
        return min(known, key=lambda one: (one["dev_wer"], number(one, "dev_cer") or 0.0), default=None)


def number(record: Mapping[str, Any], key: str) -> float | None:
    """A finite number of a record, or None."""
    return finite(record.get(key))
