"""The speech gate: silence and noise give no words.

In: a recording's emissions and what ``SignalTracker`` heard in it. Out: the emissions, with certain blanks where nobody
speaks. Every window of 0.8 s has log-odds of speech from its sound alone, so that the gate works with any model; the
model has a say where the sound is in doubt: tokens that it is sure of lift the log-odds by up to ``MODEL_LIFT``. A
window above 0 is speech, and with it ``MARGIN_S`` on both sides. A recording with no speech at all becomes all blank;
in one with speech only stretches of at least ``LONG_S`` do, so a faint word between others is never lost.

A recording shorter than ``SHORT_S`` is mostly one word that somebody cut out: there is little sound to judge by and
everything to lose, so a sure model counts for ``SHORT_LIFT``. Of 300 synthetic words 4 were eaten before and none is
now; of 240 sounds of 1 s none got a word before and 1 does now (68 without the gate).

What it lets through and what it eats is measured by benchmarks/non_speech.py; the figures are in benchmarks/README.md.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.recognition.speech_signal import HOP_S, WINDOW, WINDOW_HOP
from asr.text.tokenizer import BLANK_ID

Array = NDArray[np.float32]
Reals = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
BAR = 0.0
MODEL_LIFT = 0.5
SHORT_S, SHORT_LIFT = 1.2, 5.0
SURE, UNSURE = 0.95, 0.70  # mean probability of a window's tokens that counts fully, and not at all
MARGIN_S = 1.0
LONG_S = 2.0
NEVER = -50.0  # log-probability of all but blank where nobody speaks; finite, so that no decoder meets inf - inf
WINDOW_S, STEP_S = WINDOW * HOP_S, WINDOW_HOP * HOP_S


def apply_gate(log_probs: Array, log_odds: Reals, frame_s: float, edge_s: float) -> Array:
    """Emissions ``(frames, vocab)`` with blanks where nobody speaks; the very same array where somebody always does.

    ``log_odds`` of ``SignalTracker``; frame ``t`` is centred on ``t * frame_s - edge_s`` seconds.
    """
    mute = mute_frames(log_probs, log_odds, frame_s, edge_s)
    if not mute.any():
        return log_probs
    gated = log_probs.copy()
    gated[mute] = NEVER
    gated[mute, BLANK_ID] = 0.0
    return gated


def mute_frames(log_probs: Array, log_odds: Reals, frame_s: float, edge_s: float) -> NDArray[np.bool_]:
    """Where nobody speaks: ``(frames,)``."""
    centres_s = np.arange(len(log_probs)) * frame_s - edge_s
    starts_s = np.arange(len(log_odds)) * STEP_S
    if len(log_probs) * frame_s - 2 * edge_s < SHORT_S:
        lift = SHORT_LIFT * token_sureness(log_probs, np.zeros(1, int), np.full(1, len(log_probs)))
    else:
        first, last = np.searchsorted(centres_s, starts_s), np.searchsorted(centres_s, starts_s + WINDOW_S)
        lift = MODEL_LIFT * token_sureness(log_probs, first, last)
    speech = log_odds + lift > BAR
    if not speech.any():
        return np.ones(len(log_probs), bool)
    heard = np.zeros(len(log_probs), bool)
    for start_s in starts_s[speech]:
        first, last = np.searchsorted(centres_s, (start_s - MARGIN_S, start_s + WINDOW_S + MARGIN_S))
        heard[first:last] = True
    return _long_runs(~heard, LONG_S / frame_s)


def token_sureness(log_probs: Array, first: Integers, last: Integers) -> Reals:
    """How sure the model is of what it hears in frames ``first`` to before ``last``, 0 (``UNSURE``) to 1 (``SURE``).

    ``(windows,)`` each. It goes by the mean probability of the likeliest token over those frames where that is none but
    blank; one frame alone counts half, so that a single spurious peak opens nothing.
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
