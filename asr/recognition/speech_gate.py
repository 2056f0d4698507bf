"""The speech gate: no words from silence and noise.

In: blocks of a waveform for ``SignalTracker``, then a recording's emissions. Out: the emissions, with certain blanks
where there is no speech. Every window of 0.8 s, at a step of 0.1 s, has log-odds of speech from its sound alone, so
that the gate works with any model and sample rate; the model counts where the sound is in doubt: tokens that it is sure
of raise the log-odds by up to ``MODEL_LIFT``. A window above the threshold 0 is speech, and ``MARGIN_S`` on both sides
of it. A recording without speech becomes all blank; in one with speech only stretches of at least ``LONG_S`` do, so a
faint word between others is never lost.

A recording shorter than ``SHORT_S`` is mostly one word, cut out: there is little sound to measure, so a sure model
counts for ``SHORT_LIFT``. Of 300 synthetic words 4 were removed before and none is now; of 240 sounds of 1 s none got a
word before and 1 does now (68 without the gate). benchmarks/non_speech.py measures both kinds of error; the figures are
in benchmarks/README.md.

Speech differs from other sound not by loudness but by three things together: a periodic source (autocorrelation of the
compressed spectrum, after Tolonen & Karjalainen 2000), energy in many bands at once, and a spectrum that keeps
changing, on both sides of a frame (notes and beeps change only at their ends), with a pitch that glides a little.
Eighteen such measures and the logarithms of twelve go into a logistic regression of 31 numbers. Only 80 to 4000 Hz is
used, so telephone speech and 8 kHz models lose nothing. ``WEIGHTS`` and ``BIAS``, over ``window_measures`` in their
order, are by benchmarks/fit_speech_gate.py (its ``fit``), on 3000 recordings of speech (training parts of LibriSpeech,
AN4, FSDD, speechocean762 and digits; also in noise and quiet) and 1110 sounds without speech.
"""

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from asr.text.tokenizer import BLANK_ID

WEIGHTS: tuple[float, ...] = (
    5.1089, -2.6745, 0.5008, -2.6102, 5.3227, 2.0343, -1.5030, 0.2361, -0.8582, -0.0715,
    1.9982, 0.1547, 0.0661, 0.8878, -2.1040, 3.2721, 4.3857, 1.6319, 0.9262, -0.2824,
    1.7379, -0.8887, 1.1979, 1.0272, -0.0950, 0.4507, -0.0390, 0.3485, 1.2381, 0.7305,
)  # fmt: skip
BIAS = -1.5814


Waveform = NDArray[np.float32]
LogProbs = NDArray[np.float32]
Array = NDArray[Any]
Reals = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
HOP_S, FRAME_S = 0.016, 0.040
WINDOW, WINDOW_HOP = 50, 6  # frames
REACH = 3  # frames over which the spectrum's motion is measured, on both sides
SLICE_S = 4.0
LOWEST_HZ, HIGHEST_HZ = 80.0, 4000.0
PITCH_HZ = (70, 400)
BANDS = 16
LOGARITHMS = 12  # of the first so many measures
FLOOR = 1e-9  # power below this counts as this, of full scale: -90 dB
SHAPE_DB, BROAD_DB = 35.0, 25.0  # how far under a frame's strongest band shape and breadth reach


