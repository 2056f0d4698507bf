"""Up to which frequency a recording holds sound: telephone audio that was upsampled, MP3 that cut off the top.

In: a long-term power spectrum. Out: a frequency in Hz. Speech falls off gently towards half its sampling rate, to -30
to -60 dB of its strongest band; a codec or a resampler leaves a cliff and next to nothing behind it (LibriSpeech as
MP3: 80 dB within 500 Hz, to -105 dB). Both are asked for: short utterances of some voices fall by 30 dB within 500 Hz
too, but to a floor of -50 dB (AN4, synthetic voices).
"""

import numpy as np
from numpy.typing import NDArray

BAND_HZ = 250.0
_LOWEST_HZ = 1_500.0
_CLIFF_DB = 25.0
_NOTHING_DB = -65.0  # of the strongest band
_SIDE_BANDS = 2  # compared below the edge, and left out above it


def spectrum_size(sample_rate: int) -> int:
    """Samples in a frame of 32 ms, even."""
    return 2 * round(0.016 * sample_rate)


def power_spectrum(waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """The mean power of `(samples,)` at each frequency from 0 to half the rate: `(size / 2 + 1,)`, not scaled."""
    size = spectrum_size(sample_rate)
    padded = np.pad(waveform, (0, max(0, size - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 2]
    window = np.hanning(size).astype(np.float32)
    total = np.zeros(size // 2 + 1)
    for start in range(0, len(frames), 1_024):  # bounded memory
        total += (np.abs(np.fft.rfft(frames[start : start + 1_024] * window, axis=1)) ** 2).sum(axis=0)
    return total / len(frames)


def bandwidth_hz(power: NDArray[np.float64], sample_rate: int) -> float:
    """The frequency above which (almost) nothing is left, or half the rate where sound goes up to there.

    `power`: `(bins,)` as `power_spectrum` gives it.
    """
    half_hz = sample_rate / 2
    count = int(half_hz / BAND_HZ)
    edges = np.round(np.arange(count + 1) * BAND_HZ / half_hz * (len(power) - 1)).astype(int)
    if not power.any() or count <= _LOWEST_HZ / BAND_HZ:
        return half_hz
    bands = np.add.reduceat(power, edges[:-1]) / np.diff(edges)
    levels = 10 * np.log10(bands + bands.max() * 1e-14)  # 140 dB down is nothing
    best_drop, found = _CLIFF_DB, half_hz
    for edge in range(int(_LOWEST_HZ / BAND_HZ), count - _SIDE_BANDS):
        below = levels[edge - _SIDE_BANDS : edge].mean()
        above = levels[edge + _SIDE_BANDS :].max()
        drop = float(below - above)
        if drop > best_drop and above - levels.max() < _NOTHING_DB:
            best_drop, found = drop, edge * BAND_HZ
    return found
