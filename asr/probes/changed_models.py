"""Evaluation of changed models: the word error rate of trained models with a gate fixed or with the context cut.

In: model directories of trainings that differ in their seed, and a manifest. Out: rows of error counts, WER in percent
and its intervals over utterances and over trainings. Decoding is greedy and scoring is that of ``asr evaluate``; the
changed model replaces the original one. Nothing is trained again: this shows what the trained weights depend on, not
what a network without that gate or context could have learnt.

Gates: each gate of an LSTM is fixed at a value, in all frames, units, layers and directions, one gate at a time. A
forget gate at 1 is the cell of 1997, which forgets nothing; at 0 the cell has no memory but its output. As a check, the
readable cell (asr/models/cell.py) with nothing fixed must give the same texts as the model.

Context: the model gets recordings in pieces of N frames. Each piece begins with an empty state and its edges see zeros;
the outputs are joined before decoding. On average a frame has N/2 frames of context on either side; at a piece's edge
all of it is on one side. The model was trained on whole recordings, and features are computed and normalised on whole
ones. A word that lies in two pieces may be recognised twice, which is an error too.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor, nn

from asr.data.dataset import collate
from asr.data.manifest import Utterance, read_manifest
from asr.data.recordings import load_utterance
from asr.devices import choose_device
from asr.errors import DataError, UsageError
from asr.figures import new_figure, save_figure
from asr.lengths import valid_mask
from asr.models import AcousticModel, LstmCell, RecurrentLayer
from asr.pretrained import Pretrained, from_pretrained
from asr.probes.record import Line, draw_bars, draw_lines, interval_caption, mean_interval
from asr.recognition import Recognizer
from asr.scoring.counts import ErrorCounts, count_word_errors
from asr.scoring.intervals import bootstrap_interval
from asr.text.normalize import get_normalizer

Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class ModelEvaluator:
    """A trained model and the recordings to evaluate it on, as it is or changed."""

    pretrained: Pretrained
    utterances: Sequence[Utterance]
    device: torch.device

    @classmethod
    def load(
        cls, directory: Path, manifest: Path, device: str = "auto", utterances: int | None = None
    ) -> "ModelEvaluator":
        """Read both; with ``utterances`` only so many, spread evenly over the manifest."""
        known = read_manifest(manifest)
        if utterances is not None and utterances < len(known):
            known = [known[index * len(known) // utterances] for index in range(utterances)]
        if not any(one.text.strip() for one in known):
            raise DataError(f"{manifest}: no utterance has a text; give a manifest with reference texts")
        chosen = choose_device(device)
        return cls(from_pretrained(directory, chosen), known, chosen)

    @property
    def model(self) -> AcousticModel:
        """The model as it is."""
        return self.pretrained.model

    @property
    def frame_s(self) -> float:
        """Seconds from one log-mel frame to the next."""
        config = self.pretrained.features.config
        return config.hop_length / config.sample_rate

    def errors(self, model: nn.Module | None = None) -> list[ErrorCounts]:
        """Word errors of each utterance with ``model``, by default the model as it is."""
        changed = Pretrained(
            self.pretrained.features,
            self.model if model is None else model,  # type: ignore[arg-type]  # the same call, the same shapes
            self.pretrained.tokenizer,
            self.pretrained.facts,
        )
        recognizer = Recognizer(changed, self.device, words=False)
        normalize = get_normalizer(str(self.pretrained.facts.get("normalizer", "basic")))
        texts = [one.text for one in recognizer.transcribe_utterances(self.utterances)]
        pairs = zip(self.utterances, texts, strict=True)
        return [count_word_errors(normalize(one.text), normalize(text)) for one, text in pairs]

    def log_mel(self, utterance: Utterance) -> tuple[Tensor, Tensor]:
        """The model's input for one recording: ``(1, frames, mels)``, ``(1,)``."""
        features = self.pretrained.features
        batch = collate([load_utterance(utterance, features.config.sample_rate)], [[]], [0])
        log_mel, frames = features(batch.waveforms.to(self.device), batch.lengths.to(self.device))
        return log_mel, frames