class SignalTracker:
    """Blocks in, log-odds out; ``log_odds()`` ends it. Holds no more than a block, a window of frames, and the log-odds
    until they are taken.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._spectrum = _FrameSpectrum(sample_rate)
        self._samples: Waveform = np.zeros(self._spectrum.length // 2, np.float32)
        self._frames = np.zeros((0, BANDS + 4), np.float32)
        self._skip = 0  # held frames before the next window's first: 0 at the start, else REACH
        self._scores: list[Array] = []
        self._taken = 0  # windows
        self._ended = False

    def push(self, block: Waveform) -> None:
        """Measure the next ``(samples,)``, a few seconds at a time: that is as fast and takes 2 MB instead of 40."""
        size = round(SLICE_S * self._rate)
        for start in range(0, len(block), size):
            self._push_slice(block[start : start + size])

    def _push_slice(self, block: Waveform) -> None:
        spectrum = self._spectrum
        self._samples = np.concatenate((self._samples, block))
        count = (len(self._samples) - spectrum.length) // spectrum.hop + 1
        if count > 0:
            measured = spectrum.measure(self._samples[: (count - 1) * spectrum.hop + spectrum.length])
            self._samples = self._samples[count * spectrum.hop :].copy()
            self._frames = np.concatenate((self._frames, measured))
            self._score(len(self._frames) - REACH)

    def log_odds(self, ended: bool = True) -> NDArray[np.float64]:
        """``(windows,)``: window ``i`` begins at ``i * WINDOW_HOP * HOP_S`` seconds. At least one.

        ``ended=False``: those that are complete so far, maybe none, of a recording that goes on; from any thread.
        """
        if ended and not self._ended:
            self.push(np.zeros(self._spectrum.length // 2, np.float32))
            self._ended = True
            self._score(len(self._frames))
            if not self._taken and not self._scores and len(self._frames):
                self._scores.append(
                    window_log_odds(frame_measures(self._frames), min(WINDOW, len(self._frames)), 1)[:1]
                )
        none = np.full(1 if ended and not self._taken else 0, -math.inf)
        return np.concatenate(self._scores) if self._scores else none

    def take(self, ended: bool) -> NDArray[np.float64]:
        """Those of ``log_odds`` that were not taken yet; they are not kept, so that a recording may go on for ever."""
        found = self.log_odds(ended)
        self._taken += len(found)
        self._scores.clear()
        return found

    def _score(self, stop: int) -> None:
        """Score the windows that end before frame ``stop`` of what is held, and drop what no other needs."""
        windows = (stop - self._skip - WINDOW) // WINDOW_HOP + 1
        if windows <= 0:
            return
        used = (windows - 1) * WINDOW_HOP + WINDOW
        measures = frame_measures(self._frames)[self._skip : self._skip + used]
        self._scores.append(window_log_odds(measures, WINDOW, WINDOW_HOP))
        start = max(0, self._skip + windows * WINDOW_HOP - REACH)
        self._skip += windows * WINDOW_HOP - start
        self._frames = self._frames[start:].copy()


class _FrameSpectrum:
    """Frames of 40 ms -> level, harmonicity, pitch, breadth and 16 band levels of each."""

    def __init__(self, rate: int) -> None:
        self.hop, self.length = round(HOP_S * rate), round(FRAME_S * rate)
        self.n_fft = 1 << math.ceil(math.log2(1.6 * self.length))
        self.bin_hz = rate / self.n_fft
        top_hz = min(HIGHEST_HZ, 0.485 * rate)
        self.low, self.high = math.ceil(LOWEST_HZ / self.bin_hz), int(top_hz / self.bin_hz)
        self.window = np.hanning(self.length + 1)[:-1].astype(np.float32)  # periodic
        # the bins below 4 kHz transform back as if the rate were about 8 kHz, whatever it is
        self.lags = 1 << math.ceil(math.log2(2 * self.high))
        self.lag_hz = self.lags * self.bin_hz
        mels = np.linspace(_mel(LOWEST_HZ), _mel(top_hz), BANDS + 1)
        edges = np.round(700 * (10 ** (mels / 2595) - 1) / self.bin_hz).astype(int)
        self.bands = np.zeros((self.high + 1, BANDS), np.float32)
        for band, (start, stop) in enumerate(pairwise(edges)):
            self.bands[start : max(stop, start + 1), band] = 1.0

    def measure(self, samples: Waveform) -> Array:
        """``(samples,)`` -> ``(frames, 4 + BANDS)``: level (dB), harmonicity, pitch (Hz), breadth (Hz), bands (dB)."""
        framed = sliding_window_view(samples, self.length)[:: self.hop] * self.window
        spectrum = np.fft.rfft(framed, self.n_fft)[:, : self.high + 1]
        power = spectrum.real**2 + spectrum.imag**2 + np.float32(FLOOR * self.length)
        power[:, : self.low] = 0
        total = power.sum(1, keepdims=True)
        level = 10 * np.log10(total / self.length / self.n_fft * 2)
        correlation = np.fft.irfft(power**0.33, self.lags)
        first, last = int(self.lag_hz / PITCH_HZ[1]), int(self.lag_hz / PITCH_HZ[0])
        lag = first + correlation[:, first:last].argmax(1, keepdims=True)
        peak = np.take_along_axis(correlation, lag, 1)
        share = power / total
        breadth = np.exp(-(share * np.log(share + np.float32(1e-20))).sum(1, keepdims=True)) * self.bin_hz
        bands = 10 * np.log10(power @ self.bands + np.float32(1e-12))
        columns = (level, peak / correlation[:, :1], self.lag_hz / lag, breadth, bands)
        return np.concatenate(columns, 1).astype(np.float32)


def voicing(samples: Waveform, sample_rate: int) -> tuple[Array, Array]:
    """How periodic each frame of ``(samples,)`` sounds, 0 to 1, and the seconds that it is centred on."""
    spectrum = _FrameSpectrum(sample_rate)
    edge = np.zeros(spectrum.length // 2, np.float32)
    frames = spectrum.measure(np.concatenate((edge, samples, edge, np.zeros(spectrum.hop, np.float32))))
    return _soft(frames[:, 1].astype(np.float64), 0.17, 0.02), np.arange(len(frames)) * spectrum.hop / sample_rate


def frame_measures(frames: Array) -> Array:
    """``(frames, 4 + BANDS)`` in a row -> ``(frames, measures)``: 13 to average in a window, then level and shape."""
    level, harmonicity, pitch_hz, breadth_hz = frames[:, :4].astype(np.float64).T
    bands = frames[:, 4:].astype(np.float64)
    strongest = bands.max(1, keepdims=True)
    shape = np.maximum(bands, strongest - SHAPE_DB)
    shape -= shape.mean(1, keepdims=True)
    before, after = _motion(shape)
    motion, jump = np.minimum(before, after), np.abs(before - after)
    count = (bands > strongest - BROAD_DB).sum(1)
    voiced, moving, broad = _soft(harmonicity, 0.17, 0.02), _soft(motion, 2.6, 0.4), _soft(count, 4.5, 0.7)
    step = np.abs(np.diff(np.log(pitch_hz), prepend=np.log(pitch_hz[:1])))
    next_step = np.append(step[1:], step[-1:])
    gliding = voiced * ((step > 0.004) & (step < 0.08) & (next_step < 0.08))
    steady = voiced * (step <= 0.004)
    averaged = (
        np.minimum(np.minimum(voiced, moving), broad), voiced, gliding, steady, moving, broad * voiced, harmonicity,
        np.minimum(motion, 12), voiced * np.minimum(motion, 12), voiced * np.minimum(jump, 15), count / BANDS,
        voiced * count / BANDS, np.log(breadth_hz),
    )  # fmt: skip
    return np.column_stack((*averaged, level, shape))


def window_measures(measures: Array, window: int, hop: int) -> Array:
    """``frame_measures`` -> ``(windows, 30)``: what the logistic regression sees of each window."""
    view = sliding_window_view(measures, window, axis=0)[::hop]  # (windows, measures, frames)
    means = view[:, :13].mean(2)
    level, shape, voiced = view[:, 13], view[:, 14:], view[:, 1]
    loud = np.maximum(level, level.max(1, keepdims=True) - 40)
    weight = voiced.sum(1) + 1e-3
    voiced_shape = (shape * voiced[:, None]).sum(2) / weight[:, None]
    away = ((shape - voiced_shape[:, :, None]) ** 2).mean(1)
    vowels = np.sqrt((away * voiced).sum(1) / weight) * np.minimum(1, weight / 3)
    tilt = shape[:, :5].mean(1) - shape[:, -6:].mean(1)
    spread = (loud.std(1) / 10, vowels / 10, np.ptp(loud, axis=1) / 40, tilt.std(1) / 10, _syllabic_share(loud))
    logarithms = np.log(means[:, :LOGARITHMS] + 0.02)
    return np.column_stack((means, *spread, logarithms))


def window_log_odds(measures: Array, window: int, hop: int) -> NDArray[np.float64]:
    """``frame_measures`` -> the log-odds of speech in each window, ``(windows,)``."""
    scores: NDArray[np.float64] = window_measures(measures, window, hop) @ np.array(WEIGHTS) + BIAS
    return scores


def _syllabic_share(level: Array) -> Array:
    """The share of 2.5 to 9 Hz, the rate of syllables, in the level's modulation above 0.5 Hz."""
    centred = (level - level.mean(1, keepdims=True)) * np.hanning(level.shape[1])
    power = np.abs(np.fft.rfft(centred, 128)) ** 2
    hertz = np.fft.rfftfreq(128, HOP_S)
    share: Array = power[:, (hertz >= 2.5) & (hertz <= 9)].sum(1) / (power[:, hertz > 0.5].sum(1) + 1e-3)
    return share


