"""Features of sound that still goes on: at the end those of the whole, before it by what has been heard."""

import numpy as np
import pytest
import torch

from asr.features import LogMel, LogMelConfig, StreamingFeatures

RATE = 8000


def make_features(**changes: object) -> LogMel:
    values = {"sample_rate": RATE, "n_mels": 12, "normalization": "utterance", "edge_padding_s": 0.05, **changes}
    return LogMel(LogMelConfig(**values)).eval()  # type: ignore[arg-type]


def noise(seconds: float, seed: int = 1) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(round(seconds * RATE)) * 0.1).astype(np.float32)


def whole(features: LogMel, waveform: np.ndarray) -> torch.Tensor:
    frames: torch.Tensor = features(torch.from_numpy(waveform)[None], torch.tensor([len(waveform)]))[0][0]
    return frames


@pytest.mark.parametrize("normalization", ["utterance", "global", "none"])
@pytest.mark.parametrize("level_db", [-35.0, None])
def test_where_nothing_was_dropped_they_are_those_of_the_whole_recording(
    normalization: str, level_db: float | None
) -> None:
    features, waveform = make_features(normalization=normalization, level_db=level_db), noise(1.7) + np.float32(0.2)
    live = StreamingFeatures(features)
    for start in range(0, len(waveform), 777):
        live.append(waveform[start : start + 777])
        live.frames()
    np.testing.assert_allclose(live.frames(last=True)[0], whole(features, waveform), atol=1e-4, rtol=0)


def test_so_many_samples_complete_so_many_frames() -> None:
    for edge in (0.0, 0.05):
        live = StreamingFeatures(make_features(edge_padding_s=edge))
        for frames in (1, 2, 9, 30):
            needed = live.stream.samples_needed(frames)
            fresh = StreamingFeatures(make_features(edge_padding_s=edge))
            fresh.append(noise(1.0)[:needed])
            assert len(fresh.frames()[0]) >= frames
            if needed > 1:
                less = StreamingFeatures(make_features(edge_padding_s=edge))
                less.append(noise(1.0)[: needed - 1])
                assert len(less.frames()[0]) == frames - 1


def test_level_and_mean_are_those_of_all_that_was_heard_though_some_of_it_was_dropped() -> None:
    waveform = noise(3.0)
    waveform[:RATE] *= 0.2
    features = make_features(edge_padding_s=0.0)
    live = StreamingFeatures(features)
    live.append(waveform[:RATE])  # dropped at another level than that of all
    live.drop(live.frames()[1][:90])
    live.append(waveform[RATE:])
    frames, _ = live.frames(last=True)
    np.testing.assert_allclose(frames, whole(features, waveform)[90:], atol=1e-3, rtol=0)


def test_what_is_far_past_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr.features.streaming.HEARD_S", 2.0)
    features = make_features(edge_padding_s=0.0)
    live = StreamingFeatures(features)
    for second in range(30):
        live.append(noise(1.0, second) * np.float32(10.0 if second < 20 else 1.0))
        plain = live.frames()[1]
        live.drop(plain[:-1])
    recent = np.concatenate([noise(1.0, second) for second in (28, 29)])
    assert live.meter.level(-35.0).gain == pytest.approx(whole_gain(recent), rel=0.05)
    assert len(live._dropped) <= 3 and sum(map(len, live.meter._sums)) <= 40
    frames, _ = live.frames(last=True)
    np.testing.assert_allclose(frames[:1], whole(features, recent)[-len(frames) :][:1], atol=0.3, rtol=0)


def whole_gain(waveform: np.ndarray) -> float:
    """By the definition: to -35 dB of full scale; noise has no pauses."""
    return float(10 ** (-35 / 20) / waveform.std())