class ErrorRow(TypedDict):
    """WER in percent and error counts of trainings of one kind; see ``error_row``."""

    wer: float
    wers: list[float]
    low: float | None
    high: float | None
    seed_low: float | None
    seed_high: float | None
    substitutions: int
    deletions: int
    insertions: int
    words: int
    utterances: int


class ChangeRow(ErrorRow):
    """The errors with one change of the models."""

    label: str


class ContextRow(ChangeRow):
    """The errors with pieces of ``frames``; None for whole recordings."""

    frames: int | None
    seconds: float | None


class GateResults(TypedDict):
    """A row for the models as they are and for each fixed gate."""

    rows: list[ChangeRow]


class ContextResults(TypedDict):
    """A row for each length of a piece, the last for whole recordings, of which ``longest_s`` is the longest."""

    rows: list[ContextRow]
    longest_s: float


def error_row(counts: Sequence[Sequence[ErrorCounts]]) -> ErrorRow:
    """WER in percent of trainings of one kind; ``counts``: for each training those of the same utterances, in order.

    Two intervals, None where there is none: ``low`` and ``high`` over utterances (other recordings of this kind; an
    utterance is drawn together with its results in all trainings), ``seed_low`` and ``seed_high`` over trainings
    (Student's t). Errors by kind and words are sums over the trainings.
    """
    rates = [100 * ErrorCounts.total(one).rate for one in counts]
    every = [one for training in counts for one in training]
    over_seeds, total = mean_interval(rates), ErrorCounts.total(every)
    over_utterances = bootstrap_interval(
        [one.errors for one in every],
        [one.reference_length for one in every],
        clusters=[place for training in counts for place in range(len(training))],
    )
    return {
        "wer": over_seeds.mean,
        "wers": rates,
        "low": None if over_utterances is None else 100 * over_utterances.low,
        "high": None if over_utterances is None else 100 * over_utterances.high,
        "seed_low": None if over_seeds.low is None else max(0.0, over_seeds.low),
        "seed_high": over_seeds.high,
        "substitutions": total.substitutions,
        "deletions": total.deletions,
        "insertions": total.insertions,
        "words": total.reference_length,
        "utterances": len(counts[0]),
    }


def measure_changes(
    evaluators: Sequence[ModelEvaluator],
    changes: Mapping[str, Callable[[AcousticModel], nn.Module]],
    on_step: Step = lambda: None,
) -> list[ChangeRow]:
    """A row for each change of the models, named by the key ``label``."""
    rows = []
    for label, change in changes.items():
        rows.append(ChangeRow(label=label, **error_row([one.errors(change(one.model)) for one in evaluators])))
        on_step()
    return rows


FIXED: dict[str, dict[str, float]] = {
    "readable cell, nothing fixed": {},
    "forget gate at 1": {"forget_gate": 1.0},
    "forget gate at 0": {"forget_gate": 0.0},
    "input gate at 1": {"input_gate": 1.0},
    "output gate at 1": {"output_gate": 1.0},
}


