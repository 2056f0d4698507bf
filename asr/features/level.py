"""The level of recordings: a constant offset is removed and speech is set to one level, before features are computed.

In: padded waveforms ``(batch, samples)``, or one recording in blocks. Out: waveforms, or a ``Level`` to apply to the
blocks. Without it the floor under the logarithm, a fixed power, hides more of a quiet recording than of a loud one, and
an offset leaks into the lowest mel bins: at -20 dB, which utterance normalisation should cancel, half of the words
changed. The level asked for is low, so that the floor also hides the rounding of 16-bit files 20 dB fainter than usual.

The level is that of ITU-R BS.1770's relative gate: the mean power of the stretches that are at most 10 dB below the
mean power of all. It follows the recording's scale exactly, and neither pauses nor a click count for much.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.features.spectrum import library_of

STRETCH_S = 0.1
GATE = 0.1  # of the mean power
RESOLUTION = 1e-6  # of an offset: what is fainter is lost in float32, or is its rounding
SILENCE = 1e-30  # power; what is fainter is left alone
Waveform = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Level:
    """What is subtracted from a recording's samples, and the factor for the rest."""

    offset: float
    gain: float

    def apply(self, block: Waveform) -> Waveform:
        """``(samples,)`` float32 with the offset removed, at the level asked for."""
        levelled: Waveform = (block - np.float32(self.offset)) * np.float32(self.gain)
        return levelled


class LevelMeter:
    """Measures a recording that comes in blocks, or only its last ``longest_s``; holds 16 bytes for each tenth of a
    second.
    """

    def __init__(self, sample_rate: int, longest_s: float | None = None) -> None:
        self._size = round(STRETCH_S * sample_rate)
        self._most = None if longest_s is None else round(longest_s / STRETCH_S)
        self._held: Waveform = np.zeros(0, np.float32)
        self._sums: list[NDArray[np.float64]] = []  # (stretches, 2) each: of the samples and of their squares

    def push(self, block: Waveform) -> None:
        """Count the next ``(samples,)``."""
        held = np.concatenate((self._held, block))
        whole = len(held) // self._size * self._size
        if whole:
            self._sums.append(stretch_sums(held[:whole].reshape(-1, self._size)))
        self._held = held[whole:].copy()
        if self._most is not None and sum(map(len, self._sums)) > 2 * self._most:
            self._sums = [np.concatenate(self._sums)[-self._most :]]

    def level(self, level_db: float | None) -> Level:
        """What brings all that was counted to ``level_db``, in dB of full scale; None: what leaves it as it is."""
        if level_db is None:
            return Level(0.0, 1.0)
        sums = np.concatenate([*self._sums, stretch_sums(self._held[None])])
        sums = sums if self._most is None else sums[-self._most - 1 :]
        counts = np.full(len(sums), self._size)
        counts[-1] = len(self._held)
        offset, gain = offset_and_gain(sums, counts, level_db)
        return Level(float(offset), float(gain))


def stretch_sums(stretches: Any) -> Any:
    """``(..., stretches, samples)`` -> sums of the samples and of their squares, ``(..., stretches, 2)`` float64; of
    an array or a tensor.
    """
    library = library_of(stretches)
    exact = library.asarray(stretches, dtype=library.float64)
    return library.stack((exact.sum(-1), (exact * exact).sum(-1)), -1)


def offset_and_gain(sums: Any, counts: Any, level_db: float) -> tuple[Any, Any]:
    """What is subtracted and the factor, ``(...)`` float64 each, from ``stretch_sums`` ``(..., stretches, 2)`` and the
    samples in each stretch ``(..., stretches)``; of arrays or of tensors.
    """
    library = library_of(sums)
    there, size = counts > 0, library.clip(counts, 1, None)
    mean, square = sums[..., 0] / size, sums[..., 1] / size
    # the offset is the stretches' (lower) median: speech and clicks do not move it
    ordered = library.sort(library.where(there, mean, library.inf))
    ordered = ordered if library is np else ordered.values
    middle = library.clip(there.sum(-1, keepdims=True) - 1, 0, None) // 2
    take = np.take_along_axis if library is np else library.take_along_dim
    offset = library.nan_to_num(take(ordered, middle, -1)[..., 0], posinf=0.0)
    power = library.clip(square - mean**2, 0.0, None)  # of each stretch about its own mean: slow drifts do not count
    gate = GATE * (power * counts).sum(-1, keepdims=True) / library.clip(counts.sum(-1, keepdims=True), 1, None)
    loud = counts * (power >= gate)
    level = (power * loud).sum(-1) / library.clip(loud.sum(-1), 1, None)
    audible = level > (RESOLUTION * offset) ** 2 + SILENCE
    return offset, library.where(audible, 10 ** (level_db / 20) / library.sqrt(library.clip(level, SILENCE, None)), 1.0)
