"""The signals that units are correlated with, from sounds and posteriors with known values."""

import numpy as np
import pytest

from asr.inspection.tracking import sound_signals, token_signals, varying
from asr.recognition.bounds import SpeechLevel
from asr.recognition.hypothesis import Word

RATE = 8000


def test_a_tone_between_silences_is_loud_voiced_and_not_silent_and_hiss_is_not_voiced() -> None:
    """One second each of silence, a tone of 150 Hz with its overtones, silence, hiss."""
    time_s = np.arange(RATE) / RATE
    tone = sum(0.1 * np.sin(2 * np.pi * 150 * number * time_s) for number in range(1, 8))
    hiss = 0.1 * np.random.default_rng(1).standard_normal(RATE)
    waveform = np.concatenate((np.zeros(RATE), tone, np.zeros(RATE), hiss)).astype(np.float32)
    level = SpeechLevel(np.repeat([0.0, 3.0, 0.0, 3.0], 100).astype(np.float32), 0.01)
    times_s = 0.04 * np.arange(100)
    found = sound_signals(waveform, RATE, level, [Word("a", 1.0, 2.0, 1.0)], times_s)
    inside = [slice(25 * part + 3, 25 * part + 22) for part in range(4)]  # away from where one gives way to the next
    assert [found["level"][part].mean() for part in inside] == pytest.approx([0, 3, 0, 3])
    assert [found["silence"][part].mean() for part in inside] == pytest.approx([1, 0, 1, 0])
    silence, voiced, again, unvoiced = (found["voicing"][part].mean() for part in inside)
    assert silence == again == 0 and voiced > 0.8 and unvoiced < 0.4
    # a triangle of 0.1 s to either side of the word's start at 1.0 s
    assert found["word start"][[22, 23, 24, 25, 26, 27, 28]] == pytest.approx([0, 0.2, 0.6, 1, 0.6, 0.2, 0], abs=1e-9)


def test_tokens_that_are_never_likely_are_no_signals_but_the_blank_always_is() -> None:
    posteriors = np.array([[0.3, 0.6, 0.1], [0.6, 0.2, 0.2]])
    found = token_signals(np.log(posteriors).astype(np.float32), ["", "x", "y"])
    assert list(found) == ["blank", "token x"]
    assert found["blank"] == pytest.approx([0.3, 0.6]) and found["token x"] == pytest.approx([0.6, 0.2])


def test_a_constant_signal_is_left_out() -> None:
    assert list(varying({"still": np.ones(5), "moving": np.arange(5.0)})) == ["moving"]
