"""``asr transcribe MODEL PATHS...``: audio files, folders or standard input to transcripts, printed or in files.

In: a model directory and recordings. Out: each transcript as soon as it is ready, in the order of the recordings. One
that cannot be read is named on stderr (and in OUTPUT_DIR/failures.jsonl), the others go on, and the exit code is 1.
What is done stays done: after Ctrl-C the same command with --skip-existing goes on.
"""

import contextlib
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from asr.commands._inputs import find_inputs
from asr.commands._transcribe_options import build_parser, parse_options
from asr.commands._transcribe_work import Work
from asr.errors import Interrupted

__all__ = ["build_parser", "run"]


def run(arguments: list[str]) -> int:
    """Transcribe; returns 0, or 1 when a recording failed. Raises an AsrError for what concerns them all."""
    options = parse_options(arguments)
    stopped_by: list[int] = []
    with tempfile.TemporaryDirectory(prefix="asr-") as spool, _sigterm_as_ctrl_c(stopped_by):
        work = Work(options)
        try:
            inputs, faults = find_inputs(options.paths, Path(spool), recursive=options.recursive)
            work.transcribe(inputs, faults)
        except KeyboardInterrupt:
            raise Interrupted(work.stopped(), (stopped_by or [signal.SIGINT])[0]) from None
        finally:
            work.close()
    return 1 if work.failed else 0


@contextlib.contextmanager
def _sigterm_as_ctrl_c(stopped_by: list[int]) -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does, and note it in ``stopped_by``."""
    if threading.current_thread() is not threading.main_thread():  # where Python sets no handlers
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        stopped_by.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
