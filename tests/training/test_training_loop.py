"""The loop's own laws: averaging, learning rates, what is kept, what is said, what stops it."""

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from asr import cores
from asr.ctc.loss import penalise_blank
from asr.data import manifest as manifest_module
from asr.data import passes as passes_module
from asr.data.manifest import read_manifest, write_manifest
from asr.errors import ConfigError
from asr.files import read_json_lines
from asr.pretrained import from_pretrained
from asr.training.checkpoint import average_weights, load_checkpoint
from asr.training.config import ScheduleConfig, TrainingConfig
from asr.training.evaluate import DevResult, DevUtterances, plateau_warning
from asr.training.logs import RunLogs
from asr.training.start import train
from asr.training.step import learning_rate_factor
from tests.tiny_run import Quiet, equal_weights, make_corpus, make_utterance, settings, weights


def test_a_large_manifest_is_trained_on_as_a_small_one_and_its_texts_are_gone_through_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same weights, messages and alphabet: read as a list, from the file, and by what was kept of it."""
    lexicon = tmp_path / "lexicon"
    lexicon.write_text("".join(f"{one} {' '.join(one.upper())}\n" for one in ("ab", "bc", "ca", "abc", "a", "b")))
    data = make_corpus(tmp_path / "data")
    short = make_utterance(data, "short", "abcabc", np.random.default_rng(1), 0.05)
    write_manifest(data / "train.jsonl", [*read_manifest(data / "train.jsonl"), short])
    changes = {"training__loss__intermediate_weight": 0.3, "training__loss__intermediate_lexicon": str(lexicon)}
    chosen = settings(data, training__epochs=1, data__unspellable="drop", data__cache_mb=0, **changes)
    runs, passes = [], []
    for number, bytes_ in enumerate((10**9, 0, 0)):
        monkeypatch.setattr(manifest_module, "LARGE_BYTES", bytes_)
        if number == 1:
            monkeypatch.setattr(cores, "usable_cores", lambda: 2)
            monkeypatch.setattr(cores, "BLOCK", 5)  # so that two processes read it
        if number == 2:
            monkeypatch.setattr(passes_module, "keep_columns", lambda path, *_: passes.append(path.name))
        watcher, run = Quiet(), tmp_path / str(number)
        train(chosen, run, watcher)
        messages = [one.replace(str(run), "RUN") for one in watcher.messages]
        runs.append((weights(run), [one.loss for one in watcher.steps], messages, (run / "alphabet.tsv").read_text()))
    for other in runs[1:]:
        assert equal_weights(runs[0][0], other[0]) and runs[0][1:] == other[1:]
    assert any("left out, too short" in one for one in runs[0][2]) and any("phones" in one for one in runs[0][2])
    assert passes == []


@pytest.mark.parametrize(
    ("name", "done", "expected"),
    [
        ("cosine", 0.0, 0.0), ("cosine", 1.0, 0.5), ("cosine", 2.0, 1.0),
        ("cosine", 6.0, 0.505), ("cosine", 10.0, 0.01), ("linear", 6.0, 0.505), ("linear", 10.0, 0.01),
        ("cosine", 4.0, 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi / 4))),
        ("constant", 9.0, 1.0), ("inverse_sqrt", 2.0, 1.0), ("inverse_sqrt", 8.0, 0.5), ("plateau", 5.0, 1.0),
    ],
)  # fmt: skip
def test_the_learning_rate_is_the_closed_form_of_progress(name: str, done: float, expected: float) -> None:
    config = ScheduleConfig(name=name, warmup_epochs=2.0, final_factor=0.01)
    assert learning_rate_factor(done, 10, config) == pytest.approx(expected)


def test_plateau_cuts_multiply_down_to_the_final_factor() -> None:
    config = ScheduleConfig(name="plateau", warmup_epochs=0, final_factor=0.1, plateau_factor=0.5)
    assert [learning_rate_factor(3, 10, config, cuts) for cuts in (0, 1, 2, 3, 4)] == [1, 0.5, 0.25, 0.125, 0.1]


def test_the_blanks_penalty_falls_in_a_straight_line_to_none() -> None:
    config = TrainingConfig(flat_start_epochs=2.0, flat_start_nats=8.0)
    assert [config.blank_penalty(done) for done in (0, 0.5, 1, 1.75, 2, 30)] == [8, 6, 4, 1, 0, 0]
    assert TrainingConfig().blank_penalty(0) == 0


def test_a_flat_start_penalises_the_blank_of_its_own_epochs_alone(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def lower(log_probs: torch.Tensor, nats: float) -> torch.Tensor:
        asked.append(nats)
        return penalise_blank(log_probs, nats)

    monkeypatch.setattr("asr.training.step.penalise_blank", lower)
    watcher = Quiet()
    train(settings(tones, training__flat_start_epochs=1, training__flat_start_nats=6), tmp_path / "run", watcher)
    steps = sum(one.epoch == 1 for one in watcher.steps)
    assert steps < len(watcher.steps) and asked == pytest.approx([6 * (1 - done / steps) for done in range(steps)])


def test_averaging_is_the_mean_of_weights() -> None:
    states = [
        {"w": torch.tensor([1.0, 2.0]), "b": torch.tensor(3.0)},
        {"w": torch.tensor([2.0, 6.0]), "b": torch.tensor(0.0)},
    ]
    mean = average_weights(states)
    assert mean["w"].tolist() == [1.5, 4.0] and mean["b"].item() == 1.5 and mean["w"].dtype == torch.float32


def scripted(
    monkeypatch: pytest.MonkeyPatch,
    wers: list[float],
    empty_share: float = 0.0,
    cers: Sequence[float] | None = None,
    losses: Sequence[float] | None = None,
) -> list[float]:
    """Make dev passes report ``wers``, one after another."""
    left, passes = list(wers), zip(cers or [0.5] * len(wers), losses or [1.0] * len(wers), strict=True)

    def evaluate(*_: Any) -> DevResult:
        cer, loss = next(passes)
        return DevResult(wer=left.pop(0), cer=cer, loss=loss, blank_share=1.0, empty_share=empty_share)

    monkeypatch.setattr("asr.training.trainer.evaluate_dev", evaluate)
    return left


def test_the_best_epoch_is_kept_and_the_last_two_are_averaged(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = scripted(monkeypatch, [0.5, 0.2, 0.3, 0.25])  # three epochs, then the average
    watcher = Quiet()
    train(settings(tones), tmp_path, watcher)
    assert left == [] and [one.best for one in watcher.epochs] == [True, True, False]
    assert (
        watcher.messages[-1]
        == "average of the last 2 epochs: dev WER 25.00%; not kept: the best single epoch is better"
    )
    kept = load_checkpoint(tmp_path / "checkpoints" / "epochs" / "0002.ckpt")["model"]
    model = from_pretrained(tmp_path / "model")
    assert equal_weights(dict(model.model.state_dict()), kept)
    assert (model.facts["epoch"], model.facts["dev_wer"], model.facts["averaged_epochs"]) == (2, 0.2, 1)
    assert sorted(path.name for path in (tmp_path / "checkpoints" / "epochs").iterdir()) == ["0002.ckpt", "0003.ckpt"]


# A real corpus, where epoch 1 stayed the best until epoch 8 although CER fell from 77 to 55 %: its insertions were few.
EARLY_WERS, EARLY_CERS, EARLY_LOSSES = [1.06, 1.12, 1.09, 0.98], [0.77, 0.66, 0.55, 0.60], [3.0, 2.0, 2.5, 2.6]


@pytest.mark.parametrize(
    ("select_by", "best"),
    [("wer", [True, True, True, True]), ("cer", [True, True, True, False]), ("loss", [True, True, False, False])],
)
def test_the_best_epoch_is_chosen_by_wer_of_at_most_1_then_cer_or_by_the_figure_asked_for(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, select_by: str, best: list[bool]
) -> None:
    scripted(monkeypatch, EARLY_WERS, cers=EARLY_CERS, losses=EARLY_LOSSES)
    watcher = Quiet()
    chosen = settings(tones, training__epochs=4, training__keep_last=0, training__select_by=select_by)
    train(chosen, tmp_path, watcher)
    assert [one.best for one in watcher.epochs] == best
    assert from_pretrained(tmp_path / "model").facts["epoch"] == 4 - best[::-1].index(True)


def test_insertions_above_100_percent_neither_stop_early_nor_cut_the_rate(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, EARLY_WERS[:3], cers=EARLY_CERS[:3])
    watcher = Quiet()
    changes = {"schedule__name": "plateau", "schedule__warmup_epochs": 0, "training__keep_last": 0}
    train(settings(tones, training__patience=1, **changes), tmp_path, watcher)
    assert [one.learning_rate for one in watcher.epochs] == [0.01, 0.01, 0.01]


def test_an_average_of_first_epochs_that_an_early_end_has_left_warns_then(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.5, 0.6, 0.7, 0.8])
    watcher = Quiet()
    chosen = settings(
        tones, training__epochs=12, training__patience=2, training__select="average", training__keep_last=4
    )
    train(chosen, tmp_path, watcher)
    assert not any("the first ones" in message for message in watcher.messages[:-1])
    assert "the average of the last 3 of 3 epochs includes the first ones" in watcher.messages[-1]


def test_a_better_average_becomes_the_model(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [0.5, 0.4, 0.3, 0.1])
    train(settings(tones), tmp_path, Quiet())
    epochs = [load_checkpoint(tmp_path / "checkpoints" / "epochs" / f"000{epoch}.ckpt")["model"] for epoch in (2, 3)]
    model = from_pretrained(tmp_path / "model")
    for name, value in model.model.state_dict().items():
        torch.testing.assert_close(value, (epochs[0][name] + epochs[1][name]) / 2)
    assert (model.facts["averaged_epochs"], model.facts["dev_wer"]) == (2, 0.1)
    assert equal_weights(weights(tmp_path), epochs[1])  # the checkpoint still holds the last epoch's


def test_the_average_is_the_model_whatever_its_dev_wer_where_the_recipe_selects_it(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.5, 0.2, 0.3, 0.4])
    watcher = Quiet()
    train(settings(tones, training__select="average"), tmp_path, watcher)
    assert watcher.messages[-1] == (
        "average of the last 2 epochs: dev WER 40.00%; kept (training.select=average); the best single epoch has 20.00%"
    )
    model = from_pretrained(tmp_path / "model")
    assert (model.facts["averaged_epochs"], model.facts["dev_wer"]) == (2, 0.4)
    with pytest.raises(ConfigError, match=r"training\.select=average needs 2 epochs to average"):
        settings(tones, training__select="average", training__keep_last=1)


@pytest.mark.parametrize(("keep_last", "select", "said"), [(3, "average", 1), (2, "average", 0), (3, "dev", 0)])
def test_an_average_that_includes_the_first_epochs_warns_before_step_1(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep_last: int, select: str, said: int
) -> None:
    scripted(monkeypatch, [0.9, 0.5, 0.2, 0.4])
    watcher = Quiet()
    train(settings(tones, training__select=select, training__keep_last=keep_last), tmp_path, watcher)
    assert sum("the first ones, which have learned little" in message for message in watcher.messages) == said
    assert watcher.messages[-1].startswith(f"average of the last {keep_last} epochs: dev WER 40.00%")


def test_patience_stops_after_so_many_epochs_without_a_better_dev_wer(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.5, 0.4, 0.6, 0.45, 0.1, 0.1])
    watcher = Quiet()
    train(settings(tones, training__epochs=9, training__patience=2, training__keep_last=0), tmp_path, watcher)
    assert [one.epoch for one in watcher.epochs] == [1, 2, 3, 4]


def test_plateau_halves_once_for_each_patience_without_a_better_dev_wer(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [0.5] * 7)
    watcher = Quiet()
    chosen = settings(
        tones,
        training__epochs=7,
        training__keep_last=0,
        schedule__name="plateau",
        schedule__plateau_patience=2,
        schedule__warmup_epochs=0,
    )
    train(chosen, tmp_path, watcher)
    rates = [one.learning_rate / 0.01 for one in watcher.epochs]
    assert rates == pytest.approx([1, 1, 1, 0.5, 0.5, 0.25, 0.25])


@pytest.mark.parametrize(
    "changes", [{"training__max_steps": 3}, {"training__keep_last": 0}, {"training__keep_last": 2}]
)
def test_a_run_without_a_dev_pass_leaves_a_model_all_the_same(
    tones: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    train(settings(tones, training__evaluate_from_epoch=99, **changes), tmp_path, Quiet())
    assert from_pretrained(tmp_path / "model").facts["dev_wer"] > 0


def test_blanks_only_after_three_epochs_warn_once_with_what_helps(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, [1.0] * 6, empty_share=1.0)
    watcher = Quiet()
    train(settings(tones, training__epochs=5), tmp_path, watcher)
    said = [text for text in watcher.messages if "blank-only plateau" in text]
    assert len(said) == 1 and said[0].startswith("after 3 epochs") and "warm-up" in said[0]


@pytest.mark.parametrize(
    ("texts", "wer", "epoch", "said"),
    [("aaaaa", 0.9, 3, True), ("aaaab", 0.9, 3, False), ("aaaa", 0.9, 3, False), ("aaaaa", 0.4, 3, False),
     ("aaaaa", 0.9, 4, False)],
)  # fmt: skip
def test_one_text_for_all_after_three_epochs_warns_with_what_helps(
    texts: str, wer: float, epoch: int, said: bool
) -> None:
    utterances = DevUtterances([1] * len(texts), [1] * len(texts), dict(enumerate(texts)))
    dev = DevResult(wer=wer, cer=0.5, loss=2.3, blank_share=0.9, empty_share=0.0, utterances=utterances)
    found = plateau_warning(epoch, dev)
    assert (found is not None) == said
    assert not said or ("all have the same text, 'a'" in str(found) and "training.flat_start_epochs=2" in str(found))


def test_metrics_hold_a_line_for_each_epoch_and_every_tenth_step(tones: Path, tmp_path: Path) -> None:
    train(settings(tones), tmp_path, Quiet())
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [one["step"] for one in lines if one["kind"] == "step"] == [10]
    assert [one["epoch"] for one in lines if one["kind"] == "epoch"] == [1, 2, 3]
    assert {"train_loss", "dev_wer", "dev_cer", "dev_loss", "seconds", "audio_s", "learning_rate"} <= lines[-1].keys()


def test_curves_and_tensorboard_are_left(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draw_curves: Callable[..., None]
) -> None:
    monkeypatch.setattr(RunLogs, "draw", draw_curves)
    with monkeypatch.context() as patch:  # no memory left for its libraries
        patch.setitem(sys.modules, "matplotlib.figure", None)
        train(settings(tones, training__epochs=1), tmp_path / "undrawn", Quiet())
    assert not (tmp_path / "undrawn" / "curves.png").exists()
    train(settings(tones, training__tensorboard=True, training__epochs=2), tmp_path, Quiet())
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = (tmp_path / "tensorboard").glob("events.*")
    found = EventAccumulator(str(file)).Reload()
    assert found.Tags()["scalars"] == [
        "train/loss", "train/grad_norm", "train/learning_rate",
        "dev/wer", "dev/cer", "dev/loss", "dev/blank_share", "dev/empty_share", "dev/seconds",
    ]  # fmt: skip
    kept = [one for one in read_json_lines(tmp_path / "metrics.jsonl") if one["kind"] == "epoch"]
    for tag in ("wer", "loss"):
        assert [one.value for one in found.Scalars(f"dev/{tag}")] == pytest.approx([one[f"dev_{tag}"] for one in kept])
    assert [one.step for one in found.Scalars("train/loss")] == [1, 10]
