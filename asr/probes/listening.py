"""What a trained model makes of recordings when something about it is changed: its word error rate, with interval.

In: model directories of trainings that differ in their seed, and a manifest. Out: rows of error counts, WER in percent
and its intervals over utterances and over trainings, by the same path as ``asr evaluate`` with greedy decoding; the
changed model stands in the old one's place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr.data.dataset import collate, load_utterance
from asr.data.manifest import read_manifest
from asr.data.utterance import Utterance
from asr.errors import DataError
from asr.models import AcousticModel
from asr.pretrained import Pretrained, choose_device, from_pretrained
from asr.probes.record import mean_interval
from asr.recognition import Recognizer
from asr.scoring.counts import ErrorCounts, count_word_errors
from asr.scoring.intervals import bootstrap_interval
from asr.text.normalize import get_normalizer

Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Listener:
    """A trained model and what it is to hear."""

    pretrained: Pretrained
    utterances: Sequence[Utterance]
    device: torch.device

    @classmethod
    def of(cls, directory: Path, manifest: Path, device: str = "auto", utterances: int | None = None) -> "Listener":
        """Read both; of the manifest every n-th line where fewer ``utterances`` are wanted."""
        known = read_manifest(manifest)
        if utterances is not None and utterances < len(known):
            known = [known[index * len(known) // utterances] for index in range(utterances)]
        if not any(one.text.strip() for one in known):
            raise DataError(f"{manifest}: no utterance has a text to measure errors against")
        chosen = choose_device(device)
        return cls(from_pretrained(directory, chosen), known, chosen)

    @property
    def model(self) -> AcousticModel:
        """The model as it is."""
        return self.pretrained.model

    @property
    def frame_s(self) -> float:
        """From one log-mel frame to the next."""
        config = self.pretrained.features.config
        return config.hop_length / config.sample_rate

    def errors(self, model: nn.Module | None = None) -> list[ErrorCounts]:
        """Word errors of each utterance as ``model`` hears it, by default the model as it is."""
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
        """One recording as the model is given it: ``(1, frames, mels)``, ``(1,)``."""
        features = self.pretrained.features
        batch = collate([load_utterance(utterance, features.config.sample_rate)], [[]], [0])
        log_mel, frames = features(batch.waveforms.to(self.device), batch.lengths.to(self.device))
        return log_mel, frames


def error_row(heard: Sequence[Sequence[ErrorCounts]]) -> dict[str, Any]:
    """WER in percent of trainings of one kind, each of which ``heard`` the same utterances in the same order.

    Two intervals, None where there is none: ``low`` and ``high`` over utterances (other recordings of this kind; an
    utterance is drawn together with what all trainings heard in it), ``seed_low`` and ``seed_high`` over trainings
    (Student's t). Errors by kind and words are sums over the trainings.
    """
    rates = [100 * ErrorCounts.total(counts).rate for counts in heard]
    every = [one for counts in heard for one in counts]
    over_seeds, total = mean_interval(rates), ErrorCounts.total(every)
    over_utterances = bootstrap_interval(
        [one.errors for one in every],
        [one.reference_length for one in every],
        clusters=[place for counts in heard for place in range(len(counts))],
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
        "utterances": len(heard[0]),
    }


def measure_changes(
    listeners: Sequence[Listener],
    changes: Mapping[str, Callable[[AcousticModel], nn.Module]],
    on_step: Step = lambda: None,
) -> list[dict[str, Any]]:
    """A row for each change of the trainings' models, under the key ``label``."""
    rows = []
    for label, change in changes.items():
        rows.append({"label": label} | error_row([one.errors(change(one.model)) for one in listeners]))
        on_step()
    return rows
