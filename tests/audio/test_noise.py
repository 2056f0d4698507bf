"""Noise and speech of a recording: known mixtures are found again, and what cannot be measured is not made up."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from asr.audio import load_audio
from asr.audio.noise import measure_sound

RATE = 16_000
LEVELS_DB = (-5, 0, 5, 10, 15, 20)
AN4 = Path(os.environ.get("ASR_CORPORA", "/nowhere")) / "an4" / "wav" / "an4test_clstk"


def with_noise(clean: NDArray[np.float32], snr_db: float) -> NDArray[np.float32]:
    """White noise added at a ratio of the mean powers."""
    noise = np.random.default_rng(1).standard_normal(len(clean))
    noisy: NDArray[np.float32] = (clean + noise * np.sqrt(np.mean(clean**2) / 10 ** (snr_db / 10))).astype(np.float32)
    return noisy


def bursts() -> NDArray[np.float32]:
    """Four seconds: tones of 0.3 s, each followed by 0.2 s of nothing."""
    time = np.arange(4 * RATE) / RATE
    return (np.sin(2 * np.pi * 440 * time) * (time % 0.5 < 0.3)).astype(np.float32)


@pytest.mark.parametrize("snr_db", LEVELS_DB)
def test_noise_between_tones_is_found_within_1_5_db(snr_db: int) -> None:
    assert measure_sound(with_noise(bursts(), snr_db), RATE).snr_db == pytest.approx(snr_db, abs=1.5)


@pytest.mark.skipif(not AN4.is_dir(), reason="the AN4 corpus is not here (ASR_CORPORA)")
def test_noise_added_to_real_speech_is_found_within_2_db_and_more_noise_is_less_ratio() -> None:
    for path in sorted(AN4.rglob("*.opus"))[::13][:10]:
        clean = load_audio(path, sample_rate=RATE)
        measured = [measure_sound(with_noise(clean, level), RATE).snr_db for level in LEVELS_DB]
        found = [snr_db for snr_db in measured if snr_db is not None]
        assert found == sorted(found)
        assert found == pytest.approx(LEVELS_DB, abs=2)


def test_loudness_and_offset_change_nothing() -> None:
    noisy = with_noise(bursts(), 10)
    plain = measure_sound(noisy, RATE)
    assert measure_sound(noisy * np.float32(0.01) + np.float32(0.3), RATE).snr_db == pytest.approx(
        plain.snr_db, abs=0.01
    )


@pytest.mark.parametrize("before_s", [0.0, 1.0, 3.0])
def test_silence_around_the_speech_is_not_spoken(before_s: float) -> None:
    # tones from 0 to 3.8 s, then silence
    padded = np.concatenate([np.zeros(round(before_s * RATE)), bursts()])
    noise = np.random.default_rng(2).standard_normal(len(padded)) * 0.01
    assert measure_sound((padded + noise).astype(np.float32), RATE).speech_s == pytest.approx(3.8, abs=0.03)


@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_a_lone_short_word_is_all_that_is_spoken_of_ten_seconds(noise: float) -> None:
    waveform = np.random.default_rng(3).standard_normal(10 * RATE) * noise
    waveform[5 * RATE : 5 * RATE + RATE // 5] += np.sin(np.arange(RATE // 5) * 0.2)  # 0.2 s
    assert measure_sound(waveform.astype(np.float32), RATE).speech_s == pytest.approx(0.2, abs=0.03)


def test_digital_silence_between_sounds_is_the_greatest_ratio_and_no_infinity() -> None:
    assert measure_sound(bursts(), RATE).snr_db == 60.0


@pytest.mark.parametrize("samples", [0, 100, 1700])
def test_nothing_is_measured_where_there_is_nothing(samples: int) -> None:
    ones = np.ones(samples, np.float32)
    assert json.dumps([measure_sound(ones, RATE).snr_db, measure_sound(ones, RATE).speech_s]) == "[null, null]"
    assert measure_sound(np.zeros(RATE, np.float32), RATE).snr_db is None
