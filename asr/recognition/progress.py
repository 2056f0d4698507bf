"""How far a pool of files is, in seconds of audio. In: steps of the pool. Out: calls of ``progress(done_s, total_s)``.

The length of a file is known from its header once its reading begins; until then it is estimated from its size and
what the files seen so far had per byte. ``total_s`` therefore moves at first, and is exact at the end.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from asr.recognition.reading import Reader

DEFAULT_BYTES_PER_S = 32_000.0  # 16-bit at 16 kHz, until a file has been seen


class FileProgress:
    """``step`` is what a Pool calls; ``key`` of a reader's source is the file's place in ``paths``."""

    def __init__(self, paths: Sequence[Path], frame_s: float, progress: Callable[[float, float], None]) -> None:
        self._sizes = {index: _size(path) for index, path in enumerate(paths)}  # of files not begun
        self._unread_bytes = sum(self._sizes.values())
        self._seen_bytes = 0
        self._seconds: dict[int, float] = {}  # of files begun
        self._total_s = self._done_s = 0.0
        self._computed_s: dict[int, float] = {}
        self._frame_s, self._progress = frame_s, progress

    def step(self, reader: Reader, frames: int) -> None:
        """``frames`` output frames more of ``reader`` are computed; -1: it is finished."""
        index: int = reader.source.key
        self._see(index, reader.expected_s or 0.0)
        done_s = min(self._computed_s.get(index, 0.0) + max(0, frames) * self._frame_s, self._seconds[index])
        if frames < 0:
            done_s = self._seconds[index]
        self._done_s += done_s - self._computed_s.get(index, 0.0)
        self._computed_s[index] = done_s
        self._progress(self._done_s, max(self._done_s, self._total_s + self._unread_s()))

    def _see(self, index: int, seconds: float) -> None:
        if index not in self._seconds:
            size = self._sizes.pop(index)
            self._unread_bytes -= size
            self._seen_bytes += size if seconds else 0
            self._seconds[index] = seconds
            self._total_s += seconds

    def _unread_s(self) -> float:
        per_byte = self._total_s / self._seen_bytes if self._seen_bytes else 1 / DEFAULT_BYTES_PER_S
        return self._unread_bytes * per_byte


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
