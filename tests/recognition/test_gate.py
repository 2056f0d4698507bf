"""The speech gate: sounds that are none come out empty, real speech is left alone, blocks and rates change nothing."""

import glob
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio import load_audio
from asr.recognition.speech_gate import (
    HOP_S,
    LONG_S,
    MARGIN_S,
    NEVER,
    WINDOW_HOP,
    SignalTracker,
    apply_gate,
    mute_frames,
    token_sureness,
)
from benchmarks.sounds import TUNED, UNSEEN, make_sound
from tests.recognition.test_pool import make_recognizer

RATE = 8000
FRAME_S = 0.04


def log_odds(waveform: np.ndarray, rate: int, block: int | None = None) -> np.ndarray:
    tracker = SignalTracker(rate)
    for start in range(0, len(waveform), block or len(waveform) or 1):
        tracker.push(waveform[start : start + (block or len(waveform))])
    return tracker.log_odds()


def emissions(tokens: list[int], probability: float = 0.9, vocab: int = 4) -> np.ndarray:
    """One frame a token; the rest of the probability is spread evenly."""
    chances = np.full((len(tokens), vocab), (1 - probability) / (vocab - 1), np.float32)
    chances[np.arange(len(tokens)), tokens] = probability
    return np.log(chances)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_sounds_that_are_no_speech_do_not_sound_like_it(rate: int) -> None:
    kinds = [*TUNED, *UNSEEN]
    passed = [
        kind for seed, kind in enumerate(kinds) if log_odds(make_sound(kind, 77 + seed, rate, 2.0), rate).max() > 0
    ]
    assert len(passed) <= 1, f"let through: {passed}"


@pytest.mark.parametrize(
    "pattern",
    [
        "an4/wav/an4test_clstk/*/*.opus",
        "free-spoken-digit-dataset/recordings/*_[0-4].flac",
        "LibriSpeech/dev-clean/2277/*/*.mp3",
    ],
)
def test_real_speech_sounds_like_it(corpora: Path, pattern: str) -> None:
    paths = sorted(glob.glob(str(corpora / pattern)))[::17][:12]
    assert len(paths) >= 6
    assert all(log_odds(load_audio(path, sample_rate=RATE), RATE).max() > 0 for path in paths)


@pytest.mark.parametrize(
    ("samples", "rate"), [(0, 8000), (1, 4000), (100, 8000), (2000, 11025), (6801, 8000), (20_000, 8000)]
)
def test_blocks_change_nothing(samples: int, rate: int) -> None:
    waveform = make_sound("arpeggio", 5, rate, 12.0)[:samples]
    whole = log_odds(waveform, rate)
    assert len(whole) >= 1 and not np.isnan(whole).any()
    for block in (997, 3000):
        np.testing.assert_allclose(log_odds(waveform, rate, block), whole, atol=1e-3)


def test_a_recording_without_speech_becomes_all_blank() -> None:
    before = emissions([1, 1, 0, 2, 0, 3])
    gated = apply_gate(before, np.full(3, -5.0), FRAME_S, 0.0)
    assert (gated.argmax(1) == 0).all() and (gated[:, 0] == 0).all() and (gated[:, 1:] == NEVER).all()
    assert before[0].argmax() == 1, "what was given is not changed"


def test_a_recording_full_of_speech_is_the_very_same_array() -> None:
    before = emissions([1, 0, 2, 0] * 10)
    assert apply_gate(before, np.full(3, 5.0), FRAME_S, 0.0) is before


def test_in_a_recording_of_one_word_a_sure_model_is_believed() -> None:
    odds = np.full(3, -4.0)
    for frames, probability, heard in ((25, 0.97, True), (25, 0.75, False), (40, 0.97, False)):  # 1.0 s and 1.6 s
        word = emissions([0] * 5 + [1, 1, 2, 2, 3] + [0] * (frames - 10), probability)
        assert (apply_gate(word, odds, FRAME_S, 0.0) is word) == heard
    padded = emissions([0] * 10 + [1, 1, 2, 2, 3] + [0] * 20, 0.97)  # 1.4 s, of which 0.4 s were put around it
    assert apply_gate(padded, odds, FRAME_S, 0.2) is padded


def test_only_long_stretches_around_speech_are_muted() -> None:
    frames = round(30 / FRAME_S)
    windows = int(30 / (WINDOW_HOP * HOP_S))
    odds = np.full(windows, -5.0)
    step_s = WINDOW_HOP * HOP_S
    odds[round(10 / step_s)] = odds[round(14 / step_s)] = 3.0  # speech at 10 s and at 14 s: the pause is short
    mute = mute_frames(emissions([0] * frames), odds, FRAME_S, 0.0)
    times_s = np.arange(frames) * FRAME_S
    assert not mute[(times_s > 10 - MARGIN_S + 0.2) & (times_s < 14 + MARGIN_S)].any()
    assert mute[times_s < 10 - MARGIN_S - 0.2].all() and mute[times_s > 15 + MARGIN_S].all()
    assert LONG_S > 1


def test_a_sure_model_lifts_what_is_in_doubt_and_an_unsure_one_does_not() -> None:
    tokens = [1, 0, 2, 0, 3, 0, 1, 0] * 5  # 1.6 s
    sure, unsure = emissions(tokens, 0.99), emissions(tokens, 0.6)
    assert not mute_frames(sure, np.array([-0.3]), FRAME_S, 0.0).any()
    assert mute_frames(unsure, np.array([-0.3]), FRAME_S, 0.0).all()
    assert mute_frames(sure, np.array([-9.0]), FRAME_S, 0.0).all()
    first, last = np.array([0]), np.array([8])
    assert token_sureness(emissions([0] * 8, 0.99), first, last)[0] == 0
    assert token_sureness(emissions([0, 0, 0, 1, 0, 0, 0, 0], 0.99), first, last)[0] == 0, "one lone peak"


def test_no_frame_is_no_trouble() -> None:
    empty = np.zeros((0, 4), np.float32)
    assert apply_gate(empty, np.full(1, -np.inf), FRAME_S, 0.0).shape == (0, 4)


def test_the_gate_can_be_switched_off(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.wav", make_sound("pink_noise", 3, RATE, 3.0), RATE, subtype="FLOAT")
    assert make_recognizer(speech_gate=False).transcribe(tmp_path / "noise.wav").text != ""
    gated = make_recognizer(speech_gate=True).transcribe(tmp_path / "noise.wav")
    assert gated.text == "" and gated.duration_s == pytest.approx(3.0)
