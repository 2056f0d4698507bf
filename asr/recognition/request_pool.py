"""Recordings that come one by one, as a server's requests do, and are computed together: their windows share batches.

In: a reader whenever there is one, from any thread. Out: a ``Task``, with its future result and its progress. Batches
change no result (law 1). A batch is planned when a worker is free, of all that waits then: under load batches fill,
and without it nobody waits for company. Recordings are read in turns, a step each, so that an hour of sound does not
keep a second of it waiting.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, TypeVar

from asr.cores import set_torch_threads
from asr.errors import AsrError, InternalError
from asr.recognition.pool import Array, Pool, Recording, Waiting, as_recording_error, is_out_of_memory, start_workers
from asr.recognition.reading import Reader
from asr.recognition.windows import Window

T = TypeVar("T")


class Task(Generic[T]):
    """One recording. ``result``: its future result; an AsrError where there is none."""

    def __init__(
        self,
        reader: Reader,
        finish: Callable[[Reader, list[Array]], T],
        take: Callable[[Reader, list[Array]], list[Array]] | None,
        frame_s: float,
    ) -> None:
        self.result: Future[T] = Future()
        self.reader, self.finish, self.frame_s = reader, finish, frame_s
        self.take = take or (lambda reader, parts: parts)
        self.frames = 0
        self.recording: Recording | None = None  # once it has begun

    def share(self) -> float:
        """How much is computed, 0 to 1; 0 while the recording's length is unknown."""
        expected_s = self.reader.expected_s or 0.0
        return min(1.0, self.frames * self.frame_s / expected_s) if expected_s > 0 else 0.0


class RequestPool(Pool[T]):
    """``submit`` and ``cancel`` from any thread; ``close`` ends it."""

    def __init__(
        self,
        compute: Callable[[Sequence[Window]], list[Array]],
        *,
        frame_s: float,
        workers: int,
        batch_frames: int,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        """``batch_frames``: padded frames in a batch at most; ``on_batch(windows)`` is told the size of each."""
        super().__init__(
            (),
            compute,
            lambda reader, parts: self._tasks[reader].finish(reader, parts),
            workers=workers,
            batch_frames=batch_frames,
            on_step=self._have_stepped,
            take=lambda reader, parts: self._tasks[reader].take(reader, parts),
        )
        self._frame_s, self._on_batch = frame_s, on_batch or (lambda windows: None)
        self._tasks: dict[Reader, Task[T]] = {}
        self._gate, self._ended = threading.Lock(), False
        self._thread = threading.Thread(target=self._work, name="asr-requests", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether recordings are still taken."""
        return not self._ended

    def submit(
        self,
        reader: Reader,
        finish: Callable[[Reader, list[Array]], T],
        take: Callable[[Reader, list[Array]], list[Array]] | None = None,
    ) -> Task[T]:
        """Compute a recording; ``finish`` makes its result of its windows' emissions, ``take`` as for ``Pool``.

        Raises InternalError once the pool is closed.
        """
        task = Task(reader, finish, take, self._frame_s)
        self._post(partial(self._begin, task))
        return task

    def cancel(self, task: Task[T]) -> None:
        """Give a recording up; its windows that are not being computed yet never are."""
        task.reader.stop()
        with self._gate:
            if not self._ended:
                self._done.put((lambda _: self._drop(task, "was cancelled"), Future()))

    def close(self) -> None:
        """Give up what is not done yet, and end the threads; safe to repeat."""
        with self._gate:
            if not self._ended:
                self._done.put((lambda _: self._end(), Future()))
        self._thread.join()

    def _post(self, act: Callable[[], None]) -> None:
        with self._gate:
            if self._ended:
                raise InternalError("recognition has ended, and takes no more recordings")
            self._done.put((lambda _: act(), Future()))

    def _work(self) -> None:
        """The thread that does all bookkeeping, as the caller of ``Pool.results`` does."""
        set_torch_threads(1)
        self._executor = start_workers(self._workers)
        try:
            while not self._ended:
                self._read_ahead()
                self._plan_batches()
                self._send_batches()
                self._take_done()
        finally:
            self._end()
            self._executor.shutdown(cancel_futures=True)

    def _end(self) -> None:
        with self._gate:
            self._ended = True
        while not self._done.empty():  # what came before the end is given up too
            then, future = self._done.get()
            then(future)
        for task in list(self._tasks.values()):
            task.reader.stop()
            self._drop(task, "was given up, because recognition ends")

    def _begin(self, task: Task[T]) -> None:
        if task.result.set_running_or_notify_cancel():
            task.recording = Recording(self._count, task.reader)
            self._count += 1
            self._tasks[task.reader] = task
            self._half_read.append(task.recording)

    def _drop(self, task: Task[T], why: str) -> None:
        if task.reader in self._tasks and task.recording is not None:
            self._fail(task.recording, AsrError(f"{task.reader.source.name or 'the recording'}: {why}"))

    def _have_stepped(self, reader: Reader, frames: int) -> None:
        if frames >= 0:
            if reader in self._tasks:
                self._tasks[reader].frames += frames
            return
        task = self._tasks.pop(reader, None)
        if task is None or task.recording is None:  # cancelled before
            return
        if isinstance(task.recording.result, BaseException):
            task.result.set_exception(task.recording.result)
        else:
            task.result.set_result(task.recording.result)

    def _next_to_read(self) -> Recording | None:
        return self._half_read.pop(0) if self._half_read else None

    def _plan_batches(self) -> None:
        if self._waiting and not self._batches and self._computes < self._workers:
            self._plan()

    def _send_batches(self) -> None:
        while self._batches and self._computes < self._workers:
            batch = self._batches.popleft()
            wanted = [one for one in batch if one.recording.result is None]  # not cancelled since it was planned
            self._held_frames -= sum(one.frames for one in batch) - sum(one.frames for one in wanted)
            if wanted:
                self._on_batch(len(wanted))
                self._compute_batch(wanted)

    def _have_computed(self, batch: list[Waiting], future: Future[Any]) -> None:
        error = future.exception()
        if error is None:
            super()._have_computed(batch, future)
            return
        self._computes -= 1
        for one in batch:
            self._held_frames -= one.frames
            if one.recording.result is None:
                self._fail(one.recording, as_recording_error(_contained(error), one.recording.reader))

    def _run(self, step: Callable[[], Any], then: Callable[[Future[Any]], None]) -> None:
        super()._run(partial(_containing, step), then)

    def _take_done(self) -> None:
        """Wait for something to book, and book all that there is."""
        while not self._ended:
            then, future = self._done.get()
            then(future)
            if self._done.empty():
                break


def _containing(step: Callable[[], T]) -> T:
    """``step()``; memory that runs out fails one recording here, because the others go on."""
    try:
        return step()
    except Exception as error:
        contained = _contained(error)
        if contained is error:
            raise
        raise contained from error


def _contained(error: BaseException) -> Exception:
    if is_out_of_memory(error):
        return AsrError("out of memory; send a shorter recording, or fewer at a time")
    return error if isinstance(error, Exception) else InternalError(repr(error))
