"""SIGTERM and Ctrl-C as a request that the training loop reads between steps, where it can save.

In: the process's signals. Out: ``StopRequest.signal``, and the exception that ends the run once it is saved.
"""

import shlex
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from asr.errors import Interrupted
from asr.training.checkpoint import TrainProgress

SIGNALS = (signal.SIGTERM, signal.SIGINT)
STOP_S = 15.0  # what a step may take after a signal: Slurm kills after 30 s, Docker after 10


class StepTooLong(Exception):
    """A step or dev pass goes on long after a signal."""


class StopRequest:
    """``with StopRequest() as stop:`` keeps the number of a signal in ``stop.signal``, and restores the handlers after.

    A second Ctrl-C raises KeyboardInterrupt at once: it does not wait for the step's end. ``StepTooLong`` is raised
    where that has not come after ``STOP_S``, such as by a file on a disk that does not answer.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __enter__(self) -> Self:
        self._previous = [signal.signal(number, self._on_signal) for number in SIGNALS]
        self._previous.append(signal.getsignal(signal.SIGALRM))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.signal is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in zip((*SIGNALS, signal.SIGALRM), self._previous, strict=True):
            signal.signal(number, handler)

    def may_save(self) -> None:
        """The step has ended in time: ``StepTooLong`` does not break off what is saved now, however long it takes."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def interruption(self, progress: TrainProgress, run_path: Path, outcome: str = "saved") -> Interrupted:
        """What to raise once ``progress`` is saved: where the run stopped and how to resume it."""
        number = self.signal or signal.SIGTERM  # only another process was signalled
        where = f"epoch {progress.epoch + 1}, step {progress.step}"
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        how = f"Resume with the same command, or with: asr train {shlex.quote(str(run_path))}"
        return Interrupted(f"stopped by {name} at {where}; {outcome}. {how}", number)

    def _on_signal(self, number: int, _frame: object) -> None:
        if self.signal == number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is None:
            signal.signal(signal.SIGALRM, self._on_alarm)
            signal.setitimer(signal.ITIMER_REAL, STOP_S)
        self.signal = number

    def _on_alarm(self, *_: object) -> None:
        raise StepTooLong
