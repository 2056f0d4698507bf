"""References and hypotheses out of any two text files, with every fault of both told at once.

In: two paths, and the format or "auto". Out: a ``TextFile`` each: texts by id, and speakers and durations where the
file tells them. Bad UTF-8, broken JSON, missing and double ids are collected over both files into one DataError.
"""

import codecs
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import DataError, ScoringError, UsageError
from asr.scoring.formats import PARSERS, Entry, Line, Parsed, Role, detect, filled, first_words_are_ids

FORMATS = ("auto", *PARSERS)
_SHOWN_FAULTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """The texts of one file by id, in the file's order; ``format`` is what it was read as."""

    path: Path
    format: str
    texts: dict[str, str]
    speakers: dict[str, str]
    durations_s: dict[str, float]


def read_pair(references: Path, hypotheses: Path, *, format_name: str = "auto") -> tuple[TextFile, TextFile]:
    """Read two files of texts; ``format_name`` (one of ``FORMATS``) holds for both, "auto" looks at what they hold.

    Raises:
        DataError: a file is absent or has faults; the message lists all of both files, with file and line.
        ScoringError: neither file has ids and their line counts differ.
        UsageError: nothing tells whether the lines begin with ids, or the format is unknown.
    """
    if format_name not in FORMATS:
        raise UsageError(f"unknown format {format_name!r}; choose one of: {', '.join(FORMATS)}")
    faults: list[str] = []
    lines = _read_lines(references, faults), _read_lines(hypotheses, faults)
    if not all(lines):
        _raise(faults)
    formats = (format_name, format_name) if format_name != "auto" else _detect_pair(references, hypotheses, *lines)
    if "plain" in formats:
        _require_equal_counts(references, hypotheses, *map(len, lines))
    parsed = (
        _parse(references, lines[0], formats[0], "reference", faults),
        _parse(hypotheses, lines[1], formats[1], "hypothesis", faults),
    )
    if faults and format_name == "auto":
        faults.append(f"(read as {formats[0]} and {formats[1]}; --format says what they are where that is not so)")
    _raise(faults)
    return _text_file(references, formats[0], parsed[0]), _text_file(hypotheses, formats[1], parsed[1])


def _read_lines(path: Path, faults: list[str]) -> list[Line]:
    """The file's lines, parted at line feeds only: a transcript may hold U+2028 and its kin."""
    try:
        content = path.read_bytes()
    except OSError as error:
        faults.append(f"{path}: cannot be read: {error.strerror or error}")
        return []
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        faults.append(f"{path}: is UTF-16; save it as UTF-8")
        return []
    pieces = content.removeprefix(codecs.BOM_UTF8).removesuffix(b"\n").split(b"\n")
    lines = [_decode(path, number, piece, faults) for number, piece in enumerate(pieces, start=1)]
    if not filled(lines):
        faults.append(f"{path}: is empty; it must hold a text per line")
        return []
    if _is_one_json_document(lines):
        faults.append(f"{path}: is one JSON document over several lines; write one object per line (JSON Lines)")
        return []
    return lines


def _decode(path: Path, number: int, piece: bytes, faults: list[str]) -> Line:
    try:
        return Line(number, piece.removesuffix(b"\r").decode("utf-8"))
    except UnicodeDecodeError as error:
        faults.append(f"{path}:{number}: is not UTF-8 (byte 0x{piece[error.start]:02x} at position {error.start + 1})")
        return Line(number, piece.removesuffix(b"\r").decode("utf-8", errors="replace"))


def _is_one_json_document(lines: Sequence[Line]) -> bool:
    texts = [line.text.strip() for line in filled(lines)]
    if texts[0][0] not in "[{" or (detect(lines) == "jsonl" and texts[0] != "{"):
        return False
    try:
        return isinstance(json.loads("\n".join(texts)), (list, dict))
    except (ValueError, RecursionError):
        return False


def _detect_pair(
    references: Path, hypotheses: Path, reference_lines: list[Line], hypothesis_lines: list[Line]
) -> tuple[str, str]:
    kinds = detect(reference_lines), detect(hypothesis_lines)
    if kinds != ("bare", "bare"):  # the other file has ids, so this one must have them too
        return tuple("kaldi" if kind == "bare" else kind for kind in kinds)  # type: ignore[return-value]
    have_ids = first_words_are_ids(reference_lines, hypothesis_lines)
    if have_ids is None:
        raise UsageError(
            f"cannot tell whether the lines of {references} and {hypotheses} begin with an id: both have the same "
            f"first words. Say --format kaldi if {filled(reference_lines)[0].text.split()[0]!r} is an id, "
            "--format plain if it was spoken"
        )
    return ("kaldi", "kaldi") if have_ids else ("plain", "plain")


def _parse(path: Path, lines: list[Line], format_name: str, role: Role, faults: list[str]) -> Parsed:
    parsed = PARSERS[format_name](lines, role)
    found = parsed.faults + _duplicates(parsed.entries)
    faults += [f"{path}:{number}: {message}" for number, message in sorted(found)]
    return parsed


def _duplicates(entries: Sequence[Entry]) -> list[tuple[int, str]]:
    first: dict[str, int] = {}
    faults = []
    for entry in entries:
        line = first.setdefault(entry.id, entry.line)
        if line != entry.line:
            faults.append((entry.line, f"the id {entry.id!r} was already used in line {line}"))
    return faults


def _require_equal_counts(references: Path, hypotheses: Path, reference_count: int, hypothesis_count: int) -> None:
    if reference_count != hypothesis_count:
        raise ScoringError(
            f"{references} has {reference_count} lines and {hypotheses} has {hypothesis_count}. Without ids, line n is "
            "compared with line n: leave an empty line where nothing was recognised, or give every line an id "
            "(--format kaldi: id, space, text)"
        )


def _text_file(path: Path, format_name: str, parsed: Parsed) -> TextFile:
    entries = parsed.entries
    return TextFile(
        path=path,
        format=format_name,
        texts={entry.id: entry.text for entry in entries},
        speakers={entry.id: entry.speaker for entry in entries if entry.speaker is not None},
        durations_s={entry.id: entry.duration_s for entry in entries if entry.duration_s is not None},
    )


def _raise(faults: list[str]) -> None:
    if faults:
        shown = faults[:_SHOWN_FAULTS]
        more = [f"… and {len(faults) - len(shown)} more"] if len(faults) > len(shown) else []
        raise DataError("\n  ".join(["the texts cannot be read:", *shown, *more]))
