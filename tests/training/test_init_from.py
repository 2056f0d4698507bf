"""Fine-tuning: a run may start from the weights and tokens of a model directory."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.cli import main
from asr.config.typed import read_config
from asr.data.manifest import read_manifest, write_manifest
from asr.errors import ConfigError, ModelError
from asr.pretrained import from_pretrained
from asr.training.setup import prepare_setup
from asr.training.start import train
from tests.tiny_run import Quiet, equal_weights, make_corpus, overrides, settings, weights, write_recipe
from tests.training.test_exact_resume import assert_same_run, train_with_stops


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("earlier")
    train(settings(make_corpus(folder / "data"), training__epochs=1), folder / "run", Quiet())
    return folder


def respelled(folder: Path, data: Path, here: str, there: str) -> Path:
    """The corpus of ``data`` with the letters ``there`` for ``here`` in its texts."""
    folder.mkdir()
    for split in ("train", "dev"):
        utterances = read_manifest(data / f"{split}.jsonl")
        new = [replace(one, text=one.text.translate(str.maketrans(here, there))) for one in utterances]
        write_manifest(folder / f"{split}.jsonl", new)
    return folder


def encoder_of(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if not name.startswith("head.")}


def test_the_weights_and_tokens_are_those_of_the_directory(earlier: Path) -> None:
    other_seed = settings(earlier / "data", seed=7, training__init_from=str(earlier / "run" / "model"))
    setup = prepare_setup(other_seed)
    assert equal_weights(setup.model.state_dict(), weights(earlier / "run"))
    assert str(setup.note).endswith("all weights and its 4 tokens are taken over")
    fresh = prepare_setup(settings(earlier / "data", seed=7))
    assert not equal_weights(fresh.model.state_dict(), weights(earlier / "run"))


def test_new_letters_make_the_head_anew_with_the_rows_that_both_have(earlier: Path, tmp_path: Path) -> None:
    source = earlier / "run" / "model"
    data = respelled(tmp_path / "data", earlier / "data", "c", "ö")
    setup, old = prepare_setup(settings(data, training__init_from=str(source))), from_pretrained(source)
    assert setup.tokenizer.tokens == ("<blank>", "a", "b", "c", "ö")  # c stays: the texts lack it, the model knows it
    assert equal_weights(encoder_of(setup.model.state_dict()), encoder_of(old.model.state_dict()))
    assert torch.equal(setup.model.head.weight[:4], old.model.head.weight)
    assert torch.equal(setup.model.head.bias[:4], old.model.head.bias)
    assert setup.note == (
        f"training.init_from={source}: its encoder is taken over and the head made anew, with 4 of its 5 tokens as"
        " there; new: 'ö'"
    )


def test_units_and_letters_with_their_marks_begin_from_a_model_of_letters_and_stay(
    earlier: Path, tmp_path: Path
) -> None:
    source = str(earlier / "run" / "model")
    data = respelled(tmp_path / "data", earlier / "data", "c", "ɔ")
    for split in ("train", "dev"):
        marked = [replace(one, text=one.text.replace("ɔ", "ɔ\u0301")) for one in read_manifest(data / f"{split}.jsonl")]
        write_manifest(data / f"{split}.jsonl", marked)
    asked = {"tokenizer__units": ["ab", "xy"], "tokenizer__graphemes": True}
    begun = settings(data, training__init_from=source, training__epochs=1, **asked)
    setup, old = prepare_setup(begun), from_pretrained(source)
    assert setup.tokenizer.tokens == ("<blank>", "a", "ab", "b", "c", "ɔ\u0301")
    assert torch.equal(setup.model.head.weight[[0, 1, 3, 4]], old.model.head.weight)
    quiet = Quiet()
    train(begun, tmp_path / "run", quiet)
    assert "tokenizer.units: in no training text, so no tokens: xy" in quiet.messages
    header, first = (tmp_path / "run" / "alphabet.tsv").read_text(encoding="utf-8").splitlines()[:2]
    assert header.startswith("token\tcode points\tcount\t") and first.split("\t")[0] in setup.tokenizer.tokens
    own = str(tmp_path / "run" / "model")
    for again in (settings(data, training__init_from=own), settings(data, training__init_from=own, **asked)):
        assert prepare_setup(again).tokenizer.tokens == setup.tokenizer.tokens
    other = respelled(tmp_path / "other", data, "b", "q")  # a new letter: the units of the model stay
    assert prepare_setup(settings(other, training__init_from=own)).tokenizer.tokens == (
        "<blank>", "a", "ab", "b", "c", "q", "ɔ\u0301"
    )  # fmt: skip


def test_another_alphabet_has_its_own_letters_alone(earlier: Path, tmp_path: Path) -> None:
    source = earlier / "run" / "model"
    data = respelled(tmp_path / "data", earlier / "data", "abc", "абв")
    quiet = Quiet()
    train(settings(data, training__init_from=str(source), training__epochs=1), tmp_path / "run", quiet)
    assert from_pretrained(tmp_path / "run" / "model").tokenizer.tokens == ("<blank>", "а", "б", "в")
    said = "with 1 of its 4 tokens as there; new: 'а' 'б' 'в'; no longer: 'a' 'b' 'c'"
    assert any(message.endswith(said) for message in quiet.messages)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model__hidden_size": 12}, r"its encoder\..* is \(.*\), this model's is \(.*\); give no sizes in 'model'"),
        (
            {"features__sample_rate": 16000, "features__n_mels": 20},
            r"features\.sample_rate=8000, features\.n_mels=16; this run has 16000, 20\. Give its values",
        ),
        ({"features__window_s": 0.03}, r"features\.window_s=0\.025; this run has 0\.03"),
    ],
    ids=["size", "rate", "window"],
)
def test_other_sizes_and_other_features_are_refused(earlier: Path, changes: dict[str, Any], said: str) -> None:
    source = {"training__init_from": str(earlier / "run" / "model")}
    with pytest.raises(ConfigError, match=f"training.init_from=.*{said}"):
        prepare_setup(settings(earlier / "data", **source, **changes))
    own = {"features__normalization": "utterance", "features__edge_padding_s": 0.1, "features__level_db": None}
    prepare_setup(settings(earlier / "data", **source, **own))


def test_a_folder_without_a_model_is_refused(earlier: Path) -> None:
    with pytest.raises(ModelError, match="not a model directory"):
        prepare_setup(settings(earlier / "data", training__init_from=str(earlier / "nothing")))


def test_the_command_takes_the_sizes_from_there_but_for_those_that_it_is_given(
    earlier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, source = write_recipe(tmp_path), tmp_path / "source"
    shutil.copytree(earlier / "run" / "model", source)
    words = overrides(earlier / "data", tmp_path / "run", training__init_from=str(source), training__epochs=1)
    without_sizes = [word for word in words if not word.startswith("model.") or "dropout" in word]
    assert main(["train", str(recipe), *without_sizes]) == 0
    model = read_config(tmp_path / "run" / "config.yaml").train.model
    assert (model.hidden_size, model.num_layers, model.subsampling.channels, model.dropout) == (8, 2, 4, 0.2)
    assert json.loads((tmp_path / "run" / "model" / "config.json").read_text())["model"]["hidden_size"] == 8
    capsys.readouterr()
    again = [word.replace(str(tmp_path / "run"), str(tmp_path / "wide")) for word in without_sizes]
    assert main(["train", str(recipe), *again, "model.hidden_size=12"]) == 2
    assert "give no sizes in 'model'" in capsys.readouterr().err
    assert main(["train", str(recipe), *again, "model=gru"]) == 2
    assert "its encoder is a bilstm, this run's a gru; give model=bilstm" in capsys.readouterr().err
    shutil.rmtree(source)  # a run that has begun does not need it
    assert main(["train", str(recipe), *without_sizes]) == 0
    assert "already finished" in capsys.readouterr().err


def test_the_encoder_is_frozen_then_freed_and_a_resumed_run_is_the_same_to_the_bit(
    earlier: Path, tmp_path: Path
) -> None:
    source = {"training__init_from": str(earlier / "run" / "model"), "training__encoder_rate_factor": 0.3}
    chosen = settings(earlier / "data", training__freeze_epochs=1.5, **source)  # of 5 steps: 8 frozen ones
    train(
        settings(earlier / "data", training__freeze_epochs=1.5, training__max_steps=8, **source),
        tmp_path / "8",
        Quiet(),
    )
    old, frozen = weights(earlier / "run"), weights(tmp_path / "8")
    assert equal_weights(encoder_of(old), encoder_of(frozen))
    assert not torch.equal(old["head.weight"], frozen["head.weight"])
    train(chosen, tmp_path / "whole", Quiet())
    freed = encoder_of(weights(tmp_path / "whole"))
    assert not any(torch.equal(value, old[name]) for name, value in freed.items())
    train_with_stops(chosen, tmp_path / "stopped", {3, 8, 9, 11})
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_the_encoders_rate_is_its_share_of_the_heads(earlier: Path, tmp_path: Path) -> None:
    source = {"training__init_from": str(earlier / "run" / "model"), "training__max_steps": 1}
    sgd = {"optimizer__name": "sgd", "optimizer__weight_decay": 0, "schedule__warmup_epochs": 0}
    old, moved = weights(earlier / "run"), {}
    for factor in (1.0, 0.25):
        run = tmp_path / str(factor)
        train(settings(earlier / "data", training__encoder_rate_factor=factor, **source, **sgd), run, Quiet())
        moved[factor] = {name: value - old[name] for name, value in weights(run).items()}
    for name, step in moved[1.0].items():
        expected = step if name.startswith("head.") else 0.25 * step
        torch.testing.assert_close(moved[0.25][name], expected, rtol=0, atol=1e-7)
        assert step.abs().max() > 1e-5
