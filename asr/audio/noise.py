"""How noisy a recording is, and how much of it is spoken, from the power of its frames alone.

In: a waveform. Out: the signal-to-noise ratio in dB and the seconds from the first to the last sound above the noise.
The power of the noise is a low quantile of the frames' powers (quantile-based noise estimation, Stahl, Fischer and
Bippus, ICASSP 2000, here over the whole band): people pause, noise does not. The signal is what the recording's mean
power has above it, pauses included, so that the figure is that of noise mixed in at a ratio of mean powers. White noise
added to 40 utterances of AN4 and LibriSpeech each at -5 to 20 dB is estimated within 1.6 dB (root mean square).
Recordings without pauses, such as FSDD's single digits: 4 dB at 15 dB, mostly too low. The coloured noise
of recipes/digits is estimated within 3.5 dB below 30 dB; above that, figures are rough (5 to 8 dB).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAME_S = 0.02
HOP_S = 0.01
NOISE_PERCENTILE = 10
LOUD_PERCENTILE = 95
OVER_NOISE = 2.0
LEAST_FRAMES = 10
LEAST_DB, MOST_DB = -10.0, 60.0  # beyond these a quantile says nothing; digital silence would be infinite


@dataclass(frozen=True, slots=True)
class SoundMeasures:
    """``snr_db``: signal-to-noise ratio, -10 to 60 dB; ``speech_s``: seconds from first to last sound above the noise.

    Both None where the recording is shorter than 0.11 s or silent to the last bit; ``speech_s`` too where nothing is
    above it.
    """

    snr_db: float | None
    speech_s: float | None


def measure_sound(waveform: NDArray[np.float32], sample_rate: int) -> SoundMeasures:
    """Estimate noise and speech of ``waveform`` ``(samples,)``; a pass over it and a sort of its frames."""
    power = _frame_power(waveform, sample_rate)
    if len(power) < LEAST_FRAMES or not power.any():
        return SoundMeasures(None, None)
    noise, loud = np.percentile(power, (NOISE_PERCENTILE, LOUD_PERCENTILE))
    signal = power.mean() - noise
    snr_db = MOST_DB if noise <= 0 else 10 * np.log10(max(signal, 1e-30) / noise)
    noise = max(noise, loud * 10 ** (-MOST_DB / 10))
    # half way between them in dB; where less than a twentieth is loud, at least twice what the quiet has
    spoken = np.flatnonzero(power >= max(np.sqrt(noise * loud), OVER_NOISE * noise))
    speech_s = (spoken[-1] - spoken[0]) * HOP_S + FRAME_S if len(spoken) else None
    return SoundMeasures(float(np.clip(snr_db, LEAST_DB, MOST_DB)), None if speech_s is None else float(speech_s))


def _frame_power(waveform: NDArray[np.float32], sample_rate: int) -> NDArray[np.float64]:
    """Mean square of each frame of 20 ms, every 10 ms, ``(frames,)``; without the recording's offset from zero."""
    size, hop = round(FRAME_S * sample_rate), round(HOP_S * sample_rate)
    if len(waveform) < size:
        return np.zeros(0)
    samples = waveform.astype(np.float64)
    energy = np.concatenate([[0.0], np.cumsum((samples - samples.mean()) ** 2)])
    starts = np.arange(0, len(waveform) - size + 1, hop)
    power: NDArray[np.float64] = np.maximum(energy[starts + size] - energy[starts], 0) / size
    return power
