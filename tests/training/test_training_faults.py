"""What goes wrong in a step: a loss that is no number, no memory, a signal that it does not let through."""

import contextlib
import itertools
import json
import math
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.data.dataset import Batch, SpeechDataset
from asr.data.manifest import read_manifest
from asr.errors import Interrupted, TrainingError
from asr.training.checkpoint import CheckpointManager, TrainProgress
from asr.training.records import StepRecord
from asr.training.start import train
from asr.training.step import Stepper
from asr.training.trainer import Trainer
from tests.tiny_run import Quiet, equal_weights, settings, timeless_metrics, weights


@pytest.fixture(scope="module")
def whole(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run to which nothing happens."""
    folder = tmp_path_factory.mktemp("whole")
    train(settings(tones), folder, Quiet())
    return folder


def test_a_loss_that_is_not_finite_lists_the_utterances(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def infinite(log_probs: torch.Tensor, *_: Any) -> torch.Tensor:
        losses = log_probs.sum(dim=(1, 2))
        losses[0] = math.inf
        return losses

    monkeypatch.setattr("asr.training.step.ctc_loss", infinite)
    with pytest.raises(TrainingError, match=r"the loss of 1 of \d utterances is not a finite number: train\d+;"):
        train(settings(tones, training__dry_run=False), tmp_path, Quiet())


def test_a_step_without_a_finite_loss_is_skipped_and_its_batch_is_named_and_kept(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if train4 gave NaN whenever it is heard; the run goes on, is stopped after it, and resumes to the same end."""
    honest = Stepper._losses

    def poisoned(self: Stepper, batch: Batch, *rest: Any) -> torch.Tensor:
        losses = honest(self, batch, *rest)
        return losses * torch.tensor([math.nan if self.ids[one] == "train4" else 1.0 for one in batch.indices])

    monkeypatch.setattr(Stepper, "_losses", poisoned)
    chosen, watcher = settings(tones, training__dry_run=False, training__save_every_steps=3), Quiet()
    train(chosen, tmp_path / "run", watcher)
    assert watcher.epochs[-1].skipped == 3  # one an epoch
    assert all(math.isfinite(one.train_loss) for one in watcher.epochs)
    assert all(bool(torch.isfinite(value).all()) for value in weights(tmp_path / "run").values())
    kept = [json.loads(line) for line in (tmp_path / "run" / "skipped.jsonl").read_text().splitlines()]
    assert [one["epoch"] for one in kept] == [1, 2, 3]
    for one in kept:
        cause = f"the loss of 1 of {len(one['batch'])} utterances is not a finite number: train4"
        assert one["cause"] == cause and f"step {one['step']} is skipped: {cause}; its batch is" in str(
            watcher.messages
        )
        (found,) = (part for part in one["batch"] if part["id"] == "train4")
        assert found["audio"].endswith("train4.wav") and found["speed"] in chosen.augment.speeds

    def stop(record: StepRecord) -> None:
        if record.step == kept[0]["step"] + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(chosen, tmp_path / "stopped", Quiet(stop))
    train(chosen, tmp_path / "stopped", Quiet())
    for name in ("skipped.jsonl", "checkpoints/epochs/0003.ckpt"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


@pytest.mark.parametrize(
    ("place", "said"),
    [((SpeechDataset, "_waveform"), "did not end within"), ((Trainer, "_evaluate"), "saved. Resume")],
    ids=["step", "dev pass"],
)
def test_a_signal_ends_what_does_not_end_by_itself(
    tones: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[type, str], said: str
) -> None:
    """As on a disk that does not answer, or in a dev pass of many processes."""
    chosen = settings(tones, training__save_every_steps=1)

    def hang(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    def begin(record: StepRecord) -> None:
        if record.step == 7:
            monkeypatch.setattr(*place, hang)

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match=rf"stopped by SIGTERM at epoch 2.*{said}"):
        patch.setattr("asr.training.stop.STOP_S", 0.2)
        train(chosen, tmp_path / "run", Quiet(begin))
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    train(chosen, tmp_path / "run", Quiet())
    assert equal_weights(weights(whole), weights(tmp_path / "run"))
    assert timeless_metrics(whole) == timeless_metrics(tmp_path / "run")


def test_a_signal_does_not_break_off_the_saving_that_it_asks_for(
    tones: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = CheckpointManager.save

    def slowly(self: CheckpointManager, progress: TrainProgress) -> None:
        if progress.step == 7:
            left_s, _ = signal.getitimer(signal.ITIMER_REAL)
            time.sleep(left_s and left_s + 0.1)  # until what would break it off has come
        save(self, progress)

    def stop(record: StepRecord) -> None:
        if record.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    chosen = settings(tones)
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match=r"stopped by SIGTERM at .* step 7; saved"):
        patch.setattr(CheckpointManager, "save", slowly)
        train(chosen, tmp_path / "run", Quiet(stop))
    train(chosen, tmp_path / "run", Quiet())
    assert equal_weights(weights(whole), weights(tmp_path / "run"))


def test_a_clock_that_jumps_changes_nothing(
    tones: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forth and back by years; the run is stopped, and resumed before the time at which its files were written."""
    jumps = itertools.cycle([0.0, 4e9, 1e9, 1.8e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))

    def stop(record: StepRecord) -> None:
        if record.step == 8:
            raise KeyboardInterrupt

    chosen = settings(tones, training__save_every_steps=1)
    with pytest.raises(KeyboardInterrupt):
        train(chosen, tmp_path, Quiet(stop))
    for path in [*tmp_path.rglob("*"), *tmp_path.rglob(".*")]:
        os.utime(path, (4e9, 4e9))
    watcher = Quiet()
    train(chosen, tmp_path, watcher)
    assert equal_weights(weights(whole), weights(tmp_path))
    assert timeless_metrics(whole) == timeless_metrics(tmp_path)
    seconds = [one.seconds for one in watcher.steps]
    assert seconds == sorted(seconds) and seconds[0] > 0 and seconds[-1] < 600


def test_memory_that_runs_out_in_a_step_names_the_longest_utterance_and_the_run_goes_on(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(tones, training__save_every_steps=1, training__dry_run=False)
    heard: list[list[int]] = []

    def full(self: Stepper, batches: Sequence[Batch], *_: Any) -> None:
        heard.extend(one.indices for one in batches)
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    def begin(record: StepRecord) -> None:
        if record.step == 6:
            monkeypatch.setattr(Stepper, "step", full)

    with pytest.raises(TrainingError, match=r"step 7 \(\d x 0\.\d s, the longest train\d+\) does not fit") as caught:
        train(chosen, tmp_path, Quiet(begin))
    lengths_s = {one.id: one.duration_s for one in read_manifest(tones / "train.jsonl")}
    ids = list(lengths_s)
    named = str(caught.value).partition("the longest ")[2].partition(")")[0]
    slowest = max(chosen.augment.speeds) / min(chosen.augment.speeds)
    assert lengths_s[named] * slowest >= max(lengths_s[ids[index]] for index in heard[0])
    monkeypatch.undo()
    assert train(chosen, tmp_path, Quiet()).finished


def poison(monkeypatch: pytest.MonkeyPatch, bad_steps: set[int]) -> None:
    calls = 0
    honest = Stepper.step

    def run(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        handle = next(self.model.parameters()).register_hook(
            lambda gradient: gradient * math.nan if calls in bad_steps else gradient
        )
        try:
            return honest(self, *arguments)
        finally:
            handle.remove()

    monkeypatch.setattr(Stepper, "step", run)


def test_a_gradient_that_is_not_finite_skips_the_step(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, {2, 3})
    watcher = Quiet()
    train(settings(tones), tmp_path, watcher)
    assert watcher.epochs[-1].skipped == 2
    assert all(bool(torch.isfinite(value).all()) for value in weights(tmp_path).values())


def test_ten_such_steps_in_a_row_end_the_run(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, set(range(2, 99)))
    where = "in the last one the gradient of subsampling.* is not a finite number"
    with pytest.raises(TrainingError, match=rf"not finite in 10 steps in a row \(step 11\); {where}"):
        train(settings(tones), tmp_path, Quiet())


@pytest.mark.parametrize("interrupted", [False, True])
def test_torch_is_as_before_for_what_follows_in_the_process(tones: Path, tmp_path: Path, interrupted: bool) -> None:
    def stop(record: StepRecord) -> None:
        if interrupted:
            raise KeyboardInterrupt

    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        state = torch.get_rng_state()
        with pytest.raises(KeyboardInterrupt) if interrupted else contextlib.nullcontext():
            train(settings(tones, training__threads=1, training__epochs=1), tmp_path, Quiet(stop))
        assert torch.get_num_threads() == 3 and torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(threads)
