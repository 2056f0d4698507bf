"""A command in a process forked from this one, which has imported torch already: seconds less than a new one takes.

What imports do, and what a fresh interpreter does, is not tested so; signals, limits, locks, exit codes and output are.
"""

import faulthandler
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORK = multiprocessing.get_context("fork")


class Forked:
    """``run()`` in a forked process, like a subprocess.Popen; its output goes to files in ``folder``.

    It ends with what ``run`` returns, or what it gives to ``sys.exit``.
    """

    def __init__(self, run: Callable[[], Any], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._said = [folder / "stdout.txt", folder / "stderr.txt"]
        self._process = FORK.Process(target=self._run, args=(run,))
        self._process.start()
        self.terminate, self.kill = self._process.terminate, self._process.kill

    def _run(self, run: Callable[[], Any]) -> None:
        for number, path in enumerate(self._said, 1):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
        sys.stdout, sys.stderr = (
            os.fdopen(number, "w", buffering=1, encoding="utf-8", closefd=False) for number in (1, 2)
        )
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
        sys.exit(run())

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Its output and its errors, once it has ended; after ``timeout`` seconds a failure says where it stands."""
        ended = self.wait(timeout) is not None
        if not ended:
            self.send_signal(signal.SIGUSR1)
            time.sleep(1)
            self.kill()
        out, errors = (path.read_text(encoding="utf-8") for path in self._said)
        assert ended, f"it did not end within {timeout} s:\n{errors}"
        return out, errors
