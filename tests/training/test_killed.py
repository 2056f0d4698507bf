"""Whatever kills the process, the last checkpoint loads, and the run resumes to the same bits.

Here with forked processes, which start in no time; tests/commands and benchmarks/kill_resume.py kill real commands.
"""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asr.training.checkpoint import load_checkpoint
from asr.training.config import TrainSettings
from asr.training.start import train
from tests.faults.torture import SIZE
from tests.tiny_run import Quiet, equal_weights, settings, timeless_metrics, weights


def start(chosen: TrainSettings, run_dir: Path) -> Any:
    process = multiprocessing.get_context("fork").Process(target=train, args=(chosen, run_dir, Quiet()))
    process.start()
    return process


def stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


MANY = max(12, round(200 * (SIZE or 1)))


@pytest.mark.parametrize("kills", [6, pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_killed_at_random_moments_the_checkpoint_loads_and_the_end_is_the_same_to_the_bit(
    tones: Path, tmp_path: Path, kills: int, record_property: Callable[[str, object], None]
) -> None:
    """Each kill comes after at least one more step, so that they are spread over the steps of the training."""
    chosen = settings(
        tones, data__workers=1, augment__noise_probability=0.5, training__epochs=2 + kills, training__save_every_steps=1
    )
    killed, checkpoint = tmp_path / "killed", tmp_path / "killed" / "checkpoints" / "last.ckpt"
    started = time.monotonic()
    train(chosen, tmp_path / "whole", Quiet())
    span_s, planned = time.monotonic() - started, kills
    seen: list[int] = []
    middle = writing = 0
    for kill in range(kills):
        clock = checkpoint if kill else killed / ".lock"
        before = stamp(clock)
        process = start(chosen, killed)
        while stamp(clock) == before and process.is_alive():
            time.sleep(0.001)
        process.join(random.uniform(0, span_s / kills))
        if not process.is_alive():  # it came to its end: the whole run was slower, on a busy machine
            kills = kill
            break
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        writing += any(killed.rglob(".*.tmp"))
        if checkpoint.exists():
            progress = load_checkpoint(checkpoint)["progress"]
            seen.append(progress["step"])
            middle += progress["batch"] > 0
    train(chosen, killed, Quiet())  # at once: the lock died with its process
    assert kills >= planned // 2
    assert seen == sorted(seen) and len(seen) >= kills - 1 and len(set(seen)) >= kills // 2
    assert middle >= kills // 4
    assert not [*killed.rglob(".*.tmp")]
    assert equal_weights(weights(tmp_path / "whole"), weights(killed))
    assert timeless_metrics(tmp_path / "whole") == timeless_metrics(killed)
    record_property("count", kills)
    record_property("note", f"{len(set(seen))} steps, {middle} times in mid-epoch, {writing} while a file was written")
