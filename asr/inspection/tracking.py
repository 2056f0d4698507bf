"""Which units follow what, by correlation over the frames of one recording, with a bound that chance does not pass.

In: a direction's units ``(frames, units)`` and signals ``(frames,)``. Out: for every unit and signal Pearson's r, and
for each signal the bound above which it is a finding.

Speech and states both change slowly, so that two of them agree by chance far more often than independent numbers
would: the usual p-value is wrong here. The bound is made from the recording itself. Each signal is shifted along time
in a circle, by everything from SHIFT_S up; what it and the units are like stays, that they belong together is gone.
A finding must exceed (1) every correlation of any unit of the direction with any shifted copy of that signal, and (2)
the Gaussian quantile (Fisher's z, spread as the shifted copies spread) at LEVEL, Bonferroni-corrected over all units,
signals and directions that are looked at. So at most one inspection in twenty shows a unit that follows nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
LEVEL = 0.05
SHIFT_S = 0.5
FEWEST_SHIFTS = 20


@dataclass(frozen=True, slots=True, eq=False)
class Tracking:
    """``correlation`` ``(units, signals)`` of ``signals``, in order; ``bound`` ``(signals,)``.

    A bound of 1 is never passed: the recording is too short to tell.
    """

    signals: tuple[str, ...]
    correlation: Array
    bound: Array

    def found(self, unit: int) -> list[tuple[str, float]]:
        """What the unit follows, with r, the strongest first; empty where nothing passes its bound."""
        row = self.correlation[unit]
        passed = [place for place in np.argsort(-np.abs(row)) if abs(row[place]) > self.bound[place]]
        return [(self.signals[place], float(row[place])) for place in passed]

    def best(self) -> list[tuple[str, int, float]]:
        """(signal, unit, r): for each signal that any unit follows, the one that follows it most; strongest first."""
        found = []
        for place, name in enumerate(self.signals):
            unit = int(np.argmax(np.abs(self.correlation[:, place])))
            if abs(self.correlation[unit, place]) > self.bound[place]:
                found.append((name, unit, float(self.correlation[unit, place])))
        return sorted(found, key=lambda one: -abs(one[2]))


def track(units: Array, signals: Mapping[str, Array], frame_s: float, directions: int = 1) -> Tracking:
    """``(frames, units)`` against each signal ``(frames,)``; ``directions`` looked at in all, for the correction."""
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
