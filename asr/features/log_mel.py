"""From waveform to log-mel frames, on the model's device, the same code in training and in transcription.

In: padded waveforms ``(batch, samples)`` and integer lengths. Out: ``(batch, frames, n_mels)`` and honest frame counts.
Frame t is centred on sample ``t * hop_length``; the signal is extended by zeros, as librosa does by default, so what a
frame sees never depends on the batch it came in. Equal to ``log(max(librosa.feature.melspectrogram(...), floor))``
within 1e-4.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asr.errors import ConfigError
from asr.lengths import valid_mask
from asr.schema import check, check_choice

NORMALIZATIONS = ("global", "utterance", "none")
MINIMUM_FLOOR = 1e-37  # float32 holds no smaller normal number, and the log of 0 would make every output NaN
MINIMUM_STD = 1e-3  # a mel bin that never varies in training must not be blown up


@dataclass(kw_only=True, slots=True)
class LogMelConfig:
    """``window_s`` and ``frame_shift_s`` in seconds; ``f_max_hz`` None means half the sample rate.

    ``normalization``: "global" (mean and standard deviation per mel bin, learned from training data), "utterance" (each
    recording's own mean is taken off first, which removes the channel; then the global scale), or "none".
    ``edge_padding_s`` of silence is put before and after each recording: closely trimmed ones leave CTC too few frames
    to spell in. Frame 0 is then centred on ``-edge_padding_s``.
    """

    sample_rate: int = 16000
    window_s: float = 0.025
    frame_shift_s: float = 0.010
    n_mels: int = 80
    f_min_hz: float = 20.0
    f_max_hz: float | None = None
    log_floor: float = 1e-8
    normalization: str = "global"
    edge_padding_s: float = 0.0

    def __post_init__(self) -> None:
        check(4000 <= self.sample_rate <= 384_000, f"features.sample_rate={self.sample_rate} must be 4000 to 384000")
        check(self.frame_shift_s > 0, f"features.frame_shift_s={self.frame_shift_s} must be above 0")
        check(self.window_s >= self.frame_shift_s, "features.window_s must be at least features.frame_shift_s")
        check(
            self.hop_length >= 1,
            f"features.frame_shift_s={self.frame_shift_s} is less than one sample at {self.sample_rate} Hz",
        )
        check(1 <= self.n_mels <= 256, f"features.n_mels={self.n_mels} must be 1 to 256")
        check(self.log_floor >= MINIMUM_FLOOR, f"features.log_floor={self.log_floor} must be at least {MINIMUM_FLOOR}")
        top = self.f_max_hz if self.f_max_hz is not None else self.sample_rate / 2
        good = 0 <= self.f_min_hz < top <= self.sample_rate / 2
        check(
            good,
            f"features.f_min_hz={self.f_min_hz} and f_max_hz={top} must satisfy 0 <= f_min < f_max <= sample_rate / 2",
        )
        check(0 <= self.edge_padding_s <= 10, f"features.edge_padding_s={self.edge_padding_s} must be 0 to 10")
        check_choice("features.normalization", self.normalization, NORMALIZATIONS)

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next."""
        return round(self.frame_shift_s * self.sample_rate)

    @property
    def window_length(self) -> int:
        """Samples under the window."""
        return round(self.window_s * self.sample_rate)

    @property
    def edge_samples(self) -> int:
        """Samples of silence before and after each recording: a whole number of frame shifts."""
        return round(self.edge_padding_s / self.frame_shift_s) * self.hop_length

    @property
    def n_fft(self) -> int:
        """The power of two that holds the window."""
        return 1 << (self.window_length - 1).bit_length()


class LogMel(nn.Module):
    """Log-mel features with their normalisation; ``mean`` and ``std`` ``(n_mels,)`` are saved with the model."""

    window: Tensor
    filterbank: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.hann_window(config.window_length), persistent=False)
        self.register_buffer("filterbank", _filterbank(config), persistent=False)
        self.register_buffer("mean", torch.zeros(config.n_mels))
        self.register_buffer("std", torch.ones(config.n_mels))

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Frames for samples: ``1 + (samples + 2 * edge_samples) // hop_length``; 0 samples give 0 frames."""
        padded = lengths + 2 * self.config.edge_samples
        return torch.where(lengths > 0, padded.div(self.config.hop_length, rounding_mode="floor") + 1, 0)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, samples)`` float32, ``(batch,)`` int64 -> normalised log-mel ``(batch, frames, n_mels)``,
        ``(batch,)``.
        """
        return self.normalise(*self.unnormalised(waveforms, lengths))

    def normalise(self, log_mel: Tensor, frames: Tensor, own_mean: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What ``unnormalised`` gives, on the scale that the model was trained on; zero beyond each length.

        ``own_mean`` ``(batch, 1, n_mels)``: each recording's own mean, where ``log_mel`` holds only a part of it.
        """
        mask = valid_mask(frames, log_mel.size(1)).unsqueeze(2)
        if self.config.normalization == "utterance":
            log_mel = log_mel - (utterance_mean(log_mel, frames, mask) if own_mean is None else own_mean)
        if self.config.normalization != "none":
            log_mel = (log_mel - self.mean) / self.std
        return log_mel.masked_fill(~mask, 0.0), frames

    def unnormalised(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mel before normalisation; frames beyond a length hold the log of the floor."""
        if waveforms.dim() != 2 or lengths.shape != waveforms.shape[:1]:
            raise ValueError(f"expected waveforms (batch, samples) and lengths (batch,), got {tuple(waveforms.shape)}")
        config = self.config
        silent = waveforms.float().masked_fill(~valid_mask(lengths, waveforms.size(1)), 0.0)
        silent = nn.functional.pad(silent, (config.edge_samples, config.edge_samples))
        spectrum = torch.stft(
            silent,
            config.n_fft,
            config.hop_length,
            config.window_length,
            self.window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )  # (batch, bins, frames)
        power = spectrum.real.square() + spectrum.imag.square()
        mel = torch.matmul(self.filterbank, power).transpose(1, 2)
        return mel.clamp_min(config.log_floor).log(), self.frame_lengths(lengths)

    def set_normalisation(self, mean: Tensor, std: Tensor) -> None:
        """Store the mean and standard deviation, each ``(n_mels,)``, learned by ``NormalisationStatistics``."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(MINIMUM_STD))


class NormalisationStatistics:
    """Mean and standard deviation per mel bin over the frames of the training data, summed in float64."""

    def __init__(self, log_mel: LogMel) -> None:
        self.log_mel = log_mel
        size = log_mel.config.n_mels
        self.frames = 0
        self.total = torch.zeros(size, dtype=torch.float64)
        self.squares = torch.zeros(size, dtype=torch.float64)

    def add(self, waveforms: Tensor, lengths: Tensor) -> None:
        """Count a padded batch: ``(batch, samples)``, ``(batch,)``."""
        values, frames = self.log_mel.unnormalised(waveforms, lengths)
        mask = valid_mask(frames, values.size(1))
        if self.log_mel.config.normalization == "utterance":
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
            self.log_mel.set_normalisation(mean.float(), variance.sqrt().float())


def utterance_mean(log_mel: Tensor, frames: Tensor, mask: Tensor) -> Tensor:
    """Each utterance's mean over its valid frames: ``(batch, 1, n_mels)``."""
    total = log_mel.masked_fill(~mask, 0.0).sum(dim=1, keepdim=True)
    return total / frames.clamp_min(1).view(-1, 1, 1)


def _filterbank(config: LogMelConfig) -> Tensor:
    from librosa.filters import mel  # imports numba: seconds, so never at the top

    top = config.f_max_hz if config.f_max_hz is not None else config.sample_rate / 2
    with warnings.catch_warnings():  # librosa's words on empty filters; ours name the keys
        warnings.simplefilter("ignore", UserWarning)
        bank = mel(sr=config.sample_rate, n_fft=config.n_fft, n_mels=config.n_mels, fmin=config.f_min_hz, fmax=top)
    if deaf := int((bank.max(axis=1) == 0).sum()):
        raise ConfigError(
            f"features.n_mels={config.n_mels}: {deaf} of them lie between two bins of the spectrum and hear nothing"
            f" ({config.sample_rate / config.n_fft:.1f} Hz from bin to bin); use fewer, or a longer features.window_s"
        )
    return torch.from_numpy(bank).float()
