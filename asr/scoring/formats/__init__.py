"""The formats in which texts with ids come: one table, a parser each, and a writer where others read the format too.

In: numbered lines, or a whole file. Out: entries (id, text, and what else the file tells) and faults, each with its
line. A new format is a parser, maybe a writer (asr/scoring/export.py), and a row in ``FORMATS``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.scoring.formats.detect import detect, first_words_are_ids
from asr.scoring.formats.documents import (
    DOCUMENT_SUFFIXES,
    document_entry,
    is_document,
    parse_txt,
    parse_whisper,
)
from asr.scoring.formats.entries import Entry, Line, Parsed, Role, Segment, TimedWord, bare_name, clean_id, filled
from asr.scoring.formats.json_lines import parse_jsonl
from asr.scoring.formats.lines import parse_kaldi, parse_plain, parse_trn
from asr.scoring.formats.tables import parse_csv, parse_tsv
from asr.scoring.formats.timed import IGNORED_SEGMENT, parse_ctm, parse_stm, segment_id
from asr.scoring.formats.told import told_words


@dataclass(frozen=True, slots=True)
class Format:
    """How a format is read: by lines, or a whole file for each recording; ``marked``: it may hold sclite's marks."""

    parse_lines: Callable[[Sequence[Line], Role], Parsed] | None = None
    parse_document: Callable[[str, Path], Entry] | None = None
    marked: bool = False


FORMATS: dict[str, Format] = {
    "kaldi": Format(parse_kaldi),
    "jsonl": Format(parse_jsonl),
    "trn": Format(parse_trn, marked=True),
    "stm": Format(parse_stm, marked=True),
    "ctm": Format(parse_ctm),
    "csv": Format(parse_csv),
    "tsv": Format(parse_tsv),
    "plain": Format(parse_plain),
    "whisper": Format(parse_document=parse_whisper),
    "txt": Format(parse_document=parse_txt),
}

__all__ = [
    "DOCUMENT_SUFFIXES",
    "FORMATS",
    "IGNORED_SEGMENT",
    "Entry",
    "Format",
    "Line",
    "Parsed",
    "Role",
    "Segment",
    "TimedWord",
    "bare_name",
    "clean_id",
    "detect",
    "document_entry",
    "filled",
    "first_words_are_ids",
    "is_document",
    "segment_id",
    "told_words",
]
