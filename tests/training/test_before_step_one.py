"""Errors in data, settings or a checkpoint are reported before step 1, with what they are about."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.data.manifest import read_manifest, write_manifest
from asr.errors import AsrError, ConfigError, DataError, ModelError, TextError, TrainingError
from asr.files import read_json_lines
from asr.pretrained import from_pretrained
from asr.provenance import Invocation
from asr.training.checkpoint import save_checkpoint
from asr.training.config import TrainingConfig, unused_settings
from asr.training.records import StepRecord
from asr.training.run_dir import RunDir
from asr.training.setup import with_enough_epochs
from asr.training.start import train
from asr.training.step import Stepper
from tests.tiny_run import Quiet, equal_weights, make_corpus, settings, timeless_metrics, weights


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus")


def change_text(corpus: Path, split: str, texts: dict[str, str]) -> None:
    changed = [replace(one, text=texts.get(one.id, one.text)) for one in read_manifest(corpus / f"{split}.jsonl")]
    write_manifest(corpus / f"{split}.jsonl", changed)


def test_utterances_too_short_for_their_text_are_listed(corpus: Path, tmp_path: Path) -> None:
    change_text(corpus, "train", {"train4": "ab" * 40, "train7": "a" * 30})
    with pytest.raises(DataError) as caught:
        train(settings(corpus), tmp_path / "run", Quiet())
    message = str(caught.value)
    assert "2 utterances are too short" in message and "train4 (needs 80 frames" in message
    assert "train7 (needs 59 frames" in message  # 30 letters and 29 blanks between them
    assert "data.unspellable=drop" in message


def test_unspellable_drop_leaves_them_out_and_reports_them(corpus: Path, tmp_path: Path) -> None:
    change_text(corpus, "train", {"train4": "ab" * 40})
    watcher = Quiet()
    train(settings(corpus, data__unspellable="drop", training__epochs=1), tmp_path / "run", watcher)
    assert any(text.startswith("left out, too short for their text: 1 utterances: train4") for text in watcher.messages)
    assert watcher.messages[0].split(",")[0].endswith("12 utterances")


def test_with_nothing_left_to_train_on_drop_is_an_error_too(corpus: Path, tmp_path: Path) -> None:
    change_text(corpus, "train", {f"train{number}": "ab" * 40 for number in range(13)})
    with pytest.raises(DataError, match="13 utterances are too short"):
        train(settings(corpus, data__unspellable="drop"), tmp_path / "run", Quiet())


def test_training_texts_that_are_empty_once_normalised_are_listed(corpus: Path, tmp_path: Path) -> None:
    change_text(corpus, "train", {"train2": "?!", "train3": " "})
    with pytest.raises(DataError, match=r"2 utterances have no text once normalised by 'letters v.*': train2; train3"):
        train(settings(corpus), tmp_path / "run", Quiet())


def test_dev_texts_with_unknown_characters_or_none_are_scored_and_break_nothing(corpus: Path, tmp_path: Path) -> None:
    change_text(corpus, "dev", {"dev0": "żółw 漢字", "dev1": ""})
    watcher = Quiet()
    train(settings(corpus, training__epochs=1), tmp_path / "run", watcher)
    assert 0 < (watcher.epochs[0].dev_wer or 0) <= 2
    change_text(corpus, "dev", {"dev2": "żółw"})
    train(settings(corpus, training__epochs=1), tmp_path / "none", watcher)


@pytest.mark.parametrize(
    ("split", "message"), [("train", "train.jsonl: no such manifest"), ("dev", "dev.jsonl: absent; training chooses")]
)
def test_a_missing_manifest_is_reported_with_its_path(corpus: Path, tmp_path: Path, split: str, message: str) -> None:
    (corpus / f"{split}.jsonl").unlink()
    with pytest.raises(DataError, match=message):
        train(settings(corpus), tmp_path / "run", Quiet())


def test_half_precision_on_a_cpu_is_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training.precision=fp16 is for GPUs"):
        train(settings(corpus, training__precision="fp16"), tmp_path / "run", Quiet())


def test_bf16_that_would_be_slow_is_said_before_step_1(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asr.devices.processor_flags", lambda: {"avx2"})
    watcher = Quiet()
    train(settings(corpus, training__precision="bf16", training__epochs=1), tmp_path / "run", watcher)
    assert "training.precision=bf16: this processor has no instructions for it" in watcher.messages[0]


def test_data_that_changed_since_the_run_began_is_refused(corpus: Path, tmp_path: Path) -> None:
    chosen = settings(corpus)
    stop_after(3, chosen, tmp_path / "run")
    change_text(corpus, "train", {"train2": "abc"})
    with pytest.raises(TrainingError, match=r"manifest in .* has changed since this run began"):
        train(chosen, tmp_path / "run", Quiet())
    (corpus / "dev.jsonl").unlink()
    with pytest.raises(TrainingError, match=r"manifest in .* is missing"):
        train(chosen, tmp_path / "run", Quiet())


class Stopped(BaseException):
    pass


def stop_after(step: int, chosen: Any, run_dir: Path) -> None:
    def stop(record: StepRecord) -> None:
        if record.step == step:
            raise Stopped

    chosen.training.save_every_steps = 1
    with pytest.raises(Stopped):
        train(chosen, run_dir, Quiet(stop))


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_byte, "damaged, its SHA-256 does not match"),
        (lambda path: path.write_bytes(path.read_bytes()[:-7]), "damaged, its SHA-256 does not match"),
        (lambda path: path.write_bytes(b""), "not a checkpoint of this program"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "not a checkpoint of this program"),
        (lambda path: path.write_bytes(pickle.dumps({"a": 1})), "not a checkpoint of this program"),
        (lambda path: torch.save({"a": torch.zeros(1)}, path), "not a checkpoint of this program"),
        (lambda path: save_checkpoint(path, {"model": {}}), "not the checkpoint of a run, it lacks progress"),
        (lambda path: save_checkpoint(path, {"model": Path("x")}), "holds more than data, so it is not loaded"),
    ],
)
def test_a_damaged_or_foreign_checkpoint_is_refused_in_one_line(
    corpus: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    chosen = settings(corpus)
    stop_after(2, chosen, tmp_path / "run")
    damage(tmp_path / "run" / "checkpoints" / "last.ckpt")
    with pytest.raises(ModelError) as caught:
        train(chosen, tmp_path / "run", Quiet())
    assert message in str(caught.value) and "last.ckpt" in str(caught.value)
    assert "\n" not in str(caught.value) and "weights_only" not in str(caught.value)


def test_a_checkpoint_of_another_model_is_refused_in_one_line(corpus: Path, tmp_path: Path) -> None:
    chosen = settings(corpus)
    stop_after(2, chosen, tmp_path / "run")
    with pytest.raises(ModelError) as caught:
        train(settings(corpus, model__hidden_size=4), tmp_path / "run", Quiet())
    assert "does not fit this run's configuration" in str(caught.value) and "\n" not in str(caught.value)


def test_a_finished_run_reports_that_and_writes_nothing_even_without_its_data(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(settings(corpus), run, Quiet())
    before = weights(run), timeless_metrics(run), (run / "model" / "model.safetensors").read_bytes()
    for _ in range(2):
        watcher = Quiet()
        assert train(settings(corpus), run, watcher).finished
        (said,) = watcher.messages
        assert said.startswith(f"{run}: already finished, 3 epochs") and watcher.steps == []
        (corpus / "train.jsonl").unlink(missing_ok=True)
    assert equal_weights(before[0], weights(run))
    assert before[1:] == (timeless_metrics(run), (run / "model" / "model.safetensors").read_bytes())


def test_a_finished_run_writes_its_model_directory_again_where_it_was_deleted(corpus: Path, tmp_path: Path) -> None:
    import shutil

    run, chosen = tmp_path / "run", settings(corpus, training__select="average")
    train(chosen, run, Quiet())
    before = (run / "model" / "model.safetensors").read_bytes()
    facts = from_pretrained(run / "model").facts
    assert facts["averaged_epochs"] == 2
    shutil.rmtree(run / "model")
    train(chosen, run, Quiet())
    assert (run / "model" / "model.safetensors").read_bytes() == before
    assert from_pretrained(run / "model").facts == facts


def test_a_run_folder_that_cannot_be_written_is_refused_with_its_path(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="file/run: the run folder cannot be written"):
        train(settings(corpus), tmp_path / "file" / "run", Quiet())


def test_a_full_disk_is_reported_and_the_last_checkpoint_is_unchanged(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, run = settings(corpus), tmp_path / "run"
    stop_after(3, chosen, run)
    before = (run / "checkpoints" / "last.ckpt").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("asr.files.sync", full)
    monkeypatch.setattr(RunDir, "forget_metrics_after", lambda *_: None)
    monkeypatch.setattr(RunDir, "record_start", lambda *_: None)
    with pytest.raises(TrainingError, match=r"last.ckpt: cannot be saved \(No space left on device.*is unchanged"):
        train(chosen, run, Quiet())
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["last.ckpt"]


def test_each_start_is_kept_with_its_command_and_the_model_names_the_first(corpus: Path, tmp_path: Path) -> None:
    import json

    chosen, run = settings(corpus), tmp_path / "run"
    chosen.training.save_every_steps = 1
    with pytest.raises(Stopped):
        train(chosen, run, Quiet(raise_at_2), Invocation("asr train first", "abc"))
    train(chosen, run, Quiet(), Invocation("asr train again", "def"))
    starts = json.loads((run / "run.json").read_text())["starts"]
    assert [(one["command"], one["from_step"]) for one in starts] == [
        ("asr train first", 0),
        ("asr train again", 1),
    ]  # recorded before it is saved
    facts = from_pretrained(run / "model").facts
    assert facts["command"] == "asr train first" and facts["commit"] == "abc; then def"


def raise_at_2(record: StepRecord) -> None:
    if record.step == 2:
        raise Stopped


def test_a_largest_batch_that_does_not_fit_into_memory_is_refused_before_step_one(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: Any) -> None:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 10 bytes")

    monkeypatch.setattr(Stepper, "try_batch", no_memory)
    said = r"the largest batch \(4 x 0\..* s, the longest train\d+\) does not fit into memory; .*data.batching.batch_s"
    with pytest.raises(TrainingError, match=said):
        train(settings(corpus), tmp_path / "run", Quiet())
    assert read_json_lines(tmp_path / "run" / "metrics.jsonl") == []


def test_no_characters_at_all_is_a_text_error() -> None:
    from asr.text.tokenizer import TokenizerConfig, build_tokenizer

    with pytest.raises(TextError):
        build_tokenizer(TokenizerConfig(), [])


def test_a_recording_that_cannot_be_read_ends_the_run_with_its_path(corpus: Path, tmp_path: Path) -> None:
    (corpus / "train5.wav").write_bytes(b"RIFF")
    for workers in (0, 1):
        with pytest.raises(AsrError, match=r"train5.wav"):
            train(settings(corpus, data__workers=workers), tmp_path / str(workers), Quiet())


def test_without_a_dev_manifest_the_error_explains_what_dev_is_for(corpus: Path, tmp_path: Path) -> None:
    (corpus / "dev.jsonl").unlink()
    with pytest.raises(DataError, match=r"dev.jsonl: absent; training chooses its best epoch .*prepare.dev above 0"):
        train(settings(corpus), tmp_path / "run", Quiet())


# 204 steps of 18 minutes of speech ended with blanks only, 100 % WER. 13 utterances in batches of 4 are 5 steps here.
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "this run has only 15 steps (5 an epoch). From scratch CTC outputs blanks only for the first 300 steps"),
        ({}, "about 2000 until it writes words: training.epochs=400, or a lower data.batching.batch_s"),
        ({"training__max_steps": 7}, "this run has only 7 steps"),
        ({"training__accumulate": 2}, "this run has only 9 steps (3 an epoch)"),
        (
            {"training__least_steps": 31},
            "7 epochs instead of training.epochs=3, for training.least_steps=31: an epoch of this data has 5 steps"
            " (training.least_steps=null: 3 epochs)",
        ),
        ({"training__least_steps": 15}, "this run has only 15 steps"),
    ],
)
def test_too_few_steps_are_said_before_the_first_with_the_number_that_it_takes(
    corpus: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    watcher = Quiet(lambda record: (_ for _ in ()).throw(Stopped))
    with pytest.raises(Stopped):
        train(settings(corpus, **changes), tmp_path / "run", watcher)
    assert any(said in message for message in watcher.messages), watcher.messages


def test_enough_steps_and_a_trained_model_to_start_from_are_not_warned_of() -> None:
    for training, steps in ((TrainingConfig(epochs=100), 10), (TrainingConfig(init_from="model"), 1)):
        assert with_enough_epochs(training, steps) == (training, None)
    assert with_enough_epochs(TrainingConfig(epochs=99), 10)[1] is not None


def test_least_steps_lengthen_the_run_and_its_schedule_alike(corpus: Path, tmp_path: Path) -> None:
    train(settings(corpus, training__least_steps=21), tmp_path / "least", Quiet())
    train(settings(corpus, training__epochs=5), tmp_path / "given", Quiet())
    assert equal_weights(weights(tmp_path / "least"), weights(tmp_path / "given"))
    assert timeless_metrics(tmp_path / "least") == timeless_metrics(tmp_path / "given")


def test_a_model_that_has_learned_nothing_is_said_at_the_end_with_what_to_do(corpus: Path, tmp_path: Path) -> None:
    watcher = Quiet()
    train(settings(corpus, training__epochs=1, optimizer__learning_rate=1e-9), tmp_path / "run", watcher)
    last = watcher.messages[-1]
    assert last.startswith("the model has learned next to nothing (dev WER 1") and "after 5 steps" in last
    assert f"Train on: asr train {tmp_path / 'run'} training.epochs=400;" in last
    source = {"training__init_from": str(tmp_path / "run" / "model")}  # nor has one that starts from it
    train(settings(corpus, training__epochs=1, optimizer__learning_rate=1e-9, **source), tmp_path / "next", watcher)
    last = watcher.messages[-1]
    assert last.startswith("the model has learned next to nothing (dev WER 1") and "From scratch" not in last
    assert " steps). Train on: asr train" in last and "training.epochs=80;" in last and "init_from" not in last


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training__freeze_epochs": 2.0}, "training.freeze_epochs=2.0 has no effect: the training starts from"),
        ({"training__encoder_rate_factor": 0.1}, "training.encoder_rate_factor=0.1 has no effect: the training starts"),
        ({"training__loss__intermediate_head": "own"}, "training.loss.intermediate_head=own has no effect: there is"),
        ({"training__loss__intermediate_layer": 1, "training__loss__intermediate_weight": 0.3}, ""),
        (
            {"training__loss__consistency_weight": 0.2, "augment__spec_augment__frequency_masks": 0,
             "augment__spec_augment__time_masks": 0},
            "training.loss.consistency_weight=0.2: augment.spec_augment masks nothing",
        ),
        ({"training__loss__consistency_weight": 0.2, "augment__spec_augment__time_masks": 0}, ""),
        ({"training__ema_decay": 0.9, "training__select": "average"}, "training.ema_decay=0.9 has no effect: "),
        ({"training__flat_start_nats": 4.0}, "training.flat_start_nats=4.0 has no effect: flat_start_epochs=0"),
        ({"schedule__plateau_factor": 0.7}, "schedule.plateau_factor=0.7 has no effect: schedule.name is not plateau"),
        ({"schedule__plateau_factor": 0.7, "schedule__name": "plateau"}, ""),
        ({"optimizer__momentum": 0.5}, "optimizer.momentum=0.5 has no effect: optimizer.name is not sgd"),
        ({}, ""),
    ],
)  # fmt: skip
def test_settings_that_another_one_makes_useless_are_named(changes: dict[str, Any], said: str) -> None:
    found = unused_settings(settings(Path("data"), **changes))
    assert len(found) == bool(said) and all(one.startswith(said) for one in found)


def test_they_are_named_before_the_first_step(corpus: Path, tmp_path: Path) -> None:
    def nothing_yet(record: StepRecord) -> None:
        assert any("training.freeze_epochs=1.0 has no effect" in text for text in watcher.messages)

    watcher = Quiet(nothing_yet)
    train(settings(corpus, training__freeze_epochs=1.0, training__max_steps=1), tmp_path / "run", watcher)
    assert watcher.steps
