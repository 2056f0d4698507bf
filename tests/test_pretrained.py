"""A model directory is data: it comes back to the bit. tests/faults has what is refused."""

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

import asr.pretrained
from asr.features import LogMel, LogMelConfig
from asr.files import sha256_file
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
from asr.pretrained import from_pretrained, save_pretrained
from asr.recognition import Recognizer
from asr.text.tokenizer import CharacterTokenizer

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save(directory: Path, seed: int = 0) -> tuple[LogMel, AcousticModel, CharacterTokenizer]:
    torch.manual_seed(seed)
    features = LogMel(LogMelConfig(sample_rate=8000, n_mels=12, f_min_hz=30.0))
    features.set_normalisation(torch.randn(12), torch.rand(12) + 0.5)
    subsampling = SubsamplingConfig(factor=2, channels=3, output_size=8)
    tokenizer = CharacterTokenizer.from_texts(["one two 'é"])
    config = BiLstmConfig(
        num_layers=2, hidden_size=6, subsampling=subsampling, residual=True, layer_norm=True, projection_size=3
    )
    model = AcousticModel(config, 12, tokenizer.vocab_size)
    save_pretrained(directory, features, model, tokenizer, {"epoch": 3, "dev_wer": 0.25, "seed": seed})
    return features, model, tokenizer


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    save(tmp_path / "model")
    return tmp_path / "model"


def test_what_was_saved_comes_back_to_the_bit(tmp_path: Path) -> None:
    features, model, tokenizer = save(tmp_path / "new" / "model")
    loaded = from_pretrained(tmp_path / "new" / "model")
    assert loaded.features.config == features.config and loaded.model.config == model.config
    assert loaded.tokenizer.tokens == tokenizer.tokens
    assert loaded.facts == {"epoch": 3, "dev_wer": 0.25, "seed": 0}
    assert not loaded.model.training and not loaded.features.training
    for ours, theirs in ((features, loaded.features), (model, loaded.model)):
        before, after = ours.state_dict(), theirs.state_dict()
        assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    waveforms, lengths = torch.randn(2, 3000), torch.tensor([3000, 1234])
    with torch.inference_mode():
        assert torch.equal(
            model.eval()(*features(waveforms, lengths))[0], loaded.model(*loaded.features(waveforms, lengths))[0]
        )


def test_the_directory_holds_two_files_that_anyone_can_read(directory: Path) -> None:
    assert sorted(one.name for one in directory.iterdir()) == [CONFIG, WEIGHTS]
    values = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    assert values["sha256"] == {WEIGHTS: sha256_file(directory / WEIGHTS)}
    assert (
        values["versions"]["torch"] == torch.__version__.split("+")[0]
        or values["versions"]["torch"] == torch.__version__
    )
    assert directory.stat().st_mode & 0o777 == 0o755
    assert {one.stat().st_mode & 0o777 for one in directory.iterdir()} == {0o644}


@pytest.mark.parametrize("when", ["asr.stored.sha256_file", "safetensors.numpy.load_file"])
def test_a_model_that_is_replaced_while_it_is_read_is_read_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A training saves a better one when config.json has been read, or when the weights have been checked, too."""
    module, name = when.rsplit(".", 1)
    read = getattr(importlib.import_module(module), name)

    def after_the_other(path: Path) -> Any:
        monkeypatch.undo()
        save(directory, seed=1)
        return read(path)

    monkeypatch.setattr(when, after_the_other)
    recognizer = Recognizer.from_pretrained(directory, backend="torch")
    assert recognizer.facts["seed"] == 1
    _, model, _ = save(directory.parent / "the same", seed=1)
    assert all(torch.equal(one, recognizer.model.state_dict()[key]) for key, one in model.state_dict().items())


def test_an_earlier_directory_is_replaced_as_a_whole(directory: Path) -> None:
    (directory / "stale").write_text("x")
    save(directory, seed=1)
    assert from_pretrained(directory).facts["seed"] == 1
    assert sorted(one.name for one in directory.iterdir()) == [CONFIG, WEIGHTS]
    assert [one.name for one in directory.parent.iterdir()] == ["model"], "nothing is left beside it"


def test_a_failure_while_saving_leaves_the_earlier_directory(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(asr.pretrained, "write_json", fail)
    with pytest.raises(OSError, match="the disk is full"):
        save(directory, seed=1)
    assert from_pretrained(directory).facts["seed"] == 0
    assert [one.name for one in directory.parent.iterdir()] == ["model"]


def test_a_failure_while_replacing_brings_the_earlier_directory_back(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, calls = os.rename, list[Path]()

    def fail_once(source: Path, target: Path) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError("the disk is gone")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_once)
    with pytest.raises(OSError, match="the disk is gone"):
        save(directory, seed=1)
    assert from_pretrained(directory).facts["seed"] == 0
    assert [one.name for one in directory.parent.iterdir()] == ["model"]
