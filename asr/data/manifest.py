"""Manifests: one utterance a line as a JSON object, read with all problems reported at once, written atomically.

In: a `.jsonl` file, or utterances. Out: `Utterance` objects that can be trusted (every field of the right type, every
audio file present, every id unique), or one `DataError` that lists each problem with file and line. Audio below the
manifest's folder is written relative to it, so that the folder can be moved. Reading and writing check fields with the
same function: nothing is written that could not be read again.

The lines of a large file stay there: a `Manifest` knows where each begins and how long each utterance lasts, and that
is kept beside the file for the next process, which then need not check every line again.
"""

import contextlib
import hashlib
import itertools
import json
import os
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from asr.audio.shards import is_remote
from asr.data.kept import FOLDER, Columns, from_column, keep_columns, kept_columns
from asr.data.lines import LineReader, absolute_audio, changed_ns
from asr.data.records import OWN_FIELDS, field_problems, json_object
from asr.errors import DataError
from asr.files import atomic_path
from asr.text.normalize import Normalizer

LARGE_BYTES = 16_000_000  # about 60,000 lines, which are checked in a second or two and take 80 MB as objects
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
                checked = LineReader(name, absent_audio).fields(stream.read())
                utterances = [_utterance(fields, audio) for fields, audio in checked]
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
        if columns is None or any(changed_ns(one) != at for one, at in from_column(columns["folders"]).items()):
            with contextlib.suppress(OSError):
                kept.parent.mkdir(exist_ok=True)  # now: it changes a folder that may hold recordings
            columns = LineReader(name, absent_audio).columns(stream)
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
        start, length = int(self._columns["starts"][index]), int(self._columns["lengths"][index])
        return self._file.utterance(start, length, self._normalizer)

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
    write_manifests({Path(path): utterances})


def write_manifests(manifests: Mapping[Path, Iterable[Utterance]]) -> None:
    """Write each as `write_manifest` does, under their names only once all of them are written. Raises DataError."""
    with contextlib.ExitStack() as together:
        for path, utterances in manifests.items():
            folder, seen = os.path.dirname(os.path.abspath(path)), set[str]()
            temporary = together.enter_context(atomic_path(path))
            with temporary.open("w", encoding="utf-8", newline="\n") as stream:
                for utterance in utterances:
                    if utterance.id in seen:
                        raise DataError(f"{path}: utterance id {utterance.id!r} is used twice.")
                    seen.add(utterance.id)
                    stream.write(_line(utterance, folder) + "\n")


class _File:
    """A manifest that stays open, read by place: also in forked processes, and whatever takes its name."""

    def __init__(self, path: Path, descriptor: int | None = None) -> None:
        self.path, self._folder = path, str(path.parent)
        self._descriptor = os.open(path, os.O_RDONLY) if descriptor is None else descriptor
        weakref.finalize(self, os.close, self._descriptor)

    def __reduce__(self) -> "tuple[type[_File], tuple[Path]]":
        return _File, (self.path,)

    def utterance(self, start: int, length: int, normalizer: Normalizer | None) -> Utterance:
        """The utterance in that line, its text normalised; checked again: what was kept of the file is not trusted.

        Raises DataError.
        """
        try:
            fields = json_object(os.pread(self._descriptor, length, start))
            problems = field_problems(fields)
        except (OSError, ValueError) as error:
            problems = [str(error)]
        if problems:
            raise DataError(f"{self.path}: has changed while it was read (byte {start}: {problems[0]}). Start again.")
        if normalizer is not None:
            fields["text"] = normalizer(fields["text"])
        return _utterance(fields, absolute_audio(self._folder, fields["audio"]))


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


def _kept(path: Path, name: str) -> Path:
    return path.parent / FOLDER / f"{path.name}.{name}"


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
