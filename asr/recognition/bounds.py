"""Where words begin and end: between what CTC says (late and thin peaks) and where the sound rises and falls.

In: each word's first and last moment on the CTC path, and the speech level of the recording. Out: start and end of each
word, ordered, without overlap, within the recording. All bounds are chosen together by dynamic programming, so that as
much sound as possible is inside words and as little as possible outside, while each bound stays at its usual distance
from CTC's peaks; where words touch, the dip between them decides.

The constants were fitted on dev voices of recipes/digits and FSDD recordings 5 to 9, joined with pauses of 0 to 0.5 s
at 15 dB SNR and better; benchmarks/word_times.py measures the result on test voices and recordings 0 to 4.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.features import FeaturesConfig

Array = NDArray[np.float64]

FLOOR_PERCENTILE = 15  # of a mel bin's level: what is there without speech
DEEPEST = 11.5  # nats (50 dB): further below a bin's loudest nothing counts, digital silence least of all
QUIET_PERCENTILE = 10
THRESHOLD = 0.17  # nats above quiet at least ...
THRESHOLD_SHARE = 0.03  # ... and this share of the way from quiet to loud
SOFTNESS = 0.02  # the same kind of share, from "neither" to "surely speech"
BLOCK_S = 30.0  # quiet and loud are taken from this much of the recording, and half as much on both sides
DIP_WEIGHT_S = 0.065  # a bound at full loudness costs as much as this much sound on the wrong side
START_SLOPE, EARLY_END_SLOPE, LATE_END_SLOPE = 0.85, 0.07, 1.27  # per second beyond what is usual
WITHIN_SHARE = 0.01  # of the slope that holds within what is usual too: decides where the sound says nothing
REACH_S = 0.8  # no bound is further from its peak
LATE_S = 0.1  # nor a start further behind its own
MIN_WORD_S = 0.03


@dataclass(frozen=True, slots=True)
class PeakOffsets:
    """The usual distance of bounds from CTC's peaks, in seconds; negative: before them.

    ``start_s`` from the first frame of a word's first token, give or take ``start_spread_s``; ``end_s`` and
    ``end_spread_s`` from the last frame of its last token.
    """

    start_s: float = -0.10
    start_spread_s: float = 0.045
    end_s: float = -0.07
    end_spread_s: float = 0.15


@dataclass(frozen=True, slots=True)
class SpeechLevel:
    """``values`` ``(frames,)``, see ``speech_level``; frame t is centred on ``start_s + t * frame_s`` seconds."""

    values: NDArray[np.float32]
    frame_s: float
    start_s: float = 0.0

    def part(self, start_s: float, stop_s: float) -> "SpeechLevel":
        """That from ``start_s`` to ``stop_s``, the former being its second 0."""
        # frame 3 may be at 3.0000000001
        places = [round((one - self.start_s) / self.frame_s, 6) for one in (start_s, stop_s)]
        first, stop = (max(0, math.ceil(place)) for place in places)
        return SpeechLevel(self.values[first:stop], self.frame_s, self.start_s + first * self.frame_s - start_s)


class LevelTracker:
    """The speech level of a recording that comes in pieces of log-mel; holds two pieces at most.

    Quiet and loud are measured in each piece; for the last one, which may be short, in the one before it too.
    """

    def __init__(self, config: FeaturesConfig) -> None:
        self.config = config
        self._levels: list[NDArray[np.float32]] = []
        self._before: NDArray[np.float32] | None = None
        self._last: NDArray[np.float32] | None = None

    def push(self, log_mel: NDArray[np.float32]) -> None:
        """The next piece, ``(frames, mels)`` unnormalised."""
        if self._last is not None:
            self._levels.append(speech_level(self._last, self._last))
        self._before, self._last = self._last, log_mel

    def level(self, ended: bool = True) -> SpeechLevel:
        """That of all pieces. ``ended=False``: of those before the last one so far, which never change any more; from
        any thread.
        """
        levels = list(self._levels)
        if ended and self._last is not None:
            context = self._last if self._before is None else np.concatenate([self._before, self._last])
            levels.append(speech_level(self._last, context))
        frame_s = self.config.hop_length / self.config.sample_rate
        values = np.concatenate([np.zeros(0, np.float32), *levels])
        return SpeechLevel(values, frame_s, self.config.first_frame_s)


def speech_level(log_mel: NDArray[np.float32], context: NDArray[np.float32]) -> NDArray[np.float32]:
    """``(frames, mels)`` log-mel power in nats -> how far above the silence each frame is, ``(frames,)`` nats.

    Each bin's excess over the quiet frames of ``context`` ``(more frames, mels)``, averaged over bins: a steady hum in
    some bins counts for little.
    """
    if not len(log_mel):
        return np.zeros(0, np.float32)
    quiet, loud = np.percentile(context, [FLOOR_PERCENTILE, 95], axis=0)
    floor = np.maximum(quiet, loud - DEEPEST).astype(np.float32)
    level: NDArray[np.float32] = np.maximum(log_mel - floor, 0).mean(axis=1)
    return level


def sounding(level: SpeechLevel, over_s: float = 0.2) -> NDArray[np.bool_]:
    """Which frames are rather speech than silence, on the average over the time around them, ``(frames,)``.

    Single frames of the noise in a pause are above the threshold.
    """
    length = max(1, round(over_s / level.frame_s))
    smooth = np.convolve(_gain(level)[0], np.ones(length), mode="full")[length // 2 :][: len(level.values)]
    return np.asarray(smooth > 0)


def word_bounds(
    first_s: Array, last_s: Array, duration_s: float, level: SpeechLevel, offsets: PeakOffsets
) -> NDArray[np.float64]:
    """Start and end of each word, ``(words, 2)`` seconds: ``0 <= start < end <= next start``, ``<= duration_s``.

    ``first_s``, ``last_s`` ``(words,)``: first and last moment of each on the CTC path, rising. Needs no level (one
    without values): then the usual offsets decide alone.
    """
    chain = _Chain(level, duration_s)
    for first, last in zip(first_s.tolist(), last_s.tolist(), strict=True):
        chain.add_start(first, offsets)
        chain.add_end(first, last, offsets)
    return _spread(chain.best_s().reshape(-1, 2), duration_s)


class _Chain:
    """Bounds in order, each with its score at the places near it; the best places are found by Viterbi.

    Scores are in seconds of sound: an end gains the sound before it, a start loses it, so that together they
    count the sound inside words less the silence inside them.
    """

    def __init__(self, level: SpeechLevel, duration_s: float) -> None:
        frames = len(level.values) or int(duration_s / level.frame_s) + 1
        self.frame_s = level.frame_s
        self.times_s = level.start_s + (np.arange(frames + 1) - 0.5) * level.frame_s  # of the places between frames
        self.sound_s, self.dip_s = np.zeros(frames + 1), np.zeros(frames + 1)
        if len(level.values):
            is_speech, loudness = _gain(level)
            self.sound_s[1:] = np.cumsum(is_speech, dtype=np.float64)
            self.sound_s *= level.frame_s
            self.dip_s = DIP_WEIGHT_S * np.minimum(
                np.append(loudness, loudness[-1]), np.insert(loudness, 0, loudness[0])
            )
        self.steps: list[tuple[int, NDArray[np.int32]]] = []  # of each bound: its first place, and where it came from
        self.total = np.zeros(0)

    def add_start(self, first_s: float, offsets: PeakOffsets) -> None:
        """The next bound is the start of a word whose first peak is at ``first_s``."""
        low, high = self._places(first_s - REACH_S, first_s + LATE_S)
        away = _beyond(self.times_s[low:high] - first_s - offsets.start_s, offsets.start_spread_s)
        self._add(low, -2 * self.sound_s[low:high] - START_SLOPE * np.abs(away) - self.dip_s[low:high], 0)

    def add_end(self, first_s: float, last_s: float, offsets: PeakOffsets) -> None:
        """The next bound is the end of the word whose start was added last and whose last peak is at ``last_s``."""
        low, high = self._places(first_s - REACH_S, last_s + REACH_S)
        away = _beyond(self.times_s[low:high] - last_s - offsets.end_s, offsets.end_spread_s)
        slope = np.where(away > 0, LATE_END_SLOPE, EARLY_END_SLOPE)
        gap = max(1, round(MIN_WORD_S / self.frame_s))
        self._add(low, 2 * self.sound_s[low:high] - slope * np.abs(away) - self.dip_s[low:high], gap)

    def best_s(self) -> Array:
        """The times of all bounds."""
        places = np.zeros(len(self.steps), np.int64)
        index = int(np.argmax(self.total)) if len(self.total) else 0
        for number in range(len(self.steps) - 1, -1, -1):
            low, came_from = self.steps[number]
            places[number] = low + index
            index = int(came_from[index])
        return np.asarray(self.times_s[places], np.float64)

    def _places(self, low_s: float, high_s: float) -> tuple[int, int]:
        low, high = np.searchsorted(self.times_s, [low_s, high_s])
        low = min(int(low), len(self.times_s) - 1)
        return low, max(int(high), low + 1)

    def _add(self, low: int, score: Array, gap: int) -> None:
        """Join a bound with ``score`` at the places from ``low`` on, at least ``gap`` places behind the one before."""
        came_from = np.zeros(len(score), np.int64)
        if self.steps:
            running = np.maximum.accumulate(self.total)
            where = np.maximum.accumulate(np.where(self.total >= running, np.arange(len(running)), 0))
            reach = np.arange(len(score)) + low - gap - self.steps[-1][0]
            near = np.clip(reach, 0, len(running) - 1)
            score = score + np.where(reach >= 0, running[near], -np.inf)
            came_from = where[near]
            if not np.isfinite(score).any():  # no room: _spread will make some
                score = np.zeros(len(score))
        self.steps.append((low, came_from.astype(np.int32)))  # an hour has 20,000 bounds of 100 to 200 places
        self.total = score


def _beyond(distance_s: NDArray[np.floating], spread_s: float) -> NDArray[np.floating]:
    """How far outside ``-spread_s .. spread_s``; within, a little, so that the middle is preferred."""
    outside = np.sign(distance_s) * np.maximum(np.abs(distance_s) - spread_s, 0)
    return np.asarray(outside + WITHIN_SHARE * distance_s)


def _gain(level: SpeechLevel) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of each frame: from -1 (surely no speech) to 1 (surely speech), and its loudness, about 0 to 1."""
    values = level.values
    block = max(1, round(BLOCK_S / level.frame_s))
    starts = range(0, len(values), block) if len(values) > 2 * block else [0]
    is_speech, loudness = np.zeros(len(values), np.float32), np.zeros(len(values), np.float32)
    for start in starts:
        stop = start + block if len(starts) > 1 else len(values)
        quiet, loud = np.percentile(values[max(0, start - block // 2) : stop + block // 2], [QUIET_PERCENTILE, 95])
        span = max(loud - quiet, 1e-6)
        threshold = quiet + max(THRESHOLD, THRESHOLD_SHARE * span)
        part = values[start:stop]
        is_speech[start:stop] = np.clip((part - threshold) / (SOFTNESS * span), -1, 1)
        loudness[start:stop] = part / max(loud, 1e-6)
    return is_speech, loudness


def _spread(bounds_s: Array, duration_s: float) -> Array:
    """``(words, 2)`` in order, each word at least a hundredth of a second long (less where there is no room)."""
    if not len(bounds_s):
        return bounds_s
    least_s = min(0.01, duration_s / len(bounds_s))
    starts, ends = np.clip(bounds_s, 0.0, duration_s).T
    room = np.arange(len(starts)) * least_s
    starts = np.maximum.accumulate(np.maximum(starts, room) - room) + room
    starts = np.maximum(np.minimum(starts, duration_s - least_s - room[::-1]), 0.0)
    ends = np.maximum(np.minimum(ends, np.append(starts[1:], duration_s)), starts + least_s)
    return np.stack([starts, ends], axis=1)
