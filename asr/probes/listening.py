"""What a trained model makes of recordings when something about it is changed: its word error rate, with interval.

In: a model directory and a manifest. Out: rows of error counts, WER in percent and a bootstrap interval over
utterances, by the same path as ``asr evaluate`` with greedy decoding; the changed model stands in the old one's place.
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


def error_row(counts: Sequence[ErrorCounts]) -> dict[str, Any]:
    """WER in percent with its interval over utterances (None where there is none), and what it is made of."""
    total = ErrorCounts.total(counts)
    interval = bootstrap_interval([one.errors for one in counts], [one.reference_length for one in counts])
    return {
        "wer": 100 * total.rate,
        "low": None if interval is None else 100 * interval.low,
        "high": None if interval is None else 100 * interval.high,
        "substitutions": total.substitutions,
        "deletions": total.deletions,
        "insertions": total.insertions,
        "words": total.reference_length,
        "utterances": len(counts),
    }


def measure_changes(
    listener: Listener, changes: Mapping[str, Callable[[], nn.Module]], on_step: Step = lambda: None
) -> list[dict[str, Any]]:
    """A row for each changed model, under the key ``label``."""
    rows = []
    for label, make in changes.items():
        rows.append({"label": label} | error_row(listener.errors(make())))
        on_step()
    return rows
