"""Which units follow which signals: correlation over the frames of one recording, with a bound that excludes chance.

In: a direction's units ``(frames, units)`` and signals ``(frames,)``. Out: Pearson's r for every unit and signal, and
for each signal the bound above which it is reported.

Speech and states both change slowly, so two of them correlate by chance far more often than independent numbers would,
and the usual p-value is wrong. The bound is made from the recording itself: each signal is shifted along time in a
circle, by every shift from SHIFT_S up, which keeps its character and breaks its relation to the units. A correlation is
reported if it exceeds (1) every correlation of any unit of the direction with any shifted copy of that signal, and (2)
the Gaussian quantile (Fisher's z, with the spread of the shifted copies) at LEVEL, Bonferroni-corrected over all units,
signals and directions. So at most one inspection in twenty reports a unit that follows nothing.

The signals, one value per encoder frame: "level": how far the sound is above silence (log-mel, averaged over bins).
"silence": 1 at silence. "voicing": how periodic the sound is. "word start": a bump of 0.1 s around each word's start.
"blank" and "token x": posteriors, of tokens that reach LEAST_PEAK somewhere. Time itself is not among them: a circular
shift changes a ramp, and a unit that merely settles in silence would then "follow" it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.recognition.bounds import QUIET_PERCENTILE, THRESHOLD, THRESHOLD_SHARE, SpeechLevel
from asr.recognition.hypothesis import Word
from asr.recognition.speech_gate import voicing

Array = NDArray[np.floating[Any]]
LEVEL = 0.05
SHIFT_S = 0.5
FEWEST_SHIFTS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Tracking:
    """``correlation`` ``(units, signals)`` of ``signals``, in order; ``bound`` ``(signals,)``.

    A bound of 1 is never exceeded: the recording is too short.
    """

    signals: tuple[str, ...]
    correlation: Array
    bound: Array

    def found(self, unit: int) -> list[tuple[str, float]]:
        """The signals that the unit follows, with r, strongest first; empty if none exceeds its bound."""
        row = self.correlation[unit]
        passed = [place for place in np.argsort(-np.abs(row)) if abs(row[place]) > self.bound[place]]
        return [(self.signals[place], float(row[place])) for place in passed]

    def best(self) -> list[tuple[str, int, float]]:
        """(signal, unit, r): for each signal that is followed, the unit with the highest |r|; strongest first."""
        found = []
        for place, name in enumerate(self.signals):
            unit = int(np.argmax(np.abs(self.correlation[:, place])))
            if abs(self.correlation[unit, place]) > self.bound[place]:
                found.append((name, unit, float(self.correlation[unit, place])))
        return sorted(found, key=lambda one: -abs(one[2]))


def track(units: Array, signals: Mapping[str, Array], frame_s: float, directions: int = 1) -> Tracking:
    """``(frames, units)`` against each signal ``(frames,)``; ``directions``: how many in all, for the correction."""
    names: Sequence[str] = list(signals)
    frames, count = units.shape
    columns = _standard(np.stack([signals[name] for name in names], axis=1)) if names else np.zeros((frames, 0))
    rows = _standard(np.asarray(units, np.float64))
    correlation = rows.T @ columns / max(frames, 1)
    bound = np.ones(len(names))
    least = max(1, round(SHIFT_S / frame_s))
    if frames - 2 * least + 1 >= FEWEST_SHIFTS:
        tests = max(1, count * len(names) * directions)
        gauss = NormalDist().inv_cdf(1 - LEVEL / (2 * tests))
        for place in range(len(names)):
            chance = _shifted(rows, columns[:, place])[:, least : frames - least + 1]
            spread = np.sqrt(np.mean(np.arctanh(np.clip(chance, -0.999999, 0.999999)) ** 2))
            bound[place] = max(np.abs(chance).max(initial=0.0), np.tanh(gauss * spread))
    return Tracking(tuple(names), correlation, bound)


def _shifted(rows: Array, column: Array) -> Array:
    """Correlation of every unit with the column shifted by 0, 1, ... frames in a circle: ``(units, frames)``."""
    frames = len(column)
    spectrum = np.fft.rfft(rows, axis=0) * np.conj(np.fft.rfft(column))[:, None]
    found: Array = np.fft.irfft(spectrum, frames, axis=0).T / frames
    return found


def _standard(values: Array) -> Array:
    """Mean 0 and standard deviation 1 along frames; all zero where there is no deviation."""
    centred = values - values.mean(axis=0)
    deviation = centred.std(axis=0)
    standard: Array = centred / np.where(deviation > 1e-9, deviation, np.inf)
    return standard


LEAST_PEAK = 0.5
WORD_START_S = 0.1
TOKEN = "token "


def sound_signals(
    waveform: NDArray[np.float32], sample_rate: int, level: SpeechLevel, words: Sequence[Word], times_s: Array
) -> dict[str, Array]:
    """Properties of the audio at ``times_s`` ``(frames,)``, the middles of the encoder's frames."""
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
    likely = [token for token in range(1, len(peaks)) if peaks[token] >= LEAST_PEAK]
    shown = {TOKEN + tokens[token]: probabilities[:, token] for token in likely}
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
    """The signals that vary: nothing can follow a constant."""
    return {name: values for name, values in signals.items() if np.ptp(values) > 1e-6}
