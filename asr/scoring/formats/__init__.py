"""The formats of texts with ids: one table with a parser each, and what formats a file may be in.

In: a path and numbered lines. Out: entries (id, text, and metadata) and problems, each with its line; or the names of
the formats that the file may be in. A wrong guess would be a wrong figure, so a file's ending counts, a format with
columns is recognised only where nine lines in ten have them, and what may be one format or another is left to the
person who knows: ``asr.scoring.read`` asks. ``BARE`` is text whose first word may or may not be an id, which both files
together can show. A new format is a parser, maybe a writer (asr/scoring/export.py), and a row in ``FORMATS``.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.data.records import IGNORED_SEGMENT
from asr.scoring.formats.entries import (
    Entry,
    Line,
    Parsed,
    Role,
    Segment,
    TimedWord,
    bare_name,
    clean_id,
    filled,
    is_comment,
    words_as_json,
)
from asr.scoring.formats.texts import (
    DOCUMENT_SUFFIXES,
    TRN_LINE,
    document_entry,
    is_document,
    is_header,
    is_seglst,
    parse_csv,
    parse_jsonl,
    parse_kaldi,
    parse_plain,
    parse_seglst,
    parse_trn,
    parse_tsv,
    parse_txt,
    parse_whisper,
)
from asr.scoring.formats.timed import (
    ctm_line,
    has_decimal_times,
    looks_like_ctm,
    looks_like_stm,
    parse_ctm,
    parse_stm,
    segment_id,
)

BARE = ("kaldi", "plain")
_ENDINGS = {
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **{f".{name}": name for name in ("trn", "stm", "ctm", "csv", "tsv")},
}
# Files that hold other things than transcripts with ids, and how to know them: a line in the file, and how many of all.
_FOREIGN = (
    ("RTTM, which says who speaks when", re.compile(r"(SPEAKER|SEGMENT|LEXEME|NON-\w+|SPKR-INFO) .*<NA>.*"), 0.5),
    ("subtitles", re.compile(r"WEBVTT.*|\d\d:\d\d(:\d\d)?[.,]\d{3} --> .*"), 0.1),
    ("a TextGrid", re.compile(r'File type = "ooTextFile.*'), 0.0),
    ("XML", re.compile(r"<(\?xml|!DOCTYPE).*", re.I), 0.0),
)
_HAS_DIGIT = re.compile(r"\d")


def detect(path: Path, lines: Sequence[Line]) -> tuple[str, ...]:
    """The names of the formats that the file may be in, by its ending or by what it holds; ``BARE`` where by none."""
    texts = [line.text.strip() for line in filled(lines) if not is_comment(line)]
    if ending := _ENDINGS.get(path.suffix.lower()):
        return (ending,)
    if _share(texts, lambda text: text.startswith("{")) > 0.5:
        return ("jsonl",)
    if _share(texts, lambda text: TRN_LINE.fullmatch(text) is not None) > 0.5:
        return ("trn",)
    if texts and (table := _table(filled(lines)[0])):
        return (table,)
    timed = [name for name, fits in (("stm", looks_like_stm), ("ctm", looks_like_ctm)) if _share(texts, fits) >= 0.9]
    if len(timed) == 1 and _share(texts, has_decimal_times) >= 0.5:
        return tuple(timed)
    return (*timed, *_headless(texts), *BARE)


def foreign(lines: Sequence[Line]) -> str | None:
    """What the file is where it is no transcript that can be scored."""
    texts = [" ".join(line.text.split()) for line in filled(lines)]
    for what, pattern, least in _FOREIGN:
        if sum(pattern.fullmatch(text) is not None for text in texts) > least * len(texts):
            return what
    return None


def _headless(texts: Sequence[str]) -> list[str]:
    """Tables without a header that we know: commas or semicolons inside first words, or the same tabs in all lines."""
    if not texts:
        return []
    firsts = [text.split()[0][:-1] for text in texts]
    found = ["csv"] if any(sum(mark in first for first in firsts) >= 0.9 * len(firsts) for mark in ",;") else []
    columns = {text.count("\t") for text in texts}
    return [*found, *(["tsv"] if len(columns) == 1 and max(columns) > 1 else [])]


def first_words_are_ids(references: Sequence[Line], hypotheses: Sequence[Line]) -> bool | None:
    """Whether two bare files begin their lines with ids; None where that is unclear (then --format has to say).

    Yes where nearly all first words look like ids (digits among letters, long numbers, underscores), or where both
    files have the same first words, each once, in another order. No where they differ or repeat. It is unclear where
    they look like ids in one file only: as plain text the ids would count as words.
    """
    first, second = ([line.text.split(None, 1)[0] for line in filled(lines)] for lines in (references, hypotheses))
    with_ids = [_mostly_ids(words) for words in (first, second)]
    if all(with_ids):
        return True
    if any(with_ids):
        return None
    unique = len(set(first)) == len(first) and len(set(second)) == len(second)
    if not unique or set(first) != set(second) or all(len(line.text.split()) == 1 for line in filled(references)):
        return False
    return True if first != second else None


def _share(texts: Sequence[str], fits: Callable[[str], bool]) -> float:
    return sum(map(fits, texts)) / len(texts) if texts else 0.0


def _table(header: Line) -> str | None:
    kinds = (("tsv", "\t"), ("csv", ","), ("csv", ";"))
    return next((name for name, delimiter in kinds if is_header(header, delimiter)), None)


def _mostly_ids(words: Sequence[str]) -> bool:
    looks = sum(map(_looks_like_id, words))
    return bool(words) and looks >= 0.9 * len(words) and 2 * len(set(words)) >= len(words)


def _looks_like_id(word: str) -> bool:
    digits = len(_HAS_DIGIT.findall(word))
    return "_" in word or digits >= 3 or 0 < digits < len(word)


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
    "ctm": Format(parse_ctm, marked=True),
    "seglst": Format(parse_seglst),
    "csv": Format(parse_csv),
    "tsv": Format(parse_tsv),
    "plain": Format(parse_plain),
    "whisper": Format(parse_document=parse_whisper),
    "txt": Format(parse_document=parse_txt),
}

__all__ = [
    "BARE",
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
    "ctm_line",
    "detect",
    "document_entry",
    "filled",
    "first_words_are_ids",
    "foreign",
    "is_comment",
    "is_document",
    "is_seglst",
    "segment_id",
    "words_as_json",
]
