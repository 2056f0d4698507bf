"""Manifests: one utterance a line as a JSON object, read with all faults reported at once, written whole or not at all.

In: a `.jsonl` file, or utterances. Out: `Utterance` objects that can be trusted (every field of the right type, every
audio file there, every id once), or one `DataError` that lists each fault with file and line. Audio is written relative
to the manifest where it lies beneath it, so that a folder can be moved.

What one line of a manifest may hold.

In: the fields of one JSON object. Out: what is wrong with them, a short sentence each. Reading and writing both ask
here, so that nothing is written that could not be read again.

One utterance: where its sound lies, what was said, and by whom. Nothing here reads a file.
"""

import json
import math
from collections.abc import Mapping
from typing import Any
from dataclasses import dataclass, field
import os
from collections.abc import Iterable
from pathlib import Path
from asr.errors import DataError
from asr.files import write_text




OWN_FIELDS = ("id", "audio", "duration_s", "text", "start_s", "speaker", "channel")
_NAMES_ELSEWHERE = {"audio": "audio_filepath", "duration_s": "duration", "start_s": "offset"}


def field_faults(fields: Mapping[str, Any]) -> list[str]:
    """What is wrong with one line's fields, each taken by itself; an empty list if nothing is."""
    faults = _text_faults(fields)
    if "duration_s" not in fields:
        faults.append(_absent("duration_s", fields))
    elif not _is_seconds(fields["duration_s"]) or fields["duration_s"] <= 0:
        faults.append(f"duration_s is {kind(fields['duration_s'])}, not a number of seconds above 0")
    if "start_s" in fields and (not _is_seconds(fields["start_s"]) or fields["start_s"] < 0):
        faults.append(f"start_s is {kind(fields['start_s'])}, not a number of seconds, 0 or more")
    speaker, channel = fields.get("speaker"), fields.get("channel")
    if speaker is not None and not (isinstance(speaker, str) and speaker):
        faults.append(f"speaker is {kind(speaker)}, not text (leave it out where it is not known)")
    if channel is not None and not (isinstance(channel, int) and not isinstance(channel, bool) and channel >= 0):
        faults.append(f"channel is {kind(channel)}, not a whole number counted from 0")
    return faults + _extra_faults(fields)


def _text_faults(fields: Mapping[str, Any]) -> list[str]:
    faults: list[str] = []
    for key in ("id", "audio", "text"):
        if key not in fields:
            faults.append(_absent(key, fields))
        elif not isinstance(fields[key], str):
            faults.append(f"{key} is {kind(fields[key])}, not text")
        elif not fields[key] and key != "text":
            faults.append(f"{key} is empty")
    return faults


def _extra_faults(fields: Mapping[str, Any]) -> list[str]:
    faults: list[str] = []
    for key, value in fields.items():
        if isinstance(value, str) and not _is_unicode(value):
            faults.append(f"{key} holds half a Unicode character (a lone surrogate)")
        elif key not in OWN_FIELDS and not _is_scalar(value):
            faults.append(f"{key} is {kind(value)}; further fields hold text, a finite number, true, false or null")
        if not _is_unicode(key):
            faults.append("a key holds half a Unicode character (a lone surrogate)")
    return faults


def _absent(key: str, fields: Mapping[str, object]) -> str:
    other = _NAMES_ELSEWHERE.get(key)
    hint = f" (it has {other}, as NeMo writes it: run asr prepare recipes/folder on it)" if other in fields else ""
    return f"{key} is not there{hint}"


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond 1e308
        return False


