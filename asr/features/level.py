"""The level of recordings: a constant offset is removed and speech is set to one level, before features are computed.

In: padded waveforms ``(batch, samples)``, or one recording in blocks. Out: waveforms, or a ``Level`` to apply to the
blocks. Without it the floor under the logarithm, a fixed power, hides more of a quiet recording than of a loud one, and
an offset leaks into the lowest mel bins: at -20 dB, which utterance normalisation should cancel, half of the words
changed. The level asked for is low, so that the floor also hides the rounding of 16-bit files 20 dB fainter than usual.

The level is that of ITU-R BS.1770's relative gate: the mean power of the stretches that are at most 10 dB below the
mean power of all. It follows the recording's scale exactly, and neither pauses nor a click count for much.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from asr.lengths import valid_mask

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
        self._sums: list[Tensor] = []  # (stretches, 2) each: of the samples and of their squares

    def push(self, block: Waveform) -> None:
        """Count the next ``(samples,)``."""
        held = np.concatenate((self._held, block))
        whole = len(held) // self._size * self._size
        if whole:
            self._sums.append(_sums(torch.from_numpy(held[:whole]).view(-1, self._size)))
        self._held = held[whole:].copy()
        if self._most is not None and sum(map(len, self._sums)) > 2 * self._most:
            self._sums = [torch.cat(self._sums)[-self._most :]]

    def level(self, level_db: float | None) -> Level:
        """What brings all that was counted to ``level_db``, in dB of full scale; None: what leaves it as it is."""
        if level_db is None:
            return Level(0.0, 1.0)
        last = _sums(torch.from_numpy(self._held)[None])
        sums = torch.cat([*self._sums, last])
        sums = (sums if self._most is None else sums[-self._most - 1 :])[None]
        counts = torch.full(sums.shape[:2], self._size)
        counts[0, -1] = len(self._held)
        offset, gain = _offset_and_gain(sums, counts, level_db)
        return Level(float(offset), float(gain))


def set_level(waveforms: Tensor, lengths: Tensor, sample_rate: int, level_db: float) -> Tensor:
    """``(batch, samples)`` and ``(batch,)`` -> waveforms without offset at ``level_db`` dB of full scale each; zero
    beyond each length.
    """
    size, mask = round(STRETCH_S * sample_rate), valid_mask(lengths, waveforms.size(1))
    stretches = max(1, -(-waveforms.size(1) // size))
    valid = waveforms.float().masked_fill(~mask, 0.0)
    padded = nn.functional.pad(valid, (0, stretches * size - waveforms.size(1)))
    starts = torch.arange(stretches, device=lengths.device) * size
    counts = (lengths.unsqueeze(1) - starts).clamp(0, size)
    offset, gain = _offset_and_gain(_sums(padded.view(-1, stretches, size)), counts, level_db)
    return ((valid - offset.float().unsqueeze(1)) * gain.float().unsqueeze(1)).masked_fill(~mask, 0.0)


def _sums(stretches: Tensor) -> Tensor:
    """``(..., stretches, samples)`` -> sums of the samples and of their squares, ``(..., stretches, 2)`` float64."""
    exact = stretches.double()
    return torch.stack((exact.sum(-1), exact.square().sum(-1)), dim=-1)


def _offset_and_gain(sums: Tensor, counts: Tensor, level_db: float) -> tuple[Tensor, Tensor]:
    """``(batch, stretches, 2)``, ``(batch, stretches)`` samples in each -> ``(batch,)`` float64 each."""
    total = counts.sum(1).clamp_min(1)
    mean, square = (sums / counts.clamp_min(1).unsqueeze(2)).unbind(2)
    there = counts > 0
    middle = (there.sum(1, keepdim=True) - 1).clamp_min(0).div(2, rounding_mode="floor")
    ordered = mean.masked_fill(~there, torch.inf).sort(dim=1).values
    offset = ordered.gather(1, middle).squeeze(1).nan_to_num(posinf=0.0)  # the median: speech and clicks do not move it
    power = (square - mean.square()).clamp_min(0.0)  # of each stretch about its own mean: slow drifts do not count
    gate = GATE * (power * counts).sum(1, keepdim=True) / total.unsqueeze(1)
    loud = counts * (power >= gate)
    level = (power * loud).sum(1) / loud.sum(1).clamp_min(1)
    audible = level > (RESOLUTION * offset).square() + SILENCE
    return offset, torch.where(audible, 10 ** (level_db / 20) / level.clamp_min(SILENCE).sqrt(), 1.0)
