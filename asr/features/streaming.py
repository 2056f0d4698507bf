"""Features of a recording that is still going on.

In: blocks of samples. Out: normalised frames of what is held, as often as asked. A recording's level and its own mean
(``features.level_db``, ``features.normalization=utterance``) are not known before its end; in their place are those of
what has been heard so far, at most the last ``HEARD_S``, so that memory is bounded and another speaker is followed.
They are applied anew to all that is held, so a window never has a step in it. Once the end is there and nothing has
been dropped, the frames are those of the whole recording.
"""

import math
from collections import deque

import numpy as np

from asr.features.level import Level, LevelMeter
from asr.features.recording import Array, FeatureStream, RecordingFeatures, Waveform

HEARD_S = 60.0  # longer than one window of recognition, so that nothing heard of a short recording is forgotten


class StreamingFeatures:
    """``append`` samples, look at ``frames``, ``drop`` what has been used. Frames are numbered from what is held."""

    def __init__(self, features: RecordingFeatures) -> None:
        self.features = features
        self.meter = LevelMeter(features.config.sample_rate, HEARD_S)
        self.stream = FeatureStream(features)
        self._dropped: deque[tuple[Array, int]] = deque()  # sums (n_mels,) float64 at a gain of 1, and their frames
        self._mean_frames = round(HEARD_S * features.config.sample_rate / features.config.hop_length)
        self._any_dropped = False

    def append(self, block: Waveform) -> None:
        """Hear the next ``(samples,)`` at the features' rate."""
        self.meter.push(block)
        self.stream.append(block)

    def frames(self, last: bool = False) -> tuple[Array, Array]:
        """All complete frames that are held, normalised, and as they would be at a gain of 1 before normalisation:
        ``(frames, n_mels)`` each. ``last``: the recording has ended.
        """
        level = self.meter.level(self.features.config.level_db)
        log_mel = self.stream.frames(last, level)
        own_mean = None if last and not self._any_dropped else self._mean(log_mel, level)
        return self.features.normalised(log_mel, own_mean), log_mel - np.float32(_nats(level))

    def drop(self, plain: Array) -> None:
        """Drop the first frames that are held, ``(frames, n_mels)`` at a gain of 1 as ``frames`` gave them."""
        if not len(plain):
            return
        self._any_dropped = True
        self.stream.drop(len(plain))
        self._dropped.append((plain.sum(axis=0, dtype=np.float64), len(plain)))
        while sum(frames for _, frames in self._dropped) - self._dropped[0][1] >= self._mean_frames:
            self._dropped.popleft()

    def _mean(self, log_mel: Array, level: Level) -> Array | None:
        """That of what was heard, ``(n_mels,)``, at ``level``; None where normalisation takes no mean."""
        if self.features.config.normalization != "utterance":
            return None
        total, frames = log_mel.sum(axis=0, dtype=np.float64), len(log_mel)
        for part, count in self._dropped:
            total, frames = total + part + count * _nats(level), frames + count
        return np.asarray(total / max(1, frames), np.float32)


def _nats(level: Level) -> float:
    """What a level adds to the logarithm of power."""
    return 2 * math.log(level.gain)
