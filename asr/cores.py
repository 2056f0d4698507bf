"""How many processor cores there are for a process, work on all of them, and torch's threads where torch is used.

In: a function and how many items it is for. Out: what it makes of them in blocks, in their order. It imports no torch.
"""

import contextlib
import gc
import multiprocessing
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from asr.errors import ConfigError, DataError

_T = TypeVar("_T")
BLOCK = 20_000  # items that one process computes at a time; fewer are not worth a process


@contextlib.contextmanager
def limited_cores(count: int) -> Iterator[None]:
    """Inside, this thread and those it starts use ``count`` cores at most: for measurements of so many (on Linux)."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def usable_cores() -> int:
    """Processor cores for this process: those that it may use, shared with the others of a distributed training."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // _of_torchrun("LOCAL_WORLD_SIZE", 1, least=1))


def rank_and_count() -> tuple[int, int]:
    """This process's number among those of a distributed training, and theirs; 0 and 1 where it is alone.

    Raises ConfigError where RANK and WORLD_SIZE contradict each other: alone, a process of rank 1 would write nothing.
    """
    rank, count = _of_torchrun("RANK", 0), _of_torchrun("WORLD_SIZE", 1, least=1)
    if rank >= count:
        raise ConfigError(
            f"environment: RANK={rank} is not below WORLD_SIZE={count}; start the training with torchrun, which sets"
            " both, or unset them"
        )
    return rank, count


def local_rank() -> int:
    """This process's number among those of this machine. Raises ConfigError."""
    return _of_torchrun("LOCAL_RANK", 0)


def _of_torchrun(name: str, default: int, least: int = 0) -> int:
    text = os.environ.get(name) or str(default)
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < least:
        raise ConfigError(
            f"environment: {name}={text!r} is no whole number from {least} on; start a distributed training with"
            f" torchrun, which sets it, or unset {name}"
        )
    return int(text)


_keeping, _keepers, _kept = threading.Lock(), 0, None


@contextlib.contextmanager
def torch_threads_kept() -> Iterator[None]:
    """torch's number of threads is restored once the last of those inside, in whatever thread, has left."""
    global _keepers, _kept
    with _keeping:
        if not _keepers and (torch := sys.modules.get("torch")):
            _kept = torch.get_num_threads()
        _keepers += 1
    try:
        yield
    finally:
        with _keeping:
            _keepers -= 1
            if not _keepers:
                set_torch_threads(_kept)


def set_torch_threads(count: int | None) -> None:
    """Set them, where torch has been imported and ``count`` is given."""
    torch = sys.modules.get("torch")
    if torch is not None and count:
        torch.set_num_threads(count)


def in_processes(function: Callable[[slice], _T], count: int, block: int | None = None) -> Iterator[_T]:
    """``function`` of each ``block`` (BLOCK) of ``count`` items, in their order, computed on all cores.

    The processes are forks of this one: nothing is sent to them, and what ``function`` returns comes back pickled. It
    must not compute with torch, whose threads a fork lacks. What it raises or warns of is raised or warned of here.
    Without other processes where there is one block or core, off the main thread, in a data worker, and where the
    system cannot fork safely.

    Raises DataError where a process was killed.
    """
    size = block or BLOCK
    blocks = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    processes = min(usable_cores(), len(blocks))
    may_fork = sys.platform == "linux" and threading.current_thread() is threading.main_thread()
    if processes < 2 or not may_fork or multiprocessing.current_process().daemon:
        yield from map(function, blocks)
        return
    context = multiprocessing.get_context("fork")
    children = list[tuple[BaseProcess, Connection]]()
    try:
        for number in range(processes):
            here, there = context.Pipe(duplex=False)
            work = (function, blocks[number::processes], here, there)
            child: BaseProcess = context.Process(target=_send_results, args=work, daemon=True)
            child.start()
            children.append((child, here))
            there.close()
        for number in range(len(blocks)):
            found, error, warned = children[number % processes][1].recv()
            for warning in warned:
                warnings.warn_explicit(*warning)
            if error is not None:
                raise error
            yield found
    except EOFError:
        message = "data: a process that reads the manifest was killed, perhaps because memory ran out; free some, then"
        raise DataError(f"{message} run the same command again") from None
    finally:
        for child, pipe in children:
            pipe.close()
            child.kill()
            child.join()


def _send_results(function: Callable[[slice], Any], blocks: list[slice], here: Connection, there: Connection) -> None:
    """In a child: compute and send, until nobody reads any more."""
    here.close()  # so that only the parent reads: where it is gone, sending fails
    gc.disable()  # it would copy all of the parent's memory
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole process group; the parent ends its children
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        for block in blocks:
            with warnings.catch_warnings(record=True) as caught:
                try:
                    result: tuple[Any, Exception | None] = function(block), None
                except Exception as error:
                    result = None, error
            there.send((*result, [(one.message, one.category, one.filename, one.lineno) for one in caught]))
