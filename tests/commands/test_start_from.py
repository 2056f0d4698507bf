"""training.init_from: what a training starts from is chosen once, said, written down, and kept."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from asr.cli import main
from asr.config.typed import read_config
from asr.features import LogMel, LogMelConfig
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
from asr.pretrained import from_pretrained, save_pretrained
from asr.text.tokenizer import CharacterTokenizer
from asr.training.setup import prepare_setup
from tests.tiny_run import SETTINGS, equal_weights, make_corpus, overrides, weights, write_recipe

ONE_STEP = {"training__epochs": 1, "training__max_steps": 1, "training__dry_run": False}


def save_starter(folder: Path, characters: str = "abc", n_mels: int = 12) -> Path:
    """A model that differs from the tiny recipe in its size and features."""
    torch.manual_seed(9)
    subsampling = SubsamplingConfig(factor=2, channels=3, output_size=8, dropout=0.4)
    config = BiLstmConfig(num_layers=1, hidden_size=12, dropout=0.4, subsampling=subsampling)
    features = LogMel(LogMelConfig(sample_rate=8000, n_mels=n_mels, normalization="utterance"))
    tokenizer = CharacterTokenizer.from_texts([characters])
    save_pretrained(folder, features, AcousticModel(config, n_mels, tokenizer.vocab_size), tokenizer, {})
    return folder


@pytest.fixture
def place(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a corpus and a recipe that starts from the shipped model, of which there is none yet."""
    here = tmp_path / "here"
    make_corpus(here / "data", train=5, dev=1)
    own = {key: SETTINGS[key] for key in ("model", "features")} | {"training": {"init_from": "auto"}}
    write_recipe(here, text="defaults: [base, _self_]\n" + yaml.safe_dump(own))
    monkeypatch.chdir(here)
    return here


def train(run: str, *more: str) -> int:
    """`asr train` by the recipe for a step; of the model, only the dropout is given on the command line."""
    words = [word for word in overrides(Path("data"), Path(run), **ONE_STEP) if not word.startswith(("model.", "feat"))]
    return main(["train", "tiny.yaml", *words, "model.dropout=0.1", *more])


def stored(run: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((Path(run) / "config.yaml").read_text())
    return values


def test_auto_takes_the_shipped_model_with_its_architecture_and_says_so(
    place: Path, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starter = save_starter(package / "_pretrained" / "english")
    assert train("run") == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("starts from the weights of english; its features.n_mels, features.normalization, ")
    assert "model.hidden_size" in first and first.endswith("(training.init_from=null: from nothing)")
    config, digest = stored("run"), json.loads((starter / "config.json").read_text())["sha256"]["model.safetensors"]
    assert (config["training"]["init_from"], config["model"]["hidden_size"], config["features"]["n_mels"]) == (
        "english",
        12,
        12,
    )
    assert config["model"]["dropout"] == 0.1 and config["features"]["normalization"] == "utterance", (
        "dropout is the run's"
    )
    (start,) = json.loads(Path("run/run.json").read_text())["starts"]
    assert (start["init_from"], start["init_from_sha256"]) == ("english", digest)
    facts = json.loads(Path("run/model/config.json").read_text())["facts"]
    assert (facts["init_from"], facts["init_from_sha256"]) == ("english", digest)
    begins_with = prepare_setup(read_config(Path("run/config.yaml")).train).model.state_dict()
    assert equal_weights(begins_with, from_pretrained(starter).model.state_dict())
    assert not equal_weights(begins_with, weights(Path("run"))), "and was trained"


def test_a_begun_run_keeps_what_it_began_with(place: Path, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.move(save_starter(package / "_pretrained" / "english"), "aside")
    assert train("nothing") == 0
    shutil.move("aside", package / "_pretrained" / "english")
    assert train("nothing") == 0, "now there is a model, and the run goes on without it"
    assert stored("nothing")["training"]["init_from"] is None
    assert train("started") == 0
    shutil.rmtree(package / "_pretrained" / "english")
    capsys.readouterr()
    assert train("started") == 0 and main(["train", "started"]) == 0
    assert [line.partition(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "started: already finished"
    ] * 2
    assert train("started", "training.init_from=null") == 2, "something else is meant than it began with"
    assert "another configuration" in capsys.readouterr().err


def test_auto_starts_from_nothing_where_there_is_none_or_it_does_not_fit(
    place: Path, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("absent") == 0
    assert "comes without the model 'english': the training starts from nothing" in capsys.readouterr().err
    save_starter(package / "_pretrained" / "english")
    assert train("size", "model.hidden_size=7") == 0
    said = capsys.readouterr().err
    assert "(model.hidden_size=7 is asked for, and it has 12): the training starts from nothing" in said
    assert train("fresh", "training.init_from=null") == 0
    assert "starts from" not in capsys.readouterr().err
    for run in ("absent", "size", "fresh"):
        assert stored(run)["training"]["init_from"] is None
        assert "init_from" not in json.loads(Path(run, "run.json").read_text())["starts"][0]
    assert (stored("size")["model"]["hidden_size"], stored("fresh")["model"]["hidden_size"]) == (7, 8)


def test_auto_takes_the_encoder_where_letters_are_missing(
    place: Path, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starter = save_starter(package / "_pretrained" / "english", "ab")
    assert train("run") == 0
    said = capsys.readouterr().err
    assert said.startswith("starts from the weights of english") and "the head made anew" in said and "new: 'c'" in said
    assert stored("run")["training"]["init_from"] == "english"
    begins_with = prepare_setup(read_config(Path("run/config.yaml")).train).model.state_dict()
    for name, weight in from_pretrained(starter).model.state_dict().items():
        assert name.startswith("head.") or torch.equal(begins_with[name], weight), name


def test_it_is_started_from_by_its_name(place: Path, package: Path) -> None:
    starter = save_starter(package / "_pretrained" / "english", n_mels=16)
    assert train("run", "training.init_from=english") == 0
    assert (stored("run")["training"]["init_from"], stored("run")["model"]["hidden_size"]) == ("english", 12)
    begins_with = prepare_setup(read_config(Path("run/config.yaml")).train).model.state_dict()
    assert equal_weights(begins_with, from_pretrained(starter).model.state_dict())


def test_the_named_model_must_be_installed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("run", "training.init_from=english") == 1
    assert "this installation comes without the model 'english'" in capsys.readouterr().err


def test_the_folder_recipe_starts_from_it(repository: Path) -> None:
    assert yaml.safe_load((repository / "recipes/folder/bilstm.yaml").read_text())["training"]["init_from"] == "auto"
