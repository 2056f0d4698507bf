"""Manifests: one utterance a line as a JSON object, read with all problems reported at once, written atomically.

In: a `.jsonl` file, or utterances. Out: `Utterance` objects that can be trusted (every field of the right type, every
audio file present, every id unique), or one `DataError` that lists each problem with file and line. Audio below the
manifest's folder is written relative to it, so that the folder can be moved. Reading and writing check fields with the
same function: nothing is written that could not be read again.
"""

import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asr.audio.shards import is_remote, shard_place
from asr.data.records import AUDIO_KEYS, DURATION_KEYS, START_KEYS, describe_value, json_object, raise_problems
from asr.errors import DataError
from asr.files import finite, write_text

OWN_FIELDS = ("id", "audio", "duration_s", "text", "start_s", "speaker", "channel")
_NEMO_NAMES = dict((AUDIO_KEYS, DURATION_KEYS, START_KEYS))

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


def read_manifest(path: str | os.PathLike[str], *, absent_audio: bool = False) -> list[Utterance]:
    """Read and check a manifest.

    Args:
        path: a UTF-8 file with one JSON object a line: `id`, `audio`, `duration_s`, `text`, and optionally `start_s`,
            `speaker`, `channel`; further keys with plain values go to `Utterance.extra`. Blank lines are skipped.
        absent_audio: whether recordings may be absent, for whom the texts are enough.

    Returns:
        The utterances in the file's order; `audio` absolute, a relative one being taken from the manifest's folder.

    Raises:
        DataError: the file cannot be read or holds no utterance, or any line is wrong; all problems in one message.
    """
    name = os.fspath(path)
    reader = _Reader(name, absent_audio)
    utterances = [
        utterance
        for number, line in enumerate(_read_lines(name), start=1)
        if line.strip() and (utterance := reader.read(number, line)) is not None
    ]
    raise_problems(name, reader.problems)
    if not utterances:
        raise DataError(f"{name}: holds no utterances. Write it again (asr prepare), or check the path.")
    return utterances


def write_manifest(path: str | os.PathLike[str], utterances: Iterable[Utterance]) -> None:
    """Write a manifest atomically; what `read_manifest` reads back equals what was written.

    Args:
        path: where; its folder is made if it is not there.
        utterances: what to write; `start_s`, `speaker` and `channel` appear only where they are set.

    Raises:
        DataError: an utterance holds what `read_manifest` would refuse (no duration, NaN, half a Unicode character), an
            extra field has the name of a standard one, or an id is used twice. Nothing is written then.
    """
    folder = os.path.dirname(os.path.abspath(path))
    lines: dict[str, str] = {}
    for utterance in utterances:
        if utterance.id in lines:
            raise DataError(f"{os.fspath(path)}: utterance id {utterance.id!r} is used twice.")
        lines[utterance.id] = _line(utterance, folder) + "\n"
    write_text(Path(path), "".join(lines.values()))


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
        self.problems: list[str] = []
        self._absent_audio = absent_audio
        self._name, self._folder = name, os.path.dirname(os.path.abspath(name))
        self._first_line_of: dict[str, int] = {}
        self._audio: dict[str, tuple[str, str | None]] = {}
        self._shard_bytes: dict[str, int] = {}

    def read(self, number: int, line: bytes) -> Utterance | None:
        try:
            fields = json_object(line)
        except ValueError as error:
            self._problem(number, str(error))
            return None
        found = _field_problems(fields)
        for problem in found:
            self._problem(number, problem)
        self._check_id(number, fields.get("id"))
        audio = self._resolve(number, fields.get("audio"))
        return None if found else _utterance(fields, audio)

    def _problem(self, number: int, problem: str) -> None:
        self.problems.append(f"{self._name}:{number}: {problem}")

    def _check_id(self, number: int, identifier: object) -> None:
        if not isinstance(identifier, str) or not identifier:
            return
        first = self._first_line_of.setdefault(identifier, number)
        if first != number:
            self._problem(number, f"id {identifier!r} is already used in line {first}")

    def _resolve(self, number: int, audio: object) -> str:
        """The absolute path; each distinct one is looked up on disk once."""
        if not isinstance(audio, str) or not audio:
            return ""
        if audio not in self._audio:
            remote, place = is_remote(audio), shard_place(audio)
            absolute = audio if remote else os.path.normpath(os.path.join(self._folder, audio))
            problem = None
            if place is not None:
                problem = self._shard_problem(absolute)
            elif not os.path.exists(absolute):
                problem = f"audio {absolute}: no such file"
            elif os.path.isdir(absolute):
                problem = f"audio {absolute}: is a folder"
            self._audio[audio] = (absolute, None if self._absent_audio else problem)
        absolute, problem = self._audio[audio]
        if problem is not None:
            self._problem(number, problem)
        return absolute

    def _shard_problem(self, audio: str) -> str | None:
        """What is wrong with a place in a shard on a disk; one on a server is not asked for before it is read."""
        if is_remote(audio) or (place := shard_place(audio)) is None:
            return None
        if place.shard not in self._shard_bytes:
            self._shard_bytes[place.shard] = os.path.getsize(place.shard) if os.path.isfile(place.shard) else -1
        there = self._shard_bytes[place.shard]
        if there < 0:
            return f"audio {audio}: no such shard"
        end = place.offset + place.size
        return f"audio {audio}: the shard has {there:,} bytes, and this ends at {end:,}" if end > there else None


