"""Augmentation: SpecAugment's bounds, speed's lengths, noise's level, rooms; and every draw comes from its
generator."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.audio import load_audio
from asr.data.cache import AudioCache
from asr.errors import ConfigError
from asr.features import AugmentConfig, SpecAugmentConfig, WaveformAugment, spec_augment
from asr.features.augment import add_noise, add_white_noise, reverberate, synthetic_room
from asr.schema import build
from asr.torchaudio_door import load_torchaudio

needs_torchaudio = pytest.mark.skipif(load_torchaudio() is None, reason="torchaudio is not installed")


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


def tone(hertz: float, sample_rate: int, duration_s: float = 1.0) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * hertz * np.arange(int(duration_s * sample_rate)) / sample_rate).astype(np.float32)


@pytest.mark.parametrize("sample_rate", [8000, 16000])
@pytest.mark.parametrize("speed", [0.9, 1.0, 1.1, 2.0])
def test_speed_divides_the_duration_and_multiplies_the_pitch(speed: float, sample_rate: int) -> None:
    plain = AugmentConfig(gain_db=0.0)
    faster = WaveformAugment(plain, sample_rate)(tone(400, sample_rate), speed, np.random.default_rng(0))
    assert len(faster) == pytest.approx(sample_rate / speed, abs=1)
    assert faster.dtype == np.float32
    loudest = np.abs(np.fft.rfft(faster * np.hanning(len(faster)))).argmax() * sample_rate / len(faster)
    assert loudest == pytest.approx(400 * speed, abs=1.5)


def test_gain_stays_within_its_bounds_and_reaches_them() -> None:
    config = AugmentConfig(gain_db=6.0)
    waveform = tone(400, 8000, 0.01)
    draws = np.random.default_rng(1)
    peaks = [np.abs(WaveformAugment(config, 8000)(waveform, 1.0, draws)).max() for _ in range(300)]
    levels_db = 20 * np.log10(np.array(peaks) / np.abs(waveform).max())
    assert -6.001 < levels_db.min() < -5.5 and 5.5 < levels_db.max() < 6.001


def test_nothing_asked_changes_nothing_and_the_same_draws_give_the_same() -> None:
    waveform = tone(400, 8000, 0.2)
    nothing = AugmentConfig(speeds=[1.0], gain_db=0.0)
    assert np.array_equal(WaveformAugment(nothing, 8000)(waveform, 1.0, np.random.default_rng(0)), waveform)
    config = AugmentConfig(noise_probability=1.0)
    one, two, other = (WaveformAugment(config, 8000)(waveform, 0.9, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    assert np.array_equal(waveform, tone(400, 8000, 0.2)), "the input is never written to"


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 40.0])
def test_noise_has_the_level_asked_for(snr_db: float) -> None:
    waveform = tone(400, 16000, 2.0) * np.float32(0.1)
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
    noisy = [not np.array_equal(WaveformAugment(config, 8000)(waveform, 1.0, draws), waveform) for _ in range(1000)]
    assert np.mean(noisy) == pytest.approx(0.3, abs=0.05)


@pytest.fixture(scope="module")
def noises(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two recordings of noise, the shorter one at another rate; and a file that is none."""
    folder = tmp_path_factory.mktemp("noises")
    draws = np.random.default_rng(9)
    (folder / "deep").mkdir()
    for name, rate, duration_s in (("long.wav", 8000, 3.0), ("deep/short.flac", 16000, 0.3)):
        noise = (0.1 * draws.standard_normal(int(rate * duration_s))).astype(np.float32)
        soundfile.write(folder / name, noise, rate)
    (folder / "README.md").write_text("about these recordings")
    return folder


@needs_torchaudio
@pytest.mark.parametrize("snr_db", [-5.0, 10.0, 30.0])
def test_recorded_noise_has_the_level_asked_for_and_comes_from_the_folder(noises: Path, snr_db: float) -> None:
    config = AugmentConfig(gain_db=0.0, noise_probability=1.0, noise_snr_db=[snr_db, snr_db], noise_folder=str(noises))
    waveform = tone(400, 8000, 1.0) * np.float32(0.1)
    long, _ = soundfile.read(noises / "long.wav", dtype="float32")
    augment, draws, found = WaveformAugment(config, 8000), np.random.default_rng(3), 0
    for _ in range(20):
        noise = augment(waveform, 1.0, draws).astype(np.float64) - waveform
        measured_db = 10 * np.log10(np.mean(waveform.astype(np.float64) ** 2) / np.mean(noise**2))
        assert measured_db == pytest.approx(snr_db, abs=0.01)
        starts = scipy.signal.correlate(long, noise.astype(np.float32), mode="valid")
        place = int(starts.argmax())
        found += np.corrcoef(long[place : place + len(noise)], noise)[0, 1] > 0.999  # else: the short one, repeated
    assert 4 <= found <= 16


