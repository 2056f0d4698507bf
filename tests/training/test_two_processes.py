"""Two processes compute what one computes on the same global batches; stopped together, they resume together."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from asr.cli import main
from asr.data.batching import plan_epoch, share
from asr.data.manifest import read_manifest, write_manifest
from asr.errors import AsrError, ConfigError, TrainingError
from asr.training.checkpoint import load_checkpoint
from asr.training.config import TrainSettings
from asr.training.distributed import helper_processes
from asr.training.records import StepRecord
from asr.training.start import train
from tests.tiny_run import (
    ROOT,
    Quiet,
    equal_weights,
    make_corpus,
    make_utterance,
    overrides,
    settings,
    start_asr,
    timeless_metrics,
    weights,
    write_recipe,
)

STILL = {  # draws of dropout and masks follow the rank, so none here
    "model__dropout": 0.0, "model__output_dropout": 0.0, "model__subsampling__dropout": 0.0,
    "augment__spec_augment__frequency_masks": 0, "augment__spec_augment__time_masks": 0,
    "optimizer__learning_rate": 0.003,
}  # fmt: skip
LONE_S = 1.1  # longer than half of a global batch: a batch of its own


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine short utterances and a long one: batches of odd numbers, and of one."""
    folder = make_corpus(tmp_path_factory.mktemp("uneven"), train=9)
    lone = make_corpus(tmp_path_factory.mktemp("lone"), train=1, seed=5)
    long = make_utterance(lone, "long", "abcab", np.random.default_rng(1), LONE_S)
    write_manifest(folder / "train.jsonl", [*read_manifest(folder / "train.jsonl"), long])
    return folder


def run_asr(arguments: list[str], stderr: Path) -> int:
    """What each process runs: ``asr`` with its output on stderr in a file of its rank."""
    with stderr.with_suffix(f".{os.environ['RANK']}").open("w") as stream, contextlib.redirect_stderr(stream):
        return main(arguments)


def train_until_killed(chosen: TrainSettings, run: Path) -> None:
    """Two processes, of which one is killed after step 8."""

    def kill(record: StepRecord) -> None:
        if record.step == 8:
            os.kill(os.getpid(), signal.SIGKILL)

    train(chosen, run, Quiet(kill))


def launch_two(arguments: list[str], folder: Path) -> list[str]:
    """``asr`` in two processes; what each wrote to stderr."""
    codes = launch(run_asr, arguments, folder / "stderr")
    said = [(folder / f"stderr.{rank}").read_text() for rank in (0, 1)]
    assert codes == {0: 0, 1: 0}, said
    return said


def launch(run: Callable[..., Any], *arguments: Any) -> dict[int, Any]:
    """What ``run`` returns in two forked processes, which torchrun's own launcher starts at once."""
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=2, start_method="fork", monitor_interval=0.05, max_restarts=0,
        rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id="two",
    )  # fmt: skip
    before = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    }
    try:
        found: dict[int, Any] = elastic_launch(config, run)(*arguments)
        return found
    finally:  # the launcher leaves its own
        for number, handler in before.items():
            signal.signal(number, handler)


def torchrun(arguments: list[str], cwd: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "asr", *arguments],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def started_by_us(arguments: list[str], cwd: Path) -> "subprocess.Popen[str]":
    return start_asr([*arguments, "training.processes=2"], cwd)


def test_shares_of_a_batch_are_the_batch_and_a_lone_utterance_leaves_a_process_without() -> None:
    batch = plan_epoch([1.0, 1.0, 1.0], settings(Path()).data.batching, seed=1, epoch=0, processes=2)[0]
    shares = [share(batch, rank, 2) for rank in (0, 1)]
    assert [len(one) for one in shares] == [2, 1]
    assert sorted(one.index for part in shares for one in part) == [0, 1, 2]
    assert share(batch[:1], 1, 2) == []


def test_two_processes_started_by_torchrun_or_by_us_equal_one_with_the_same_global_batch_after_20_steps(
    uneven: Path, tmp_path: Path
) -> None:
    one = settings(uneven, training__max_steps=20, training__epochs=30, data__batching__batch_s=1.6, **STILL)
    durations = [utterance.duration_s for utterance in read_manifest(uneven / "train.jsonl")]
    speeds = one.augment.speeds
    sizes = [
        len(batch)
        for epoch in (0, 1)
        for batch in plan_epoch(durations, one.data.batching, seed=3, epoch=epoch, speeds=speeds)
    ]
    assert 1 in sizes and any(size % 2 and size > 1 for size in sizes)  # a process without a share; shares that differ

    changes = {
        "training__max_steps": 20,
        "training__epochs": 30,
        "data__batching__batch_s": 0.8,
        "data__workers": 1,
        **STILL,
    }
    changes["data__batching__max_utterances"] = 2
    train(one, tmp_path / "one", Quiet())  # first: what it imports the forked processes need not
    said = launch_two(["train", str(write_recipe(tmp_path)), *overrides(uneven, tmp_path / "two", **changes)], tmp_path)
    assert [text.count("tokens;") for text in said] == [1, 0]  # only the main process speaks

    ours = settings(uneven, training__processes=2, **changes)
    train(ours, tmp_path / "ours", Quiet())
    assert equal_weights(weights(tmp_path / "two"), weights(tmp_path / "ours"))
    assert timeless_metrics(tmp_path / "two") == timeless_metrics(tmp_path / "ours")
    assert "WORLD_SIZE" not in os.environ

    killed = settings(uneven, training__save_every_steps=7, **changes)
    with pytest.raises(ChildFailedError):
        launch(train_until_killed, killed, tmp_path / "fewer")
    watcher = Quiet()
    train(killed, tmp_path / "fewer", watcher)
    assert any("step 7; the batches of 2 processes go to 1" in said for said in watcher.messages)
    fewer = weights(tmp_path / "fewer")
    assert all(float((value - fewer[name]).abs().max()) <= 1e-5 for name, value in weights(tmp_path / "two").items())

    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    furthest = max(float((first[name] - second[name]).abs().max()) for name in first)
    print(f"furthest weight after 20 steps: {furthest:.1e}")
    assert furthest <= 1e-5
    starts = [timeless_metrics(tmp_path / run) for run in ("one", "two")]
    assert [record["step"] for record in starts[0]] == [record["step"] for record in starts[1]]
    for before, after in zip(*starts, strict=True):
        for key in before.keys() & {"loss", "grad_norm", "train_loss", "dev_loss", "dev_wer"}:
            assert after[key] == pytest.approx(before[key], rel=1e-4)


