"""The line formats in which texts with ids come, and how to tell them apart.

In: numbered lines. Out: entries (id, text, and what else the line tells) and faults, each with its line. Formats:
``kaldi`` (id, space, text), ``jsonl`` (an object a line: ours, NeMo's), ``trn`` (text, then the id in parentheses, as
sclite reads it) and ``plain`` (text alone; line n belongs to line n). A format is one parser in ``PARSERS``.
"""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["reference", "hypothesis"]

# Which key of a JSON line holds the text, best first: a line of results.jsonl (or of NeMo) holds both sides.
TEXT_KEYS: dict[Role, tuple[str, ...]] = {
    "reference": ("reference", "text"),
    "hypothesis": ("hypothesis", "pred_text", "text"),
}
ID_KEYS = ("id", "audio_filepath")
DURATION_KEYS = ("duration_s", "duration")

_TRN = re.compile(r"(?P<text>.*?)\s*\((?P<id>[^()\s]+)\)\s*")
_HAS_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a text file, numbered from 1, without its line end."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One utterance of a text file. ``duration_s`` is in seconds."""

    line: int
    id: str
    text: str
    speaker: str | None = None
    duration_s: float | None = None


@dataclass(slots=True)
class Parsed:
    """The utterances of a file and what is wrong with it: (line number, message)."""

    entries: list[Entry] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)


def parse_kaldi(lines: Sequence[Line], role: Role) -> Parsed:
    """``id text``: the first word is the id; an id alone is an empty text; blank lines are skipped."""
    parsed = Parsed()
    for line in filled(lines):
        key, *rest = line.text.split(None, 1)
        parsed.entries.append(Entry(line.number, clean_id(key), "".join(rest).strip()))
    return parsed


def parse_trn(lines: Sequence[Line], role: Role) -> Parsed:
    """``text (id)``; blank lines and lines that begin with ``;;`` (sclite's comments) are skipped."""
    parsed = Parsed()
    for line in filled(lines):
        if line.text.lstrip().startswith(";;"):
            continue
        match = _TRN.fullmatch(line.text)
        if match is None:
            parsed.faults.append((line.number, "does not end with an id in parentheses, as the lines of a trn file do"))
        else:
            parsed.entries.append(Entry(line.number, clean_id(match["id"]), match["text"].strip()))
    return parsed


def parse_plain(lines: Sequence[Line], role: Role) -> Parsed:
    """A text a line, blank lines too; the id is the line's number."""
    return Parsed([Entry(line.number, f"line-{line.number}", line.text.strip()) for line in lines])


def parse_jsonl(lines: Sequence[Line], role: Role) -> Parsed:
    """A JSON object a line: an id (``ID_KEYS``), a text (``TEXT_KEYS`` of the role), speaker and duration if any."""
    parsed = Parsed()
    for line in filled(lines):
        try:
            parsed.entries.append(_json_entry(line, role))
        except (ValueError, RecursionError) as error:
            parsed.faults.append((line.number, str(error)))
    return parsed


PARSERS: dict[str, Callable[[Sequence[Line], Role], Parsed]] = {
    "kaldi": parse_kaldi,
    "jsonl": parse_jsonl,
    "trn": parse_trn,
    "plain": parse_plain,
}


def detect(lines: Sequence[Line]) -> Literal["jsonl", "trn", "bare"]:
    """What most lines look like; ``bare`` means text of which the first word may or may not be an id."""
    texts = [line.text.strip() for line in filled(lines)]
    if 2 * sum(text.startswith("{") for text in texts) > len(texts):
        return "jsonl"
    spoken = [text for text in texts if not text.startswith(";;")]
    if 2 * sum(_TRN.fullmatch(text) is not None for text in spoken) > len(spoken):
        return "trn"
    return "bare"


def first_words_are_ids(references: Sequence[Line], hypotheses: Sequence[Line]) -> bool | None:
    """Whether two bare files begin their lines with ids; None where nothing tells (then a person has to say).

    Yes where nearly all first words look like ids (digits among letters, long numbers, underscores), or where both
    files have the same first words, each once, in another order. No where they differ or repeat.
    """
    first, second = ([line.text.split(None, 1)[0] for line in filled(lines)] for lines in (references, hypotheses))
    if all(_mostly_ids(words) for words in (first, second)):
        return True
    unique = len(set(first)) == len(first) and len(set(second)) == len(second)
    if not unique or set(first) != set(second) or all(len(line.text.split()) == 1 for line in filled(references)):
        return False
    return True if first != second else None


def filled(lines: Sequence[Line]) -> list[Line]:
    """The lines that hold more than white space."""
    return [line for line in lines if line.text.strip()]


def clean_id(key: str) -> str:
    """Ids are compared in composed form, as texts are: a file name from macOS is often decomposed."""
    return unicodedata.normalize("NFC", key.strip())


def _mostly_ids(words: Sequence[str]) -> bool:
    looks = sum(map(_looks_like_id, words))
    return bool(words) and looks >= 0.9 * len(words) and 2 * len(set(words)) >= len(words)


def _looks_like_id(word: str) -> bool:
    digits = len(_HAS_DIGIT.findall(word))
    return "_" in word or digits >= 3 or 0 < digits < len(word)


def _json_entry(line: Line, role: Role) -> Entry:
    """Raises ValueError with what is wrong, in words that complete "file:line: …"."""
    try:
        value = json.loads(line.text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(value, dict):
        raise ValueError(f"is not a JSON object but {_shown(value)}")
    key = value.get(_present(value, ID_KEYS, "id"))
    if isinstance(key, bool) or not isinstance(key, (str, int)) or not str(key).strip():
        raise ValueError(f"the id must be text, not {_shown(key)}")
    name = _present(value, TEXT_KEYS[role], role)
    text = value[name]
    if not isinstance(text, str):
        raise ValueError(f"{name!r} must be text, not {_shown(text)}")
    _check_encodable(str(key), text)
    return Entry(line.number, clean_id(str(key)), text, _speaker(value.get("speaker")), _duration_s(value))


def _present(value: dict[str, Any], names: Sequence[str], what: str) -> str:
    for name in names:
        if name in value:
            return name
    wanted = " or ".join(map(repr, names))
    raise ValueError(
        f"has no {what}: none of the keys {wanted} (it has {', '.join(map(repr, list(value)[:8])) or 'none'})"
    )


def _speaker(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError(f"'speaker' must be text, not {_shown(value)}")
    _check_encodable(str(value))
    return str(value)


def _duration_s(value: dict[str, Any]) -> float | None:
    found = [(name, value[name]) for name in DURATION_KEYS if value.get(name) is not None]
    if not found:
        return None
    name, number = found[0]
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < math.inf:
        raise ValueError(f"{name!r} must be a number of seconds, not {_shown(number)}")
    return float(number)


def _check_encodable(*texts: str) -> None:
    for text in texts:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(
                "holds half of a surrogate pair (\\ud800…): it was cut in the middle of a character"
            ) from None


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:57]}..."
