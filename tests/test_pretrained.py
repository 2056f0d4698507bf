"""A model directory is data: it comes back to the bit, and anything damaged or strange is refused in one line."""

import json
import os
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import asr.pretrained
from asr.errors import ModelError
from asr.features import LogMel, LogMelConfig
from asr.files import sha256_file
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
from asr.pretrained import from_pretrained, save_pretrained
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


def rewrite_config(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    change(values)
    (directory / CONFIG).write_text(json.dumps(values), encoding="utf-8")


def refusal(directory: Path) -> str:
    with pytest.raises(ModelError) as caught:
        from_pretrained(directory)
    message = str(caught.value)
    assert "\n" not in message and str(directory) in message and len(message) < 600
    return message


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


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda values: values.update(format=2), "format 2 is unknown"),
        (lambda values: values.pop("format"), "format None is unknown"),
        (lambda values: values["model"].update(name="transformer9"), "model.name='transformer9' is unknown"),
        (lambda values: values["model"].update(_target_="os.system"), "unknown key 'model._target_'"),
        (lambda values: values["features"].update(_target_="builtins.exec"), "unknown key 'features._target_'"),
        (lambda values: values["model"]["subsampling"].update(_target_="os.system"), "model.subsampling._target_"),
        (
            lambda values: values["model"].update(hidden_size="${oc.env:HOME}"),
            "model.hidden_size must be a whole number",
        ),
        (lambda values: values.update(model=[]), "'model' must be a group of keys"),
        (lambda values: values["model"].update(hidden_size=10**9), "does not fit config.json: encoder"),
        (lambda values: values["model"].update(num_layers=10**9), "model.num_layers=1000000000 must be 1 to 64"),
        (lambda values: values["model"].update(hidden_size=10**30), "cannot be understood"),
        (lambda values: values["features"].update(window_s=10**400), "features.window_s must be a finite number"),
        (lambda values: values["features"].update(n_mels=13), "does not fit"),
        (lambda values: values["model"].update(num_layers=3), "does not fit"),
        (lambda values: values.pop("features"), "no key 'features'"),
        (lambda values: values.pop("tokenizer"), "no key 'tokenizer'"),
        (lambda values: values["tokenizer"].update(name="runes"), "'runes' is unknown"),
        (lambda values: values["tokenizer"]["characters"].append("z"), "does not fit"),
        (lambda values: values["tokenizer"].update(characters=None), "tokenizer"),
        (lambda values: values.pop("sha256"), "SHA-256"),
        (lambda values: values.update(sha256="x"), "SHA-256"),
    ],
)
def test_a_strange_config_is_refused_by_what_is_strange(
    directory: Path, change: Callable[[dict[str, Any]], object], part: str
) -> None:
    rewrite_config(directory, change)
    message = refusal(directory)
    assert part in message, message


class Bomb:
    """What a pickle can do: run code when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_in_place_of_the_weights_is_never_opened(directory: Path, tmp_path: Path, kind: str) -> None:
    exploded, weights = tmp_path / "exploded", directory / WEIGHTS
    if kind == "torch":
        torch.save({"model.head.bias": Bomb(exploded)}, weights)
    else:
        weights.write_bytes(pickle.dumps(Bomb(exploded)))
    rewrite_config(directory, lambda values: values["sha256"].update({WEIGHTS: sha256_file(weights)}))
    assert "does not fit" in refusal(directory)
    assert not exploded.exists()


def test_a_size_that_is_not_the_weights_is_refused_before_it_takes_memory(directory: Path) -> None:
    """20,000 cells in each direction are 6.4 GB."""
    rewrite_config(directory, lambda values: values["model"].update(hidden_size=20_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "does not fit config.json" in refusal(directory)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB
