"""Many recordings at once: their windows are pooled, sorted by length and computed in batches by one worker a core.

In: an iterable of ``Reader``s, a function from windows to their emissions, and one from a recording's emissions to its
result. Out: the results in the order of the readers, an ``AsrError`` in the place of a recording that cannot be read;
progress in seconds of audio.

The caller's thread does all bookkeeping; workers only run three kinds of steps: read some windows of one recording,
compute one batch, finish one recording. Memory is bounded however many recordings there are and however long they are:
reading pauses while two pools of windows wait or are being computed.
"""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from asr.cores import set_torch_threads, torch_threads_kept
from asr.errors import AsrError, AudioError, InternalError, without_locals
from asr.recognition.reading import Reader
from asr.recognition.windows import Window

T = TypeVar("T")
MAX_BATCH = 64  # windows in a batch, however short


def plan_batches(lengths: Sequence[float], longest_batch: float) -> Iterator[list[int]]:
    """Indices in batches of like lengths, longest first so that memory fails at once.

    Each at most ``longest_batch`` padded, in the unit of ``lengths``.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda one: -lengths[one]):
        longest = lengths[batch[0]] if batch else lengths[index]
        if batch and (longest * (len(batch) + 1) > longest_batch or len(batch) >= MAX_BATCH):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def outcome(step: Callable[[], T]) -> Future[T]:
    """The result of ``step``, run at once, or the exception that it raises; an interrupt goes through to the caller."""
    future: Future[T] = Future()
    try:
        future.set_result(step())
    except Exception as error:
        future.set_exception(error)
    return future


class InlineExecutor(Executor):
    """Runs each step at once, in the caller's thread."""

    def submit(self, step: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """The ``outcome`` of ``step`` with these arguments."""
        return outcome(partial(step, *arguments, **named))


def start_workers(workers: int) -> Executor:
    """An executor of ``workers`` threads, each computing on one core; 1 is the caller's own thread.

    torch's kernels, audio decoding and compiled decoders release the GIL, so threads keep all cores busy
    (benchmarks/transcription_speed.py), and models and language models are in memory once.
    """
    if workers <= 1:
        return InlineExecutor()
    return ThreadPoolExecutor(workers, "asr-worker", initializer=set_torch_threads, initargs=(1,))


Array = NDArray[np.float32]
STEP_FRAMES = 6000  # a reading step ends once it has as many log-mel frames
MAX_AHEAD = 1024  # recordings begun beyond the first unfinished one
TAKE_WINDOWS = 16  # of a recording that is not whole yet, given to ``take`` at a time
IN_FLIGHT = 3  # batches, and reading steps, given to the workers at a time, for each of them


@dataclass(slots=True, eq=False)
class Recording:
    """A recording that has begun."""

    order: int
    reader: Reader
    windows: Iterator[Window] | None = None  # None: not begun
    parts: dict[int, Array] = field(default_factory=dict)  # emissions by window number
    found: int = 0
    taken: int = 0  # windows whose emissions went to ``take``
    taking: bool = False
    rest: list[Array] = field(default_factory=list)  # what it left of them
    read: bool = False
    result: Any = None  # the result or the AsrError, once there is one


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A window that is to be computed."""

    recording: Recording
    number: int
    window: Window

    @property
    def frames(self) -> int:
        """Its log-mel frames."""
        return len(self.window.log_mel)


class Pool(Generic[T]):
    """``results()`` runs the whole; closing it early stops the workers. One object, one run.

    ``batch_frames``: padded log-mel frames in a batch at most. ``on_step(reader, frames)`` is called in the caller's
    thread with the output frames of each window that is done, and with -1 for a recording that is finished.
    ``take(reader, emissions)``, where given, has a long recording's emissions in order while it is being read, and
    returns those that it leaves for later: with all that came since, they go to the next ``take``, and to ``finish``.
    """

    def __init__(
        self,
        readers: Iterable[Reader],
        compute: Callable[[Sequence[Window]], list[Array]],
        finish: Callable[[Reader, list[Array]], T],
        *,
        workers: int,
        batch_frames: int,
        on_step: Callable[[Reader, int], None] | None = None,
        take: Callable[[Reader, list[Array]], list[Array]] | None = None,
    ) -> None:
        self._readers, self._compute, self._finish, self._take = iter(readers), compute, finish, take
        self._on_step = on_step or (lambda reader, frames: None)
        self._workers, self._batch_frames = workers, batch_frames
        self._pool_frames = 2 * workers * batch_frames
        self._begun: deque[Recording] = deque()  # from the first whose result is not given out yet
        self._half_read: list[Recording] = []
        self._waiting: list[Waiting] = []
        self._waiting_frames = self._held_frames = 0  # held: waiting, planned, being computed, or about to be read
        self._batches: deque[list[Waiting]] = deque()
        # What the workers have done. The caller waits here and not for futures: a Ctrl-C while it takes a future's
        # lock (``concurrent.futures.wait`` takes all) would leave the lock taken, and the workers would never end.
        self._done: SimpleQueue[tuple[Callable[[Future[Any]], None], Future[Any]]] = SimpleQueue()
        self._running = 0
        self._reads = self._computes = self._count = 0

    def results(self) -> Generator[T | AsrError, None, None]:
        """Each recording's result in order. Raises what concerns them all: memory, and errors in computing a batch."""
        self._executor: Executor = start_workers(self._workers)
        with torch_threads_kept():  # the workers' 1 would be that of any later thread
            try:
                while self._read_ahead() or self._running or self._waiting or self._batches:
                    self._plan_batches()
                    self._send_batches()
                    self._take_done()
                    while self._begun and self._begun[0].result is not None:
                        yield self._begun.popleft().result
            finally:
                for recording in self._begun:
                    recording.reader.stop()
                self._executor.shutdown(cancel_futures=True)

    def _read_ahead(self) -> bool:
        """Hand out reading steps while there is room; whether some recording is left to read."""
        while self._held_frames < 2 * self._pool_frames and self._reads < IN_FLIGHT * self._workers:
            recording = self._next_to_read()
            if recording is None:
                return False
            self._reads += 1
            self._held_frames += STEP_FRAMES
            self._run(partial(_read_some, recording), partial(self._have_read, recording))
        return True

    def _next_to_read(self) -> Recording | None:
        if self._half_read:
            earliest = min(self._half_read, key=lambda one: one.order)
            self._half_read.remove(earliest)
            return earliest
        reader = next(self._readers, None) if len(self._begun) < MAX_AHEAD else None
        if reader is None:
            return None
        self._begun.append(Recording(self._count, reader))
        self._count += 1
        return self._begun[-1]

    def _have_read(self, recording: Recording, future: Future[Any]) -> None:
        self._reads -= 1
        self._held_frames -= STEP_FRAMES
        if recording.result is not None:  # it has failed meanwhile, or was given up
            return
        try:
            windows, recording.read = future.result()
        except Exception as error:
            self._fail(recording, as_recording_error(error, recording.reader))
            return
        for window in windows:
            self._waiting.append(Waiting(recording, recording.found, window))
            recording.found += 1
        frames = sum(len(window.log_mel) for window in windows)
        self._waiting_frames += frames
        self._held_frames += frames
        if not recording.read:
            self._half_read.append(recording)
        self._finish_if_whole(recording)

    def _fail(self, recording: Recording, error: AsrError) -> None:
        recording.result = error
        recording.reader.stop()
        self._half_read = [one for one in self._half_read if one is not recording]
        dropped = sum(one.frames for one in self._waiting if one.recording is recording)
        self._waiting = [one for one in self._waiting if one.recording is not recording]
        self._waiting_frames -= dropped
        self._held_frames -= dropped
        self._on_step(recording.reader, -1)

    def _plan_batches(self) -> None:
        """Sort what waits into batches once it fills a pool, or once nothing more comes before it is computed."""
        full = self._held_frames >= 2 * self._pool_frames
        more = self._reads > 0 or (full and self._held_frames > self._waiting_frames)
        if self._waiting and (self._waiting_frames >= self._pool_frames or not more):
            self._plan()

    def _plan(self) -> None:
        plan = plan_batches([one.frames for one in self._waiting], self._batch_frames)
        self._batches.extend([self._waiting[index] for index in batch] for batch in plan)
        self._waiting, self._waiting_frames = [], 0

    def _send_batches(self) -> None:
        while self._batches and self._computes < IN_FLIGHT * self._workers:
            self._compute_batch(self._batches.popleft())

    def _compute_batch(self, batch: list[Waiting]) -> None:
        self._computes += 1
        self._run(partial(self._compute, [one.window for one in batch]), partial(self._have_computed, batch))

    def _have_computed(self, batch: list[Waiting], future: Future[Any]) -> None:
        self._computes -= 1
        for one, emissions in zip(batch, future.result(), strict=True):
            self._held_frames -= one.frames
            if one.recording.result is None:
                one.recording.parts[one.number] = emissions
                self._on_step(one.recording.reader, len(emissions))
                self._finish_if_whole(one.recording)

    def _finish_if_whole(self, recording: Recording) -> None:
        if recording.taking or recording.result is not None:
            return
        if recording.read and recording.taken + len(recording.parts) == recording.found:
            parts = self._next_parts(recording, recording.found)
            self._run(partial(self._finish, recording.reader, parts), partial(self._have_finished, recording))
        elif self._take is not None and len(recording.parts) >= TAKE_WINDOWS:
            stop = next(number for number in count(recording.taken) if number not in recording.parts)
            if stop - recording.taken >= TAKE_WINDOWS:
                recording.taking = True
                parts = self._next_parts(recording, stop)
                self._run(partial(self._take, recording.reader, parts), partial(self._have_taken, recording))

    def _next_parts(self, recording: Recording, stop: int) -> list[Array]:
        """What the last ``take`` left and the windows before ``stop``; the recording holds them no longer."""
        parts = recording.rest + [recording.parts.pop(number) for number in range(recording.taken, stop)]
        recording.rest, recording.taken = [], stop
        return parts

    def _have_taken(self, recording: Recording, future: Future[Any]) -> None:
        recording.taking = False
        try:
            recording.rest = future.result()
        except Exception as error:
            if recording.result is None:
                self._fail(recording, as_recording_error(error, recording.reader))
        self._finish_if_whole(recording)

    def _have_finished(self, recording: Recording, future: Future[Any]) -> None:
        try:
            recording.result = future.result()
        except Exception as error:
            recording.result = as_recording_error(error, recording.reader)
        self._on_step(recording.reader, -1)

    def _run(self, step: Callable[[], Any], then: Callable[[Future[Any]], None]) -> None:
        self._running += 1
        self._executor.submit(lambda: self._done.put((then, outcome(step))))

    def _take_done(self) -> None:
        """Wait until a step is done; book it and all others that are."""
        while self._running:
            then, future = self._done.get()
            self._running -= 1
            then(future)
            if self._done.empty():
                break


def is_out_of_memory(error: BaseException) -> bool:
    """Torch's errors are known by name and text, so that torch is not imported: its CPU allocator's are of no class."""
    names = {one.__name__ for one in type(error).__mro__}
    return isinstance(error, MemoryError) or "OutOfMemoryError" in names or "DefaultCPUAllocator" in str(error)


def as_recording_error(error: Exception, reader: Reader) -> AsrError:
    """``error`` as one of this recording, its cause kept. Raises it again where it concerns all: out of memory."""
    if isinstance(error, AsrError):
        return without_locals(error)
    if is_out_of_memory(error):
        raise error
    name = reader.source.name or "a recording"
    reason = " ".join((getattr(error, "strerror", None) or str(error)).split())
    wrapped: AsrError
    if isinstance(error, OSError):
        reason = reason or type(error).__name__
        wrapped = AudioError(f"{name}: cannot be read ({reason}). Check the disk that holds it.")
    else:
        wrapped = InternalError(f"{name}: internal error: {type(error).__name__}: {reason}; please report it")
    wrapped.__cause__ = error
    return without_locals(wrapped)


def _read_some(recording: Recording) -> tuple[list[Window], bool]:
    """The recording's next windows, and whether they were the last."""
    if recording.windows is None:
        recording.windows = recording.reader.windows()
    windows: list[Window] = []
    frames = 0
    for window in recording.windows:
        windows.append(window)
        frames += len(window.log_mel)
        if frames >= STEP_FRAMES:
            return windows, False
    recording.windows = None
    return windows, True


DEFAULT_BYTES_PER_S = 32_000.0  # 16-bit at 16 kHz, until a file has been seen


class PoolProgress:
    """Progress of a pool of files in seconds of audio, reported by ``progress(done_s, total_s)``.

    ``step`` is what a Pool calls; ``key`` of a reader's source is the file's place in ``paths``, and which of its
    channels this is, where each is computed by itself. The length of a file is known from its header once its reading
    begins; until then it is estimated from its size and what the files so far had per byte. ``total_s`` therefore
    changes at first, and is exact at the end.
    """

    def __init__(self, paths: Sequence[Path], frame_s: float, progress: Callable[[float, float], None]) -> None:
        self._sizes = {index: _size(path) for index, path in enumerate(paths)}  # of files not begun
        self._unread_bytes = sum(self._sizes.values())
        self._seen_bytes = 0
        self._seconds: dict[tuple[int, int], float] = {}  # of what has begun
        self._total_s = self._done_s = 0.0
        self._computed_s: dict[tuple[int, int], float] = {}
        self._frame_s, self._progress = frame_s, progress

    def step(self, reader: Reader, frames: int) -> None:
        """``frames`` output frames more of ``reader`` are computed; -1: it is finished."""
        key: tuple[int, int] = reader.source.key
        self._see(key, reader.expected_s or 0.0)
        done_s = min(self._computed_s.get(key, 0.0) + max(0, frames) * self._frame_s, self._seconds[key])
        if frames < 0:
            done_s = self._seconds[key]
        self._done_s += done_s - self._computed_s.get(key, 0.0)
        self._computed_s[key] = done_s
        self._progress(self._done_s, max(self._done_s, self._total_s + self._unread_s()))

    def _see(self, key: tuple[int, int], seconds: float) -> None:
        if key not in self._seconds:
            size = self._sizes.pop(key[0], 0)
            self._unread_bytes -= size
            self._seen_bytes += size if seconds else 0
            self._seconds[key] = seconds
            self._total_s += seconds

    def _unread_s(self) -> float:
        per_byte = self._total_s / self._seen_bytes if self._seen_bytes else 1 / DEFAULT_BYTES_PER_S
        return self._unread_bytes * per_byte


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
