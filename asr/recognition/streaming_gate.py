"""The speech gate on sound that still goes on: the decisions of the whole recording, as early as they can be made.

In: blocks of sound, and emissions, which come later. Out: the emissions whose gating nothing that follows can change.
Near speech that is at once; where there is none, frames wait until a window of speech is found near them (they are let
through) or a stretch of ``LONG_S`` without one is sure (they become blank).
"""

import math

import numpy as np
from numpy.typing import NDArray

from asr.recognition.speech_gate import (
    LONG_S,
    MARGIN_S,
    MODEL_LIFT,
    SHORT_LIFT,
    SHORT_S,
    STEP_S,
    THRESHOLD,
    WINDOW_S,
    LogProbs,
    SignalTracker,
    Waveform,
    mute,
    token_sureness,
)

SPEECH, NONE, UNKNOWN = 1, 0, -1
KEPT_S = WINDOW_S + 2 * MARGIN_S  # of emissions that are decided: windows that are not yet read their tokens


class StreamingGate:
    """``hear`` sound, ``add`` emissions, take what is ``decided``."""

    def __init__(self, sample_rate: int, frame_s: float, edge_s: float, vocab_size: int | None = None) -> None:
        """``vocab_size``: columns of tokens in the emissions, where those of phones follow."""
        self.frame_s, self.edge_s, self.vocab_size = frame_s, edge_s, vocab_size
        self._tracker = SignalTracker(sample_rate)
        self._log_odds: NDArray[np.float64] = np.zeros(0)  # of the windows that undecided frames are near
        self._windows: NDArray[np.int8] = np.zeros(0, np.int8)  # of each of them: SPEECH, NONE or UNKNOWN
        self._first_window = 0  # number of the first of them in the recording
        self._any_speech = False
        self._held: LogProbs | None = None
        self._first = 0  # number of the first held frame in the recording
        self._decided = 0  # frames of the recording
        self._muted = False  # the last decided frame is in a long stretch without speech

    def hear(self, block: Waveform) -> None:
        """The next ``(samples,)``, at the level that the gate was fitted on."""
        self._tracker.push(block)

    def decided(self, log_probs: LogProbs, last: bool = False) -> LogProbs:
        """Take the next emissions ``(frames, vocab)``; give, gated, those of all so far that are decided and were not
        given yet. ``last``: the recording has ended, and all are.
        """
        self._held = log_probs if self._held is None else np.concatenate((self._held, log_probs))
        self._judge_windows(last)
        start = self._decided - self._first
        near, clear = self._frames(start, last)
        flags: list[bool] = []
        place = 0
        while place < len(near):
            stop = place + 1
            while stop < len(near) and near[stop] == near[place] and clear[stop] == clear[place]:
                stop += 1
            if near[place]:
                muted = False
            else:
                ends = last and stop == len(near)
                long = self._muted or (stop - place) >= LONG_S / self.frame_s or (ends and not self._any_speech)
                if not clear[place] or not (long or ends or (stop < len(near) and near[stop])):
                    break
                muted = long
            flags += [muted] * (stop - place)
            self._muted, place = muted, stop
        given = mute(self._held[start : start + place], np.array(flags, bool), self.vocab_size)
        self._decided += place
        self._drop()
        return given

    def _judge_windows(self, last: bool) -> None:
        """Judge the windows that are not yet, where their sound and their emissions are there."""
        assert self._held is not None
        log_odds = self._log_odds = np.concatenate((self._log_odds, self._tracker.take(ended=last)))
        found = np.full(len(log_odds), UNKNOWN, np.int8)
        found[: len(self._windows)] = self._windows
        short = last and (self._first + len(self._held)) * self.frame_s - 2 * self.edge_s < SHORT_S
        open_ = np.flatnonzero((found == UNKNOWN) | (short & (found == NONE)))
        centres_s = (self._first + np.arange(len(self._held))) * self.frame_s - self.edge_s
        starts_s = (self._first_window + open_) * STEP_S
        first, stop = np.searchsorted(centres_s, starts_s), np.searchsorted(centres_s, starts_s + WINDOW_S)
        whole = (stop < len(self._held)) | last
        held = self._held[:, : self.vocab_size]
        lift = MODEL_LIFT * token_sureness(held, first, stop)
        if short:
            lift = SHORT_LIFT * token_sureness(held, np.zeros(1, int), np.full(1, len(held)))
        speech = (log_odds[open_] > THRESHOLD) | (whole & (log_odds[open_] + lift > THRESHOLD))
        none = whole | (log_odds[open_] + MODEL_LIFT <= THRESHOLD)
        found[open_] = np.where(speech, SPEECH, np.where(none, NONE, UNKNOWN))
        self._windows = found
        self._any_speech |= bool(speech.any())

    def _frames(self, start: int, last: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of the held frames from ``start`` on: whether each is near speech, and whether it surely is not."""
        assert self._held is not None
        frames = self._first + np.arange(start, len(self._held))
        centres_s = frames * self.frame_s - self.edge_s
        # the windows that a frame is near: those that begin from 1.8 s before it to 1 s after it
        starts_s = (self._first_window + np.arange(len(self._windows))) * STEP_S
        first = np.searchsorted(starts_s + WINDOW_S + MARGIN_S, centres_s, side="right")
        stop = np.searchsorted(starts_s - MARGIN_S, centres_s, side="right")
        speech = np.concatenate(([0], np.cumsum(self._windows == SPEECH)))
        unknown = np.concatenate(([0], np.cumsum(self._windows == UNKNOWN)))
        near = speech[stop] > speech[np.minimum(first, stop)]
        heard = last | (centres_s < (self._first_window + len(self._windows)) * STEP_S - MARGIN_S)
        clear = ~near & heard & (unknown[stop] == unknown[np.minimum(first, stop)])
        return near, clear

    def _drop(self) -> None:
        """Forget emissions and windows that nothing reads any more."""
        assert self._held is not None
        kept = round(KEPT_S / self.frame_s)
        drop = max(0, self._decided - kept - self._first)
        if drop > kept:
            self._held, self._first = self._held[drop:].copy(), self._first + drop
            near_s = self._decided * self.frame_s - self.edge_s - WINDOW_S - MARGIN_S
            windows = max(0, math.floor(near_s / STEP_S) - self._first_window)
            self._log_odds, self._windows = self._log_odds[windows:].copy(), self._windows[windows:].copy()
            self._first_window += windows