def _motion(shape: Array) -> tuple[Array, Array]:
    """Distance in dB of each frame's spectral shape from that ``REACH`` frames before and after."""
    reach = REACH if len(shape) > 8 else 1
    if len(shape) <= reach:
        return np.zeros(len(shape)), np.zeros(len(shape))
    distance = np.sqrt(((shape[reach:] - shape[:-reach]) ** 2).mean(1))
    return np.append(np.full(reach, distance[0]), distance), np.append(distance, np.full(reach, distance[-1]))


def _soft(value: Array, middle: float, width: float) -> Array:
    """0 far under ``middle``, 1 far above."""
    soft: Array = 1 / (1 + np.exp(-np.clip((value - middle) / width, -30, 30)))
    return soft


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


THRESHOLD = 0.0  # log-odds
MODEL_LIFT = 0.5
SHORT_S, SHORT_LIFT = 1.2, 5.0
SURE, UNSURE = 0.95, 0.70  # mean probability of a window's tokens that counts fully, and not at all
MARGIN_S = 1.0
LONG_S = 2.0
SETTLE_S = 5.0  # more than LONG_S, MARGIN_S and a window: no further do frames bear on others
NEVER = -50.0  # log-probability of all but blank without speech; finite, so that no decoder computes inf - inf
WINDOW_S, STEP_S = WINDOW * HOP_S, WINDOW_HOP * HOP_S


