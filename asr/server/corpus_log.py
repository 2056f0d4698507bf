"""Corrections as lines of a file that only grows: each is on disk before it is acknowledged, and none is ever removed.

In: ``Correction``s. Out: ``log.jsonl``, and what it held when it was opened. A last line that a killed process left
half-written was never acknowledged, and is dropped; any other damage is an error. One process writes at a time.
"""

import errno
import fcntl
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError

from asr.data.records import raise_problems
from asr.errors import OF_THE_DISK, UsageError
from asr.files import append, naming, sync

LOG = "log.jsonl"
SegmentId = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class Correction(BaseModel, frozen=True):
    """What one person made of one segment, ``start_s`` to ``end_s`` of the recording with that SHA-256.

    ``version``: one more than that of the segment's line before; ``seconds`` of the person's work; ``draft`` and
    ``model``: the text that was shown at first, and what made it. ``undo``: status and text are those before the last
    line that still held.
    """

    segment: SegmentId
    version: Annotated[int, Field(ge=1)]
    status: Literal["open", "corrected", "skipped"]
    text: str
    by: str
    at: str  # ISO 8601, UTC
    seconds: Seconds
    undo: bool = False
    recording: str  # its path in the corpus's folder
    sha256: str
    start_s: Seconds
    end_s: Seconds
    draft: str
    model: str


class CorrectionLog:
    """The file, opened for this process alone. ``lines``: what it holds, in order."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError where it cannot be written or another process does, DataError where it is damaged."""
        self.path = folder / LOG
        try:
            folder.mkdir(exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
            sync(folder)
        except OSError as error:
            if error.errno in OF_THE_DISK:
                raise
            raise UsageError(
                f"{self.path}: cannot be written ({error.strerror}); check the owner and permissions of the folder"
            ) from None
        try:
            self._lock()
            self.lines = self._read()
            self._left = _state(os.fstat(self._file.fileno()))
        except BaseException:
            self.close()
            raise

    def append(self, line: Correction) -> None:
        """Write it to disk. Raises OSError, also where another program has changed or replaced the file; then nothing
        of it is left there.
        """
        if self._file.closed:
            raise OSError("the server stops")
        with naming(self.path):
            if _state(os.stat(self.path)) != self._left:
                raise OSError(errno.ESTALE, "changed by another program while the server ran; restart the server")
            append(self._file, line.model_dump_json(exclude_defaults=True).encode() + b"\n")
            self._left = _state(os.fstat(self._file.fileno()))
        self.lines.append(line)

    def close(self) -> None:
        """Let other processes write."""
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"{self.path}: another asr serve --corpus writes there; stop it, or work on its page"
            ) from None

    def _read(self) -> list[Correction]:
        content = self.path.read_bytes()
        *whole, last = content.split(b"\n")
        lines: list[Correction] = []
        problems: list[str] = []
        versions: dict[str, int] = {}
        for number, one in enumerate(whole, start=1):
            try:
                line = Correction.model_validate_json(one)
            except ValidationError as error:
                first = error.errors()[0]
                field = ".".join(map(str, first["loc"]))
                problems.append(f"line {number} is no correction ({field + ': ' if field else ''}{first['msg']})")
                continue
            before = versions.get(line.segment, 0)
            if line.version != before + 1 and not problems:
                problems.append(f"line {number} is version {line.version} of a segment whose last one is {before}")
            versions[line.segment] = line.version
            lines.append(line)
        raise_problems(
            str(self.path), problems,
            "Nothing was changed. Restore the file from a copy, or repair these lines; keep a copy of it first.",
        )  # fmt: skip
        if last:
            self._file.truncate(len(content) - len(last))
        return lines


def _state(file: os.stat_result) -> tuple[int, int, int]:
    """What changes where a file is replaced or written."""
    return file.st_dev, file.st_ino, file.st_size
