"""Manifests: one utterance a line as a JSON object, read with all problems reported at once, written atomically.

In: a `.jsonl` file, or utterances. Out: `Utterance` objects that can be trusted (every field of the right type, every
audio file present, every id unique), or one `DataError` that lists each problem with file and line. Audio below the
manifest's folder is written relative to it, so that the folder can be moved. Reading and writing check fields with the
same function: nothing is written that could not be read again.

The lines of a large file stay there: a `Manifest` knows where each begins and how long each utterance lasts, and that
is kept beside the file for the next process, which then need not check every line again.
"""

import contextlib
import functools
import hashlib
import itertools
import json
import os
import weakref
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from asr.audio.shards import is_remote, shard_place
from asr.data.kept import FOLDER, Columns, as_column, from_column, keep_columns, kept_columns
from asr.data.records import OWN_FIELDS, field_problems, json_object, raise_problems
from asr.errors import DataError
from asr.files import atomic_path
from asr.text.normalize import Normalizer

LARGE_BYTES = 16_000_000  # about 60,000 lines, which are checked in a second or two and take 80 MB as objects
_MARK = b"\xef\xbb\xbf"  # a byte-order mark begins some files
FORMAT = 1  # of the kept columns; a change of the checks, or of what is found in the texts, raises it

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A piece of a recording with its transcript: one line of a manifest.

    ``audio`` is an absolute path once read from a manifest, or a place in a shard (asr/audio/shards.py); ``start_s``
    and ``duration_s`` are seconds into that file.
    ``extra`` holds any further manifest fields (age, room, ...), kept so that reports can group by them.
    """

    id: str
    audio: str
    duration_s: float
    text: str
    start_s: float = 0.0
    speaker: str | None = None
    channel: int | None = None
    extra: Mapping[str, Scalar] = field(default_factory=dict)


def read_manifest(path: str | os.PathLike[str], *, absent_audio: bool = False) -> Sequence[Utterance]:
    """Read and check a manifest.

    Args:
        path: a UTF-8 file with one JSON object a line: `id`, `audio`, `duration_s`, `text`, and optionally `start_s`,
            `speaker`, `channel`; further keys with plain values go to `Utterance.extra`. Blank lines are skipped.
        absent_audio: whether recordings may be absent, for whom the texts are enough.

    Returns:
        The utterances in the file's order; `audio` absolute, a relative one being taken from the manifest's folder. A
        list; of a file of `LARGE_BYTES` or more a `Manifest`.

    Raises:
        DataError: the file cannot be read or holds no utterance, or any line is wrong; all problems in one message.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as stream:
            if os.fstat(stream.fileno()).st_size >= LARGE_BYTES:
                utterances: Sequence[Utterance] = Manifest.read(name, stream, absent_audio)
            else:
                utterances = _Reader(name, absent_audio).utterances(BytesIO(stream.read()))
    except FileNotFoundError:
        raise DataError(f"{name}: no such manifest. Check the path, or write it with: asr prepare") from None
    except IsADirectoryError:
        raise DataError(f"{name}: is a folder, not a manifest. Name a .jsonl file in it.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{name!r}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None
    if not utterances:
        raise DataError(f"{name}: holds no utterances. Write it again (asr prepare), or check the path.")
    return utterances


class Manifest(Sequence[Utterance]):
    """The utterances of a large file, each made of its line when it is asked for.

    ``durations_s`` ``(utterances,)`` float64 are in memory. ``identity`` names the utterances: the SHA-256 of the file,
    which of them, and the ``normalizer`` of their texts. Parts share the file, which stays open.
    """

    def __init__(self, file: "_File", columns: Columns, identity: str, normalizer: Normalizer | None = None) -> None:
        self._file, self._columns, self._normalizer = file, columns, normalizer
        self.durations_s: NDArray[np.float64] = columns["durations_s"]
        self.identity = identity

    @classmethod
    def read(cls, name: str, stream: BufferedReader, absent_audio: bool) -> "Manifest":
        """Check every line, unless that was done for these bytes and no folder of recordings has changed since.

        Raises DataError.
        """
        path, sha256 = Path(os.path.abspath(name)), hashlib.file_digest(stream, "sha256").hexdigest()
        kept, key = _kept(path, "texts" if absent_audio else "lines"), f"{FORMAT} {sha256}"
        columns = kept_columns(kept, key)
        if columns is None or any(_changed(one) != at for one, at in from_column(columns["folders"]).items()):
            with contextlib.suppress(OSError):
                kept.parent.mkdir(exist_ok=True)  # now: it changes a folder that may hold recordings
            columns = _Reader(name, absent_audio).columns(stream)
            keep_columns(kept, key, columns)
        del columns["folders"]
        return cls(_File(path, os.dup(stream.fileno())), columns, sha256)

    def __len__(self) -> int:
        return len(self.durations_s)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> "Manifest": ...
    def __getitem__(self, index: int | slice) -> "Utterance | Manifest":
        if isinstance(index, slice):
            return self.select(index)
        one = self._file.utterance(int(self._columns["starts"][index]), int(self._columns["lengths"][index]))
        return one if self._normalizer is None else replace(one, text=self._normalizer(one.text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(Utterance.__eq__, self, other))

    def select(self, places: slice | NDArray[np.int64]) -> "Manifest":
        """Only the utterances at ``places``."""
        columns = {name: one[places] for name, one in self._columns.items()}
        chosen = hashlib.sha256(columns["starts"].tobytes()).hexdigest()
        return Manifest(self._file, columns, f"{self.identity} {chosen}", self._normalizer)

    def with_texts(self, normalizer: Normalizer) -> "Manifest":
        """The same, each text normalised."""
        return Manifest(self._file, self._columns, f"{self.identity} {normalizer.label}", normalizer)

    def kept(self, name: str) -> Path:
        """Where columns of that name are kept, beside the file."""
        return _kept(self._file.path, name)


def write_manifest(path: str | os.PathLike[str], utterances: Iterable[Utterance]) -> None:
    """Write a manifest atomically; what `read_manifest` reads back equals what was written.

    Args:
        path: where; its folder is made if it is not there.
        utterances: what to write; `start_s`, `speaker` and `channel` appear only where they are set.

    Raises:
        DataError: an utterance holds what `read_manifest` would refuse (no duration, NaN, half a Unicode character), an
            extra field has the name of a standard one, or an id is used twice. Nothing is written then.
    """
    folder, seen = os.path.dirname(os.path.abspath(path)), set[str]()
    with atomic_path(Path(path)) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        for utterance in utterances:
            if utterance.id in seen:
                raise DataError(f"{os.fspath(path)}: utterance id {utterance.id!r} is used twice.")
            seen.add(utterance.id)
            stream.write(_line(utterance, folder) + "\n")


class _File:
    """A manifest that stays open, read by place: also in forked processes, and whatever takes its name."""

    def __init__(self, path: Path, descriptor: int | None = None) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY) if descriptor is None else descriptor
        weakref.finalize(self, os.close, self._descriptor)

    def __reduce__(self) -> "tuple[type[_File], tuple[Path]]":
        return _File, (self.path,)

    def utterance(self, start: int, length: int) -> Utterance:
        """The utterance in that line, checked again: what was kept of the file is not trusted. Raises DataError."""
        try:
            fields = json_object(os.pread(self._descriptor, length, start))
            problems = field_problems(fields)
        except (OSError, ValueError) as error:
            problems = [str(error)]
        if problems:
            raise DataError(f"{self.path}: has changed while it was read (byte {start}: {problems[0]}). Start again.")
        return _utterance(fields, _absolute(str(self.path.parent), fields["audio"]))


def with_unique_ids(utterances: Iterable[Utterance]) -> list[Utterance]:
    """The same in their order; all but the first of an id get a number behind it (``-2``, ``-3``, ...), none that makes
    the id of another one.
    """
    given = list(utterances)
    taken, seen = {one.id for one in given}, set[str]()
    numbers: dict[str, Iterator[int]] = defaultdict(lambda: itertools.count(2))
    for place, one in enumerate(given):
        if one.id in seen:
            name = next(made for n in numbers[one.id] if (made := f"{one.id}-{n}") not in taken)
            taken.add(name)
            given[place] = replace(one, id=name)
        seen.add(one.id)
    return given


class _Reader:
    """Turns lines into utterances and collects the problems on the way."""

    def __init__(self, name: str, absent_audio: bool) -> None:
        self._name, self._folder = name, os.path.dirname(os.path.abspath(name))
        self._problems: list[tuple[int, int, str]] = []  # line, place among the problems of the line, message
        self._ids, self._numbers = array("q"), array("q")  # the hash of each line's id, and the line
        self._resolve = functools.lru_cache(1 << 16)(self._look_up)
        self._absent_audio = absent_audio
        self._folders: dict[str, int] = {}  # when each was changed
        self._shard_bytes: dict[str, int] = {}

    def utterances(self, stream: BufferedReader | BytesIO) -> list[Utterance]:
        """All of them. Raises DataError, as ``columns`` does."""
        found = [one for number, _, line in _lines(stream) if (one := self._read(number, line)) is not None]
        self._finish(stream)
        return found

    def columns(self, stream: BufferedReader | BytesIO) -> Columns:
        """Where each utterance's line starts, its bytes and seconds; when the folders of recordings were changed."""
        starts, lengths, durations_s = array("q"), array("q"), array("d")
        for number, start, line in _lines(stream):
            if (one := self._read(number, line)) is not None:
                starts.append(start)
                lengths.append(len(line))
                durations_s.append(one.duration_s)
        self._finish(stream)
        columns = {"starts": np.array(starts), "lengths": np.array(lengths), "durations_s": np.array(durations_s)}
        return columns | {"folders": as_column(self._folders)}

    def _read(self, number: int, line: bytes) -> Utterance | None:
        try:
            fields = json_object(line)
        except ValueError as error:
            self._problem(number, 0, str(error))
            return None
        found = field_problems(fields)
        for problem in found:
            self._problem(number, 0, problem)
        identifier, audio = fields.get("id"), fields.get("audio")
        if isinstance(identifier, str) and identifier:
            self._ids.append(hash(identifier))
            self._numbers.append(number)
        absolute, missing = self._resolve(audio) if isinstance(audio, str) and audio else ("", None)
        if missing:
            self._problem(number, 2, missing)
        return None if found else _utterance(fields, absolute)

    def _problem(self, number: int, place: int, problem: str) -> None:
        self._problems.append((number, place, f"{self._name}:{number}: {problem}"))

    def _look_up(self, audio: str) -> tuple[str, str | None]:
        """The absolute path, or the place in a shard; and what is wrong with it."""
        absolute = _absolute(self._folder, audio)
        if self._absent_audio:
            return absolute, None
        if shard_place(audio) is not None:
            return absolute, self._shard_problem(absolute)
        folder = os.path.dirname(absolute)
        if folder not in self._folders:
            self._folders[folder] = _changed(folder)
        if not os.path.exists(absolute):
            return absolute, f"audio {absolute}: no such file"
        return absolute, f"audio {absolute}: is a folder" if os.path.isdir(absolute) else None

    def _finish(self, stream: BufferedReader | BytesIO) -> None:
        """Find the ids that are used twice; raise DataError where there is any problem, in the order of the lines."""
        ids, numbers = np.array(self._ids, np.int64), np.array(self._numbers, np.int64)
        order = np.argsort(ids, kind="stable")
        equal = np.flatnonzero(ids[order][1:] == ids[order][:-1])
        suspects = set(numbers[order[np.concatenate((equal, equal + 1))]].tolist())
        first_line_of: dict[str, int] = {}
        for number, _, line in _lines(stream) if suspects else ():
            if number in suspects:
                identifier = json_object(line)["id"]
                first = first_line_of.setdefault(identifier, number)
                if first != number:
                    self._problem(number, 1, f"id {identifier!r} is already used in line {first}")
        raise_problems(self._name, [problem for *_, problem in sorted(self._problems, key=lambda one: one[:2])])

    def _shard_problem(self, audio: str) -> str | None:
        """What is wrong with a place in a shard on a disk; one on a server is not asked for before it is read."""
        if is_remote(audio) or (place := shard_place(audio)) is None:
            return None
        if place.shard not in self._shard_bytes:
            self._folders[os.path.dirname(place.shard)] = _changed(os.path.dirname(place.shard))
            self._shard_bytes[place.shard] = os.path.getsize(place.shard) if os.path.isfile(place.shard) else -1
        there = self._shard_bytes[place.shard]
        if there < 0:
            return f"audio {audio}: no such shard"
        end = place.offset + place.size
        return f"audio {audio}: the shard has {there:,} bytes, and this ends at {end:,}" if end > there else None


def _lines(stream: BufferedReader | BytesIO) -> Iterator[tuple[int, int, bytes]]:
    """Number, first byte and content of each line that is not blank."""
    stream.seek(0)
    start = 0
    for number, line in enumerate(stream, start=1):
        mark = len(_MARK) if number == 1 and line.startswith(_MARK) else 0
        content = line[mark:].removesuffix(b"\n")
        if content.strip():
            yield number, start + mark, content
        start += len(line)


def _kept(path: Path, name: str) -> Path:
    return path.parent / FOLDER / f"{path.name}.{name}"


def _absolute(folder: str, audio: str) -> str:
    return audio if is_remote(audio) else os.path.normpath(os.path.join(folder, audio))


def _changed(folder: str) -> int:
    """When a file was last added to the folder or taken away, in ns; 0 where there is no such folder."""
    try:
        return os.stat(folder).st_mtime_ns
    except (OSError, ValueError):
        return 0


def _utterance(fields: dict[str, Any], audio: str) -> Utterance:
    return Utterance(
        id=fields["id"],
        audio=audio,
        duration_s=float(fields["duration_s"]),
        text=fields["text"],
        start_s=float(fields.get("start_s", 0.0)),
        speaker=fields.get("speaker"),
        channel=fields.get("channel"),
        extra={key: value for key, value in fields.items() if key not in OWN_FIELDS},
    )


def _line(utterance: Utterance, folder: str) -> str:
    fields: dict[str, Scalar] = {
        "id": utterance.id,
        "audio": _portable(utterance.audio, folder),
        "duration_s": utterance.duration_s,
        "text": utterance.text,
    }
    if utterance.start_s != 0.0:
        fields["start_s"] = utterance.start_s
    if utterance.speaker is not None:
        fields["speaker"] = utterance.speaker
    if utterance.channel is not None:
        fields["channel"] = utterance.channel
    for key, value in utterance.extra.items():
        if key in OWN_FIELDS:
            raise DataError(
                f"utterance {utterance.id!r}: an extra field is called {key}, which is a standard field. Rename it."
            )
        fields[key] = value
    if problems := field_problems(fields):
        raise DataError(f"utterance {utterance.id!r}: cannot be written to a manifest: {'; '.join(problems)}.")
    return json.dumps(fields, ensure_ascii=False, allow_nan=False)


def _portable(audio: str, folder: str) -> str:
    """`audio` relative to `folder` if it is below it, else absolute."""
    absolute = audio if is_remote(audio) else os.path.abspath(audio)
    return os.path.relpath(absolute, folder) if absolute.startswith(folder.rstrip(os.sep) + os.sep) else absolute
