"""Formats of texts: a text a line (Kaldi's ``text``, sclite's ``trn``, plain), JSON Lines, tables, and a file per
recording.

In: numbered lines, or a file's text and its path. Out: entries and problems. JSON Lines are those that we, NeMo and
most scripts write; the columns of CSV and TSV have the same names as their keys, and other columns become ``fields``;
``seglst`` is MeetEval's list of segments. A file per recording is whisper's JSON, OpenAI's ``verbose_json``, our own
transcript, or plain ``.txt``: one entry, whose id is the file's name without its extension (whisper names its output
after the recording). sclite's marks stay in a trn text here; ``asr.scoring.sclite`` chooses among alternatives.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from asr.data.records import (
    AUDIO_KEYS,
    DURATION_KEYS,
    FIELD_NAMES,
    START_KEYS,
    describe_value,
    field_value,
    json_object,
    kaldi_fields,
    seconds_of,
)
from asr.files import unguarded
from asr.scoring.formats.entries import (
    Entry,
    Line,
    Parsed,
    Role,
    Segment,
    TimedWord,
    check_encodable,
    clean_id,
    confidence_of,
    filled,
    is_comment,
    json_seconds,
    json_text,
    metadata_of_object,
    metadata_of_row,
)
from asr.scoring.sclite import parse_marks

TRN_LINE = re.compile(r"(?P<text>.*)\((?P<id>[^()\s]+)\)\s*")


def parse_kaldi(lines: Sequence[Line], role: Role) -> Parsed:
    """``id text``: the first word is the id; an id alone is an empty text; blank lines are skipped."""
    parsed = Parsed()
    for line in lines:
        if fields := kaldi_fields(line.text):
            parsed.entries.append(Entry(line.number, clean_id(fields[0]), fields[1]))
    return parsed


def parse_trn(lines: Sequence[Line], role: Role) -> Parsed:
    """``text (id)``; blank lines and lines that begin with ``;;`` (sclite's comments) are skipped."""
    parsed = Parsed()
    for line in filled(lines):
        if is_comment(line):
            continue
        match = TRN_LINE.fullmatch(line.text)
        if match is None:
            parsed.problems.append(
                (line.number, "does not end with an id in parentheses, as the lines of a trn file do")
            )
            continue
        try:
            parse_marks(match["text"])
        except ValueError as error:
            parsed.problems.append((line.number, str(error)))
        parsed.entries.append(Entry(line.number, clean_id(match["id"]), match["text"].strip()))
    speakers = [_speaker_of_id(entry.id) for entry in parsed.entries]
    if None not in speakers and len(set(speakers)) > 1:
        entries = zip(parsed.entries, speakers, strict=True)
        parsed.entries = [replace(entry, speaker=speaker) for entry, speaker in entries]
    return parsed


def _speaker_of_id(key: str) -> str | None:
    """What stands before the first "-", else before the first "_": as sclite takes it with ``-i spu_id``."""
    mark = "-" if "-" in key else "_"
    speaker, found, _ = key.partition(mark)
    return speaker if found and speaker else None


def parse_plain(lines: Sequence[Line], role: Role) -> Parsed:
    """A text a line, blank lines too; the id is the line's number."""
    return Parsed([Entry(line.number, f"line-{line.number}", line.text.strip()) for line in lines])


# Which key of a JSON line or column of a table holds what, best first; a line of results.jsonl (or of NeMo) holds both
# sides. All lower case.
ID_KEYS = (*FIELD_NAMES["id"], *FIELD_NAMES["audio"], "wav_filename")
TEXT_KEYS: dict[Role, tuple[str, ...]] = {
    "reference": ("reference", "ref", *FIELD_NAMES["text"]),
    "hypothesis": ("hypothesis", "hyp", "pred_text", "prediction", *FIELD_NAMES["text"]),
}


def parse_jsonl(lines: Sequence[Line], role: Role) -> Parsed:
    """A JSON object a line: an id (``ID_KEYS``), a text (``TEXT_KEYS`` of the role), speaker and duration if any."""
    parsed = Parsed()
    for line in filled(lines):
        try:
            parsed.entries.append(_entry(line, role))
        except ValueError as error:
            parsed.problems.append((line.number, str(error)))
    return Parsed(_with_own_ids(parsed.entries), parsed.problems)


def _with_own_ids(entries: Sequence[Entry]) -> list[Entry]:
    """Segments of one recording, which differ in NeMo's ``offset`` only, get ids of their own."""
    counts = Counter(entry.id for entry in entries)
    return [
        replace(entry, id=f"{entry.id}@{entry.segment.start_s:.10g}")
        if counts[entry.id] > 1 and entry.segment is not None and clean_id(entry.segment.recording) == entry.id
        else entry
        for entry in entries
    ]


def _entry(line: Line, role: Role) -> Entry:
    """Raises ValueError with what is wrong, in a text that completes "file:line: …"."""
    value = json_object(line.text)
    key = value.get(_present(value, ID_KEYS, "id"))
    if isinstance(key, bool) or not isinstance(key, (str, int)) or not str(key).strip():
        raise ValueError(f"the id must be text, not {describe_value(key)}")
    name = _present(value, TEXT_KEYS[role], role)
    check_encodable(str(key))
    text, duration_s = json_text(value[name], name), _seconds(value, DURATION_KEYS)
    segment = _segment(value, duration_s)
    speaker = speaker_of(field_value(value, "speaker"))
    metadata = metadata_of_object(value, role)
    return Entry(line.number, clean_id(str(key)), text, speaker, duration_s, segment, metadata=metadata)


def speaker_of(value: Any) -> str | None:
    """A speaker's name, or None where none is given; raises ValueError for what is no name."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError(f"'speaker' must be text, not {describe_value(value)}")
    check_encodable(str(value))
    return str(value)


def _present(value: dict[str, Any], names: Sequence[str], what: str) -> str:
    for name in names:
        if name in value:
            return name
    has = ", ".join(map(repr, list(value)[:_SHOWN_KEYS])) or "none"
    raise ValueError(f"has no {what}: none of the keys {', '.join(names)} (it has {has})")


def _seconds(value: dict[str, Any], names: Sequence[str]) -> float | None:
    found = [(name, value[name]) for name in names if value.get(name) is not None]
    return json_seconds(found[0][1], found[0][0]) if found else None


def _segment(value: dict[str, Any], duration_s: float | None) -> Segment | None:
    """The segment of a recording that a manifest's line names, from ``start_s`` (NeMo: ``offset``)."""
    audio = next((value[name] for name in AUDIO_KEYS if name in value), None)
    start_s = _seconds(value, START_KEYS)
    if not isinstance(audio, str) or duration_s is None or start_s is None:
        return None
    return Segment(audio, None, start_s, start_s + duration_s)


def parse_csv(lines: Sequence[Line], role: Role) -> Parsed:
    """Cells separated by commas, or by semicolons as spreadsheets write them where 1,5 is a number; or quoted."""
    return _parse(lines, role, ";" if _has_semicolons(filled(lines)[0]) else ",")


def parse_tsv(lines: Sequence[Line], role: Role) -> Parsed:
    """Cells separated by tabs."""
    return _parse(lines, role, "\t")


def is_header(line: Line, delimiter: str) -> bool:
    """Whether the line names a column for the id and one for a text of either side."""
    try:
        names = set(_cells(line, delimiter))
    except ValueError:
        return False
    return not names.isdisjoint(ID_KEYS) and any(not names.isdisjoint(role) for role in TEXT_KEYS.values())


def _has_semicolons(header: Line) -> bool:
    """Whether only semicolons make a header of it."""
    by_comma, by_semicolon = (is_header(header, delimiter) for delimiter in ",;")
    return by_semicolon and not by_comma


def _parse(lines: Sequence[Line], role: Role, delimiter: str) -> Parsed:
    header, *rows = filled(lines)
    try:
        names = _cells(header, delimiter)
    except ValueError as error:
        return Parsed(problems=[(header.number, str(error))])
    id_column, text_column = _column(names, ID_KEYS), _column(names, TEXT_KEYS[role])
    if id_column is None or text_column is None:
        lacking, wanted = ("id", ID_KEYS) if id_column is None else (role, TEXT_KEYS[role])
        choices = ", ".join(wanted)
        return Parsed(problems=[(header.number, f"the header has no column for the {lacking}: none of {choices}")])
    parsed = Parsed()
    for line in rows:
        try:
            cells = _cells(line, delimiter, strip=False)
            if len(cells) != len(names):
                raise ValueError(f"has {len(cells)} cells, and the header has {len(names)}")
            row = dict(zip(names, cells, strict=True))
            key = clean_id(unguarded(cells[id_column]))
            if not key:
                raise ValueError("has an empty id")
            duration = next((row[name] for name in DURATION_KEYS if row.get(name)), None)
            duration_s = None if duration is None else seconds_of(duration, "the duration")
            text = unguarded(cells[text_column].strip())
            speaker = field_value(row, "speaker")
            parsed.entries.append(
                Entry(line.number, key, text, speaker, duration_s, metadata=metadata_of_row(row, role))
            )
        except ValueError as error:
            parsed.problems.append((line.number, str(error)))
    return parsed


def _cells(line: Line, delimiter: str, *, strip: bool = True) -> list[str]:
    """Raises ValueError where the quotes do not close."""
    if delimiter == "\t":
        cells = line.text.split("\t")
    else:
        try:
            (cells,) = csv.reader([line.text], delimiter=delimiter, strict=True)
        except csv.Error as error:
            raise ValueError(f"is not CSV: {error} (a cell cannot hold a line end)") from None
    return [cell.strip().casefold() for cell in cells] if strip else cells


def _column(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def parse_seglst(lines: Sequence[Line], role: Role) -> Parsed:
    """MeetEval's JSON list of ``{"session_id", "speaker", "words", "start_time", "end_time"}``; times may be absent.

    A problem has the segment's number in place of a line's.
    """
    parsed = Parsed()
    try:
        segments = json.loads("\n".join(line.text for line in lines))
    except (ValueError, RecursionError):
        return Parsed(problems=[(0, "is not JSON")])
    if not isinstance(segments, list):
        return Parsed(problems=[(0, "is not a list of segments")])
    for number, one in enumerate(segments, start=1):
        try:
            parsed.entries.append(_seglst_entry(number, one))
        except ValueError as error:
            parsed.problems.append((number, f"segment {number}: {error}"))
    return parsed


def is_seglst(value: Any) -> bool:
    """Whether a JSON value is a list of segments as MeetEval writes them."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and {"session_id", "words"} <= one.keys() for one in value)
    )


def _seglst_entry(number: int, value: Any) -> Entry:
    if not isinstance(value, dict):
        raise ValueError(f"is not an object but {describe_value(value)}")
    recording, text = (json_text(value.get(name), name) for name in ("session_id", "words"))
    speaker = speaker_of(value.get("speaker"))
    given = [value.get(name) for name in ("start_time", "end_time")]
    times = (0.0, 0.0) if None in given else (json_seconds(given[0], "start_time"), json_seconds(given[1], "end_time"))
    if times[1] < times[0]:
        raise ValueError(f"ends at {times[1]:g} s, before it begins at {times[0]:g} s")
    segment = Segment(clean_id(recording), None, *times)
    key = f"{segment.recording}-{speaker}-{number:06d}"
    return Entry(number, key, text, speaker, (times[1] - times[0]) or None, segment)


DOCUMENT_SUFFIXES = {".json": "whisper", ".txt": "txt"}
_SHOWN_KEYS = 8


def parse_txt(text: str, path: Path) -> Entry:
    """The whole file is one text; its line ends are white space."""
    return Entry(1, _stem(path), " ".join(text.split()))


def parse_whisper(text: str, path: Path) -> Entry:
    """An object with ``text``, and maybe ``segments``, ``words`` (or words in segments) and ``duration``.

    Raises ValueError with what is wrong, in a text that completes "file:line: …".
    """
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        line = f"line {error.lineno}: " if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"{line}is not JSON") from None
    return document_entry(value, path)


def is_document(value: Any) -> bool:
    """Whether a JSON value is the transcript of one recording, and no line of a JSON Lines file."""
    if not isinstance(value, dict) or not {"text", "segments"} & value.keys():
        return False
    return "segments" in value or not any(isinstance(value.get(key), (str, int)) for key in ID_KEYS)


def document_entry(value: Any, path: Path) -> Entry:
    """The entry of a parsed document; raises ValueError with what is wrong."""
    if not isinstance(value, dict):
        raise ValueError(f"is not a JSON object but {describe_value(value)}; a transcript has the key 'text'")
    segments = _list(value, "segments")
    if "text" in value:
        text = json_text(value["text"], "text")
    elif segments:
        text = " ".join(json_text(one.get("text"), "text") for one in segments)
    else:
        keys = ", ".join(map(repr, list(value)[:_SHOWN_KEYS]))
        raise ValueError(f"has neither 'text' nor 'segments' (it has {keys or 'nothing'})")
    words = _list(value, "words") or [word for one in segments for word in _list(one, "words")]
    timed = _timed(words) if words else None
    duration = value.get("duration")
    duration_s = None if duration is None else json_seconds(duration, "duration")
    return Entry(1, _stem(path), " ".join(text.split()), duration_s=duration_s, words=timed)


def _list(value: dict[str, Any], key: str) -> list[dict[str, Any]]:
    items = value.get(key) or []
    if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
        raise ValueError(f"{key!r} must be a list of objects")
    return items


def _timed(words: list[dict[str, Any]]) -> tuple[TimedWord, ...]:
    """Whisper: ``word`` (a space before it), ``start``, ``end``, ``probability``; ours: ``start_s``, ``confidence``.

    A word without times (whisperX gives none to numbers) begins and ends where the one before it ends.
    """
    timed: list[TimedWord] = []
    for word in words:
        text = json_text(word.get("word", word.get("text")), "word").strip()
        before_s = timed[-1].end_s if timed else 0.0
        start_s = _time_s(word, "start", before_s)
        confidence = confidence_of(word.get("confidence", word.get("probability")))
        timed.append(TimedWord(text, start_s, max(start_s, _time_s(word, "end", start_s)), confidence))
    return tuple(timed)


def _time_s(word: dict[str, Any], key: str, otherwise_s: float) -> float:
    value = word.get(key, word.get(f"{key}_s"))
    return otherwise_s if value is None else json_seconds(value, key)


def _stem(path: Path) -> str:
    return clean_id(path.stem)
