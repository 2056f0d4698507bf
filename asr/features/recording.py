"""Features of one recording as NumPy arrays, which recognition works on; whole, or as the recording comes in blocks.

In: the samples of a recording. Out: frames ``(frames, n_mels)``. ``Features`` of torch are ``RecordingFeatures``, on
their device, and ``ArrayLogMel`` is without torch: it starts two seconds of processor time sooner, and runs where torch
is not installed.

A recording of any length is computed in the memory of one block: a block keeps the samples that the next one's first
frames read too, so the joined frames equal those of the whole up to rounding. A recording that comes in one block goes
through the very same computation as the whole, bit for bit.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.features.config import AnyFeaturesConfig, LogMelConfig
from asr.features.level import Level
from asr.features.spectrum import hann_window, log_mel_filterbank, log_mel_power

SLICE_S = 8.0  # of a long recording, computed at a time
Array = NDArray[np.float32]
Waveform = Array


class RecordingFeatures:
    """What recognition asks of features."""

    config: AnyFeaturesConfig

    def frames_of(self, samples: Waveform) -> Array:
        """``(samples,)``, at the level that is wanted -> ``(frames, n_mels)`` before normalisation."""
        raise NotImplementedError

    def scale(self) -> tuple[Array, Array]:
        """Mean and standard deviation of each bin in training, ``(n_mels,)``."""
        raise NotImplementedError

    def normalised(self, log_mel: Array, own_mean: Array | None = None) -> Array:
        """``(frames, n_mels)`` of ``frames_of``, on the scale that the model was trained on.

        ``own_mean`` ``(n_mels,)``: the recording's own, where ``log_mel`` holds only a part of it.
        """
        if own_mean is None:
            own_mean = (log_mel.sum(axis=0, dtype=np.float64) / max(1, len(log_mel))).astype(np.float32)
        found: Array = scaled(log_mel, own_mean, *self.scale(), self.config.normalization)
        return found


def scaled(log_mel: Any, own_mean: Any, mean: Any, std: Any, normalization: str) -> Any:
    """``(..., n_mels)`` normalised as features are configured to be; arrays or tensors."""
    if normalization == "utterance":
        log_mel = log_mel - own_mean
    return log_mel if normalization == "none" else (log_mel - mean) / std


class ArrayLogMel(RecordingFeatures):
    """Log-mel without torch. ``mean`` and ``std`` ``(n_mels,)`` are those of the model directory."""

    def __init__(self, config: LogMelConfig, mean: Array, std: Array) -> None:
        """Raises ConfigError where a mel filter is empty."""
        self.config: LogMelConfig = config
        self._scale = mean, std
        self._window, self._filterbank = hann_window(config), log_mel_filterbank(config)

    def frames_of(self, samples: Waveform) -> Array:
        """``(samples,)`` -> ``(frames, n_mels)``."""
        padded = np.pad(samples, self.config.edge_samples + self.config.n_fft // 2)
        found: Array = log_mel_power(padded, self._window, self._filterbank, self.config)
        return found

    def scale(self) -> tuple[Array, Array]:
        """Those that were given."""
        return self._scale


def stream_features(features: RecordingFeatures, blocks: Iterable[Waveform]) -> Iterator[Array]:
    """Blocks ``(samples,)`` at the features' rate and level -> unnormalised ``(frames, n_mels)`` pieces, none empty."""
    stream = FeatureStream(features)
    waiting, alone = None, True
    for block in blocks:
        if waiting is not None:
            alone = False
            yield from _pieces(stream, waiting, last=False, whole=False)
        waiting = block
    if waiting is not None:
        yield from _pieces(stream, waiting, last=True, whole=alone)


def _pieces(stream: "FeatureStream", block: Waveform, last: bool, whole: bool) -> Iterator[Array]:
    """The block's frames: at once where it is the ``whole`` recording, else in slices, which need less memory."""
    size = len(block) if whole else round(SLICE_S * stream.features.config.sample_rate)
    for start in range(0, len(block), max(1, size)):
        log_mel = stream.push(block[start : start + size], last and start + size >= len(block))
        if len(log_mel):
            yield log_mel


def recording_mean(features: RecordingFeatures, blocks: Iterable[Waveform]) -> Array | None:
    """The mean of all frames before normalisation, ``(n_mels,)``, summed in float64; None where there is none."""
    total, frames = np.zeros(features.config.n_mels), 0
    for log_mel in stream_features(features, blocks):
        total += log_mel.sum(axis=0, dtype=np.float64)
        frames += len(log_mel)
    return (total / frames).astype(np.float32) if frames else None


class FeatureStream:
    """Frames as soon as the samples that they read are there."""

    def __init__(self, features: RecordingFeatures) -> None:
        self.features = features
        self._held: Waveform = np.zeros(0, np.float32)
        self._first_sample = 0  # of what is held; a multiple of the hop length, so that frames stay on the grid
        self._next_frame = 0

    def push(self, block: Waveform, last: bool = False) -> Array:
        """The frames ``(frames, n_mels)`` that ``block`` completes; all that are left where it is the ``last``."""
        self.append(block)
        log_mel = self.frames(last)
        self.drop(len(log_mel))
        return log_mel

    def append(self, block: Waveform) -> None:
        """Take the next ``(samples,)``; ``frames`` and ``drop`` do the rest of ``push``."""
        self._held = np.concatenate((self._held, block)) if len(self._held) else block

    def frames(self, last: bool = False, level: Level | None = None) -> Array:
        """All complete frames that were not dropped, ``(frames, n_mels)``, of the samples at ``level``."""
        count = self._stop_frame(last) - self._next_frame
        if count <= 0:
            return np.zeros((0, self.features.config.n_mels), np.float32)
        log_mel = self.features.frames_of(self._held if level is None else level.apply(self._held))
        # the held part begins on the grid of frames, so its frame j is the whole's frame j + offset
        skip = self._next_frame - self._first_sample // self.features.config.hop_length
        return log_mel[skip : skip + count]

    def drop(self, count: int) -> None:
        """Drop the first ``count`` frames, and the samples that no other one reads."""
        if count > 0:
            self._next_frame += count
            self._drop_read()

    def samples_needed(self, frames: int) -> int:
        """Samples of the recording after which its first so many frames, at least 1, are complete."""
        config = self.features.config
        return max(1, (frames - 1) * config.hop_length + config.reads[1] - config.edge_samples)

    def _stop_frame(self, last: bool) -> int:
        """How many frames of the whole are complete; the trailing silence of the edge comes with the last block."""
        config = self.features.config
        samples = self._first_sample + len(self._held)
        if last:
            return max(1, config.whole_frames(samples)) if samples else 0
        return max(0, 1 + (samples + config.edge_samples - config.reads[1]) // config.hop_length)

    def _drop_read(self) -> None:
        """Drop the samples that no further frame reads."""
        config = self.features.config
        needed = self._next_frame * config.hop_length - config.edge_samples + config.reads[0]
        drop = max(0, needed // config.hop_length * config.hop_length - self._first_sample)
        self._held = self._held[drop:].copy()
        self._first_sample += drop
