"""Each member trains, and a run stopped in mid-epoch resumes to the same bits, with data of tones."""

import os
import signal
from pathlib import Path

import pytest

from asr.errors import Interrupted
from asr.pretrained import from_pretrained
from asr.training.records import StepRecord
from asr.training.start import train
from tests.models.family import FAMILY
from tests.tiny_run import Quiet, equal_weights, make_corpus, settings, timeless_metrics, weights

QUICK = ("gru both ways", "conformer")  # the others run with the slow tests


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("tones"), train=8, dev=2, test=1)


@pytest.mark.parametrize("form", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in FAMILY])
def test_a_run_stopped_in_mid_epoch_ends_in_the_same_bits(
    form: str, tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.training.trainer.LOG_EVERY_STEPS", 1)
    options = {f"model__{key}": value for key, value in FAMILY[form].items()}
    chosen = settings(tones, training__epochs=2, **{"model__num_layers": 1, "model__hidden_size": 12, **options})

    def stop(record: StepRecord) -> None:
        if record.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    whole = Quiet()
    train(chosen, tmp_path / "whole", whole)
    assert whole.steps[1].batch < whole.steps[1].batches  # step 2 is none of an epoch's end
    with pytest.raises(Interrupted):
        train(chosen, tmp_path / "stopped", Quiet(stop))
    train(chosen, tmp_path / "stopped", Quiet())
    assert equal_weights(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    assert timeless_metrics(tmp_path / "whole") == timeless_metrics(tmp_path / "stopped")
    assert from_pretrained(tmp_path / "stopped" / "model").model.config == chosen.model
