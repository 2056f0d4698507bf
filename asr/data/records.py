"""One line of a file of utterances, in the forms that NeMo, Kaldi, spreadsheets and this project write.

In: a line of text, or a row of named values. Out: a JSON object, a Kaldi key with its value, or the value of a field
under whichever of its usual names; all problems of a file as one error. Reading corpora and reading files to score
share this, so that both accept the same.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr.errors import DataError
from asr.files import finite
from asr.terminal import printable, shorten

# Our name of a field, and the names that other tools give to it; the first one found counts. All lower case.
FIELD_NAMES: Mapping[str, tuple[str, ...]] = {
    "audio": (
        "audio", "audio_filepath", "path", "file", "filename", "file_name", "audio_path", "audio_file", "wav",
        "wav_filename", "audio_filename", "wav_path", "wav_file",
    ),
    "text": ("text", "transcript", "transcription", "sentence"),
    "id": ("id", "utterance", "utterance_id", "utt_id", "utt"),
    "speaker": ("speaker", "speaker_id", "client_id", "spk", "spk_id"),
    "start_s": ("start_s", "start", "offset"),
    "end_s": ("end_s", "end"),
    "duration_s": ("duration_s", "duration"),
    "channel": ("channel",),
}  # fmt: skip

# Fields of JSON Lines: our names and NeMo's.
AUDIO_KEYS, DURATION_KEYS, START_KEYS = (
    ("audio", "audio_filepath"),
    ("duration_s", "duration"),
    ("start_s", "offset"),
)

OWN_FIELDS = ("id", "audio", "duration_s", "text", "start_s", "speaker", "channel")  # of a manifest's lines
_OWN_FIELDS = frozenset(OWN_FIELDS)
_NEMO_NAMES = dict((AUDIO_KEYS, DURATION_KEYS, START_KEYS))

_MOST_DIGITS = 308  # a float holds any whole number of fewer digits
_MOST_LINES = 50


def field_value(row: Mapping[str, Any], field: str) -> Any:
    """The value of `field` under the first of its `FIELD_NAMES` that is present and not empty; else None."""
    return next((row[name] for name in FIELD_NAMES[field] if row.get(name) not in (None, "")), None)


def text_value(row: Mapping[str, Any], field: str) -> str:
    """`field_value` as text, which a number may stand for; "" for none. Raises ValueError as ``json_object`` does."""
    value = field_value(row, field)
    if not isinstance(value, str | None) and finite(value) is None:
        raise ValueError(f"{field} is {describe_value(value)}, not text")
    text = "" if value is None else str(value)
    if not _is_unicode(text):
        raise ValueError(f"{field} holds half a Unicode character (a lone surrogate)")
    return text


def decoded(line: bytes) -> str:
    """A line of UTF-8 as text. Raises ValueError as ``json_object`` does."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        found = error.object[error.start]
        raise ValueError(f"is not UTF-8 (byte {found:#04x} at column {error.start + 1})") from None


def json_object(line: bytes | str) -> dict[str, Any]:
    """The JSON object that a line holds; a whole number too large for a float becomes infinite, as 1e999 does.

    Raises:
        ValueError: the line is not UTF-8, not JSON, or not an object; its text completes "FILE:LINE: ".
    """
    text = decoded(line) if isinstance(line, bytes) else line
    try:
        value = _JSON.decode(text.removeprefix("\ufeff"))  # a byte-order mark begins some files
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error.msg} at column {error.colno})") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON that can be read ({error})") from None
    if not isinstance(value, dict):
        raise ValueError(f'is not a JSON object such as {{"id": ...}}, but {describe_value(value)}')
    return value


def kaldi_fields(line: str) -> tuple[str, str] | None:
    """Key and value of a line of `text`, `wav.scp` or `utt2spk`; the value may be empty. None for a blank line."""
    key, *rest = line.split(maxsplit=1) or [""]
    return (key, "".join(rest).strip()) if key else None


@dataclass(frozen=True, slots=True)
class StmSegment:
    """A line of an stm file. ``ignored``: it is not scored, and ``text`` is only the mark that says so."""

    recording: str
    channel: str
    speaker: str
    start_s: float
    end_s: float
    text: str
    ignored: bool


IGNORED_SEGMENT = "IGNORE_TIME_SEGMENT_IN_SCORING"  # sclite takes it without underscores, too
_STM_LABELS = re.compile(r"<[^<>]*>")


def stm_fields(line: str) -> StmSegment:
    """A line ``recording channel speaker start end [<labels>] text``, without its labels.

    Raises:
        ValueError: what is wrong, in a text that completes "FILE:LINE: ".
    """
    words = line.split(None, 5)
    if len(words) < 5:
        raise ValueError(
            f"has {len(words)} of the 5 columns: recording, channel, speaker, start and end, then the text"
        )
    recording, channel, speaker, start, end = words[:5]
    start_s, end_s = seconds_of(start, "the start"), seconds_of(end, "the end")
    if end_s < start_s:
        raise ValueError(f"ends at {end} s, before it begins at {start} s")
    text = words[5].strip() if len(words) == 6 else ""
    if labels := _STM_LABELS.match(text):
        text = text[labels.end() :].strip()
    ignored = text.upper().replace("_", "") == IGNORED_SEGMENT.replace("_", "")
    return StmSegment(recording, channel, speaker, start_s, end_s, text, ignored)


def seconds_of(text: str, what: str) -> float:
    """A time in a text file; raises ValueError with a text that completes "file:line: …"."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"{what} must be a number of seconds, not {text!r}")
    return value


def describe_value(value: object) -> str:
    """A JSON value in few characters, for messages."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    shown = ascii(value) if isinstance(value, str) else str(value)
    return shorten(shown, 40)


def raise_problems(where: str, problems: Sequence[str], hint: str = "") -> None:
    """Raise one DataError that lists the problems of a file or folder, if any (50 and a count), and the ``hint``."""
    if not problems:
        return
    count = "1 error" if len(problems) == 1 else f"{len(problems):,} errors"
    lines = [f"{where}: {count} to fix before it can be used:", *map(printable, problems[:_MOST_LINES])]
    if len(problems) > _MOST_LINES:
        lines.append(f"... and {len(problems) - _MOST_LINES:,} more")
    lines += [hint] if hint else []
    raise DataError("\n  ".join(lines))


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) < _MOST_DIGITS else float(digits)


_JSON = json.JSONDecoder(parse_int=_whole_number)


def field_problems(fields: Mapping[str, Any]) -> list[str]:
    """What is wrong with the fields of a manifest's line, each taken by itself; an empty list if nothing is."""
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
    texts = [value for value in fields.values() if isinstance(value, str)]
    if _OWN_FIELDS.issuperset(fields) and _is_unicode("".join(texts)):
        return problems  # most lines
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
    return (seconds := finite(value)) is not None and abs(seconds) <= 1e9  # thirty years


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | bool) or finite(value) is not None


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
