"""Log-mel frames, on the model's device, the same code in training and in transcription.

In: padded waveforms ``(batch, samples)`` and integer lengths. Out: ``(batch, frames, n_mels)`` and frame counts. Frame
t is centred on sample ``t * hop_length``; the signal is extended by zeros, as librosa does by default, so what a frame
reads never depends on the batch it came in. Equal to ``log(max(librosa.feature.melspectrogram(...), floor))`` within
1e-4.

The mel filterbank is that of Slaney's Auditory Toolbox (1998), equal to ``librosa.filters.mel`` to the bit. Importing
that takes more than a second of processor time (scipy.signal), most of the start of transcribing one short recording.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from asr.errors import ConfigError
from asr.features.frontend import Features, FeaturesConfig, check_batch
from asr.lengths import valid_mask
from asr.schema import check

MINIMUM_FLOOR = 1e-37  # float32 holds no smaller normal number, and the log of 0 would make every output NaN
_HZ_PER_MEL = 200.0 / 3  # below 1 kHz
_LOG_START_HZ = 1000.0
_LOG_START_MEL = _LOG_START_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0  # above 1 kHz: 27 steps to 6.4 kHz


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


def mel_filterbank(sample_rate: int, n_fft: int, n_mels: int, f_min_hz: float, f_max_hz: float) -> NDArray[np.float32]:
    """Triangles ``(n_mels, 1 + n_fft // 2)``, evenly spaced in mel, each of area 1 in Hz (Slaney's scaling).

    A filter narrower than the spectrum's bins is all 0; the caller decides what that means.
    """
    edges_hz = _frequencies(n_mels + 2, f_min_hz, f_max_hz)
    widths_hz = np.diff(edges_hz)
    ramps_hz = np.subtract.outer(edges_hz, np.fft.rfftfreq(n=n_fft, d=1.0 / sample_rate))
    weights = np.zeros((n_mels, 1 + n_fft // 2), dtype=np.float32)
    for row in range(n_mels):
        rising = -ramps_hz[row] / widths_hz[row]
        falling = ramps_hz[row + 2] / widths_hz[row + 1]
        weights[row] = np.maximum(0, np.minimum(rising, falling))
    weights *= (2.0 / (edges_hz[2:] - edges_hz[:n_mels]))[:, np.newaxis]
    return weights


def _frequencies(count: int, f_min_hz: float, f_max_hz: float) -> NDArray[np.float64]:
    """``count`` frequencies in Hz, evenly spaced in mel from ``f_min_hz`` to ``f_max_hz``; equal to librosa's."""
    mels = np.linspace(_mel(f_min_hz), _mel(f_max_hz), count)
    frequencies_hz = _HZ_PER_MEL * mels
    above = mels >= _LOG_START_MEL
    frequencies_hz[above] = _LOG_START_HZ * np.exp(_LOG_STEP * (mels[above] - _LOG_START_MEL))
    return frequencies_hz


def _mel(frequency_hz: float) -> float:
    if frequency_hz < _LOG_START_HZ:
        return frequency_hz / _HZ_PER_MEL
    return float(_LOG_START_MEL + np.log(frequency_hz / _LOG_START_HZ) / _LOG_STEP)