def test_two_processes_equal_one_with_two_views_an_intermediate_loss_and_an_encoder_that_is_freed(
    uneven: Path, tmp_path: Path
) -> None:
    train(settings(uneven, training__max_steps=1, **STILL), tmp_path / "source", Quiet())
    changes = {
        "training__init_from": str(tmp_path / "source" / "model"),
        "training__freeze_epochs": 0.4,
        "training__max_steps": 9,
        "training__evaluate_from_epoch": 9,
        "training__ema_decay": 0.9,
        "training__loss__consistency_weight": 0.2,
        "training__loss__intermediate_weight": 0.3,
        "training__loss__intermediate_head": "own",
        **STILL,
    }
    batches = {"data__batching__batch_s": 3.2, "data__batching__max_utterances": 8}
    halves = {"data__batching__batch_s": 1.6, "data__batching__max_utterances": 4}
    train(settings(uneven, **changes, **batches), tmp_path / "one", Quiet())
    words = overrides(uneven, tmp_path / "two", **changes, **halves)
    launch_two(["train", str(write_recipe(tmp_path)), *words], tmp_path)
    states = [load_checkpoint(tmp_path / run / "checkpoints" / "last.ckpt") for run in ("one", "two")]
    for key in ("model", "ema", "intermediate_head"):
        for name, value in states[0][key].items():
            torch.testing.assert_close(states[1][key][name], value, rtol=0, atol=1e-5)
    source = weights(tmp_path / "source")
    assert not any(torch.equal(source[name], value) for name, value in states[1]["model"].items())


def test_a_process_that_ends_ends_the_training_with_its_own_message(
    uneven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(uneven, training__processes=2)
    monkeypatch.setattr("asr.training.distributed.HELPER", "import sys; sys.exit('no memory left')")
    with pytest.raises(TrainingError, match=r"one of training\.processes=2 ended: no memory left"):
        train(chosen, tmp_path / "run", Quiet())
    assert not (tmp_path / "run").exists()


def test_processes_meet_at_a_port_that_no_other_program_can_have_taken_meanwhile(
    uneven: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as another training that starts at the same time."""
    start = subprocess.Popen
    with socket.socket() as other:

        def after_the_other(*arguments: Any, **named: Any) -> Any:
            with contextlib.suppress(OSError):
                other.bind(("127.0.0.1", int(os.environ["MASTER_PORT"])))
                other.listen()
            return start(*arguments, **named)

        monkeypatch.setattr(subprocess, "Popen", after_the_other)
        progress = train(settings(uneven, training__processes=2, training__max_steps=1), tmp_path / "run", Quiet())
    assert progress.step == 1


def test_an_error_of_the_first_process_ends_the_others(tmp_path: Path) -> None:
    before = children_of(os.getpid())  # such as another test's resource tracker
    with pytest.raises(AsrError, match="first"), helper_processes(3, settings(tmp_path), tmp_path / "run"):
        helpers = children_of(os.getpid()) - before
        assert len(helpers) == 2
        raise AsrError("first")
    assert not helpers & children_of(os.getpid())


def test_torchrun_with_another_number_of_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"training\.processes=3, but torchrun started 2"), helper_processes(3):
        pytest.fail("started")
    before = children_of(os.getpid())
    with helper_processes(2):
        assert children_of(os.getpid()) == before


def children_of(process: int) -> set[int]:
    said = Path(f"/proc/{process}/task/{process}/children").read_text()
    return {int(word) for word in said.split()}


@pytest.mark.slow
@pytest.mark.parametrize("start", [torchrun, started_by_us])
def test_two_processes_stopped_by_sigterm_save_and_resume_to_the_same_bits(
    uneven: Path, tmp_path: Path, start: "Callable[[list[str], Path], subprocess.Popen[str]]"
) -> None:
    changes = {"training__epochs": 30, "data__batching__batch_s": 0.8, "data__workers": 1}
    recipe = write_recipe(tmp_path)
    runs = {
        name: ["train", str(recipe), *overrides(uneven, tmp_path / name, **changes)] for name in ("whole", "stopped")
    }
    whole = start(runs["whole"], tmp_path)
    assert whole.wait(200) == 0

    stopped = start(runs["stopped"], tmp_path)
    checkpoint = tmp_path / "stopped" / "checkpoints" / "last.ckpt"
    while not checkpoint.exists() and stopped.poll() is None:
        time.sleep(0.01)
    stopped.send_signal(signal.SIGTERM)
    _, said = stopped.communicate(timeout=60)
    assert stopped.returncode != 0
    assert "saved. Resume" in said
    assert not load_checkpoint(checkpoint)["progress"]["finished"]

    again = start(runs["stopped"], tmp_path)
    assert again.wait(200) == 0
    assert equal_weights(weights(tmp_path / "whole"), weights(tmp_path / "stopped"))
    assert timeless_metrics(tmp_path / "whole") == timeless_metrics(tmp_path / "stopped")
