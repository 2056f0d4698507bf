"""Neither the level nor a constant offset of a recording changes its features; what is measured is BS.1770's gate."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from asr.audio import load_audio
from asr.features import Features, KaldiFbank, KaldiFbankConfig, LevelMeter, LogMel, LogMelConfig
from asr.features.frontend import set_level
from asr.torchaudio_door import load_torchaudio
from tests.features.test_log_mel import pad, speech_like

RATE = 16000
CHANGES = {
    "-20 dB": lambda x: 0.1 * x,
    "peaks at -46 dBFS": lambda x: x / np.abs(x).max() * 10 ** (-46 / 20),
    "+40 dB": lambda x: 100 * x,
    "on the scale of 16-bit samples": lambda x: 32768 * x,
    "an offset": lambda x: x + 0.3,
    "an offset in a quiet recording": lambda x: 0.03 * x - 0.5,
    "inverted": lambda x: -x,
}


def features_of(features: Features, *waveforms: np.ndarray) -> torch.Tensor:
    frames: torch.Tensor = features(*pad([one.astype(np.float32) for one in waveforms], max(map(len, waveforms))))[0]
    return frames


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("normalization", ["global", "utterance", "none"])
def test_level_and_offset_change_no_feature(change: str, normalization: str) -> None:
    features = LogMel(LogMelConfig(normalization=normalization))
    waveform = speech_like(RATE, 1.3)
    torch.testing.assert_close(
        features_of(features, CHANGES[change](waveform)), features_of(features, waveform), atol=2e-3, rtol=0
    )


@pytest.mark.skipif(load_torchaudio() is None, reason="torchaudio is not installed")
def test_kaldis_features_as_well() -> None:
    features = KaldiFbank(KaldiFbankConfig())
    waveform = speech_like(RATE, 1.3)
    torch.testing.assert_close(
        features_of(features, 0.01 * waveform + 0.1), features_of(features, waveform), atol=2e-3, rtol=0
    )


def test_as_recorded_nothing_is_changed() -> None:
    waveform = speech_like(RATE, 0.5)
    recorded = LogMel(LogMelConfig(level_db=None, normalization="none"))
    plain, _ = recorded.unnormalised(*pad([waveform], len(waveform)))
    assert torch.equal(features_of(recorded, waveform), plain)


def test_the_level_is_that_of_the_loud_stretches() -> None:
    """A sine of amplitude 0.2 has a power of 0.02, -16.99 dB; what is 10 dB below the mean power of all is left out."""
    tone = 0.2 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    quiet = 0.001 * np.sin(2 * np.pi * 100 * np.arange(4 * RATE) / RATE)
    meter = LevelMeter(RATE)
    for block in np.array_split(np.concatenate((quiet, tone)).astype(np.float32), 7):
        meter.push(block)
    level = meter.level(-35.0)
    assert 20 * np.log10(level.gain) == pytest.approx(-35 + 16.99, abs=0.01)
    assert level.offset == pytest.approx(0, abs=1e-6)


def test_blocks_and_batches_measure_what_the_whole_does() -> None:
    waveforms = [speech_like(RATE, seconds, seed) + 0.2 for seed, seconds in enumerate((0.05, 0.3, 1.234))]
    together = set_level(*pad([one.astype(np.float32) for one in waveforms], 30000), RATE, -35.0)
    for row, waveform in zip(together, waveforms, strict=True):
        meter = LevelMeter(RATE)
        for start in range(0, len(waveform), 997):
            meter.push(waveform[start : start + 997].astype(np.float32))
        alone = meter.level(-35.0).apply(waveform.astype(np.float32))
        np.testing.assert_allclose(row[: len(waveform)].numpy(), alone, atol=1e-6)
        assert not row[len(waveform) :].any()


@pytest.mark.parametrize("value", [0.0, 0.3, -1.0])
@pytest.mark.parametrize("samples", [0, 1, 30, 40_000])
def test_silence_stays_silence(value: float, samples: int) -> None:
    waveform = np.full(samples, value, np.float32)
    levelled = set_level(torch.from_numpy(waveform)[None], torch.tensor([samples]), RATE, -35.0)
    assert torch.isfinite(levelled).all() and (samples < 2 or levelled.abs().max() < 1e-6)


def test_an_offset_rings_at_no_end_when_resampled(tmp_path: Path) -> None:
    waveform = speech_like(44100, 1.0) * np.hanning(44100)
    for name, samples in {"plain": waveform, "offset": waveform + 0.3}.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, 44100, subtype="FLOAT")
    plain, offset = (load_audio(tmp_path / f"{name}.wav", sample_rate=RATE) for name in ("plain", "offset"))
    np.testing.assert_allclose(offset - 0.3, plain, atol=1e-4)
