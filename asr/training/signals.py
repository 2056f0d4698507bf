"""Being asked to stop. In: SIGTERM or Ctrl-C. Out: a number that the loop looks at between steps, where it can save."""

import shlex
import signal
from pathlib import Path
from types import TracebackType
from typing import Self

from asr.errors import Interrupted
from asr.training.state import Progress

NUMBERS = (signal.SIGTERM, signal.SIGINT)


class StopSignal:
    """``with StopSignal() as stop:`` notes a signal in ``stop.number``; handlers are put back at the end.

    A second Ctrl-C raises KeyboardInterrupt at once: it does not wait for the step's end.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    def __enter__(self) -> Self:
        self._previous = [signal.signal(number, self._note) for number in NUMBERS]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in zip(NUMBERS, self._previous, strict=True):
            signal.signal(number, handler)

    def interruption(self, progress: Progress, run_path: Path) -> Interrupted:
        """What to raise once ``progress`` is saved: where the run stands and how it goes on."""
        number = self.number or signal.SIGTERM  # of another process, where this one has none
        where = f"epoch {progress.epoch + 1}, step {progress.step}"
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        how = f"go on with the same command, or with: asr train {shlex.quote(str(run_path))}"
        return Interrupted(f"stopped by {name} at {where}; saved. To {how}", number)

    def _note(self, number: int, _frame: object) -> None:
        if self.number == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
