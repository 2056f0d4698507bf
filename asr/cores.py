"""How many processor cores there are for a process, and torch's threads where torch is used; without importing it."""

import contextlib
import os
import sys
from collections.abc import Iterator


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
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def torch_threads() -> int | None:
    """The threads of one of torch's operations on the CPU; None where torch has not been imported."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


def set_torch_threads(count: int | None) -> None:
    """Set them, where torch has been imported and ``count`` is given."""
    torch = sys.modules.get("torch")
    if torch is not None and count:
        torch.set_num_threads(count)
