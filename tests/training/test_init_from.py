"""Fine-tuning: a run may start from the weights and tokens of a model directory."""

from pathlib import Path

import pytest

from asr.errors import ConfigError, ModelError
from asr.training.setup import prepare_setup
from asr.training.start import train
from tests.tiny_run import Quiet, equal_weights, make_corpus, settings, weights


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("earlier")
    train(settings(make_corpus(folder / "data"), training__epochs=1), folder / "run", Quiet())
    return folder


def test_the_weights_and_tokens_are_those_of_the_directory(earlier: Path) -> None:
    other_seed = settings(earlier / "data", seed=7, training__init_from=str(earlier / "run" / "model"))
    setup = prepare_setup(other_seed)
    assert equal_weights(setup.model.state_dict(), weights(earlier / "run"))
    fresh = prepare_setup(settings(earlier / "data", seed=7))
    assert not equal_weights(fresh.model.state_dict(), weights(earlier / "run"))


def test_another_shape_is_refused_with_the_weights_name(earlier: Path) -> None:
    wider = {"model__hidden_size": 12, "training__init_from": str(earlier / "run" / "model")}
    with pytest.raises(ConfigError, match=r"training.init_from=.*: its encoder\..* is \(.*\), this model's is \(.*\)"):
        prepare_setup(settings(earlier / "data", **wider))


def test_a_folder_without_a_model_is_refused(earlier: Path) -> None:
    with pytest.raises(ModelError, match="not a model directory"):
        prepare_setup(settings(earlier / "data", training__init_from=str(earlier / "nothing")))
