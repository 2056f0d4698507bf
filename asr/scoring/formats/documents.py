"""One file per recording: whisper's JSON, OpenAI's ``verbose_json``, our own transcripts, and plain ``.txt`` files.

In: a file's text and its path. Out: one entry whose id is the file's name without its ending (whisper names its output
after the recording), with words and their times where the file has them. A folder is read file by file.
"""

import json
from pathlib import Path
from typing import Any

from asr.scoring.formats.entries import Entry, TimedWord, clean_id, confidence_of, json_seconds, json_text, shown_json
from asr.scoring.formats.json_lines import ID_KEYS

DOCUMENT_SUFFIXES = {".json": "whisper", ".txt": "txt"}
_SHOWN_KEYS = 8


def parse_txt(text: str, path: Path) -> Entry:
    """The whole file is one text; its line ends are white space."""
    return Entry(1, _stem(path), " ".join(text.split()))


def parse_whisper(text: str, path: Path) -> Entry:
    """An object with ``text``, and maybe ``segments``, ``words`` (or words in segments) and ``duration``.

    Raises ValueError with what is wrong, in words that complete "file:line: …".
    """
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        line = f"line {error.lineno}: " if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"{line}is not JSON") from None
    return document_entry(value, path)


def is_document(value: Any) -> bool:
    """Whether a JSON value is the transcript of one recording, and no line of a JSON Lines file."""
    return isinstance(value, dict) and ("text" in value or "segments" in value) and not set(ID_KEYS) & value.keys()


def document_entry(value: Any, path: Path) -> Entry:
    """The entry of a parsed document; raises ValueError with what is wrong."""
    if not isinstance(value, dict):
        raise ValueError(f"is not a JSON object but {shown_json(value)}; a transcript has the key 'text'")
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

    A word without times (whisperX leaves numbers so) stands where the one before it ends.
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
