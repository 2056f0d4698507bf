"""A resumed run equals the uninterrupted run to the last bit, wherever it was stopped."""

import os
import signal
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from asr.errors import Interrupted
from asr.training.checkpoint import CheckpointManager, average_weights, load_checkpoint
from asr.training.config import TrainSettings
from asr.training.evaluate import evaluate_dev
from asr.training.records import StepRecord
from asr.training.run_dir import RunDir
from asr.training.setup import CACHE_NAME
from asr.training.start import train
from tests.tiny_run import Quiet, equal_weights, settings, timeless_metrics, weights

# a flat start that ends in the second epoch: what is computed depends on how far a run is
WITH_AUGMENTATION: dict[str, Any] = {"augment__noise_probability": 0.5, "training__flat_start_epochs": 1.5}


@pytest.fixture(autouse=True)
def _log_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asr.training.trainer.LOG_EVERY_STEPS", 1)


@pytest.fixture(scope="module")
def whole(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with the settings as they are that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asr.training.trainer.LOG_EVERY_STEPS", 1)
        train(settings(tones), folder, Quiet())
    return folder


def train_with_stops(chosen: TrainSettings, run_dir: Path, stops: Iterable[int]) -> None:
    """Train to the end, with SIGTERM after each of the steps ``stops`` and a new start after each."""
    waiting = set(stops)

    def stop(record: StepRecord) -> None:
        if record.step in waiting:
            waiting.remove(record.step)
            os.kill(os.getpid(), signal.SIGTERM)

    while waiting:
        step = min(waiting)
        with pytest.raises(
            Interrupted, match=f"SIGTERM at epoch . step {step}; saved".replace(". s", "., s")
        ) as caught:
            train(chosen, run_dir, Quiet(stop))
        assert caught.value.exit_code == 143
    train(chosen, run_dir, Quiet())


def assert_same_run(one: Path, other: Path) -> None:
    assert equal_weights(weights(one), weights(other))
    assert timeless_metrics(one) == timeless_metrics(other)
    assert (one / "dev_utterances.jsonl").read_bytes() == (other / "dev_utterances.jsonl").read_bytes()
    states = [load_checkpoint(run / "checkpoints" / "last.ckpt") for run in (one, other)]
    for state in states:
        for key in ("seconds", "data_seconds"):
            state["progress"].pop(key)
    assert states[0]["progress"] == states[1]["progress"]
    for key in ("ema", "intermediate_head"):
        kept = [state.get(key, {}) for state in states]
        assert equal_weights(kept[0], kept[1])
    moments = [state["optimizer"]["state"] for state in states]
    assert all(equal_weights(moments[0][key], moments[1][key]) for key in moments[0])
    models = [(run / "model" / "model.safetensors").read_bytes() for run in (one, other)]
    assert models[0] == models[1]


@pytest.mark.parametrize("workers", [0, 1])
def test_stopped_in_mid_epoch_and_at_its_end_it_resumes_to_the_same_bits(
    tones: Path, tmp_path: Path, workers: int
) -> None:
    chosen = settings(tones, data__workers=workers, **WITH_AUGMENTATION)
    whole = Quiet()
    train(chosen, tmp_path / "whole", whole)
    last_of_epoch = next(one.step for one in whole.steps if one.batch == one.batches)
    very_last = whole.steps[-1].step
    train_with_stops(chosen, tmp_path / "stopped", {1, 2, last_of_epoch, last_of_epoch + 2, very_last})
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize(
    "changes",
    [
        {"training__accumulate": 2},
        {"schedule__name": "plateau", "training__patience": 2, "training__epochs": 8},
        {
            "training__chunking": {"probability": 0.5, "chunk_s": [0.05, 0.2], "look_ahead_s": [0.0, 0.1]},
            "training__max_steps": 8,
        },
        {"training__max_steps": 7},
        {"optimizer__name": "sgd", "features__normalization": "utterance", "training__save_every_steps": 1},
        {
            "training__ema_decay": 0.9,
            "training__select": "ema",
            "training__loss": {"intermediate_weight": 0.3, "intermediate_head": "own", "consistency_weight": 0.2},
        },
        pytest.param(
            {"training__loss": {"intermediate_weight": 0.3, "intermediate_pieces": 8, "intermediate_layer": 2}},
            marks=pytest.mark.skipif(
                find_spec("sentencepiece") is None, reason="the sentencepiece extra is not installed"
            ),
        ),
        {"optimizer__name": "adadelta", "optimizer__learning_rate": 1.0, "data__batching__short_first": False},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_it_holds_with_other_settings_too(tones: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    chosen = settings(tones, **WITH_AUGMENTATION, **changes)
    train(chosen, tmp_path / "whole", Quiet())
    train_with_stops(chosen, tmp_path / "stopped", {2, 5, 7})
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_workers_change_no_bit(tones: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        train(settings(tones, data__workers=workers, **WITH_AUGMENTATION), tmp_path / str(workers), Quiet())
    assert_same_run(tmp_path / "0", tmp_path / "2")


def test_decoded_audio_in_a_file_changes_no_bit_whether_it_is_absent_new_or_full(tones: Path, tmp_path: Path) -> None:
    shared = {"data__cache_dir": str(tmp_path / "shared"), **WITH_AUGMENTATION}
    train(settings(tones, data__cache_mb=0, **WITH_AUGMENTATION), tmp_path / "without", Quiet())
    for name, workers, cache_mb in (("new", 2, 1), ("filled", 1, 1), ("other limit", 0, 0.02)):
        chosen = settings(tones, data__workers=workers, data__cache_mb=cache_mb, **shared)
        train_with_stops(chosen, tmp_path / name, {2, 5})
        assert (tmp_path / "shared" / CACHE_NAME).stat().st_size > 10_000
        assert_same_run(tmp_path / "without", tmp_path / name)


def test_another_seed_gives_other_weights(tones: Path, tmp_path: Path) -> None:
    for seed in (3, 4):
        train(settings(tones, seed=seed, training__epochs=1), tmp_path / str(seed), Quiet())
    assert not equal_weights(weights(tmp_path / "3"), weights(tmp_path / "4"))


def test_a_signal_during_the_dev_pass_stops_the_run_and_the_pass_is_repeated(
    tones: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(tones)

    def signalled(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return evaluate_dev(*arguments)

    monkeypatch.setattr("asr.training.trainer.evaluate_dev", signalled)
    with pytest.raises(Interrupted, match="Ctrl-C at epoch 1, step 5; saved") as caught:
        train(chosen, tmp_path / "stopped", Quiet())
    assert caught.value.exit_code == 130
    monkeypatch.setattr("asr.training.trainer.evaluate_dev", evaluate_dev)
    train(chosen, tmp_path / "stopped", Quiet())
    assert_same_run(whole, tmp_path / "stopped")


def test_a_signal_while_averaged_weights_are_tried_leaves_the_last_epochs_weights_in_the_checkpoint(
    tones: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(tones)

    def signalled(states: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return average_weights(states)

    monkeypatch.setattr("asr.training.trainer.average_weights", signalled)
    with pytest.raises(Interrupted):
        train(chosen, tmp_path / "stopped", Quiet())
    monkeypatch.setattr("asr.training.trainer.average_weights", average_weights)
    train(chosen, tmp_path / "stopped", Quiet())
    assert_same_run(whole, tmp_path / "stopped")


def test_a_second_ctrl_c_does_not_wait_for_the_end_of_the_step(tones: Path, tmp_path: Path) -> None:
    def twice(record: StepRecord) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(settings(tones), tmp_path / "run", Quiet(twice))
    train(settings(tones), tmp_path / "run", Quiet())


def test_handlers_of_signals_are_put_back(tones: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    train(settings(tones, training__epochs=1), tmp_path / "run", Quiet())
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


class Killed(BaseException):
    """Stands for a process that is no more."""


@pytest.mark.parametrize("moment", ["append_metrics", "save", "_export", "keep_epoch"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_around_any_write_of_an_epochs_end_nothing_is_lost_or_written_twice(
    tones: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, after: bool
) -> None:
    chosen = settings(tones, training__save_every_steps=5)  # step 5 is the last of the first epoch
    owner: Any = RunDir if moment == "append_metrics" else CheckpointManager
    honest = getattr(owner, moment)
    calls = 0

    def killed(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        at_epoch_end = bool(arguments) and arguments[0].kind == "epoch" if moment == "append_metrics" else True
        calls += at_epoch_end
        last = calls == (2 if moment == "save" else 1)
        if at_epoch_end and last and not after:
            raise Killed
        result = honest(self, *arguments)
        if at_epoch_end and last:
            raise Killed
        return result

    monkeypatch.setattr(owner, moment, killed)
    with pytest.raises(Killed):
        train(chosen, tmp_path / "killed", Quiet())
    monkeypatch.setattr(owner, moment, honest)
    train(chosen, tmp_path / "killed", Quiet())
    assert_same_run(whole, tmp_path / "killed")


def test_killed_before_the_first_checkpoint_it_begins_again_with_clean_metrics(
    tones: Path, whole: Path, tmp_path: Path
) -> None:
    def kill(record: StepRecord) -> None:
        if record.step == 3:
            raise Killed

    with pytest.raises(Killed):
        train(settings(tones), tmp_path / "killed", Quiet(kill))
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as stream:
        stream.write('{"a": 1}\n[1]\n{"kind": "step", "st')  # lines of others, and the one that the kill cut short
    train(settings(tones), tmp_path / "killed", Quiet())
    assert_same_run(whole, tmp_path / "killed")


def test_a_finished_run_that_is_extended_equals_one_of_as_many_epochs_from_the_beginning(
    tones: Path, tmp_path: Path
) -> None:
    def chosen(epochs: int) -> TrainSettings:  # a rate that does not follow the number of epochs
        return settings(tones, training__epochs=epochs, training__keep_last=0, schedule__name="constant")

    train(chosen(4), tmp_path / "whole", Quiet())
    train(chosen(2), tmp_path / "extended", Quiet())
    assert load_checkpoint(tmp_path / "extended" / "checkpoints" / "last.ckpt")["progress"]["finished"]
    watcher = Quiet()
    assert train(chosen(4), tmp_path / "extended", watcher).epoch == 4
    assert [one.epoch for one in watcher.epochs] == [3, 4]
    assert equal_weights(weights(tmp_path / "whole"), weights(tmp_path / "extended"))
    models = [(tmp_path / run / "model" / "model.safetensors").read_bytes() for run in ("whole", "extended")]
    assert models[0] == models[1]


def test_a_run_that_patience_ended_goes_on_with_more_patience(tones: Path, tmp_path: Path) -> None:
    def chosen(patience: int | None) -> TrainSettings:
        changes = {"training__keep_last": 0, "optimizer__learning_rate": 1e-9}  # dev never gets better
        return settings(tones, training__epochs=5, training__patience=patience, **changes)

    assert train(chosen(1), tmp_path, Quiet()).epoch == 2
    assert train(chosen(1), tmp_path, Quiet()).epoch == 2
    assert train(chosen(2), tmp_path, Quiet()).epoch == 3
    assert train(chosen(None), tmp_path, Quiet()).epoch == 5
