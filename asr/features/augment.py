"""Augmentation: SpecAugment on log-mel frames; speed, gain and noise on waveforms. Every draw comes from a given
generator.

Sources: SpecAugment, Park et al. 2019 (arXiv 1904.08779), with the number of time masks growing with length as in its
follow-up (arXiv 1912.05533); speed perturbation, Ko et al. 2015.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.audio import resample
from asr.lengths import valid_mask
from asr.schema import check


@dataclass(kw_only=True, slots=True)
class SpecAugmentConfig:
    """``time_masks`` per started ``time_mask_every_frames`` of the utterance's own frames.

    No time mask is longer than ``time_mask_max_share`` of the utterance nor than ``time_mask_max_frames``.
    """

    frequency_masks: int = 2
    frequency_mask_max_mels: int = 27
    time_masks: int = 2
    time_mask_max_frames: int = 40
    time_mask_max_share: float = 0.15
    time_mask_every_frames: int = 1000

    def __post_init__(self) -> None:
        for key in ("frequency_masks", "frequency_mask_max_mels", "time_masks", "time_mask_max_frames"):
            check(getattr(self, key) >= 0, f"augment.spec_augment.{key}={getattr(self, key)} must not be negative")
        check(0 <= self.time_mask_max_share <= 1, "augment.spec_augment.time_mask_max_share must be in [0, 1]")
        check(self.time_mask_every_frames >= 1, "augment.spec_augment.time_mask_every_frames must be at least 1")


@dataclass(kw_only=True, slots=True)
class AugmentConfig:
    """What happens to training data only. ``speeds``: one is drawn per utterance and epoch (pitch moves with it).

    ``gain_db``: level drawn from plus or minus this many dB. ``noise_probability``: share of utterances to which white
    noise at a signal-to-noise ratio from ``noise_snr_db`` (low, high) is added.
    """

    speeds: list[float] = field(default_factory=lambda: [0.9, 1.0, 1.1])
    gain_db: float = 6.0
    noise_probability: float = 0.0
    noise_snr_db: list[float] = field(default_factory=lambda: [10.0, 40.0])
    spec_augment: SpecAugmentConfig = field(default_factory=SpecAugmentConfig)

    def __post_init__(self) -> None:
        good = bool(self.speeds) and all(0.5 <= speed <= 2.0 for speed in self.speeds)
        check(good, f"augment.speeds={self.speeds} must be a list of factors from 0.5 to 2")
        check(self.gain_db >= 0, f"augment.gain_db={self.gain_db} must not be negative")
        check(0 <= self.noise_probability <= 1, "augment.noise_probability must be in [0, 1]")
        ordered = len(self.noise_snr_db) == 2 and self.noise_snr_db[0] <= self.noise_snr_db[1]
        check(ordered, f"augment.noise_snr_db={self.noise_snr_db} must be [low, high] in dB")

    @property
    def slowest(self) -> float:
        """The factor that makes utterances longest; batches are sized for it."""
        return min(self.speeds)

    @property
    def fastest(self) -> float:
        """The factor that makes utterances shortest; what CTC can spell is checked for it."""
        return max(self.speeds)


def augment_waveform(
    waveform: NDArray[np.float32], sample_rate: int, config: AugmentConfig, speed: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Played at ``speed``, then gain and noise as drawn from ``generator``.

    ``(samples,)`` float32 -> ``(samples',)`` float32.
    """
    if speed != 1.0:
        waveform = resample(waveform, round(sample_rate * speed), sample_rate)
    if config.gain_db:
        waveform = waveform * np.float32(10 ** (generator.uniform(-config.gain_db, config.gain_db) / 20))
    if config.noise_probability and generator.random() < config.noise_probability:
        low, high = config.noise_snr_db
        waveform = add_white_noise(waveform, generator.uniform(low, high), generator)
    return waveform


def add_white_noise(
    waveform: NDArray[np.float32], snr_db: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    """``waveform`` with white noise ``snr_db`` dB below its mean power; digital silence stays as it is."""
    power = float(np.mean(np.square(waveform))) if waveform.size else 0.0
    noise = generator.standard_normal(waveform.shape, dtype=np.float32)
    return waveform + noise * np.float32(np.sqrt(power / 10 ** (snr_db / 10)))


def spec_augment(log_mel: Tensor, lengths: Tensor, config: SpecAugmentConfig, generator: torch.Generator) -> Tensor:
    """Mask bands of mels and spans of time with 0, the mean of normalised features.

    ``log_mel`` (batch, frames, mels), ``lengths`` (batch,) -> a new tensor of the same shape. ``generator`` lives on
    the CPU, so that the same seed masks the same spans on every device.
    """
    batch, frames, mels = log_mel.shape
    lengths_cpu = lengths.cpu()
    all_mels, mel_masks = torch.full((batch,), mels), torch.full((batch,), config.frequency_masks)
    keep_mels = _masks(all_mels, mels, mel_masks, torch.full((batch,), config.frequency_mask_max_mels), generator)
    longest = (lengths_cpu.double() * config.time_mask_max_share).long().clamp_max(config.time_mask_max_frames)
    repeats = lengths_cpu.sub(1).div(config.time_mask_every_frames, rounding_mode="floor").add(1).clamp_min(1)
    keep_time = _masks(lengths_cpu, frames, config.time_masks * repeats, longest, generator)
    keep = keep_time.unsqueeze(2) & keep_mels.unsqueeze(1)
    return log_mel.masked_fill(~keep.to(log_mel.device), 0.0)


def _masks(sizes: Tensor, width: int, counts: Tensor, longest: Tensor, generator: torch.Generator) -> Tensor:
    """True where nothing is masked, ``(batch, width)``: ``counts`` spans, each of 0 to ``longest``, inside ``sizes``.

    A row's ``counts``, ``longest`` and ``sizes``, all ``(batch,)``, are its own, so that the batch's longest utterance
    does not mask the others more.
    """
    sizes, longest = sizes.unsqueeze(1), torch.minimum(longest, sizes).unsqueeze(1)
    drawn = (sizes.size(0), int(counts.max()) if counts.numel() else 0)
    span = (torch.rand(drawn, generator=generator) * (longest + 1)).long()
    span = span.masked_fill(~valid_mask(counts, drawn[1]), 0)
    start = (torch.rand(drawn, generator=generator) * (sizes - span + 1)).long()
    position = torch.arange(width).view(1, 1, -1)
    masked = (position >= start.unsqueeze(2)) & (position < (start + span).unsqueeze(2))
    return ~masked.any(dim=1)