class ReadableDirection(nn.Module):
    """A direction of an LSTM computed by the readable cell, with some gates ``fixed``."""

    def __init__(self, lstm: nn.LSTM, fixed: Mapping[str, float]) -> None:
        super().__init__()
        self.cell = LstmCell(lstm, fixed)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(batch, frames, input_size)`` -> ``(batch, frames, size)``."""
        return self.cell(inputs).hidden


def with_fixed_gates(model: AcousticModel, fixed: Mapping[str, float]) -> AcousticModel:
    """A copy of ``model`` whose every LSTM direction is a ``ReadableDirection``.

    Raises UsageError where the model has no LSTM layer.
    """
    changed = copy.deepcopy(model)
    found = 0
    for layer in (one for one in changed.modules() if isinstance(one, RecurrentLayer)):
        for name in layer.names:
            direction = layer.get_submodule(name)
            if isinstance(direction, nn.LSTM):
                setattr(layer, name, ReadableDirection(direction, fixed))
                found += 1
    if not found:
        raise UsageError(
            f"the model's encoder is {model.config.name!r}: it has no LSTM layer whose gates could be fixed"
        )
    return changed


def measure_gates(evaluators: Sequence[ModelEvaluator], on_step: Step = lambda: None) -> GateResults:
    """A row for the models as they are and for each of ``FIXED``."""
    for evaluator in evaluators:
        with_fixed_gates(evaluator.model, {})  # raises before anything is evaluated
    changes = {label: partial(with_fixed_gates, fixed=fixed) for label, fixed in FIXED.items()}
    return {"rows": measure_changes(evaluators, {"as trained": lambda model: model} | changes, on_step)}


def draw_gates(found: GateResults, path: Path) -> None:
    """A bar for each row."""
    figure, (axes,) = new_figure(size=(8.0, 3.8))
    draw_bars(axes, [row["label"] for row in found["rows"]], found["rows"])
    axes.set(xlabel="WER %", title=f"One gate fixed at a value, at test time\n({interval_caption(found['rows'][0])})")
    save_figure(figure, path)


class InPieces(nn.Module):
    """``model`` on pieces of ``frames`` log-mel frames, each on its own; the outputs joined."""

    def __init__(self, model: AcousticModel, frames: int) -> None:
        super().__init__()
        factor = model.subsampling.factor
        if frames < factor or frames % factor:
            raise UsageError(
                f"pieces of {frames} frames do not fit the model's subsampling of {factor}; give multiples of {factor}"
            )
        self.model, self.frames = model, frames
        self.subsampling = model.subsampling

    def forward(self, log_mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As ``AcousticModel``'s."""
        batch, longest, mels = log_mel.shape
        count = -(-longest // self.frames)
        padded = nn.functional.pad(log_mel, (0, 0, 0, count * self.frames - longest))
        starts = torch.arange(count, device=lengths.device) * self.frames
        inside = (lengths.unsqueeze(1) - starts).clamp(0, self.frames).flatten()  # (batch * count,)
        rows = padded.reshape(batch * count, self.frames, mels)
        filled = inside > 0
        log_probs, _ = self.model(rows[filled], inside[filled])  # (pieces, frames', vocab)
        whole = log_probs.new_zeros(batch * count, log_probs.size(1), log_probs.size(2))
        whole[filled] = log_probs
        lengths = self.model.output_lengths(lengths)
        joined = whole.reshape(batch, -1, log_probs.size(2))[:, : int(lengths.max())]
        return joined.masked_fill(~valid_mask(lengths, joined.size(1)).unsqueeze(2), 0.0), lengths


def measure_context(
    evaluators: Sequence[ModelEvaluator], frames: Sequence[int], on_step: Step = lambda: None
) -> ContextResults:
    """A row for each N, with its seconds, and one for whole recordings (``frames`` None), the last."""
    for evaluator in evaluators:
        for one in frames:
            InPieces(evaluator.model, one)  # raises before anything is evaluated
    changes = {str(one): partial(InPieces, frames=one) for one in sorted(frames)}
    rows = measure_changes(evaluators, {**changes, "whole": lambda model: model}, on_step)
    first = evaluators[0]
    cut = [
        ContextRow(**row, frames=count, seconds=None if count is None else count * first.frame_s)
        for row, count in zip(rows, [*sorted(frames), None], strict=True)
    ]
    return {"rows": cut, "longest_s": max(one.duration_s for one in first.utterances)}


def draw_context(found: ContextResults, path: Path) -> None:
    """WER against N; that of whole recordings as a horizontal line."""
    figure, (axes,) = new_figure()
    *cut, whole = found["rows"]
    seconds = [row["seconds"] or 0.0 for row in cut]
    line = Line(
        "pieces", seconds, [row["wer"] for row in cut], [row["low"] for row in cut], [row["high"] for row in cut]
    )
    draw_lines(axes, [line], {"pieces": "#d62728"}, marker="o")
    axes.axhline(whole["wer"], color="#555555", linestyle="--", label=f"whole recordings: {whole['wer']:.2f} %")
    axes.set(
        xscale="log",
        xlabel="length of a piece (s)",
        ylabel="WER %",
        title=f"Speech with its context cut ({interval_caption(whole)})",
    )
    axes.minorticks_off()
    axes.set_xticks(seconds, [f"{one:g}" for one in seconds])
    if len(whole["wers"]) > 1:
        for row in cut:
            axes.plot([row["seconds"]] * len(row["wers"]), row["wers"], ".", color="#333333", markersize=5)
    axes.set_ylim(bottom=0)
    axes.legend()
    save_figure(figure, path)
