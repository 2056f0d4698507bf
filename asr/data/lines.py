"""The lines of a manifest, checked: every field, every recording, every id; all problems in one error.

In: the content of a small file, or a large one, whose parts processes on all cores check. Out: the fields of each line;
of a large file only where each line begins and how long its utterance lasts; or one ``DataError`` with each problem by
file and line, the same for both.
"""

import functools
import itertools
import os
import stat
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO
from typing import Any

import numpy as np

from asr.audio.shards import is_remote, shard_place
from asr.cores import in_processes
from asr.data.kept import Columns, as_column
from asr.data.records import field_problems, json_object, raise_problems

_PART_BYTES = 4_000_000  # that a process reads at a time
_MARK = b"\xef\xbb\xbf"  # a byte-order mark begins some files


@dataclass(slots=True)
class _Part:
    """What consecutive lines hold, numbered from 1; ``ids`` are hashes."""

    lines: int = 0
    problems: list[tuple[int, int, str]] = field(default_factory=list)  # line, place among its problems, message
    ids: "array[int]" = field(default_factory=lambda: array("q"))
    numbers: "array[int]" = field(default_factory=lambda: array("q"))  # the lines with those ids
    columns: Columns = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)  # of recordings; when each was changed


class LineReader:
    """Checks the lines of the manifest ``name``; ``absent_audio``: not whether their recordings are there."""

    def __init__(self, name: str, absent_audio: bool) -> None:
        self._name, self._folder = name, os.path.dirname(os.path.abspath(name))
        self._resolve = functools.lru_cache(1 << 16)(self._look_up)
        self._absent_audio = absent_audio
        self._folders: dict[str, int] = {}
        self._shard_bytes: dict[str, int] = {}

    def fields(self, content: bytes) -> list[tuple[dict[str, Any], str]]:
        """The fields of each line, and the absolute path of its recording. Raises DataError, as ``columns`` does."""
        part = _Part()
        checked = (self._checked(part, number, line) for number, _, line in _lines(content, 0))
        found = [(fields, self._resolve(fields["audio"])[0]) for fields in checked if fields is not None]
        self._finish([part], [content])
        return found

    def columns(self, stream: BufferedReader) -> Columns:
        """Where each utterance's line starts, its bytes and seconds; when the folders of recordings were changed.

        Raises DataError: whatever is wrong with any line.
        """
        bounds, descriptor = _bounds(stream), stream.fileno()

        def content(number: int) -> bytes:
            return os.pread(descriptor, bounds[number + 1] - bounds[number], bounds[number])

        read = in_processes(lambda one: self._part(content(one.start), bounds[one.start]), len(bounds) - 1, 1)
        parts = list(read)
        self._finish(parts, map(content, range(len(parts))))
        folders = dict[str, int]()
        for folder, at in (item for part in parts for item in part.folders.items()):
            folders[folder] = min(at, folders.get(folder, at))
        columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
        return columns | {"folders": as_column(folders)}

    def _part(self, content: bytes, start: int) -> _Part:
        part, starts, lengths, durations_s = _Part(content.count(b"\n")), list[int](), list[int](), list[float]()
        part.folders = self._folders = {}
        for number, place, line in _lines(content, start):
            if (fields := self._checked(part, number, line)) is not None:
                starts.append(place)
                lengths.append(len(line))
                durations_s.append(float(fields["duration_s"]))
        part.columns = {"starts": np.array(starts, np.int64), "lengths": np.array(lengths, np.int64)}
        part.columns["durations_s"] = np.array(durations_s, np.float64)
        return part

    def _checked(self, part: _Part, number: int, line: bytes) -> dict[str, Any] | None:
        """The line's fields, None where anything is wrong with them."""
        try:
            fields = json_object(line)
        except ValueError as error:
            part.problems.append((number, 0, str(error)))
            return None
        found = field_problems(fields)
        part.problems += [(number, 0, problem) for problem in found]
        identifier, audio = fields.get("id"), fields.get("audio")
        if isinstance(identifier, str) and identifier:
            part.ids.append(hash(identifier))
            part.numbers.append(number)
        if isinstance(audio, str) and audio and (missing := self._resolve(audio)[1]):
            part.problems.append((number, 2, missing))
        return None if found else fields

    def _look_up(self, audio: str) -> tuple[str, str | None]:
        """The absolute path, or the place in a shard; and what is wrong with it."""
        absolute = absolute_audio(self._folder, audio)
        if self._absent_audio:
            return absolute, None
        if shard_place(audio) is not None:
            return absolute, self._shard_problem(absolute)
        folder = os.path.dirname(absolute)
        if folder not in self._folders:
            self._folders[folder] = changed_ns(folder)
        try:
            is_folder = stat.S_ISDIR(os.stat(absolute).st_mode)
        except (OSError, ValueError):
            return absolute, f"audio {absolute}: no such file"
        return absolute, f"audio {absolute}: is a folder" if is_folder else None

    def _finish(self, parts: Sequence[_Part], contents: Iterable[bytes]) -> None:
        """Find the ids that are used twice; raise DataError where there is any problem, in the order of the lines."""
        before = [0, *itertools.accumulate(part.lines for part in parts)]  # lines before each part
        pairs = list(zip(before, parts, strict=False))
        problems = [(first + line, place, problem) for first, part in pairs for line, place, problem in part.problems]
        ids = np.concatenate([np.array(part.ids, np.int64) for part in parts])
        numbers = np.concatenate([np.array(part.numbers, np.int64) + first for first, part in pairs])
        order = np.argsort(ids, kind="stable")
        equal = np.flatnonzero(ids[order][1:] == ids[order][:-1])
        suspects = set(numbers[order[np.concatenate((equal, equal + 1))]].tolist())
        first_line_of: dict[str, int] = {}
        for first, content in zip(before, contents, strict=False) if suspects else ():
            for number, _, line in _lines(content, first):
                if first + number in suspects:
                    identifier = json_object(line)["id"]
                    known = first_line_of.setdefault(identifier, first + number)
                    if known != first + number:
                        problems.append((first + number, 1, f"id {identifier!r} is already used in line {known}"))
        problems.sort(key=lambda one: one[:2])
        raise_problems(self._name, [f"{self._name}:{line}: {problem}" for line, _, problem in problems])

    def _shard_problem(self, audio: str) -> str | None:
        """What is wrong with a place in a shard on a disk; one on a server is not asked for before it is read."""
        if is_remote(audio) or (place := shard_place(audio)) is None:
            return None
        if place.shard not in self._shard_bytes:
            self._folders[os.path.dirname(place.shard)] = changed_ns(os.path.dirname(place.shard))
            self._shard_bytes[place.shard] = os.path.getsize(place.shard) if os.path.isfile(place.shard) else -1
        there = self._shard_bytes[place.shard]
        if there < 0:
            return f"audio {audio}: no such shard"
        end = place.offset + place.size
        return f"audio {audio}: the shard has {there:,} bytes, and this ends at {end:,}" if end > there else None


