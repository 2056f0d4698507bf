"""Work on all cores: the results in their order, what goes wrong in another process, and what is left of it."""

import os
import signal
import warnings
from collections.abc import Callable

import pytest

from asr import cores
from asr.cores import in_processes
from asr.errors import DataError


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 2)


def test_results_come_in_order_from_processes_that_are_gone_afterwards() -> None:
    found = list(in_processes(lambda block: (os.getpid(), block), 7, 2))
    assert [block for _, block in found] == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 7)]
    assert len({process for process, _ in found} - {os.getpid()}) == 2
    first = next(in_processes(lambda block: (os.getpid(), block), 7, 2))[0]  # the others are never asked for
    for process in {first} | {process for process, _ in found}:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    assert list(in_processes(lambda _: os.getpid(), 2, 2)) == [os.getpid()] and not list(in_processes(str, 0))


def test_what_a_process_warns_of_is_warned_of_here() -> None:
    with pytest.warns(UserWarning) as caught:
        list(in_processes(lambda block: warnings.warn(f"block {block.start}", stacklevel=1), 2, 1))
    of_ours = [one for one in caught if one.category is UserWarning]  # Python 3.12 warns of a fork beside other threads
    assert [str(one.message) for one in of_ours] == ["block 0", "block 1"]


@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (lambda: int("x"), "invalid literal"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "a process that reads the manifest was killed"),
    ],
    ids=["raises", "is killed"],
)
def test_what_goes_wrong_in_a_process_is_raised_here(fail: Callable[[], object], message: str) -> None:
    found = in_processes(lambda block: fail() if block.start else block.stop, 4, 1)
    assert next(found) == 1
    with pytest.raises(DataError if "killed" in message else ValueError, match=message):
        next(found)
