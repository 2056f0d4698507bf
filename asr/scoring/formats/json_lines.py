"""JSON Lines: an object a line, as we, NeMo and most scripts write them.

In: numbered lines. Out: entries with the id, the text of the asked side, and speaker, duration and place in a recording
where the line tells them.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from asr.scoring.formats.entries import (
    Entry,
    Line,
    Parsed,
    Role,
    Segment,
    check_encodable,
    clean_id,
    filled,
    json_seconds,
    json_text,
    shown_json,
)
from asr.scoring.formats.told import told_by_object
from asr.scoring.results import json_row

# Which key of a JSON line holds the text, best first: a line of results.jsonl (or of NeMo) holds both sides.
TEXT_KEYS: dict[Role, tuple[str, ...]] = {
    "reference": ("reference", "text"),
    "hypothesis": ("hypothesis", "pred_text", "text"),
}
ID_KEYS = ("id", "audio_filepath")
DURATION_KEYS = ("duration_s", "duration")
START_KEYS = ("start_s", "offset")


def parse_jsonl(lines: Sequence[Line], role: Role) -> Parsed:
    """A JSON object a line: an id (``ID_KEYS``), a text (``TEXT_KEYS`` of the role), speaker and duration if any."""
    parsed = Parsed()
    for line in filled(lines):
        try:
            parsed.entries.append(_entry(line, role))
        except (ValueError, RecursionError) as error:
            parsed.faults.append((line.number, str(error)))
    return Parsed(_apart(parsed.entries), parsed.faults)


def _apart(entries: Sequence[Entry]) -> list[Entry]:
    """Stretches of one recording, which NeMo tells apart by their ``offset`` alone, under ids of their own."""
    counts = Counter(entry.id for entry in entries)
    return [
        replace(entry, id=f"{entry.id}@{entry.segment.start_s:g}")
        if counts[entry.id] > 1 and entry.segment is not None and clean_id(entry.segment.recording) == entry.id
        else entry
        for entry in entries
    ]


def _entry(line: Line, role: Role) -> Entry:
    """Raises ValueError with what is wrong, in words that complete "file:line: …"."""
    value = json_object(line.text)
    key = value.get(_present(value, ID_KEYS, "id"))
    if isinstance(key, bool) or not isinstance(key, (str, int)) or not str(key).strip():
        raise ValueError(f"the id must be text, not {shown_json(key)}")
    name = _present(value, TEXT_KEYS[role], role)
    check_encodable(str(key))
    text, duration_s = json_text(value[name], name), _seconds(value, DURATION_KEYS)
    segment = _segment(value, duration_s)
    speaker = speaker_of(value.get("speaker"))
    told = told_by_object(value, role)
    return Entry(line.number, clean_id(str(key)), text, speaker, duration_s, segment, told=told)


def json_object(text: str) -> dict[str, Any]:
    """The object in ``text``; raises ValueError with what is wrong."""
    try:
        value = json_row(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(value, dict):
        raise ValueError(f"is not a JSON object but {shown_json(value)}")
    return value


def speaker_of(value: Any) -> str | None:
    """A speaker's name, or None where none is given; raises ValueError for what is no name."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError(f"'speaker' must be text, not {shown_json(value)}")
    check_encodable(str(value))
    return str(value)


def _present(value: dict[str, Any], names: Sequence[str], what: str) -> str:
    for name in names:
        if name in value:
            return name
    wanted = " or ".join(map(repr, names))
    raise ValueError(
        f"has no {what}: none of the keys {wanted} (it has {', '.join(map(repr, list(value)[:8])) or 'none'})"
    )


def _seconds(value: dict[str, Any], names: Sequence[str]) -> float | None:
    found = [(name, value[name]) for name in names if value.get(name) is not None]
    return json_seconds(found[0][1], found[0][0]) if found else None


def _segment(value: dict[str, Any], duration_s: float | None) -> Segment | None:
    """Where the utterance lies, told by a manifest: its recording, from ``start_s`` (NeMo: ``offset``) on."""
    audio = value.get("audio", value.get("audio_filepath"))
    start_s = _seconds(value, START_KEYS)
    if not isinstance(audio, str) or duration_s is None or start_s is None:
        return None
    return Segment(audio, None, start_s, start_s + duration_s)
