"""What a file of texts is made of, whatever its format: lines in, entries and faults out.

In: nothing; these are the records that parsers and writers share. An entry is one utterance, or one recording where the
file tells no more; times are in seconds from the start of the recording.
"""

import math
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["reference", "hypothesis"]

_AUDIO_SUFFIXES = {"wav", "flac", "mp3", "ogg", "opus", "m4a", "mp4", "webm", "aac", "aif", "aiff", "sph", "wma", "amr"}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text file, numbered from 1, without its line end."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word and where it lies in its recording, in seconds; ``confidence`` is 0 to 1, None where it is not told."""

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
    """A stretch of a recording. ``ignored``: what lies in it is not scored."""

    recording: str
    channel: str | None
    start_s: float
    end_s: float
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One utterance of a text file, or a whole recording; ``words`` where the file tells their times.

    ``told``: what else the line says of it, as further keys of a line of results.jsonl (see ``told.py``).
    """

    line: int
    id: str
    text: str
    speaker: str | None = None
    duration_s: float | None = None
    segment: Segment | None = None
    words: tuple[TimedWord, ...] | None = None
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Parsed:
    """The utterances of a file and what is wrong with it: (line number, message); line 0 is the file as a whole."""

    entries: list[Entry] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)


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
    stem, _, suffix = name.rpartition(".")
    return stem if stem and suffix.lower() in _AUDIO_SUFFIXES else name


def seconds_of(text: str, what: str) -> float:
    """A time in a text file; raises ValueError in words that complete "file:line: …"."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(f"{what} must be a number of seconds, not {text!r}")
    return value


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
        raise ValueError(f"{name!r} must be text, not {shown_json(value)}")
    check_encodable(value)
    return value


def json_seconds(value: Any, name: str) -> float:
    """A JSON value that must be a number of seconds; raises ValueError naming the key."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= sys.float_info.max:
        raise ValueError(f"{name!r} must be a number of seconds, not {shown_json(value)}")
    return float(value)


def confidence_of(value: Any) -> float | None:
    """A probability, as a number or as text; None for what is none: absent, ``NA``, a log-probability."""
    try:
        confidence = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return confidence if 0 <= confidence <= 1 else None


def shown_json(value: Any) -> str:
    """The value as short JSON, for messages."""
    import json

    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:57]}..."
