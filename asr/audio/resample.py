"""From one sample rate to another, whole or block by block, by soxr's HQ filter (linear phase, 20 bit).

In: mono float32 and two rates. Out: mono float32. Blocks through `resample_blocks` equal the whole through `resample`
to the bit, so a stream and a load cannot differ.
"""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import soxr

# Sound that the filter must see on both sides of a cut, so that a part equals the slice of the whole; HQ reaches under
# 0.02 s at 4 kHz, where it reaches furthest (largest difference then 4e-6, at 0.05 s 1e-7).
CONTEXT_S = 0.1
LARGE_OFFSET = 0.01  # of full scale; recordings have 0.0001
_OFFSET_S = 0.1  # of sound that tells the offset, so that blocks have that of the whole however they are cut


def resample(waveform: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Change the sample rate.

    Args:
        waveform: float32 `(samples,)`.
        from_rate: in Hz.
        to_rate: in Hz.

    Returns:
        float32 `(samples * to_rate / from_rate,)`, rounded; the input itself where the rates are equal.

    Raises:
        ValueError: the waveform has more than one dimension, or a rate is not positive.
    """
    if waveform.ndim != 1 or from_rate <= 0 or to_rate <= 0:
        raise ValueError(f"expected (samples,) and positive rates; got {waveform.shape}, {from_rate} and {to_rate} Hz")
    if from_rate == to_rate:
        return waveform
    offset = _offset(waveform, from_rate)
    centred = waveform - offset if offset else waveform
    result: np.ndarray = soxr.resample(np.ascontiguousarray(centred, np.float32), from_rate, to_rate, quality="HQ")
    return result + offset if offset else result


def resample_blocks(blocks: Iterable[np.ndarray], from_rate: int, to_rate: int) -> Iterator[np.ndarray]:
    """`resample` for a waveform in pieces: float32 `(samples,)` blocks in, blocks out, some of them empty."""
    resampler = Resampler(from_rate, to_rate)
    for block in blocks:
        yield resampler.push(block)
    yield resampler.push(np.zeros(0, np.float32), last=True)


class Resampler:
    """`resample` for a waveform that comes in blocks."""

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._stream = None
        if from_rate != to_rate:
            self._stream = soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")
        self._offset: np.float32 | None = None
        self._held = np.zeros(0, np.float32)  # until there is enough for the offset
        self._rate = from_rate

    def push(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        """What the next `(samples,)` float32 complete; what is left where they are the `last`."""
        if self._stream is None:
            return block
        if self._offset is None:
            block = self._held = np.concatenate((self._held, block), dtype=np.float32)
            if len(block) < _OFFSET_S * self._rate and not last:
                return block[:0]
            self._offset, self._held = _offset(block, self._rate), block[:0].copy()
        offset = self._offset
        resampled: np.ndarray = self._stream.resample_chunk(block - offset if offset else block, last=last)
        return resampled + offset


def _offset(waveform: np.ndarray, rate: int) -> np.float32:
    """A constant offset that is not small, else 0: the mean of the first `_OFFSET_S`.

    The filter sees silence before the start and behind the end: a step there would ring, so the offset is taken away
    before it and put back after it.
    """
    start = waveform[: math.ceil(_OFFSET_S * rate)]
    mean = float(start.mean(dtype=np.float64)) if len(start) else 0.0
    return np.float32(mean if abs(mean) > LARGE_OFFSET else 0.0)


def common_period(from_rate: int, to_rate: int) -> tuple[int, int]:
    """The least numbers of input and output samples that last equally long; cuts on its multiples keep the phase."""
    divisor = math.gcd(from_rate, to_rate)
    return from_rate // divisor, to_rate // divisor
