"""Log-mel equals librosa's, its lengths are honest, and what a frame sees never depends on its batch."""

from typing import Any

import librosa
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from asr.errors import ConfigError
from asr.features import LogMel, LogMelConfig, NormalisationStatistics
from asr.features.spectrum import mel_filterbank
from asr.schema import build

Waveform = NDArray[np.float32]


def speech_like(sample_rate: int, duration_s: float, seed: int = 0) -> Waveform:
    """A buzz with moving pitch and level, over noise at -40 dB."""
    generator = np.random.default_rng(seed)
    time_s = np.arange(int(sample_rate * duration_s)) / sample_rate
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(3 * time_s)) / sample_rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    noise = generator.standard_normal(time_s.size)
    return (0.2 * buzz * (0.1 + np.abs(np.sin(5 * time_s))) + 0.005 * noise).astype(np.float32)


def pad(waveforms: list[Waveform], longest: int, value: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    padded = torch.full((len(waveforms), longest), value)
    for row, waveform in zip(padded, waveforms, strict=True):
        row[: len(waveform)] = torch.from_numpy(waveform)
    return padded, torch.tensor([len(waveform) for waveform in waveforms])


def librosa_log_mel(waveform: Waveform, config: LogMelConfig) -> Waveform:
    power = librosa.feature.melspectrogram(
        y=waveform, sr=config.sample_rate, n_fft=config.n_fft, hop_length=config.hop_length,
        win_length=config.window_length, window="hann", center=True, pad_mode="constant", power=2.0,
        n_mels=config.n_mels, fmin=config.f_min_hz, fmax=config.f_max_hz or config.sample_rate / 2,
    )  # fmt: skip
    result: Waveform = np.log(np.maximum(power, config.log_floor)).T
    return result


@pytest.mark.parametrize(
    "config",
    [
        LogMelConfig(sample_rate=8000, n_mels=40),
        LogMelConfig(sample_rate=16000),
        LogMelConfig(sample_rate=44100, n_mels=64, f_max_hz=8000.0),
        LogMelConfig(sample_rate=16000, window_s=0.032, frame_shift_s=0.0125, f_min_hz=0.0, log_floor=1e-5),
    ],
    ids=["8 kHz", "16 kHz", "44.1 kHz", "other window"],
)
def test_log_mel_equals_librosa(config: LogMelConfig) -> None:
    waveform = speech_like(config.sample_rate, 0.7)
    waveform[: config.sample_rate // 5] = 0.0  # digital silence: the floor counts too
    expected = librosa_log_mel(waveform, config)
    log_mel, frames = LogMel(config).unnormalised(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    assert frames.tolist() == [len(expected)]
    assert expected.min() == pytest.approx(np.log(config.log_floor))
    np.testing.assert_allclose(log_mel[0].numpy(), expected, rtol=0, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 44100])
@pytest.mark.parametrize("n_mels", [1, 40, 80, 128])
def test_the_filterbank_equals_librosas_to_the_bit(sample_rate: int, n_mels: int) -> None:
    for n_fft in (200, 512, 1102, 2048):
        for low_hz, high_hz in ((0.0, sample_rate / 2), (20.0, 3800.0), (60.0, 999.0), (1000.0, sample_rate / 2.5)):
            expected = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=n_mels, fmin=low_hz, fmax=high_hz)
            found = mel_filterbank(sample_rate, n_fft, n_mels, low_hz, high_hz)
            assert found.dtype == expected.dtype == np.float32 and found.tobytes() == expected.tobytes()


def test_frame_lengths_count_the_hops_that_fit_and_one() -> None:
    log_mel = LogMel(LogMelConfig(sample_rate=16000))  # hop 160
    samples = torch.tensor([0, 1, 159, 160, 161, 319, 320, 16000])
    assert log_mel.frame_lengths(samples).tolist() == [0, 1, 1, 2, 2, 2, 3, 101]


@pytest.mark.parametrize("edge_padding_s", [0.0, 0.02, 0.123])
@pytest.mark.parametrize("samples", [1, 159, 160, 161, 1600, 4000])
def test_as_many_frames_come_out_as_are_said(samples: int, edge_padding_s: float) -> None:
    config = LogMelConfig(edge_padding_s=edge_padding_s)
    log_mel, frames = LogMel(config)(torch.randn(1, samples), torch.tensor([samples]))
    assert log_mel.size(1) == frames.item()


def test_edge_padding_is_silence_before_and_after() -> None:
    """50 ms at 16 kHz: 800 samples, 5 frames on each side; the rest is what it was."""
    waveform = speech_like(16000, 0.3)
    silence = np.zeros(800, np.float32)
    longer = pad([np.concatenate((silence, waveform, silence))], 6400)
    expected, plain_frames = LogMel(LogMelConfig(level_db=None))(*longer)
    padded, frames = LogMel(LogMelConfig(edge_padding_s=0.05, level_db=None))(*pad([waveform], 4800))
    assert frames.item() == plain_frames.item() == 1 + 30 + 2 * 5
    assert torch.equal(padded, expected)
    assert LogMel(LogMelConfig(edge_padding_s=0.05)).frame_lengths(torch.tensor([0])).item() == 0


@pytest.mark.parametrize("edge_padding_s", [0.0, 0.04])
@pytest.mark.parametrize("garbage", [0.0, 1e6, float("nan")])
@pytest.mark.parametrize("normalization", ["global", "utterance", "none"])
def test_batch_and_padding_change_nothing(normalization: str, garbage: float, edge_padding_s: float) -> None:
    config = LogMelConfig(sample_rate=8000, n_mels=40, normalization=normalization, edge_padding_s=edge_padding_s)
    log_mel = LogMel(config)
    log_mel.set_normalisation(torch.linspace(-9, -5, 40), torch.linspace(1, 3, 40))
    waveforms = [speech_like(8000, seconds, seed) for seed, seconds in enumerate((0.5, 0.013, 0.31, 1 / 8000))]
    together, frames = log_mel(*pad(waveforms, 5000, garbage))
    for row, waveform in enumerate(waveforms):
        alone, alone_frames = log_mel(*pad([waveform], len(waveform)))
        assert frames[row] == alone_frames[0] == alone.size(1)
        torch.testing.assert_close(together[row, : frames[row]], alone[0], rtol=0, atol=1e-5)
        assert not together[row, frames[row] :].any(), "padding holds 0"


def test_statistics_equal_numpys_over_the_valid_frames() -> None:
    config = LogMelConfig(sample_rate=8000, n_mels=40, level_db=None)
    log_mel = LogMel(config)
    waveforms = [speech_like(8000, seconds, seed) for seed, seconds in enumerate((0.5, 0.2, 0.31))]
    statistics = NormalisationStatistics(log_mel)
    statistics.add(*pad(waveforms[:2], 5000))
    statistics.add(*pad(waveforms[2:], 5000))
    statistics.store()
    frames = np.concatenate([librosa_log_mel(waveform, config) for waveform in waveforms]).astype(np.float64)
    assert statistics.frames == len(frames)
    np.testing.assert_allclose(log_mel.mean, frames.mean(0), rtol=0, atol=1e-4)
    np.testing.assert_allclose(log_mel.std, frames.std(0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("normalization", ["global", "utterance"])
def test_normalised_training_data_has_mean_0_and_deviation_1(normalization: str) -> None:
    log_mel = LogMel(LogMelConfig(sample_rate=8000, n_mels=40, normalization=normalization))
    batch = pad([speech_like(8000, seconds, seed) * (seed + 1) for seed, seconds in enumerate((0.5, 0.4, 0.31))], 5000)
    statistics = NormalisationStatistics(log_mel)
    statistics.add(*batch)
    statistics.store()
    values, frames = log_mel(*batch)
    valid = torch.cat([row[:length] for row, length in zip(values, frames.tolist(), strict=True)])
    torch.testing.assert_close(valid.mean(0), torch.zeros(40), rtol=0, atol=1e-4)
    torch.testing.assert_close(valid.std(0, correction=0), torch.ones(40), rtol=0, atol=1e-4)


def test_utterance_normalisation_removes_the_level() -> None:
    log_mel = LogMel(LogMelConfig(sample_rate=8000, n_mels=40, normalization="utterance"))
    waveform = speech_like(8000, 0.3)
    quiet, _ = log_mel(*pad([waveform * 0.5], len(waveform)))
    loud, _ = log_mel(*pad([waveform], len(waveform)))
    torch.testing.assert_close(quiet, loud, rtol=0, atol=1e-4)


def test_a_bin_that_never_varies_is_not_blown_up() -> None:
    log_mel = LogMel(LogMelConfig())
    statistics = NormalisationStatistics(log_mel)
    silence = torch.zeros(1, 16000), torch.tensor([16000])
    statistics.add(*silence)
    statistics.store()
    values, _ = log_mel(*silence)
    assert values.abs().max() < 0.01 and (log_mel.std > 0).all()


def test_nothing_counted_changes_nothing() -> None:
    log_mel = LogMel(LogMelConfig())
    NormalisationStatistics(log_mel).store()
    assert not log_mel.mean.any() and (log_mel.std == 1).all()


@pytest.mark.parametrize(("waveforms", "lengths"), [((5,), (1,)), ((2, 5), (1,)), ((2, 5, 1), (2,))])
def test_a_wrong_shape_is_refused(waveforms: tuple[int, ...], lengths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected waveforms \(batch, samples\)"):
        LogMel(LogMelConfig())(torch.zeros(waveforms), torch.full(lengths, 5))


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"sample_rate": 1}, "features.sample_rate"),
        ({"frame_shift_s": 0}, "features.frame_shift_s"),
        ({"frame_shift_s": 1e-5}, "features.frame_shift_s"),
        ({"window_s": 0.005}, "features.window_s"),
        ({"n_mels": 0}, "features.n_mels"),
        ({"f_max_hz": 9000}, "f_max_hz"),
        ({"f_min_hz": 8000}, "features.f_min_hz"),
        ({"log_floor": 0}, "features.log_floor"),
        ({"log_floor": 1e-50}, "features.log_floor"),
        ({"edge_padding_s": -0.1}, "features.edge_padding_s"),
        ({"normalization": "golbal"}, "features.normalization"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(LogMelConfig, values, "features")
    assert key in str(caught.value) and "\n" not in str(caught.value)


def test_mel_bins_that_would_hear_nothing_are_refused_by_name(recwarn: pytest.WarningsRecorder) -> None:
    config = LogMelConfig(n_mels=256)
    bank = librosa.filters.mel(sr=16000, n_fft=512, n_mels=256, fmin=20.0, fmax=8000.0)
    empty = int((bank.max(axis=1) == 0).sum())
    recwarn.clear()
    with pytest.raises(ConfigError, match=rf"features\.n_mels=256: {empty} of them .*31\.2 Hz"):
        LogMel(config)
    assert empty > 0 and not len(recwarn)
