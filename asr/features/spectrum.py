"""Log-mel power of padded samples, written once for NumPy arrays and for tensors on any device.

In: samples, by tensors in training and where the model runs in torch, by arrays where it runs in onnxruntime. Out: log
power in mel bins. Frame t is centred on sample ``t * hop_length``; the signal is extended by zeros, as librosa does by
default. Equal to ``log(max(librosa.feature.melspectrogram(...), floor))`` within 1e-4.

The mel filterbank is that of Slaney's Auditory Toolbox (1998), equal to ``librosa.filters.mel`` to the bit. Importing
that takes more than a second of processor time (scipy.signal), most of the start of transcribing one short recording.
"""

import sys
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from asr.errors import ConfigError
from asr.features.config import FeaturesConfig, LogMelConfig

_HZ_PER_MEL = 200.0 / 3  # below 1 kHz
_LOG_START_HZ = 1000.0
_LOG_START_MEL = _LOG_START_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0  # above 1 kHz: 27 steps to 6.4 kHz


def library_of(values: Any) -> Any:
    """numpy for an array, torch for a tensor: they have the names that formulas of both are written in."""
    return np if isinstance(values, np.ndarray) else sys.modules["torch"]


def log_mel_power(samples: Any, window: Any, filterbank: Any, config: LogMelConfig) -> Any:
    """``(..., samples)`` with half a transform of zeros at both ends -> ``(..., frames, n_mels)``, not normalised.

    ``window`` ``(n_fft,)`` and ``filterbank`` ``(n_mels, bins)``: see ``hann_window`` and ``log_mel_filterbank``.
    """
    library, size, hop = library_of(samples), config.n_fft, config.hop_length
    if library is np:
        framed = sliding_window_view(samples, size, axis=-1)[..., ::hop, :]
    else:
        framed = samples.unfold(-1, size, hop)
    spectrum = library.fft.rfft(framed * window)  # (..., frames, bins)
    power = spectrum.real**2 + spectrum.imag**2
    return library.log(library.clip(power @ filterbank.T, config.log_floor, None))


def hann_window(config: FeaturesConfig) -> NDArray[np.float32]:
    """A periodic Hann window in the middle of ``(n_fft,)``."""
    before = (config.n_fft - config.window_length) // 2
    window = np.zeros(config.n_fft, np.float32)
    angle = 2 * np.pi * np.arange(config.window_length) / config.window_length
    window[before : before + config.window_length] = 0.5 - 0.5 * np.cos(angle)
    return window


def log_mel_filterbank(config: LogMelConfig) -> NDArray[np.float32]:
    """``(n_mels, 1 + n_fft // 2)``. Raises ConfigError where a filter is narrower than the spectrum's bins."""
    bank = mel_filterbank(config.sample_rate, config.n_fft, config.n_mels, config.f_min_hz, config.top_hz)
    check_filters(config, bank)
    return bank


def check_filters(config: FeaturesConfig, bank: NDArray[np.float32]) -> None:
    """Raise ConfigError where mel filters ``(n_mels, bins)`` are narrower than the spectrum's bins."""
    if empty := int((bank.max(axis=1) == 0).sum()):
        raise ConfigError(
            f"features.n_mels={config.n_mels}: {empty} of them are between two bins of the spectrum and are always"
            f" empty ({config.sample_rate / config.n_fft:.1f} Hz from bin to bin); use fewer, or a longer"
            " features.window_s"
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
