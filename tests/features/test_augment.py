"""Augmentation: SpecAugment's bounds, speed's lengths, noise's level; and every draw comes from its generator."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ConfigError
from asr.features import AugmentConfig, SpecAugmentConfig, augment_waveform, spec_augment
from asr.features.augment import add_white_noise
from asr.schema import build


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def masked(lengths: list[int], frames: int, mels: int, config: SpecAugmentConfig, seed: int) -> torch.Tensor:
    """Where SpecAugment put its 0, ``(batch, frames, mels)``: it is given ones."""
    result = spec_augment(torch.ones(len(lengths), frames, mels), torch.tensor(lengths), config, generator(seed))
    assert ((result == 0) | (result == 1)).all()
    return result == 0


def only_time(**values: Any) -> SpecAugmentConfig:
    return SpecAugmentConfig(**{"frequency_masks": 0, **values})


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=4), masks=st.integers(0, 3), longest=st.integers(0, 60),
    share=st.floats(0, 1), every=st.integers(10, 100), seed=st.integers(0, 999),
)  # fmt: skip
def test_time_masks_keep_their_bounds(
    lengths: list[int], masks: int, longest: int, share: float, every: int, seed: int
) -> None:
    config = only_time(
        time_masks=masks, time_mask_max_frames=longest, time_mask_max_share=share, time_mask_every_frames=every
    )
    hidden = masked(lengths, 95, 6, config, seed)
    for row, length in zip(hidden, lengths, strict=True):
        assert torch.equal(row, row[:, :1].expand_as(row)), "a time mask takes every mel of a frame"
        assert not row[length:].any(), "no frame beyond the length"
        spans = masks * -(-length // every)
        assert row[:, 0].sum() <= spans * min(longest, int(length * share))


@settings(max_examples=60, deadline=None)
@given(mels=st.integers(1, 40), masks=st.integers(0, 3), longest=st.integers(0, 50), seed=st.integers(0, 999))
def test_frequency_masks_keep_their_bounds(mels: int, masks: int, longest: int, seed: int) -> None:
    config = SpecAugmentConfig(frequency_masks=masks, frequency_mask_max_mels=longest, time_masks=0)
    for row in masked([20, 7], 20, mels, config, seed):
        assert torch.equal(row, row[:1].expand_as(row)), "a frequency mask takes every frame of a mel"
        assert row[0].sum() <= masks * min(longest, mels)


def test_every_width_and_every_place_is_drawn() -> None:
    """One mask of at most 3 of 8 mels: widths 0 to 3 equally often, and no mel left out."""
    config = SpecAugmentConfig(frequency_masks=1, frequency_mask_max_mels=3, time_masks=0)
    hidden = masked([1] * 4000, 1, 8, config, seed=1)[:, 0]
    widths = torch.bincount(hidden.sum(1), minlength=4) / 4000
    torch.testing.assert_close(widths, torch.full((4,), 0.25), rtol=0, atol=0.03)
    assert (hidden.float().mean(0) > 0.05).all()


def test_a_mask_wider_than_the_mels_seldom_takes_them_all() -> None:
    """27 of 10 mels is 10 of 10: widths 0 to 10 equally often, 1 in 11 the whole."""
    config = SpecAugmentConfig(frequency_masks=1, frequency_mask_max_mels=27, time_masks=0)
    hidden = masked([1] * 2000, 1, 10, config, seed=1)[:, 0]
    assert hidden.all(1).float().mean().item() == pytest.approx(1 / 11, abs=0.03)


def test_the_number_of_time_masks_grows_with_the_utterances_own_length_alone() -> None:
    """10 masks a 100 frames, of 1 frame or none: 2 on average for 50 frames, 40 for 1000, whoever shares the batch."""
    config = only_time(time_masks=10, time_mask_max_frames=1, time_mask_max_share=1.0, time_mask_every_frames=100)
    hidden = masked([50] * 200 + [1000] * 200, 1000, 1, config, seed=3)[:, :, 0].sum(1).float()
    assert 4 < hidden[:200].mean() < 5  # 10 x 1/2, less those that fall together
    assert 46 < hidden[200:].mean() < 50  # 100 x 1/2, less those that fall together


def test_the_same_generator_masks_the_same() -> None:
    config = SpecAugmentConfig(frequency_mask_max_mels=5, time_mask_max_share=0.3)
    first, again, other = (masked([90, 60], 90, 40, config, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and first.any() and not torch.equal(first, other)


def test_no_masks_change_nothing_and_the_input_is_never_written_to() -> None:
    log_mel, lengths = torch.randn(2, 50, 10), torch.tensor([50, 30])
    before = log_mel.clone()
    nothing = SpecAugmentConfig(frequency_masks=0, time_masks=0)
    assert torch.equal(spec_augment(log_mel, lengths, nothing, generator(0)), before)
    assert not torch.equal(spec_augment(log_mel, lengths, SpecAugmentConfig(), generator(0)), before)
    assert torch.equal(log_mel, before)


def tone(hertz: float, sample_rate: int, duration_s: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(duration_s * sample_rate)) / sample_rate).astype(np.float32)


@pytest.mark.parametrize("sample_rate", [8000, 16000])
@pytest.mark.parametrize("speed", [0.9, 1.0, 1.1, 2.0])
def test_speed_divides_the_duration_and_multiplies_the_pitch(speed: float, sample_rate: int) -> None:
    plain = AugmentConfig(gain_db=0.0)
    faster = augment_waveform(tone(400, sample_rate), sample_rate, plain, speed, np.random.default_rng(0))
    assert len(faster) == pytest.approx(sample_rate / speed, abs=1)
    assert faster.dtype == np.float32
    loudest = np.abs(np.fft.rfft(faster * np.hanning(len(faster)))).argmax() * sample_rate / len(faster)
    assert loudest == pytest.approx(400 * speed, abs=1.5)


def test_gain_stays_within_its_bounds_and_reaches_them() -> None:
    config = AugmentConfig(gain_db=6.0)
    waveform = tone(400, 8000, 0.01)
    draws = np.random.default_rng(1)
    peaks = [np.abs(augment_waveform(waveform, 8000, config, 1.0, draws)).max() for _ in range(300)]
    levels_db = 20 * np.log10(np.array(peaks) / np.abs(waveform).max())
    assert -6.001 < levels_db.min() < -5.5 and 5.5 < levels_db.max() < 6.001


def test_nothing_asked_changes_nothing_and_the_same_draws_give_the_same() -> None:
    waveform = tone(400, 8000, 0.2)
    nothing = AugmentConfig(speeds=[1.0], gain_db=0.0)
    assert np.array_equal(augment_waveform(waveform, 8000, nothing, 1.0, np.random.default_rng(0)), waveform)
    config = AugmentConfig(noise_probability=1.0)
    one, two, other = (augment_waveform(waveform, 8000, config, 0.9, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    assert np.array_equal(waveform, tone(400, 8000, 0.2)), "the input is never written to"


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 40.0])
def test_noise_has_the_level_asked_for(snr_db: float) -> None:
    waveform = tone(400, 16000, 2.0) * 0.1
    noise = add_white_noise(waveform, snr_db, np.random.default_rng(3)).astype(np.float64) - waveform
    measured_db = 10 * np.log10(np.mean(waveform.astype(np.float64) ** 2) / np.mean(noise**2))
    assert measured_db == pytest.approx(snr_db, abs=0.2)  # 32,000 draws: a standard deviation of 0.03 dB
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 0.03, "white: neighbours do not know each other"


def test_digital_silence_and_no_samples_stay_as_they_are() -> None:
    for waveform in (np.zeros(100, np.float32), np.zeros(0, np.float32)):
        assert np.array_equal(add_white_noise(waveform, 10.0, np.random.default_rng(0)), waveform)


def test_noise_comes_as_often_as_asked() -> None:
    config = AugmentConfig(gain_db=0.0, noise_probability=0.3)
    waveform = tone(400, 8000, 0.01)
    draws = np.random.default_rng(2)
    noisy = [not np.array_equal(augment_waveform(waveform, 8000, config, 1.0, draws), waveform) for _ in range(1000)]
    assert np.mean(noisy) == pytest.approx(0.3, abs=0.05)


def test_slowest_and_fastest() -> None:
    config = AugmentConfig(speeds=[1.0, 0.9, 1.2])
    assert (config.slowest, config.fastest) == (0.9, 1.2)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"speeds": []}, "augment.speeds"),
        ({"speeds": [0.0]}, "augment.speeds"),
        ({"speeds": 0.9}, "augment.speeds"),
        ({"gain_db": -1}, "augment.gain_db"),
        ({"noise_probability": 1.5}, "augment.noise_probability"),
        ({"noise_snr_db": [30, 10]}, "augment.noise_snr_db"),
        ({"noise_snr_db": [10]}, "augment.noise_snr_db"),
        ({"spec_augment": {"time_masks": -1}}, "augment.spec_augment.time_masks"),
        ({"spec_augment": {"time_mask_max_share": 1.5}}, "augment.spec_augment.time_mask_max_share"),
        ({"spec_augment": {"time_mask_every_frames": 0}}, "augment.spec_augment.time_mask_every_frames"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(AugmentConfig, values, "augment")
    assert key in str(caught.value) and "\n" not in str(caught.value)
