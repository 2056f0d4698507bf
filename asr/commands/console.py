"""What several verbs show on the terminal: the progress of a training and of an evaluation, and its result.

In: the records and results of the library. Out: lines on stderr, and the result's table on stdout.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from asr.commands.options import PrintForm, print_report
from asr.terminal import Progress, format_duration

if TYPE_CHECKING:
    from asr.pipeline.evaluation import EvaluationResult
    from asr.training.records import EpochRecord, StepRecord


class ConsoleObserver:
    """Shows a run on the terminal: a progress line within the epoch, one line at its end."""

    def __init__(self) -> None:
        self._line: Progress | None = None
        self._epoch = 0

    def __enter__(self) -> "ConsoleObserver":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def message(self, text: str) -> None:
        """A line of its own."""
        self._write_line(text)

    def step(self, record: "StepRecord") -> None:
        """Moves the progress line."""
        if self._line is None or record.epoch != self._epoch:
            self._close()
            self._epoch = record.epoch
            label = f"epoch {record.epoch}/{record.epochs}"
            self._line = Progress(record.batches, label, "batches", done=record.batch - 1)
        self._line.update(record.batch - self._line.done, f"loss {record.loss:.2f}, {_left(record)}")

    def epoch(self, record: "EpochRecord") -> None:
        """The epoch's figures."""
        dev = "" if record.dev_wer is None else f"  dev WER {record.dev_wer:7.2%}  CER {record.dev_cer:7.2%}"
        mark = "  best" if record.best else ""
        head = f"epoch {record.epoch:3d}/{record.epochs}  loss {record.train_loss:8.3f}"
        self._write_line(f"{head}{dev}  {format_duration(record.seconds)}{_left_after(record)}{mark}")

    def _write_line(self, text: str) -> None:
        if self._line is not None:
            self._line.write_line(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def _close(self) -> None:
        if self._line is not None and self._line.live:
            self._line.close()
        self._line = None


def _left(record: "StepRecord") -> str:
    seconds = record.seconds / record.epochs_done * (record.epochs - record.epochs_done)
    return f"run {format_duration(seconds)} left"


def _left_after(record: "EpochRecord") -> str:
    """Also where an epoch is too short for its progress line to be read, and in a log file."""
    epochs = record.epochs - record.epoch
    return f", {format_duration(record.seconds / record.epoch * epochs)} left" if epochs else ""


@contextlib.contextmanager
def transcribing_progress() -> Iterator[Callable[[int, int], None]]:
    """A line of progress on stderr from the first call ``(done, total)`` on, in utterances."""
    with contextlib.ExitStack() as stack:
        line: Progress | None = None

        def show(done: int, total: int) -> None:
            nonlocal line
            if line is None:
                line = stack.enter_context(Progress(total, "transcribing", "utterances"))
            line.update(done - line.done)
            if done == total:
                stack.close()  # scoring shows a line of its own

        yield show


def print_evaluation(result: "EvaluationResult", print_as: PrintForm = "table") -> None:
    """The result on stdout."""
    from asr.scoring.markdown import counted

    utterances = counted(len(result.report.utterances), "utterance")
    lead = f"{utterances} of {result.manifest}; real-time factor {result.speed}"
    print_report(result.report, print_as, lead=lead, figures=result.figures, page=result.files.page)