def _is_scalar(value: object) -> bool:
    if isinstance(value, int | float):
        return _is_finite(value)
    return value is None or isinstance(value, str)


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def kind(value: object) -> str:
    """A JSON value as a person sees it, short."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    shown = ascii(value) if isinstance(value, str) else str(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."




Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A piece of a recording with its transcript: one line of a manifest.

    ``audio`` is an absolute path once read from a manifest; ``start_s`` and ``duration_s`` are seconds into that file.
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




_MOST_SHOWN = 50


def read_manifest(path: str | os.PathLike[str]) -> list[Utterance]:
    """Read and check a manifest.

    Args:
        path: a UTF-8 file with one JSON object a line: `id`, `audio`, `duration_s`, `text`, and optionally `start_s`,
            `speaker`, `channel`; further keys with plain values land in `Utterance.extra`. Blank lines are passed over.

    Returns:
        The utterances in the file's order; `audio` absolute, a relative one being taken from the manifest's folder.

    Raises:
        DataError: the file cannot be read or holds no utterance, or any line is wrong; all faults in one message.
    """
    name = os.fspath(path)
    reader = _Reader(os.path.dirname(os.path.abspath(name)))
    utterances = [
        utterance
        for number, line in enumerate(_read_lines(name), start=1)
        if line.strip() and (utterance := reader.read(number, line)) is not None
    ]
    if reader.faults:
        raise DataError(_describe(name, reader.faults))
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
            extra field has the name of an own one, or an id stands twice. Nothing is written then.
    """
    folder = os.path.dirname(os.path.abspath(path))
    lines: dict[str, str] = {}
    for utterance in utterances:
        if utterance.id in lines:
            raise DataError(f"{os.fspath(path)}: utterance id {utterance.id!r} would stand there twice.")
        lines[utterance.id] = _line(utterance, folder) + "\n"
    write_text(Path(path), "".join(lines.values()))


class _Reader:
    """Turns lines into utterances and gathers `(line number, fault)` pairs on the way."""

    def __init__(self, folder: str) -> None:
        self.faults: list[tuple[int, str]] = []
        self._folder = folder
        self._first_line_of: dict[str, int] = {}
        self._audio: dict[str, tuple[str, str | None]] = {}

    def read(self, number: int, line: bytes) -> Utterance | None:
        try:
            fields = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            self._fault(number, f"is not UTF-8 (byte {line[error.start]:#04x} at column {error.start + 1})")
            return None
        except json.JSONDecodeError as error:
            self._fault(number, f"is not JSON ({error.msg} at column {error.colno})")
            return None
        except (ValueError, RecursionError) as error:
            self._fault(number, f"is not JSON that can be read ({error})")
            return None
        if not isinstance(fields, dict):
            self._fault(number, f'is not a JSON object such as {{"id": ...}}, but {kind(fields)}')
            return None
        found = field_faults(fields)
        self.faults.extend((number, fault) for fault in found)
        self._check_id(number, fields.get("id"))
        audio = self._resolve(number, fields.get("audio"))
        return None if found else _utterance(fields, audio)

    def _fault(self, number: int, fault: str) -> None:
        self.faults.append((number, fault))

    def _check_id(self, number: int, identifier: object) -> None:
        if not isinstance(identifier, str) or not identifier:
            return
        first = self._first_line_of.setdefault(identifier, number)
        if first != number:
            self._fault(number, f"id {identifier!r} stands in line {first} already")

    def _resolve(self, number: int, audio: object) -> str:
        """The absolute path; each distinct one is looked up on disk once."""
        if not isinstance(audio, str) or not audio:
            return ""
        if audio not in self._audio:
            absolute = os.path.normpath(os.path.join(self._folder, audio))
            fault = None
            if not os.path.exists(absolute):
                fault = f"audio {absolute}: no such file"
            elif os.path.isdir(absolute):
                fault = f"audio {absolute}: is a folder"
            self._audio[audio] = (absolute, fault)
        absolute, fault = self._audio[audio]
        if fault is not None:
            self._fault(number, fault)
        return absolute


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


def _describe(name: str, faults: list[tuple[int, str]]) -> str:
    lines = [f"{name}:{number}: {fault}" for number, fault in faults[:_MOST_SHOWN]]
    if len(faults) > _MOST_SHOWN:
        lines.append(f"... and {len(faults) - _MOST_SHOWN:,} more")
    count = "1 fault" if len(faults) == 1 else f"{len(faults):,} faults"
    return f"{name}: {count} to mend before it can be used:\n  " + "\n  ".join(lines)


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
            raise DataError(f"utterance {utterance.id!r}: an extra field is called {key}, as an own one. Rename it.")
        fields[key] = value
    if faults := field_faults(fields):
        raise DataError(f"utterance {utterance.id!r}: cannot be written to a manifest: {'; '.join(faults)}.")
    return json.dumps(fields, ensure_ascii=False, allow_nan=False)


def _portable(audio: str, folder: str) -> str:
    """`audio` relative to `folder` if it lies beneath it, else absolute."""
    absolute = os.path.abspath(audio)
    return os.path.relpath(absolute, folder) if absolute.startswith(folder.rstrip(os.sep) + os.sep) else absolute
