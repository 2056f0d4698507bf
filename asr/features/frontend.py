"""What all features have in common in torch: batches, their level, frame counts and normalisation.

In: padded waveforms ``(batch, samples)`` with integer lengths. Out: frames ``(batch, frames, n_mels)`` with their
counts. Training and transcription share this code: transcription by the recording, see asr/features/recording.py. A
kind of features is a subclass that computes ``unnormalised`` frames and a config that says which samples a frame reads.
"""

import numpy as np
import torch
from torch import Tensor, nn

from asr.features.config import AnyFeaturesConfig
from asr.features.level import STRETCH_S, offset_and_gain, stretch_sums
from asr.features.recording import Array, RecordingFeatures, Waveform, scaled
from asr.lengths import valid_mask

MINIMUM_STD = 1e-3  # a mel bin that never varies in training must not be scaled up


class Features(nn.Module, RecordingFeatures):
    """Features with their normalisation; ``mean`` and ``std`` ``(n_mels,)`` are saved with the model."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: AnyFeaturesConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.n_mels))
        self.register_buffer("std", torch.ones(config.n_mels))

    def unnormalised(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, samples)`` float32, ``(batch,)`` int64 -> frames before normalisation ``(batch, frames, n_mels)``,
        ``(batch,)``; frames beyond a length hold the log of the floor. The samples count as they are: see ``levelled``.
        """
        raise NotImplementedError

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, samples)`` float32, ``(batch,)`` int64 -> normalised frames ``(batch, frames, n_mels)``,
        ``(batch,)``.
        """
        return self.normalise(*self.unnormalised(self.levelled(waveforms, lengths), lengths))

    def levelled(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """``(batch, samples)`` whole recordings at the level that the model was trained on."""
        check_batch(waveforms, lengths)
        if self.config.level_db is None:
            return waveforms
        return set_level(waveforms, lengths, self.config.sample_rate, self.config.level_db)

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Frames for samples, ``(batch,)`` int64 each; 0 samples give 0 frames, any others at least 1."""
        return torch.where(lengths > 0, self.config.whole_frames(lengths).clamp_min(1), 0)

    def normalise(self, log_mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """What ``unnormalised`` gives, on the scale that the model was trained on; zero beyond each length."""
        mask = valid_mask(frames, log_mel.size(1)).unsqueeze(2)
        log_mel = scaled(log_mel, utterance_mean(log_mel, frames, mask), self.mean, self.std, self.config.normalization)
        return log_mel.masked_fill(~mask, 0.0), frames

    @torch.inference_mode()
    def frames_of(self, samples: Waveform) -> Array:
        """``(samples,)`` of one recording -> ``(frames, n_mels)``, computed on the features' device."""
        waveform = torch.from_numpy(np.ascontiguousarray(samples)).to(self.mean.device)[None]
        log_mel, _ = self.unnormalised(waveform, torch.tensor([len(samples)], device=waveform.device))
        found: Array = log_mel[0].cpu().numpy()
        return found

    @torch.inference_mode()
    def normalised(self, log_mel: Array, own_mean: Array | None = None) -> Array:
        """``(frames, n_mels)``; of a whole recording, without ``own_mean``, to the bit what training computes."""
        if own_mean is not None:
            return RecordingFeatures.normalised(self, log_mel, own_mean)
        frames = torch.tensor([len(log_mel)], device=self.mean.device)
        whole, _ = self.normalise(torch.from_numpy(log_mel).to(self.mean.device)[None], frames)
        found: Array = whole[0].cpu().numpy()
        return found

    def scale(self) -> tuple[Array, Array]:
        """``mean`` and ``std`` as arrays."""
        return self.mean.cpu().numpy(), self.std.cpu().numpy()

    def set_normalisation(self, mean: Tensor, std: Tensor) -> None:
        """Store the mean and standard deviation, each ``(n_mels,)``, learned by ``NormalisationStatistics``."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(MINIMUM_STD))


def check_batch(waveforms: Tensor, lengths: Tensor) -> None:
    """Raise ValueError unless the shapes are ``(batch, samples)`` and ``(batch,)``."""
    if waveforms.dim() != 2 or lengths.shape != waveforms.shape[:1]:
        raise ValueError(f"expected waveforms (batch, samples) and lengths (batch,), got {tuple(waveforms.shape)}")


class NormalisationStatistics:
    """Mean and standard deviation per mel bin over the frames of the training data, summed in float64."""

    def __init__(self, features: Features) -> None:
        self.features = features
        size = features.config.n_mels
        self.frames = 0
        self.total = torch.zeros(size, dtype=torch.float64)
        self.squares = torch.zeros(size, dtype=torch.float64)

    def add(self, waveforms: Tensor, lengths: Tensor) -> None:
        """Count a padded batch: ``(batch, samples)``, ``(batch,)``."""
        values, frames = self.features.unnormalised(self.features.levelled(waveforms, lengths), lengths)
        mask = valid_mask(frames, values.size(1))
        if self.features.config.normalization == "utterance":
            values = values - utterance_mean(values, frames, mask.unsqueeze(2))
        valid = values[mask].double().cpu()
        self.frames += valid.size(0)
        self.total += valid.sum(0)
        self.squares += valid.square().sum(0)

    def store(self) -> None:
        """Set the features' normalisation from what was counted; nothing is changed when nothing was."""
        if self.frames:
            mean = self.total / self.frames
            variance = (self.squares / self.frames - mean.square()).clamp_min(0.0)
            self.features.set_normalisation(mean.float(), variance.sqrt().float())


def utterance_mean(log_mel: Tensor, frames: Tensor, mask: Tensor) -> Tensor:
    """Each utterance's mean over its valid frames: ``(batch, 1, n_mels)``."""
    total = log_mel.masked_fill(~mask, 0.0).sum(dim=1, keepdim=True)
    return total / frames.clamp_min(1).view(-1, 1, 1)


def set_level(waveforms: Tensor, lengths: Tensor, sample_rate: int, level_db: float) -> Tensor:
    """``(batch, samples)`` and ``(batch,)`` -> waveforms without offset at ``level_db`` dB of full scale each; zero
    beyond each length.
    """
    size, mask = round(STRETCH_S * sample_rate), valid_mask(lengths, waveforms.size(1))
    stretches = max(1, -(-waveforms.size(1) // size))
    valid = waveforms.float().masked_fill(~mask, 0.0)
    padded = nn.functional.pad(valid, (0, stretches * size - waveforms.size(1)))
    starts = torch.arange(stretches, device=lengths.device) * size
    counts = (lengths.unsqueeze(1) - starts).clamp(0, size)
    offset, gain = offset_and_gain(stretch_sums(padded.view(-1, stretches, size)), counts, level_db)
    levelled: Tensor = (valid - offset.float().unsqueeze(1)) * gain.float().unsqueeze(1)
    return levelled.masked_fill(~mask, 0.0)