def apply_gate(
    log_probs: LogProbs,
    log_odds: Reals,
    frame_s: float,
    edge_s: float,
    first: int = 0,
    vocab_size: int | None = None,
) -> LogProbs:
    """Emissions ``(frames, vocab)`` with blanks where there is no speech; the same array where there is speech
    throughout.

    ``log_odds`` of ``SignalTracker``; frame ``t`` of the recording is centred on ``t * frame_s - edge_s`` seconds.
    ``first``: the frame with which ``log_probs`` begin. Where they are a part, their first and last ``SETTLE_S`` may be
    gated otherwise than in the whole. ``vocab_size``: columns of tokens, where those of phones follow.
    """
    frames = mute_frames(log_probs[:, :vocab_size], log_odds, frame_s, edge_s, first)
    return mute(log_probs, frames, vocab_size)


def mute(log_probs: LogProbs, frames: NDArray[np.bool_], vocab_size: int | None = None) -> LogProbs:
    """Emissions ``(frames, vocab)`` with certain blanks where ``frames`` is True; the same array where none is."""
    if not frames.any():
        return log_probs
    gated = log_probs.copy()
    gated[frames] = NEVER
    gated[frames, BLANK_ID] = 0.0
    if vocab_size is not None and vocab_size < gated.shape[1]:
        gated[frames, vocab_size] = 0.0  # the phones' blank
    return gated


def mute_frames(
    log_probs: LogProbs, log_odds: Reals, frame_s: float, edge_s: float, first: int = 0
) -> NDArray[np.bool_]:
    """Where there is no speech: ``(frames,)``. The arguments are those of ``apply_gate``."""
    centres_s = np.arange(first, first + len(log_probs)) * frame_s - edge_s
    starts_s = np.arange(len(log_odds)) * STEP_S
    if (first + len(log_probs)) * frame_s - 2 * edge_s < SHORT_S:
        lift = SHORT_LIFT * token_sureness(log_probs, np.zeros(1, int), np.full(1, len(log_probs)))
    else:
        begin, end = np.searchsorted(centres_s, starts_s), np.searchsorted(centres_s, starts_s + WINDOW_S)
        lift = MODEL_LIFT * token_sureness(log_probs, begin, end)
    speech = log_odds + lift > THRESHOLD
    if not speech.any():
        return np.ones(len(log_probs), bool)
    changes = np.zeros(len(log_probs) + 1, int)  # how many more windows of speech are near than one frame before
    np.add.at(changes, np.searchsorted(centres_s, starts_s[speech] - MARGIN_S), 1)
    np.add.at(changes, np.searchsorted(centres_s, starts_s[speech] + WINDOW_S + MARGIN_S), -1)
    near_speech = changes.cumsum()[:-1] > 0
    return _long_runs(~near_speech, LONG_S / frame_s)


def token_sureness(log_probs: LogProbs, first: Integers, last: Integers) -> Reals:
    """How sure the model is of its tokens in frames ``first`` to before ``last``, 0 (``UNSURE``) to 1 (``SURE``).

    ``(windows,)`` each. It goes by the mean probability of the likeliest token over those frames where that is none but
    blank; one frame alone counts half, so that a single spurious peak lets nothing through.
    """
    best = log_probs.argmax(1) if len(log_probs) else np.zeros(0, int)
    token = best != BLANK_ID
    chance = np.where(token, np.exp(log_probs.max(1, initial=-np.inf)), 0.0)
    counts, sums = (np.concatenate(([0.0], np.cumsum(values))) for values in (token, chance))
    sureness = (sums[last] - sums[first]) / np.maximum(2, counts[last] - counts[first])
    sure: Reals = np.clip((sureness - UNSURE) / (SURE - UNSURE), 0, 1)
    return sure


def _long_runs(flags: NDArray[np.bool_], length: float) -> NDArray[np.bool_]:
    """Only those runs of True that are at least ``length`` long."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0]))))
    kept = np.zeros_like(flags)
    for start, stop in edges.reshape(-1, 2):
        kept[start:stop] = stop - start >= length
    return kept
