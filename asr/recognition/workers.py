"""Who does the work of a pool: the caller itself, or one thread a core; and how recordings are put into batches."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import torch

MAX_BATCH = 64  # windows in a batch, however short


def usable_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


class InlineExecutor(Executor):
    """Does what it is given at once, in the caller's thread."""

    def submit(self, step: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """Run ``step``; an interrupt goes through to the caller, an exception into the future."""
        future: Future[Any] = Future()
        try:
            future.set_result(step(*arguments, **named))
        except Exception as error:
            future.set_exception(error)
        return future


def start_workers(workers: int) -> Executor:
    """An executor of ``workers`` threads, each computing on one core; 1 is the caller's own thread.

    torch's kernels, audio decoding and compiled decoders let go of Python's lock, so threads keep all cores busy
    (benchmarks/transcription_speed.py), and models and language models are there once.
    """
    if workers <= 1:
        return InlineExecutor()
    return ThreadPoolExecutor(workers, "asr-worker", initializer=torch.set_num_threads, initargs=(1,))