def _bounds(stream: BufferedReader) -> list[int]:
    """Where parts of whole lines, of about ``_PART_BYTES``, begin, and where the last one ends."""
    size, bounds = os.fstat(stream.fileno()).st_size, [0]
    while bounds[-1] + _PART_BYTES < size:
        stream.seek(bounds[-1] + _PART_BYTES - 1)
        stream.readline()
        bounds.append(stream.tell())
    return bounds if len(bounds) > 1 and bounds[-1] >= size else [*bounds, size]


def _lines(content: bytes, start: int) -> Iterator[tuple[int, int, bytes]]:
    """Number, first byte and content of each line that is not blank; ``start``: of ``content`` in its file."""
    for number, line in enumerate(BytesIO(content), start=1):
        mark = len(_MARK) if start == 0 and line.startswith(_MARK) else 0
        bare = line[mark:].removesuffix(b"\n")
        if bare.strip():
            yield number, start + mark, bare
        start += len(line)


def absolute_audio(folder: str, audio: str) -> str:
    """The path of a recording that is named in a manifest of ``folder``; a place on a server as it is."""
    return audio if is_remote(audio) else os.path.normpath(os.path.join(folder, audio))


def changed_ns(folder: str) -> int:
    """When a file was last added to the folder or taken away, in ns; 0 where there is no such folder."""
    try:
        return os.stat(folder).st_mtime_ns
    except (OSError, ValueError):
        return 0