@needs_torchaudio
def test_noise_and_rooms_come_from_the_cache_the_same_to_the_bit(
    noises: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = AugmentConfig(
        noise_probability=1.0, noise_folder=str(noises), reverb_probability=1.0, reverb_folder=str(noises)
    )
    cached = WaveformAugment(config, 8000, AudioCache(tmp_path / "cache", 10).load_file)
    waveform, draws = tone(400, 8000, 1.0), np.random.default_rng(3)
    plain = [WaveformAugment(config, 8000)(waveform, 1.0, draws) for _ in range(12)]
    decoded: list[Path] = []

    def counted(path: Path, **rest: Any) -> np.ndarray:
        decoded.append(path)
        return load_audio(path, **rest)

    monkeypatch.setattr("asr.data.cache.load_audio", counted)
    for _ in range(2):
        draws = np.random.default_rng(3)
        for expected in plain:
            assert np.array_equal(cached(waveform, 1.0, draws), expected)
    assert len(decoded) == 3  # the short noise; and both as rooms


@needs_torchaudio
def test_a_short_noise_is_repeated_and_silence_changes_nothing() -> None:
    waveform = tone(400, 8000, 0.5)
    assert np.array_equal(add_noise(waveform, np.zeros(4000, np.float32), 10.0), waveform)
    assert np.array_equal(add_noise(np.zeros(4000, np.float32), waveform, 10.0), np.zeros(4000, np.float32))
    assert add_noise(waveform, waveform, 0.0) == pytest.approx(2 * waveform, abs=1e-6)


@needs_torchaudio
def test_reverberation_is_a_convolution_with_its_peak_in_place_as_loud_and_as_long() -> None:
    waveform = tone(400, 8000, 0.5)
    room = np.array([0.1, -1.0, 0.0, 0.5, 0.25], np.float32)  # the peak at tap 1
    expected = np.convolve(waveform.astype(np.float64), room[1:])[: len(waveform)]
    expected *= np.sqrt(np.sum(waveform.astype(np.float64) ** 2) / np.sum(expected**2))
    assert reverberate(waveform, room) == pytest.approx(expected, abs=1e-5)
    assert reverberate(waveform, np.array([0.5], np.float32)) == pytest.approx(waveform, abs=1e-6)  # no walls
    for silent in (np.zeros(100, np.float32), np.zeros(0, np.float32)):
        assert np.array_equal(reverberate(silent, room), silent)
        assert np.array_equal(reverberate(waveform, silent), waveform)


@pytest.mark.parametrize(("reverb_time_s", "ratio_db"), [(0.2, 0.0), (0.6, 10.0)])
def test_a_synthetic_room_falls_by_60_db_in_its_reverberation_time(reverb_time_s: float, ratio_db: float) -> None:
    room = synthetic_room(reverb_time_s, ratio_db, 16000, np.random.default_rng(0)).astype(np.float64)
    assert room[0] == 1.0 and len(room) == round(16000 * reverb_time_s)
    assert 10 * np.log10(1.0 / np.sum(room[1:] ** 2)) == pytest.approx(ratio_db, abs=1e-3)
    part = len(room) // 10
    first, last = (np.mean(room[1:][start : start + part] ** 2) for start in (0, 8 * part))
    assert 10 * np.log10(first / last) == pytest.approx(60 * 0.8, abs=2.0)  # 8 tenths of the time lie between


@needs_torchaudio
def test_rooms_come_from_the_folder_or_are_made(tmp_path: Path) -> None:
    room = np.zeros(800, np.float32)
    room[[0, 400]] = 0.8, 0.4
    soundfile.write(tmp_path / "hall.wav", np.stack([room, -room], axis=1), 8000)  # the first channel is used
    click = np.zeros(4000, np.float32)
    click[1000] = 0.5
    recorded = AugmentConfig(gain_db=0.0, reverb_probability=1.0, reverb_folder=str(tmp_path))
    wet = WaveformAugment(recorded, 8000)(click, 1.0, np.random.default_rng(0))
    assert np.flatnonzero(np.abs(wet) > 0.01).tolist() == [1000, 1400] and wet[1400] == pytest.approx(
        wet[1000] / 2, 1e-3
    )
    made = AugmentConfig(gain_db=0.0, reverb_probability=1.0)
    one, same, other = (WaveformAugment(made, 8000)(click, 1.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert np.abs(one).argmax() == 1000 and np.abs(one[:1000]).max() < 1e-6


@needs_torchaudio
def test_speed_equals_torchaudios() -> None:
    """Up to the two resamplers' transition bands: a chirp well below the lower Nyquist frequency."""
    rate, duration_s = 16000, 1.0
    time_s = np.arange(int(rate * duration_s)) / rate
    chirp = np.sin(2 * np.pi * (200 * time_s + 1500 * time_s**2)).astype(np.float32)
    torchaudio = load_torchaudio()
    assert torchaudio is not None
    for factor in (0.9, 1.1):
        ours = WaveformAugment(AugmentConfig(gain_db=0.0), rate)(chirp, factor, np.random.default_rng(0))
        theirs = torchaudio.functional.speed(torch.from_numpy(chirp), rate, factor)[0].numpy()
        assert abs(len(ours) - len(theirs)) <= 1
        inner = slice(200, min(len(ours), len(theirs)) - 200)
        assert ours[inner] == pytest.approx(theirs[inner], abs=5e-3)


@needs_torchaudio
def test_what_is_switched_off_draws_nothing(noises: Path) -> None:
    waveform = tone(400, 8000, 0.2)
    plain = WaveformAugment(AugmentConfig(noise_probability=0.5), 8000)
    also = WaveformAugment(AugmentConfig(noise_probability=0.5, reverb_folder=str(noises)), 8000)
    one, two = np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(10):
        assert np.array_equal(plain(waveform, 1.0, one), also(waveform, 1.0, two))


@needs_torchaudio
def test_esc_10_is_a_folder_of_noise(corpora: Path) -> None:
    config = AugmentConfig(gain_db=0.0, noise_probability=1.0, noise_folder=str(corpora / "esc-10-noise"))
    augment, draws = WaveformAugment(config, 16000), np.random.default_rng(0)
    for _ in range(10):
        noisy = augment(tone(400, 16000, 7.0), 1.0, draws)
        assert noisy.shape == (7 * 16000,) and np.isfinite(noisy).all()


@needs_torchaudio
@pytest.mark.parametrize("key", ["noise_folder", "reverb_folder"])
def test_a_folder_without_recordings_is_refused_before_training(key: str, tmp_path: Path) -> None:
    used = {"noise_probability": 0.5, "reverb_probability": 0.5}
    for folder, reason in ((tmp_path / "absent", "no such folder"), (tmp_path, "no recordings")):
        with pytest.raises(ConfigError, match=rf"augment\.{key}=.*{reason}"):
            WaveformAugment(AugmentConfig(**used, **{key: str(folder)}), 8000)  # type: ignore[arg-type]


def test_without_torchaudio_the_message_names_the_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("asr.torchaudio_door.load_torchaudio", lambda: None)
    WaveformAugment(AugmentConfig(noise_probability=0.5), 8000)  # white noise needs nothing
    with pytest.raises(ConfigError, match=r"augment\.noise_folder needs torchaudio"):
        WaveformAugment(AugmentConfig(noise_probability=0.5, noise_folder=str(tmp_path)), 8000)
    with pytest.raises(ConfigError, match=r"augment\.reverb_probability needs torchaudio"):
        WaveformAugment(AugmentConfig(reverb_probability=0.5), 8000)


def test_fastest() -> None:
    assert AugmentConfig(speeds=[1.0, 0.9, 1.2]).fastest == 1.2


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
        ({"reverb_probability": -0.5}, "augment.reverb_probability"),
        ({"reverb_time_s": [0, 1]}, "augment.reverb_time_s"),
        ({"reverb_time_s": [0.1, 30]}, "augment.reverb_time_s"),
        ({"spec_augment": {"time_masks": -1}}, "augment.spec_augment.time_masks"),
        ({"spec_augment": {"time_mask_max_share": 1.5}}, "augment.spec_augment.time_mask_max_share"),
        ({"spec_augment": {"time_mask_every_frames": 0}}, "augment.spec_augment.time_mask_every_frames"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(AugmentConfig, values, "augment")
    assert key in str(caught.value) and "\n" not in str(caught.value)