def _read_lines(name: str) -> list[bytes]:
    try:
        with open(name, "rb") as stream:
            return stream.read().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except FileNotFoundError:
        raise DataError(f"{name}: no such manifest. Check the path, or write it with: asr prepare") from None
    except IsADirectoryError:
        raise DataError(f"{name}: is a folder, not a manifest. Name a .jsonl file in it.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{name!r}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None


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
    if problems := _field_problems(fields):
        raise DataError(f"utterance {utterance.id!r}: cannot be written to a manifest: {'; '.join(problems)}.")
    return json.dumps(fields, ensure_ascii=False, allow_nan=False)


def _portable(audio: str, folder: str) -> str:
    """`audio` relative to `folder` if it is below it, else absolute."""
    absolute = audio if is_remote(audio) else os.path.abspath(audio)
    return os.path.relpath(absolute, folder) if absolute.startswith(folder.rstrip(os.sep) + os.sep) else absolute


def _field_problems(fields: Mapping[str, Any]) -> list[str]:
    """What is wrong with one line's fields, each taken by itself; an empty list if nothing is."""
    problems = _text_problems(fields)
    if "duration_s" not in fields:
        problems.append(_absent("duration_s", fields))
    elif not _is_seconds(fields["duration_s"]) or fields["duration_s"] <= 0:
        problems.append(f"duration_s is {describe_value(fields['duration_s'])}, not a number of seconds above 0")
    if "start_s" in fields and (not _is_seconds(fields["start_s"]) or fields["start_s"] < 0):
        problems.append(f"start_s is {describe_value(fields['start_s'])}, not a number of seconds, 0 or more")
    speaker, channel = fields.get("speaker"), fields.get("channel")
    if speaker is not None and not (isinstance(speaker, str) and speaker):
        problems.append(f"speaker is {describe_value(speaker)}, not text (leave it out where it is not known)")
    if channel is not None and not (isinstance(channel, int) and not isinstance(channel, bool) and channel >= 0):
        problems.append(f"channel is {describe_value(channel)}, not a whole number counted from 0")
    return problems + _extra_problems(fields)


def _text_problems(fields: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    for key in ("id", "audio", "text"):
        if key not in fields:
            problems.append(_absent(key, fields))
        elif not isinstance(fields[key], str):
            problems.append(f"{key} is {describe_value(fields[key])}, not text")
        elif not fields[key] and key != "text":
            problems.append(f"{key} is empty")
    return problems


def _extra_problems(fields: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    for key, value in fields.items():
        if isinstance(value, str) and not _is_unicode(value):
            problems.append(f"{key} holds half a Unicode character (a lone surrogate)")
        elif key not in OWN_FIELDS and not _is_scalar(value):
            problems.append(
                f"{key} is {describe_value(value)}; extra fields hold text, a finite number, true, false or null"
            )
        if not _is_unicode(key):
            problems.append("a key holds half a Unicode character (a lone surrogate)")
    return problems


def _absent(key: str, fields: Mapping[str, object]) -> str:
    other = _NEMO_NAMES.get(key)
    hint = (
        f" (it has {other}, as NeMo writes it: convert it with asr prepare recipes/folder)" if other in fields else ""
    )
    return f"{key} is missing{hint}"


def _is_seconds(value: object) -> bool:
    return finite(value) is not None


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | bool) or finite(value) is not None


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
