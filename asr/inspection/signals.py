"""What a unit might follow: properties of the sound and of what the model says, one number a frame of the encoder.

In: a waveform, its log-mel, the model's log-probabilities and the words found. Out: ``(frames,)`` by name.

"level": how far the sound is above the silence (log-mel, averaged over bins). "silence": 1 where it is not. "voicing":
how periodic it is where there is sound. "word start": a bump of 0.1 s around each word's start. "blank" and "token x":
posteriors, of tokens that reach LEAST_PEAK somewhere. Time itself is none of them: the bound of chance shifts a signal
in a circle, which makes a ramp another thing, and a unit that merely settles in silence then "follows" it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.recognition.bounds import QUIET_PERCENTILE, THRESHOLD, THRESHOLD_SHARE, SpeechLevel
from asr.recognition.hypothesis import Word
from asr.recognition.speech_signal import voicing

Array = NDArray[np.floating[Any]]
LEAST_PEAK = 0.5
WORD_START_S = 0.1
TOKEN = "token "


def sound_signals(
    waveform: NDArray[np.float32], sample_rate: int, level: SpeechLevel, words: Sequence[Word], times_s: Array
) -> dict[str, Array]:
    """What is heard, at ``times_s`` ``(frames,)``, the middles of the encoder's frames."""
    width_s = float(times_s[1] - times_s[0]) if len(times_s) > 1 else 0.04
    level_times_s = level.start_s + np.arange(len(level.values)) * level.frame_s
    loudness = pool(level.values.astype(np.float64), level_times_s, times_s, width_s)
    quiet, loud = np.percentile(level.values, [QUIET_PERCENTILE, 95])
    is_silent = level.values < quiet + max(THRESHOLD, THRESHOLD_SHARE * (loud - quiet))
    silence = pool(is_silent.astype(np.float64), level_times_s, times_s, width_s)
    periodic, periodic_times_s = voicing(waveform, sample_rate)
    away_s = np.abs(times_s[:, None] - np.array([word.start_s for word in words])[None, :])  # (frames, words)
    starts = np.clip(1 - away_s / WORD_START_S, 0, 1).max(axis=1, initial=0.0)
    return {
        "level": loudness,
        "silence": silence,
        "voicing": pool(periodic, periodic_times_s, times_s, width_s) * (1 - silence),
        "word start": starts,
    }


def token_signals(log_probs: NDArray[np.float32], tokens: Sequence[str]) -> dict[str, Array]:
    """Posteriors ``(frames, vocab)`` by token; the blank, id 0, always."""
    probabilities = np.exp(log_probs.astype(np.float64))
    peaks = probabilities.max(axis=0, initial=0.0)
    heard = [token for token in range(1, len(peaks)) if peaks[token] >= LEAST_PEAK]
    shown = {TOKEN + tokens[token]: probabilities[:, token] for token in heard}
    return {"blank": probabilities[:, 0], **shown}


def pool(values: Array, values_s: Array, times_s: Array, width_s: float) -> Array:
    """The mean of a signal sampled at ``values_s`` (evenly) within ``width_s`` around each of ``times_s``."""
    if not len(values):
        return np.zeros(len(times_s))
    step_s = float(values_s[1] - values_s[0]) if len(values) > 1 else width_s
    edges_s = np.append(values_s - step_s / 2, values_s[-1] + step_s / 2)
    summed = np.insert(np.cumsum(values) * step_s, 0, 0.0)
    low_s = np.clip(times_s - width_s / 2, edges_s[0], edges_s[-1] - min(width_s, step_s))
    high_s = np.maximum(np.clip(times_s + width_s / 2, edges_s[0], edges_s[-1]), low_s + min(width_s, step_s))
    found: Array = (np.interp(high_s, edges_s, summed) - np.interp(low_s, edges_s, summed)) / (high_s - low_s)
    return found


def varying(signals: Mapping[str, Array]) -> dict[str, Array]:
    """Those that move at all: nothing can follow a constant."""
    return {name: values for name, values in signals.items() if np.ptp(values) > 1e-6}
