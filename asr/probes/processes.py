"""Trainings in parallel: each is a command of ``asr`` in a process of its own.

In: arguments of ``asr`` and run folders. Out: finished runs, with each process's output in ``FOLDER/log.txt``. Ctrl-C
and SIGTERM let all trainings save first, as does the end of this process for whatever reason.
"""

import ctypes
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from asr.errors import AsrError, Interrupted, TrainingError

POLL_S = 0.2
PR_SET_PDEATHSIG = 1
Key = tuple[str, int]  # member, seed
Say = Callable[[str], None]


def train_all(commands: Mapping[Key, list[str]], runs: Mapping[Key, Path], jobs: int, say: Say) -> None:
    """Run each command in a process of its own, ``jobs`` at a time, logging to FOLDER/log.txt.

    Raises TrainingError at the end if some failed, Interrupted after a signal.
    """
    waiting, running, failed = list(commands), dict[Key, "subprocess.Popen[bytes]"](), list[str]()
    passed_on = 0
    with _recorded_signals() as signals:
        while running or (waiting and not signals):
            while waiting and len(running) < jobs and not signals:
                key = waiting.pop(0)
                running[key] = start_training(commands[key], runs[key])
            time.sleep(POLL_S)
            for number in signals[passed_on:]:  # not in the handler: a process that has just started would miss it
                passed_on += 1
                for process in running.values():
                    process.send_signal(number)
            for key in [key for key, process in running.items() if process.poll() is not None]:
                code = running.pop(key).returncode
                outcome = "done" if code == 0 else f"ended with {code}"
                say(f"{key[0]}, seed {key[1]}: {outcome}; {len(waiting) + len(running)} left")
                if code and not signals:
                    failed.append(f"{key[0]}, seed {key[1]}: {_last_line(runs[key] / 'log.txt')}")
    if signals:
        raise Interrupted("stopped; the trainings are saved, and the same command resumes them", signals[0])
    if failed:
        raise TrainingError("\n  ".join(["trainings failed; the same command tries them again:", *failed]))


def start_training(arguments: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    """Start ``asr ARGUMENTS`` with one thread; its output goes to FOLDER/log.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # looked up here: little is safe between fork and exec
    with (folder / "log.txt").open("ab") as log:
        log.write(f"asr {shlex.join(arguments)}\n".encode())
        log.flush()
        return subprocess.Popen(
            [sys.executable, "-m", "asr", *arguments],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C reaches only this process, which passes it on once
            # if this process is killed it passes nothing on, and the same command would find the folders in use
            preexec_fn=(lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)) if prctl else None,
        )


@contextmanager
def _recorded_signals() -> Iterator[list[int]]:
    """The numbers of SIGINT and SIGTERM, in the order in which they arrive."""
    seen: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, _frame: seen.append(number)) for number in numbers]
    try:
        yield seen
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise AsrError(f"{log}: cannot be read ({error.strerror})") from None
    return next((re.sub(r"^asr: error\[[\w-]+\]: ", "", line) for line in reversed(lines) if line.strip()), str(log))
