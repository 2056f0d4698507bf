"""Recordings that come one by one: each result is its own, whatever is cancelled, fails or comes late."""

import threading
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest

import asr
from asr.errors import AsrError, InternalError
from asr.recognition import Recognizer
from asr.recognition.reading import file_source
from tests.server.conftest import until


@pytest.fixture(scope="module")
def recognizer(model: Path) -> Recognizer:
    return asr.load_model(model, speech_gate=False)


def submit(recognizer: Recognizer, pool: Any, path: Path) -> Any:
    return recognizer.submit(pool, file_source(path, recognizer.sample_rate))


@pytest.mark.parametrize("workers", [1, 3])
def test_each_result_is_that_of_its_recording_alone(
    recognizer: Recognizer, recordings: list[Path], workers: int
) -> None:
    batches: list[int] = []
    pool = recognizer.request_pool(workers=workers, batch_s=40.0, on_batch=batches.append)
    tasks = [submit(recognizer, pool, path) for path in recordings * 3]
    found = [task.result.result(60) for task in tasks]
    alone = [recognizer.transcribe(path) for path in recordings]
    assert [one.text for one in found] == [one.text for one in alone] * 3
    assert [task.share() for task in tasks] == [1.0] * len(tasks)
    assert max(batches) > 1
    late = submit(recognizer, pool, recordings[0])
    assert late.result.result(60).text == alone[0].text
    pool.close()
    pool.close()
    with pytest.raises(InternalError, match="ended"):
        submit(recognizer, pool, recordings[0])


def test_a_failure_and_memory_that_runs_out_fail_their_own_recordings(
    recognizer: Recognizer, recordings: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad.wav").write_text("no audio")
    pool = recognizer.request_pool(workers=2)
    tasks = [submit(recognizer, pool, path) for path in (recordings[0], tmp_path / "bad.wav", recordings[2])]
    assert "bad.wav" in str(tasks[1].result.exception(60))
    assert tasks[0].result.result(60).text and tasks[2].result.result(60).text
    real = pool._compute
    pool._compute = lambda windows: (_ for _ in ()).throw(MemoryError())
    assert "out of memory" in str(submit(recognizer, pool, recordings[3]).result.exception(60))
    pool._compute = real
    assert submit(recognizer, pool, recordings[0]).result.result(60).text == tasks[0].result.result().text
    until(lambda: pool._held_frames == pool._reads == pool._computes == 0)
    pool.close()


def test_what_is_cancelled_is_not_computed_and_what_is_left_at_the_end_is_given_up(
    recognizer: Recognizer, recordings: list[Path]
) -> None:
    pool = recognizer.request_pool(workers=1)
    real, go_on, calls = pool._compute, threading.Event(), list[int]()

    def compute(windows: Any) -> Any:
        calls.append(len(windows))
        go_on.wait(30)
        return real(windows)

    pool._compute = compute
    first = submit(recognizer, pool, recordings[0])
    until(lambda: calls)
    cancelled, kept = submit(recognizer, pool, recordings[3]), submit(recognizer, pool, recordings[1])
    pool.cancel(cancelled)
    go_on.set()
    assert kept.result.result(60).text and first.result.result(60).text
    assert "cancelled" in str(cancelled.result.exception(60))
    assert sum(calls) < 6, "of the many windows of the long one hardly any were computed"
    go_on.clear()
    left = [submit(recognizer, pool, path) for path in recordings]
    closing = threading.Thread(target=pool.close)
    closing.start()
    go_on.set()
    closing.join(30)
    done, _ = wait([task.result for task in left], 30)
    assert len(done) == len(left)
    assert all(isinstance(one.exception(), AsrError | None) for one in done)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("asr-requests")]
