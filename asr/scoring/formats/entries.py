"""The records that parsers and writers of text files share, and what a line says beyond id and text.

An entry is one utterance, or one recording where the file has no more detail; times are in seconds from the start of
the recording. ``metadata_of_object`` and ``metadata_of_row`` take a JSON object or a row of a table and return the
extra keys of a line of results.jsonl (audio, words, n-best, any further field), so that groups, pages and calibration
work for every system's output and not for our own alone.
"""

import json
import math
import os
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

from asr.audio import AUDIO_EXTENSIONS, MEDIA_EXTENSIONS
from asr.data.records import AUDIO_KEYS, FIELD_NAMES, START_KEYS, describe_value
from asr.files import json_value

Role = Literal["reference", "hypothesis"]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text file, numbered from 1, without its line end."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word and its times in the recording, in seconds; ``confidence`` is 0 to 1, None where it is not known."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None = field(default=None, compare=False)

    @property
    def middle_s(self) -> float:
        """The middle of the word: it decides to which segment the word belongs."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a recording. ``ignored``: it is not scored."""

    recording: str
    channel: str | None
    start_s: float
    end_s: float
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One utterance of a text file, or a whole recording; ``words`` where the file has their times.

    ``metadata``: what else the line says of it, as further keys of a line of results.jsonl.
    """

    line: int
    id: str
    text: str
    speaker: str | None = None
    duration_s: float | None = None
    segment: Segment | None = None
    words: tuple[TimedWord, ...] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Parsed:
    """The utterances of a file and what is wrong with it: (line number, message); line 0 is the file as a whole."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)


def filled(lines: Sequence[Line]) -> list[Line]:
    """The lines that hold more than white space."""
    return [line for line in lines if line.text.strip()]


def is_comment(line: Line) -> bool:
    """Whether the line is a comment of sclite's formats: ``;;`` and whatever follows."""
    return line.text.lstrip().startswith(";;")


def clean_id(key: str) -> str:
    """Ids are compared in composed form, as texts are: a file name from macOS is often decomposed."""
    return unicodedata.normalize("NFC", key.strip())


def bare_name(path: str) -> str:
    """A recording's name without folder and, where it ends as audio files do, ending; other dots stay."""
    name = path.replace("\\", "/").rpartition("/")[2]
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in AUDIO_EXTENSIONS | MEDIA_EXTENSIONS else name


def check_encodable(*texts: str) -> None:
    """Raises ValueError where a text holds half of a surrogate pair (JSON can)."""
    for text in texts:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(
                "holds half of a surrogate pair (\\ud800…): it was cut in the middle of a character"
            ) from None


def json_text(value: Any, name: str) -> str:
    """A JSON value that must be text; raises ValueError naming the key."""
    if not isinstance(value, str):
        raise ValueError(f"{name!r} must be text, not {describe_value(value)}")
    check_encodable(value)
    return value


def json_seconds(value: Any, name: str) -> float:
    """A JSON value that must be a number of seconds; raises ValueError naming the key."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= sys.float_info.max:
        raise ValueError(f"{name!r} must be a number of seconds, not {describe_value(value)}")
    return float(value)


def confidence_of(value: Any) -> float | None:
    """A probability, as a number or as text; None for what is none: absent, ``NA``, a log-probability."""
    try:
        confidence = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return confidence if 0 <= confidence <= 1 else None


_MEASURED = ("snr_db", "speech_s")
_LISTS, _SCORES = ("words", "n_best"), ("confidence", "score")  # of the hypothesis
_CODE = re.compile(r"\s*[+-]?(0\d|\d{16})")
_OUTCOMES = ("right", "word_errors")  # of an earlier scoring, perhaps under another normaliser
_KNOWN = {
    *(name for names in FIELD_NAMES.values() for name in names),
    "reference", "hypothesis", "pred_text", "fields", "normalizer", "missing", "reference_normalized",
    "hypothesis_normalized", "word_errors", "character_errors", "raw_word_errors", "raw_character_errors",
    "wav_filename", "ref", "hyp", "prediction", *_MEASURED, *_LISTS, *_SCORES,
}  # fmt: skip


def metadata_of_object(value: Mapping[str, Any], role: Role) -> dict[str, Any]:
    """Of a JSON line. Scalars that have no meaning of their own become ``fields``, to group by.

    Raises ValueError where a text holds half of a surrogate pair.
    """
    metadata: dict[str, Any] = {}
    audio = next((value[name] for name in AUDIO_KEYS if isinstance(value.get(name), str)), None)
    if audio is not None:
        metadata["audio"] = audio
        metadata["start_s"] = next((value[name] for name in START_KEYS if _is_number(value.get(name))), 0.0)
        if _is_number(channel := value.get("channel")) and float(channel).is_integer():
            metadata["channel"] = int(channel)
    metadata |= {name: value[name] for name in _MEASURED if _is_number(value.get(name))}
    if role == "hypothesis":
        metadata |= {name: _without_outcome(value[name]) for name in _LISTS if _is_list_of_objects(value.get(name))}
        metadata |= {name: value[name] for name in _SCORES if _is_number(value.get(name))}
    given = value.get("fields")
    fields = {**(given if isinstance(given, dict) else {}), **_scalars(value)}
    metadata |= {"fields": fields} if fields else {}
    check_encodable(json.dumps(metadata, ensure_ascii=False))
    plain: dict[str, Any] = json_value(metadata)
    return plain


def metadata_of_row(row: Mapping[str, str], role: Role) -> dict[str, Any]:
    """Of a table's row: its filled columns as if they were a JSON line's, numbers as numbers.

    What has more digits than a float, or begins with 0 as 007 does, is a name, unless its column has a meaning.
    """
    cells = {name: cell for name, cell in row.items() if name and cell}
    values = {name: cell if name not in _KNOWN and _CODE.match(cell) else _plain(cell) for name, cell in cells.items()}
    return metadata_of_object(values, role)


def words_as_json(words: Sequence[TimedWord], start_s: float) -> list[dict[str, Any]]:
    """The words of a hypothesis that begins at ``start_s`` of its recording, with times from there on."""
    return [
        {"text": word.text, "start_s": round(word.start_s - start_s, 6), "end_s": round(word.end_s - start_s, 6)}
        | ({} if word.confidence is None else {"confidence": word.confidence})
        for word in words
    ]


def _scalars(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: one for key, one in value.items() if key not in _KNOWN and isinstance(one, (str, int, float))}


def _without_outcome(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: part for key, part in row.items() if key not in _OUTCOMES} for row in rows]


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _plain(cell: str) -> str | float:
    try:
        number = float(cell)
    except ValueError:
        return cell
    plain = "_" not in cell and math.isfinite(number)  # Python reads 2024_01 as 202401
    return number if plain else cell


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
