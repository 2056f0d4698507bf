"""Trainings side by side: each a command of ``asr`` in a process of its own, some at a time.

In: commands and run folders. Out: finished runs; what each process said is in ``FOLDER/log.txt``. Ctrl-C and SIGTERM
let all trainings save first, and so does the end of this process, whatever ended it.
"""

import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from asr.errors import AsrError, Interrupted, TrainingError

POLL_S = 0.2
Key = tuple[str, int]  # member, seed
PR_SET_PDEATHSIG = 1


def train_all(commands: Mapping[Key, list[str]], runs: Mapping[Key, Path], jobs: int) -> None:
    """Every command in a process of its own, ``jobs`` at a time; their words go to FOLDER/log.txt.

    Raises TrainingError once all are through where some failed, Interrupted after a signal.
    """
    waiting, running, failed = list(commands), dict[Key, "subprocess.Popen[bytes]"](), list[str]()
    passed_on = 0
    with _noted() as signals:
        while running or (waiting and not signals):
            while waiting and len(running) < jobs and not signals:
                key = waiting.pop(0)
                running[key] = _start(commands[key], runs[key])
            time.sleep(POLL_S)
            for number in signals[passed_on:]:  # here and not in the handler, which one just started would miss
                passed_on += 1
                for process in running.values():
                    process.send_signal(number)
            for key in [key for key, process in running.items() if process.poll() is not None]:
                code = running.pop(key).returncode
                what = "done" if code == 0 else f"ended with {code}"
                print(
                    f"{key[0]}, seed {key[1]}: {what}; {len(waiting) + len(running)} left", file=sys.stderr, flush=True
                )
                if code and not signals:
                    failed.append(f"{key[0]}, seed {key[1]}: {_last_line(runs[key] / 'log.txt')}")
    if signals:
        raise Interrupted("stopped; the trainings are saved and go on with the same command", signals[0])
    if failed:
        raise TrainingError("\n  ".join(["trainings failed; the same command tries them again:", *failed]))


def _start(words: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    folder.mkdir(parents=True, exist_ok=True)
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # looked up here: after the fork there is little that is safe
    with (folder / "log.txt").open("ab") as log:
        log.write(f"asr {shlex.join(words)}\n".encode())
        log.flush()
        return subprocess.Popen(
            [sys.executable, "-m", "asr", *words],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # a Ctrl-C reaches us alone, and we pass it on once
            # killed, we pass nothing on, and the same command again would find the folders in use
            preexec_fn=(lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)) if prctl else None,
        )


@contextmanager
def _noted() -> Iterator[list[int]]:
    """The numbers of signals that ask us to stop, as they come."""
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
    return next((line.removeprefix("asr: error: ") for line in reversed(lines) if line.strip()), str(log))
