"""Whatever kills the process, the last checkpoint loads, and the run resumes to the same bits.

Here with forked processes, which start in no time; tests/commands and benchmarks/kill_resume.py kill real commands.
"""

import multiprocessing
import random
import signal
import statistics
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from asr.training.checkpoint import load_checkpoint
from asr.training.config import TrainSettings
from asr.training.records import StepRecord
from asr.training.start import train
from tests.faults.torture import SIZE
from tests.tiny_run import Quiet, equal_weights, settings, timeless_metrics, weights


def train_until_killed(chosen: TrainSettings, run_dir: Path, step: int, after_s: float) -> None:
    """Ended by a signal that nothing handles, ``after_s`` seconds after that step."""

    def kill(record: StepRecord) -> None:
        if record.step == step:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, after_s)

    train(chosen, run_dir, Quiet(kill))


MANY = max(12, round(200 * (SIZE or 1)))


@pytest.mark.parametrize("kills", [6, pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_killed_at_random_moments_the_checkpoint_loads_and_the_end_is_the_same_to_the_bit(
    tones: Path, tmp_path: Path, kills: int, record_property: Callable[[str, object], None]
) -> None:
    """Each kill comes after at least one more save, so that they are spread over the steps of the training."""
    chosen = settings(
        tones, data__workers=1, augment__noise_probability=0.5, training__epochs=2 + kills, training__save_every_steps=1
    )
    killed, checkpoint = tmp_path / "killed", tmp_path / "killed" / "checkpoints" / "last.ckpt"
    watcher = Quiet()
    train(chosen, tmp_path / "whole", watcher)
    step_s = statistics.median(after.seconds - before.seconds for before, after in pairwise(watcher.steps))
    furthest, planned = len(watcher.steps) // kills - 1, kills
    generator, seen = random.Random(kills), list[int]()
    middle = writing = 0
    for kill in range(kills):
        step = (seen[-1] if seen else 0) + generator.randint(2, furthest)
        arguments = (chosen, killed, step, max(1e-6, generator.uniform(0, step_s)))
        process = multiprocessing.get_context("fork").Process(target=train_until_killed, args=arguments)
        process.start()
        process.join()
        if process.exitcode == 0:  # it came to its end before the signal
            kills = kill
            break
        assert process.exitcode == -signal.SIGALRM
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
