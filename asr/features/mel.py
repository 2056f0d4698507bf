"""The mel filterbank of Slaney's Auditory Toolbox (1998), as librosa computes it, in NumPy alone.

In: a sample rate, a transform's length and the range of frequencies. Out: float32 weights ``(n_mels, bins)``, equal to
``librosa.filters.mel`` to the bit. That import takes a second and more of processor time (scipy.signal), which is most
of what transcribing one short recording would wait for.
"""

import numpy as np
from numpy.typing import NDArray

_HZ_PER_MEL = 200.0 / 3  # below 1 kHz
_LOG_START_HZ = 1000.0
_LOG_START_MEL = _LOG_START_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0  # above 1 kHz: 27 steps to 6.4 kHz


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
