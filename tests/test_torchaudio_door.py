"""torchaudio is imported with any torch; where that is impossible, nothing else breaks (DESIGN, Dependencies)."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from asr import torchaudio_door
from tests.forked import Forked


@pytest.fixture
def fresh_door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The door before its first use, in a Python that has not imported torchaudio."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "torchaudio"}
    monkeypatch.setattr(torchaudio_door, "load_torchaudio", torchaudio_door.load_torchaudio.__wrapped__)
    yield torchaudio_door
    torchaudio_door._unload()
    sys.modules.update(kept)


@pytest.fixture(scope="module")
def torchaudio() -> ModuleType:
    module = torchaudio_door.load_torchaudio()
    if module is None:
        pytest.skip("torchaudio is not installed")
    return module


def test_the_python_part_works_here_and_equals_librosa(torchaudio: ModuleType) -> None:
    import librosa
    import torch

    waveform = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    options: dict[str, Any] = {"n_fft": 400, "hop_length": 160, "n_mels": 40}
    ours = torchaudio.transforms.MelSpectrogram(sample_rate=16000, norm="slaney", mel_scale="slaney", **options)
    expected = librosa.feature.melspectrogram(y=waveform, sr=16000, pad_mode="reflect", **options)
    np.testing.assert_allclose(ours(torch.from_numpy(waveform)).numpy(), expected, rtol=1e-3, atol=1e-4)


def test_masks_and_filterbanks_work_here(torchaudio: ModuleType) -> None:
    import torch

    masked = torchaudio.transforms.TimeMasking(time_mask_param=10)(torch.ones(1, 40, 50))
    assert masked.shape == (1, 40, 50)
    assert torchaudio.compliance.kaldi.fbank(torch.ones(1, 16000), num_mel_bins=40).shape == (98, 40)


def test_what_needs_the_extension_works_or_says_why_not(torchaudio: ModuleType) -> None:
    import torch

    align = torchaudio.functional.forced_align
    log_probs, targets = torch.zeros(1, 3, 2).log_softmax(-1), torch.tensor([[1]], dtype=torch.int32)
    if torchaudio_door.has_extension(torchaudio):
        assert align(log_probs, targets)[0].shape == (1, 3)
    else:
        with pytest.raises(RuntimeError, match="has_extension"):
            align(log_probs, targets)


def test_a_later_import_statement_gets_the_same_module(torchaudio: ModuleType) -> None:
    assert importlib.import_module("torchaudio") is torchaudio


@pytest.mark.parametrize(
    "error", [OSError("libcudart.so.12"), RuntimeError("CUDA versions differ"), ImportError("lib")]
)
def test_an_extension_that_does_not_load_is_substituted(
    error: Exception, fresh_door: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("torchaudio")

    def import_module(name: str) -> ModuleType:
        if "torchaudio._extension" not in sys.modules:
            raise error
        return module

    monkeypatch.setattr(fresh_door.importlib, "import_module", import_module)
    assert fresh_door.load_torchaudio() is module
    assert not fresh_door.has_extension(module)


@pytest.mark.parametrize("error", [ModuleNotFoundError("torchaudio"), OSError("broken through and through")])
def test_none_comes_back_where_torchaudio_is_absent_or_broken(
    error: Exception, fresh_door: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def import_module(name: str) -> ModuleType:
        raise error

    monkeypatch.setattr(fresh_door.importlib, "import_module", import_module)
    assert fresh_door.load_torchaudio() is None
    assert "torchaudio._extension" not in sys.modules


def test_the_package_does_without_torchaudio(tmp_path: Path) -> None:
    def import_without() -> None:
        for name in [one for one in sys.modules if one.partition(".")[0] in ("asr", "torchaudio")]:
            del sys.modules[name]
        sys.modules["torchaudio"] = None  # type: ignore[assignment]
        for name in ("features", "models", "ctc"):
            importlib.import_module(f"asr.{name}")
        assert importlib.import_module("asr.torchaudio_door").load_torchaudio() is None

    process = Forked(import_without, tmp_path)
    _, errors = process.communicate(120)
    assert process.returncode == 0, errors
