"""Log-mel frames, on the model's device, the same code in training and in transcription.

In: padded waveforms ``(batch, samples)`` and integer lengths. Out: ``(batch, frames, n_mels)`` and frame counts. Frame
t is centred on sample ``t * hop_length``; the signal is extended by zeros, as librosa does by default, so what a frame
reads never depends on the batch it came in. Equal to ``log(max(librosa.feature.melspectrogram(...), floor))`` within
1e-4.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asr.errors import ConfigError
from asr.features.frontend import Features, FeaturesConfig, check_batch
from asr.features.mel import mel_filterbank
from asr.lengths import valid_mask
from asr.schema import check

MINIMUM_FLOOR = 1e-37  # float32 holds no smaller normal number, and the log of 0 would make every output NaN


@dataclass(kw_only=True, slots=True)
class LogMelConfig(FeaturesConfig):
    """See ``FeaturesConfig``. Power below ``log_floor`` counts as ``log_floor``. With edge padding frame 0 is centred
    on ``-edge_padding_s``.
    """

    name: str = "log_mel"
    log_floor: float = 1e-8  # power below this counts as this

    def __post_init__(self) -> None:
        FeaturesConfig.__post_init__(self)
        check(self.log_floor >= MINIMUM_FLOOR, f"features.log_floor={self.log_floor} must be at least {MINIMUM_FLOOR}")

    @property
    def reads(self) -> tuple[int, int]:
        """Half a transform before the grid and half a one after it."""
        return -(self.n_fft // 2), self.n_fft // 2


class LogMel(Features):
    """Log-mel features with their normalisation."""

    config: LogMelConfig
    window: Tensor
    filterbank: Tensor

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__(config)
        self.register_buffer("window", torch.hann_window(config.window_length), persistent=False)
        self.register_buffer("filterbank", _filterbank(config), persistent=False)

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Frames for samples: ``1 + (samples + 2 * edge_samples) // hop_length``; 0 samples give 0 frames."""
        padded = lengths + 2 * self.config.edge_samples
        return torch.where(lengths > 0, padded.div(self.config.hop_length, rounding_mode="floor") + 1, 0)

    def unnormalised(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mel before normalisation; frames beyond a length hold the log of the floor."""
        check_batch(waveforms, lengths)
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


def _filterbank(config: LogMelConfig) -> Tensor:
    bank = mel_filterbank(config.sample_rate, config.n_fft, config.n_mels, config.f_min_hz, config.top_hz)
    if empty := int((bank.max(axis=1) == 0).sum()):
        raise ConfigError(empty_filters(config, empty))
    return torch.from_numpy(bank)


def empty_filters(config: FeaturesConfig, empty: int) -> str:
    """The message about mel filters that are narrower than the spectrum's bins."""
    return (
        f"features.n_mels={config.n_mels}: {empty} of them are between two bins of the spectrum and are always empty"
        f" ({config.sample_rate / config.n_fft:.1f} Hz from bin to bin); use fewer, or a longer features.window_s"
    )
