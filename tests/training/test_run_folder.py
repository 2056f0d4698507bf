"""A run's folder belongs to one process at a time, and what a killed one left in it is put right."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from asr.errors import TrainingError
from asr.training.run_dir import RunDir


def test_two_runs_never_share_a_folder_and_the_owner_is_named(tmp_path: Path) -> None:
    with (
        RunDir(tmp_path),
        pytest.raises(TrainingError, match=f"in use by process {os.getpid()}; wait for it"),
        RunDir(tmp_path),
    ):
        pass
    with RunDir(tmp_path):
        pass


def test_a_lock_ends_with_its_process_although_a_forked_worker_lives_on(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()

    def own() -> None:
        RunDir(tmp_path).__enter__()
        worker = fork.Process(target=time.sleep, args=(300,), daemon=False)
        worker.start()
        (tmp_path / "worker").write_text(str(worker.pid))
        ready.set()
        time.sleep(300)

    owner = fork.Process(target=own)
    owner.start()
    assert ready.wait(60)
    owner.kill()
    owner.join()
    worker = int((tmp_path / "worker").read_text())
    try:
        with RunDir(tmp_path):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)


def test_what_a_killed_run_left_half_written_is_deleted_and_a_model_moved_aside_restored(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "epochs").mkdir(parents=True)
    for name in ("checkpoints/.last.ckpt.x.tmp", "checkpoints/epochs/.0001.ckpt.x.tmp", ".metrics.jsonl.x.tmp"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".model.x").mkdir()
    (tmp_path / ".model.old.y" / "old").mkdir(parents=True)
    (tmp_path / ".model.old.y" / "old" / "config.json").write_text("{}")
    with RunDir(tmp_path):
        left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert left == [".lock", "model/config.json"]
