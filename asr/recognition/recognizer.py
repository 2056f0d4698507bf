"""From recordings to texts with a trained model: the same features and the same model as in training.

In: a model directory, then paths, waveforms or utterances. Out: ``Hypothesis``es in the order of what came in. Batches
are made of recordings of like length; padding changes no result (law 1), so neither does ``batch_s``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from asr.audio import load_audio, resample
from asr.data.dataset import collate, load_utterance
from asr.data.utterance import Utterance
from asr.decoding import DecodedText, greedy_decode
from asr.errors import AudioError, ConfigError
from asr.features import LogMel
from asr.models import AcousticModel
from asr.pretrained import Pretrained, choose_device, from_pretrained
from asr.recognition.hypothesis import Hypothesis
from asr.text.tokenizer import Tokenizer

Waveform = NDArray[np.float32]
MAX_BATCH = 64  # recordings in a batch, however short


class Decoder(Protocol):
    """Log-probabilities ``(batch, frames, vocab)`` with lengths ``(batch,)`` to one text each."""

    def __call__(self, log_probs: torch.Tensor, lengths: torch.Tensor, tokenizer: Tokenizer) -> list[DecodedText]: ...


class Recognizer:
    """A trained model, ready to transcribe.

    >>> recognizer = Recognizer.from_pretrained("runs/fsdd/model")
    >>> recognizer.transcribe("seven.wav").text
    'seven'
    """

    def __init__(self, pretrained: Pretrained, device: torch.device, decoder: Decoder = greedy_decode) -> None:
        self.features: LogMel = pretrained.features
        self.model: AcousticModel = pretrained.model
        self.tokenizer: Tokenizer = pretrained.tokenizer
        self.facts: Mapping[str, Any] = pretrained.facts
        self.device = device
        self.decoder = decoder

    @classmethod
    def from_pretrained(cls, directory: str | Path, device: str = "auto") -> "Recognizer":
        """Read a model directory onto ``device`` ("auto".

        A GPU where there is one). Raises ModelError or ConfigError.
        """
        chosen = choose_device(device)
        return cls(from_pretrained(Path(directory), chosen), chosen)

    @property
    def sample_rate(self) -> int:
        """The rate in Hz at which the model hears."""
        return self.features.config.sample_rate

    def transcribe(self, audio: str | Path | Waveform, sample_rate: int | None = None) -> Hypothesis:
        """The text of one file, or of one mono waveform ``(samples,)`` whose ``sample_rate`` in Hz must then be given.

        Raises AudioError when the recording cannot be read, ConfigError when a waveform comes without its rate.
        """
        return self.transcribe_waveforms([self._waveform(audio, sample_rate)])[0]

    def transcribe_utterances(
        self, utterances: Sequence[Utterance], batch_s: float = 60.0, progress: Callable[[int, int], None] | None = None
    ) -> list[Hypothesis]:
        """The text of each utterance, in order. ``batch_s`` bounds the padded seconds of a batch; ``progress(done,
        total)``.

        Raises AudioError naming the first recording that cannot be read.
        """
        durations_s = [utterance.duration_s for utterance in utterances]
        found: dict[int, Hypothesis] = {}
        for indices in plan_batches(durations_s, batch_s):
            waveforms = [load_utterance(utterances[index], self.sample_rate) for index in indices]
            found.update(zip(indices, self.transcribe_waveforms(waveforms), strict=True))
            if progress is not None:
                progress(len(found), len(utterances))
        return [found[index] for index in range(len(utterances))]

    @torch.inference_mode()
    def transcribe_waveforms(self, waveforms: Sequence[Waveform]) -> list[Hypothesis]:
        """One batch: mono waveforms ``(samples,)`` at the model's rate -> a hypothesis each."""
        batch = collate(waveforms, [[] for _ in waveforms], [])
        log_mel, frames = self.features(batch.waveforms.to(self.device), batch.lengths.to(self.device))
        log_probs, lengths = self.model(log_mel, frames)
        texts = self.decoder(log_probs, lengths, self.tokenizer)
        return [
            Hypothesis(text=text.text, score=text.score, duration_s=len(waveform) / self.sample_rate)
            for text, waveform in zip(texts, waveforms, strict=True)
        ]

    def _waveform(self, audio: str | Path | Waveform, sample_rate: int | None) -> Waveform:
        if isinstance(audio, (str, Path)):
            return load_audio(audio, sample_rate=self.sample_rate)
        if sample_rate is None:
            raise ConfigError(
                "transcribe: a waveform needs its sample_rate in Hz, e.g. transcribe(waveform, sample_rate=16000)"
            )
        if not 4000 <= sample_rate <= 384_000:
            raise ConfigError(f"transcribe: sample_rate={sample_rate!r} must be 4000 to 384000 Hz")
        waveform = _checked_waveform(audio)
        return waveform if sample_rate == self.sample_rate else resample(waveform, int(sample_rate), self.sample_rate)


def _checked_waveform(audio: Any) -> Waveform:
    """``audio`` as float32 ``(samples,)``.

    Raises AudioError unless it is floating point, finite, mono and not empty.
    """
    values = np.asarray(audio)
    if values.dtype.kind != "f":
        advice = "; divide 16-bit samples by 32768" if values.dtype.kind in "iu" else ""
        raise AudioError(f"transcribe: a waveform must be floating point, -1 to 1, not {values.dtype}{advice}")
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise AudioError(
            f"transcribe: a waveform must be finite, mono and not empty, (samples,); this one is {values.shape}"
        )
    return values.astype(np.float32, copy=False)


def plan_batches(durations_s: Sequence[float], batch_s: float) -> Iterator[list[int]]:
    """Indices in batches of like durations, longest first so that memory fails at once.

    Each at most ``batch_s`` padded.
    """
    batch: list[int] = []
    for index in sorted(range(len(durations_s)), key=lambda one: -durations_s[one]):
        longest_s = durations_s[batch[0]] if batch else durations_s[index]
        if batch and (longest_s * (len(batch) + 1) > batch_s or len(batch) >= MAX_BATCH):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
