"""Log-mel of a stream equals that of the whole, whatever the blocks, rates and edges."""

import numpy as np
import pytest
import torch

from asr.features import ArrayLogMel, LogMel, LogMelConfig, recording_mean, stream_features


def make_features(**changes: object) -> LogMel:
    config = LogMelConfig(**{"sample_rate": 8000, "n_mels": 12, **changes})  # type: ignore[arg-type]
    return LogMel(config).eval()


def blocks_of(waveform: np.ndarray, size: int) -> list[np.ndarray]:
    return [waveform[start : start + size] for start in range(0, len(waveform), size)]


@pytest.mark.parametrize("block", [79, 80, 81, 1000, 10**6])
@pytest.mark.parametrize("samples", [1, 80, 1601, 2000])
@pytest.mark.parametrize("edge_padding_s", [0.0, 0.07])
def test_joined_blocks_equal_the_whole(block: int, samples: int, edge_padding_s: float) -> None:
    features = make_features(edge_padding_s=edge_padding_s)
    waveform = np.random.default_rng(samples).standard_normal(samples).astype(np.float32) * 0.1
    whole, frames = features.unnormalised(torch.from_numpy(waveform)[None], torch.tensor([samples]))
    joined = np.concatenate(list(stream_features(features, blocks_of(waveform, block))))
    assert joined.shape == (int(frames[0]), 12)
    np.testing.assert_allclose(joined, whole[0], atol=1e-4, rtol=0)
    if block >= samples:
        assert np.array_equal(joined, whole[0])


def test_a_rate_that_the_frame_shift_does_not_divide_keeps_its_grid() -> None:
    features = make_features(sample_rate=11025)  # a hop of 110 samples
    waveform = np.random.default_rng(1).standard_normal(30_000).astype(np.float32)
    whole, _ = features.unnormalised(torch.from_numpy(waveform)[None], torch.tensor([30_000]))
    joined = np.concatenate(list(stream_features(features, blocks_of(waveform, 777))))
    np.testing.assert_allclose(joined, whole[0], atol=1e-5, rtol=1e-5)


def test_the_mean_of_a_stream_is_that_of_the_whole() -> None:
    features = make_features(normalization="utterance")
    recorded = torch.from_numpy(np.random.default_rng(2).standard_normal(50_000).astype(np.float32) * 0.3)[None]
    waveform = features.levelled(recorded, torch.tensor([50_000]))[0].numpy()  # as recognition does before it streams
    whole, _ = features.unnormalised(torch.from_numpy(waveform)[None], torch.tensor([50_000]))
    mean = recording_mean(features, blocks_of(waveform, 3000))
    assert mean is not None
    np.testing.assert_allclose(mean, whole[0].mean(dim=0), atol=1e-4, rtol=0)
    normalised, _ = features(recorded, torch.tensor([50_000]))
    again = features.normalised(whole[0].numpy(), mean)
    np.testing.assert_allclose(again, normalised[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("normalization", ["utterance", "global", "none"])
@pytest.mark.parametrize("edge_padding_s", [0.0, 0.07])
def test_without_torch_the_features_are_the_same(normalization: str, edge_padding_s: float) -> None:
    features = make_features(normalization=normalization, edge_padding_s=edge_padding_s)
    features.set_normalisation(torch.linspace(-9, -5, 12), torch.linspace(1, 3, 12))
    assert isinstance(features.config, LogMelConfig)
    arrays = ArrayLogMel(features.config, *features.scale())
    for samples in (1, 80, 4001):
        waveform = np.random.default_rng(samples).standard_normal(samples).astype(np.float32) * 0.1
        found, expected = arrays.frames_of(waveform), features.frames_of(waveform)
        assert found.dtype == np.float32 and found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)
        np.testing.assert_allclose(arrays.normalised(found), features.normalised(expected), atol=1e-4, rtol=0)


def test_nothing_heard_gives_nothing() -> None:
    assert list(stream_features(make_features(), [])) == []
    assert recording_mean(make_features(), []) is None
