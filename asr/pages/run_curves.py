"""A training's records as curves of at most a few hundred points, with gaps where nothing was recorded.

In: ``RunData``. Out: points against epochs, steps, hours of training and hours of audio; the plots and their series.
Steps are joined in groups: their mean, with the lowest and highest as a band; rates (seconds of audio per second, share
of waiting) are quotients of a group's sums.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr.pages.run_data import RunData, number

MOST_POINTS = 400  # of one curve
Values = list[float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """A curve of each run: from its "steps" or "epochs", named ``key`` there. ``faint``: behind the others."""

    label: str
    base: str
    key: str
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """``factor`` and ``unit`` of the values shown; ``log``: "never", "offered", or "first" (the initial scale)."""

    key: str
    title: str
    unit: str
    note: str
    series: tuple[Series, ...]
    factor: float = 1.0
    log: str = "never"


PLOTS = (
    Plot(
        "error", "Dev error", "%", "After each epoch, greedy.",
        (Series("WER", "epochs", "dev_wer"), Series("CER", "epochs", "dev_cer")), 100, "offered",
    ),
    Plot(
        "loss", "CTC loss", "nats per utterance", "Train: with dropout and masking; dev: without.",
        (
            Series("steps", "steps", "loss", faint=True),
            Series("train", "epochs", "train_loss"),
            Series("dev", "epochs", "dev_loss"),
        ), 1, "offered",
    ),
    Plot("rate", "Learning rate", "", "", (Series("learning rate", "steps", "learning_rate"),), 1, "offered"),
    Plot("norm", "Gradient norm", "", "Before clipping.", (Series("norm", "steps", "grad_norm"),), 1, "first"),
    Plot(
        "blank", "Blank share", "%", "Dev frames whose likeliest token is blank; dev utterances recognised as empty.",
        (Series("blank frames", "epochs", "dev_blank_share"), Series("empty texts", "epochs", "dev_empty_share")), 100,
    ),
    Plot(
        "padding", "Padding", "%", "The share of padding in the batches.",
        (Series("steps", "steps", "padding", faint=True), Series("epoch", "epochs", "padding")), 100,
    ),
    Plot(
        "throughput", "Throughput", "s of audio per second", "Training only, without the dev pass.",
        (Series("throughput", "steps", "throughput"),),
    ),
    Plot(
        "wait", "Waiting for data", "%", "The share of training time in which no batch was ready.",
        (Series("waiting", "steps", "wait"),), 100,
    ),
)  # fmt: skip


def run_points(run: RunData) -> dict[str, dict[str, Values]]:
    """The columns of "steps" and "epochs": four kinds of x, and every key of ``PLOTS`` (``_low``, ``_high`` too)."""
    keys = {one.key for plot in PLOTS for one in plot.series if one.base == "epochs"}
    epochs = kept_epochs(run)
    rows = [_where(one, float(one["epoch"])) | {key: number(one, key) for key in keys} for one in epochs]
    return {"steps": _step_columns(run), "epochs": {key: [row[key] for row in rows] for key in (*_X, *sorted(keys))}}


def kept_epochs(run: RunData) -> list[Mapping[str, Any]]:
    """The run's epochs; of many, evenly chosen ones with the best and the last."""
    every = math.ceil(len(run.epochs) / MOST_POINTS)
    last, best = len(run.epochs) - 1, run.best
    return [one for place, one in enumerate(run.epochs) if place % every == 0 or place == last or one is best]


def has_points(points: Mapping[str, Mapping[str, Values]], plot: Plot) -> bool:
    """Whether a run has recorded anything for a plot."""
    return any(value is not None for one in plot.series for value in points[one.base][one.key])


_X = ("epoch", "step", "hours", "audio_h")


def _where(record: Mapping[str, Any], epoch: float) -> dict[str, float | None]:
    seconds, audio_s = number(record, "seconds"), number(record, "audio_s")
    return {
        "epoch": epoch,
        "step": number(record, "step"),
        "hours": None if seconds is None else seconds / 3600,
        "audio_h": None if audio_s is None else audio_s / 3600,
    }


def _step_columns(run: RunData) -> dict[str, Values]:
    rows = list(_with_spans(run))
    size = max(1, math.ceil(len(rows) / MOST_POINTS))
    groups = [rows[start : start + size] for start in range(0, len(rows), size)]
    columns: dict[str, Values] = {key: [group[-1][key] for group in groups] for key in _X}
    for key in ("loss", "grad_norm", "learning_rate", "padding"):
        known = [[value for row in group if (value := row[key]) is not None] for group in groups]
        columns[key] = [sum(one) / len(one) if one else None for one in known]
        if size > 1 and key in ("loss", "grad_norm"):
            columns[f"{key}_low"] = [min(one, default=None) for one in known]
            columns[f"{key}_high"] = [max(one, default=None) for one in known]
    columns["throughput"] = [_quotient(group, "span_audio_s") for group in groups]
    columns["wait"] = [_quotient(group, "span_data_s") for group in groups]
    return columns


def _with_spans(run: RunData) -> Iterable[dict[str, float | None]]:
    """Each step's figures, with the time, audio and waiting since the record before (of a step or an epoch)."""
    zero: dict[str, Any] = {"seconds": 0.0, "audio_s": 0.0, "data_seconds": 0.0, "step": 0}
    ends = [*run.steps, *run.epochs]
    order = sorted(ends, key=lambda one: (one["step"], one["kind"] == "epoch"))
    for before, now in itertools.pairwise([zero, *order]):
        if now["kind"] != "step":
            continue
        batches = number(now, "batches") or 1.0
        place = now["epoch"] - 1 + (number(now, "batch") or 0.0) / batches
        row = _where(now, place)
        row |= {key: number(now, key) for key in ("loss", "grad_norm", "learning_rate", "padding")}
        for name, key in (("span_s", "seconds"), ("span_audio_s", "audio_s"), ("span_data_s", "data_seconds")):
            one, other = number(before, key), number(now, key)
            row[name] = None if one is None or other is None else other - one
        yield row


def _quotient(group: Sequence[Mapping[str, float | None]], key: str) -> float | None:
    pairs = [(row[key], row["span_s"]) for row in group]
    known = [(above, below) for above, below in pairs if above is not None and below is not None]
    below = sum(one for _, one in known)
    return sum(one for one, _ in known) / below if below > 0 else None
