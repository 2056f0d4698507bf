"""Kaldi's filterbank features: equal to Kaldi's own code, and the same alone, in a batch and in blocks."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from asr.errors import AsrError, ConfigError
from asr.features import (
    Features,
    KaldiFbank,
    KaldiFbankConfig,
    LogMel,
    LogMelConfig,
    NormalisationStatistics,
    build_features,
    build_features_config,
    recording_mean,
    stream_features,
)
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
from asr.pretrained import from_pretrained, save_pretrained
from asr.recognition import Recognizer
from asr.schema import build
from asr.text.tokenizer import CharacterTokenizer
from asr.torchaudio_door import load_torchaudio
from asr.training.start import train
from tests.tiny_run import Quiet, equal_weights, make_corpus, settings, weights

if load_torchaudio() is None:
    pytest.skip("torchaudio is not installed", allow_module_level=True)

Waveform = NDArray[np.float32]


def speech_like(sample_rate: int, duration_s: float, seed: int = 0) -> Waveform:
    """A buzz with moving pitch and level and an offset, over noise."""
    generator = np.random.default_rng(seed)
    time_s = np.arange(int(sample_rate * duration_s)) / sample_rate
    phase = 2 * np.pi * np.cumsum(120 + 40 * np.sin(3 * time_s)) / sample_rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 20))
    return (0.2 * buzz * np.abs(np.sin(5 * time_s)) + 0.01 * generator.standard_normal(time_s.size) + 0.02).astype(
        np.float32
    )


def frames_of(features: Features, waveform: Waveform) -> torch.Tensor:
    frames, lengths = features.unnormalised(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
    assert lengths.tolist() == [frames.size(1)]
    return frames[0]


@pytest.mark.parametrize(
    "config",
    [
        KaldiFbankConfig(),
        KaldiFbankConfig(sample_rate=8000, n_mels=23),
        KaldiFbankConfig(n_mels=40, f_min_hz=60.0, f_max_hz=7600.0, window_type="hamming"),
        KaldiFbankConfig(sample_rate=11025, n_mels=20, window_s=0.032, preemphasis=0.0, remove_dc_offset=False),
    ],
    ids=["16 kHz", "8 kHz", "other band and window", "11025 Hz, no pre-emphasis"],
)
def test_frames_equal_those_of_kaldi_native_fbank(config: KaldiFbankConfig) -> None:
    """kaldi-native-fbank is Kaldi's own feature code without Kaldi's other dependencies."""
    knf = pytest.importorskip("kaldi_native_fbank")
    waveform = speech_like(config.sample_rate, 1.3)
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.samp_freq = config.sample_rate
    options.frame_opts.frame_length_ms = config.window_s * 1000
    options.frame_opts.frame_shift_ms = config.frame_shift_s * 1000
    options.frame_opts.preemph_coeff = config.preemphasis
    options.frame_opts.remove_dc_offset = config.remove_dc_offset
    options.frame_opts.window_type = config.window_type
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = config.n_mels
    options.mel_opts.low_freq = config.f_min_hz
    options.mel_opts.high_freq = config.f_max_hz or 0.0
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(config.sample_rate, (waveform * 32768).tolist())
    computer.input_finished()
    expected = np.stack([computer.get_frame(frame) for frame in range(computer.num_frames_ready)])
    np.testing.assert_allclose(frames_of(KaldiFbank(config), waveform).numpy(), expected, atol=2e-3, rtol=0)


def test_a_frame_is_what_the_formula_says() -> None:
    """One window by hand in float64: offset, pre-emphasis, Povey window, power, triangles in mel, log."""
    config = KaldiFbankConfig(sample_rate=8000, n_mels=10, f_min_hz=100.0)
    waveform = speech_like(8000, 0.1, seed=3)
    window = waveform[160:360].astype(np.float64) * 32768  # frame 2: 80 samples a frame, 200 under the window
    window -= window.mean()
    window -= 0.97 * np.concatenate((window[:1], window[:-1]))
    window *= (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 199)) ** 0.85
    power = np.abs(np.fft.rfft(window, 256)) ** 2
    mel = 1127 * np.log(1 + np.arange(129) * 8000 / 256 / 700)
    edges = np.linspace(1127 * math.log(1 + 100 / 700), 1127 * math.log(1 + 4000 / 700), 12)
    energies = [
        np.sum(power * np.clip(np.minimum((mel - low) / (mid - low), (high - mel) / (high - mid)), 0, None))
        for low, mid, high in zip(edges, edges[1:], edges[2:], strict=False)
    ]
    np.testing.assert_allclose(frames_of(KaldiFbank(config), waveform)[2].numpy(), np.log(energies), atol=1e-3)


def test_silence_is_the_log_of_float32s_smallest_step_and_ten_times_the_sound_is_20_db_more() -> None:
    features = KaldiFbank(KaldiFbankConfig())
    assert torch.allclose(frames_of(features, np.zeros(1600, np.float32)), torch.tensor(math.log(2**-23)))
    quiet = speech_like(16000, 0.5) * 0.05
    torch.testing.assert_close(
        frames_of(features, quiet * 10), frames_of(features, quiet) + math.log(100), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (399, 1), (400, 1), (559, 1), (560, 2), (16000, 98)])
def test_frames_are_the_windows_that_fit_and_at_least_one(samples: int, frames: int) -> None:
    features = KaldiFbank(KaldiFbankConfig())  # 400 samples under the window, 160 from one to the next
    assert features.frame_lengths(torch.tensor([samples])).tolist() == [frames]
    computed, _ = features(torch.randn(1, samples), torch.tensor([samples]))
    assert computed.shape == (1, frames, 80)


@pytest.mark.parametrize("garbage", [0.0, 1e6, float("nan")])
@pytest.mark.parametrize("normalization", ["global", "utterance", "none"])
def test_batch_and_padding_change_nothing(normalization: str, garbage: float) -> None:
    config = KaldiFbankConfig(sample_rate=8000, n_mels=40, normalization=normalization, edge_padding_s=0.04)
    features = KaldiFbank(config)
    features.set_normalisation(torch.linspace(5, 15, 40), torch.full((40,), 2.0))
    waveforms = [speech_like(8000, duration_s, seed) for seed, duration_s in enumerate((0.5, 0.013, 1.2, 0.0))]
    padded = torch.full((4, 12000), garbage)
    for row, waveform in zip(padded, waveforms, strict=True):
        row[: len(waveform)] = torch.from_numpy(waveform)
    together, lengths = features(padded, torch.tensor([len(one) for one in waveforms]))
    for row, waveform, length in zip(together, waveforms, lengths.tolist(), strict=True):
        alone, _ = features(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))
        torch.testing.assert_close(row[:length], alone[0], atol=1e-5, rtol=0)
        assert not row[length:].any()


@pytest.mark.parametrize("block", [79, 80, 81, 1000, 10**6])
@pytest.mark.parametrize("samples", [1, 199, 200, 1601, 5000])
@pytest.mark.parametrize("edge_padding_s", [0.0, 0.07])
def test_joined_blocks_equal_the_whole(block: int, samples: int, edge_padding_s: float) -> None:
    features = KaldiFbank(KaldiFbankConfig(sample_rate=8000, n_mels=12, edge_padding_s=edge_padding_s))
    waveform = speech_like(8000, samples / 8000, seed=samples)
    blocks = [waveform[start : start + block] for start in range(0, samples, block)]
    whole = frames_of(features, waveform)
    joined = np.concatenate(list(stream_features(features, blocks)))
    np.testing.assert_allclose(joined, whole, atol=1e-4, rtol=0)
    if block >= samples:
        assert np.array_equal(joined, whole)
    mean = recording_mean(features, blocks)
    assert mean is not None
    np.testing.assert_allclose(mean, whole.mean(dim=0), atol=1e-4, rtol=0)


def test_frame_0_is_centred_half_a_window_after_the_start() -> None:
    assert KaldiFbankConfig().first_frame_s == 0.0125
    assert KaldiFbankConfig(edge_padding_s=0.1).first_frame_s == pytest.approx(0.0125 - 0.1)
    click = np.zeros(16000, np.float32)
    click[8000] = 0.5
    loudest = int(frames_of(KaldiFbank(KaldiFbankConfig()), click).mean(dim=1).argmax())
    assert loudest * 0.010 + 0.0125 == pytest.approx(0.5, abs=0.0075)


def test_statistics_and_a_model_directory_keep_the_features(tmp_path: Path) -> None:
    config = KaldiFbankConfig(sample_rate=8000, n_mels=8, window_type="hanning", preemphasis=0.9)
    features = KaldiFbank(config)
    waveform = torch.from_numpy(speech_like(8000, 1.0))[None]
    statistics = NormalisationStatistics(features)
    statistics.add(waveform, torch.tensor([8000]))
    statistics.store()
    normalised, _ = features(waveform, torch.tensor([8000]))
    torch.testing.assert_close(normalised.mean(dim=(0, 1)), torch.zeros(8), atol=1e-3, rtol=0)
    tokenizer = CharacterTokenizer.from_texts(["ab "])
    model = _model(tokenizer, config)
    save_pretrained(tmp_path / "model", features, model, tokenizer, {})
    again = from_pretrained(tmp_path / "model").features
    assert isinstance(again, KaldiFbank) and again.config == config
    assert torch.equal(again(waveform, torch.tensor([8000]))[0], normalised)


def _model(tokenizer: CharacterTokenizer, config: KaldiFbankConfig) -> AcousticModel:
    torch.manual_seed(0)
    subsampling = SubsamplingConfig(factor=2, channels=2, output_size=8)
    settings = BiLstmConfig(num_layers=1, hidden_size=8, subsampling=subsampling)
    return AcousticModel(settings, config.n_mels, tokenizer.vocab_size).eval()


@pytest.mark.parametrize("normalization", ["global", "utterance"])
def test_long_audio_is_transcribed_and_its_frames_are_those_of_the_whole(tmp_path: Path, normalization: str) -> None:
    config = KaldiFbankConfig(sample_rate=8000, n_mels=8, normalization=normalization)
    tokenizer = CharacterTokenizer.from_texts(["ab "])
    save_pretrained(tmp_path / "model", KaldiFbank(config), _model(tokenizer, config), tokenizer, {})
    recognizer = Recognizer.from_pretrained(tmp_path / "model", "cpu", speech_gate=False)
    waveform = speech_like(8000, 150.0)
    (emissions,) = recognizer.emissions([waveform], workers=1)
    assert not isinstance(emissions, AsrError)
    frames = 1 + (len(waveform) - 200) // 80
    assert emissions.log_probs.shape[0] == -(-frames // 2) and np.isfinite(emissions.log_probs).all()
    assert emissions.edge_s == -0.0125
    hypothesis = recognizer.decode(emissions)
    assert all(0 <= word.start_s < word.end_s <= 150.0 for word in hypothesis.words)


def test_the_name_chooses_the_features_and_log_mel_is_the_default() -> None:
    assert build_features_config({"n_mels": 40}) == LogMelConfig(n_mels=40)
    assert isinstance(build_features(LogMelConfig()), LogMel)
    config = build_features_config({"name": "kaldi", "n_mels": 40})
    assert config == KaldiFbankConfig(n_mels=40)
    assert isinstance(build_features(config), KaldiFbank)
    with pytest.raises(ConfigError, match=r"features.name='kaldy' is unknown; did you mean 'kaldi'"):
        build_features_config({"name": "kaldy"})


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"window_type": "hann"}, "features.window_type"),
        ({"preemphasis": 1.1}, "features.preemphasis"),
        ({"n_mels": 3}, "features.n_mels"),
        ({"log_floor": 1e-8}, "features.log_floor"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(KaldiFbankConfig, values, "features")
    assert key in str(caught.value) and "\n" not in str(caught.value)


def test_filters_that_are_always_empty_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"features\.n_mels=256: \d+ of them .*31\.2 Hz"):
        KaldiFbank(KaldiFbankConfig(n_mels=256))


def test_without_torchaudio_the_message_names_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr.torchaudio_door.load_torchaudio", lambda: None)
    with pytest.raises(ConfigError, match="features=kaldi needs torchaudio"):
        build_features(KaldiFbankConfig())
    assert isinstance(build_features(LogMelConfig()), LogMel)


def test_a_run_with_kaldis_features_noise_and_rooms_is_the_same_whoever_reads(tmp_path: Path) -> None:
    """Draws follow from the seed alone, in this process as in one that reads ahead."""
    corpus = make_corpus(tmp_path / "corpus")
    found = []
    for workers in (0, 1):
        chosen = settings(
            corpus,
            features__name="kaldi",
            augment__noise_probability=0.5,
            augment__noise_folder=str(corpus),
            augment__reverb_probability=0.5,
            data__workers=workers,
            training__epochs=1,
            training__keep_last=0,
        )
        train(chosen, tmp_path / f"run{workers}", Quiet())
        found.append(weights(tmp_path / f"run{workers}"))
        assert isinstance(from_pretrained(tmp_path / f"run{workers}" / "model").features, KaldiFbank)
    assert equal_weights(*found)
