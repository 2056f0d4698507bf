"""References and hypotheses out of any two files of texts; all problems of both are reported at once.

In: two paths (a file, or a folder with a file for each recording), and the format or "auto". Out: a ``TextFile`` each:
texts by id and metadata. A path is first read as lines or documents (``TextSource``), then parsed in its format. What
cannot be read (absent, UTF-16, zero bytes, bad UTF-8), broken JSON, missing and repeated ids are collected over both
into one DataError.
"""

import codecs
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.errors import DataError, ScoringError, UsageError
from asr.scoring.formats import (
    DOCUMENT_SUFFIXES,
    Entry,
    Line,
    Parsed,
    Role,
    Segment,
    TimedWord,
    detect,
    filled,
    first_words_are_ids,
    is_document,
    words_as_json,
)
from asr.scoring.formats import FORMATS as TABLE


@dataclass(slots=True)
class TextSource:
    """The lines of a file, or the documents (path and text) of a file or folder; ``kind``: a format, or "bare"."""

    path: Path
    lines: list[Line] = field(default_factory=list)
    documents: list[tuple[Path, str]] = field(default_factory=list)
    kind: str = "bare"

    @property
    def is_empty(self) -> bool:
        """Whether nothing could be read."""
        return not self.lines and not self.documents


def read_source(path: Path, problems: list[str]) -> TextSource:
    """Read a file, or the ``.json`` or ``.txt`` files of a folder and its folders; problems go to ``problems``."""
    if path.is_dir():
        return _read_folder(path, problems)
    content = _content(path, problems)
    if content is None:
        return TextSource(path)
    # split at line feeds only: a transcript may hold U+2028
    pieces = content.removesuffix(b"\n").split(b"\n")
    lines = [_decode(path, number, piece, problems) for number, piece in enumerate(pieces, start=1)]
    if not filled(lines):
        problems.append(f"{path}: is empty; it must hold a text per line")
        return TextSource(path)
    whole = "\n".join(line.text for line in lines)
    if _is_transcript(lines, whole):
        return TextSource(path, documents=[(path, whole)], kind="whisper")
    if _is_json_over_lines(lines, whole):
        problems.append(f"{path}: is one JSON document over several lines; write one object per line (JSON Lines)")
        return TextSource(path)
    return TextSource(path, lines=lines, kind=detect(lines))


def as_document(source: TextSource) -> TextSource:
    """A file of lines as one document, where --format says that it is one."""
    text = "\n".join(line.text for line in source.lines)
    return TextSource(source.path, documents=source.documents or [(source.path, text)])


def _read_folder(folder: Path, problems: list[str]) -> TextSource:
    found = {
        suffix: sorted(path for path in folder.rglob(f"*{suffix}") if path.is_file()) for suffix in DOCUMENT_SUFFIXES
    }
    present = [suffix for suffix, paths in found.items() if paths]
    if len(present) != 1:
        counts = " and ".join(f"{len(paths)} {suffix}" for suffix, paths in found.items())
        problems.append(f"{folder}: is a folder with {counts} files; it must hold one of these kinds, and only one")
        return TextSource(folder)
    source = TextSource(folder, kind=DOCUMENT_SUFFIXES[present[0]])
    for path in found[present[0]]:
        content = _content(path, problems)
        if content is not None:
            pieces = content.split(b"\n")
            lines = [_decode(path, number, piece, problems).text for number, piece in enumerate(pieces, start=1)]
            source.documents.append((path, "\n".join(lines)))
    return source


def _content(path: Path, problems: list[str]) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror or error}")
        return None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        problems.append(f"{path}: is UTF-16; save it as UTF-8")
        return None
    if b"\0" in content:
        line = content.count(b"\n", 0, content.index(b"\0")) + 1
        problems.append(f"{path}:{line}: holds a zero byte, as UTF-16 and binary files do; save it as text in UTF-8")
        return None
    return content.removeprefix(codecs.BOM_UTF8)


def _decode(path: Path, number: int, piece: bytes, problems: list[str]) -> Line:
    try:
        return Line(number, piece.removesuffix(b"\r").decode("utf-8"))
    except UnicodeDecodeError as error:
        problems.append(
            f"{path}:{number}: is not UTF-8 (byte 0x{piece[error.start]:02x} at position {error.start + 1})"
        )
        return Line(number, piece.removesuffix(b"\r").decode("utf-8", errors="replace"))


def _is_transcript(lines: Sequence[Line], whole: str) -> bool:
    if not filled(lines)[0].text.lstrip().startswith("{"):
        return False
    try:
        return is_document(json.loads(whole))
    except (ValueError, RecursionError):
        return False


def _is_json_over_lines(lines: Sequence[Line], whole: str) -> bool:
    texts = [line.text.strip() for line in filled(lines)]
    if texts[0][0] not in "[{" or (detect(lines) == "jsonl" and texts[0] != "{"):
        return False
    try:
        return isinstance(json.loads(whole), (list, dict))
    except (ValueError, RecursionError):
        return False


FORMATS = ("auto", *TABLE)
_SHOWN_PROBLEMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """The texts of one file by id, in the file's order; ``format`` is what it was read as.

    ``segments`` and ``words`` are there for the ids whose segment of a recording, or whose words' times, are in the
    file; ``metadata``: what else it says of each, as further keys of its line in results.jsonl.
    """

    path: Path
    format: str
    texts: dict[str, str]
    speakers: dict[str, str] = field(default_factory=dict)
    durations_s: dict[str, float] = field(default_factory=dict)
    segments: dict[str, Segment] = field(default_factory=dict)
    words: dict[str, tuple[TimedWord, ...]] = field(default_factory=dict)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def marked(self) -> bool:
        """Whether the texts may hold sclite's marks: alternatives in braces, words that may be left out."""
        return TABLE[self.format].marked


def read_pair(
    references: Path, hypotheses: Path, *, format_name: str = "auto", hypothesis_format: str | None = None
) -> tuple[TextFile, TextFile]:
    """Read two files of texts. A format is one of ``FORMATS``; "auto" looks at what they hold.

    ``format_name`` holds for both files, or for the references only where ``hypothesis_format`` is given.

    Raises:
        DataError: a file is absent or has problems; the message lists all of both files, with file and line.
        ScoringError: neither file has ids and their line counts differ.
        UsageError: it is unclear whether the lines begin with ids, or the format is unknown.
    """
    wanted = format_name, format_name if hypothesis_format is None else hypothesis_format
    for name in wanted:
        if name not in FORMATS:
            raise UsageError(f"unknown format {name!r}; choose one of: {', '.join(FORMATS)}")
    problems: list[str] = []
    sources = read_source(references, problems), read_source(hypotheses, problems)
    if any(source.is_empty for source in sources):
        _raise(problems)
    formats = _formats(sources, wanted)
    if "plain" in formats:
        _require_equal_counts(sources)
    entries = (
        _parse(sources[0], formats[0], "reference", problems),
        _parse(sources[1], formats[1], "hypothesis", problems),
    )
    if problems and "auto" in wanted:
        problems.append(f"(read as {formats[0]} and {formats[1]}; if that is wrong, give --format)")
    _raise(problems)
    return (
        _text_file(references, formats[0], entries[0], "reference"),
        _text_file(hypotheses, formats[1], entries[1], "hypothesis"),
    )


def _formats(sources: tuple[TextSource, TextSource], wanted: tuple[str, str]) -> tuple[str, str]:
    kinds = [source.kind if name == "auto" else name for source, name in zip(sources, wanted, strict=True)]
    if kinds == ["bare", "bare"]:
        have_ids = first_words_are_ids(sources[0].lines, sources[1].lines)
        if have_ids is None:
            raise UsageError(
                f"cannot tell whether the lines of {sources[0].path} and {sources[1].path} begin with an id: "
                f"{_why_unclear(sources)}, --format plain if it was spoken"
            )
        return ("kaldi", "kaldi") if have_ids else ("plain", "plain")
    other = "plain" if "plain" in kinds else "kaldi"  # the other file has ids, so this one must have them too
    first_kind, second_kind = (other if kind == "bare" else kind for kind in kinds)
    return first_kind, second_kind


def _why_unclear(sources: tuple[TextSource, TextSource]) -> str:
    """Why it is unclear, and the first half of what to do; both sides need ids, or neither."""
    first, second = (filled(source.lines)[0].text.split()[0] for source in sources)
    if {line.text.split()[0] for line in filled(sources[0].lines)} == {
        line.text.split()[0] for line in filled(sources[1].lines)
    }:
        return f"both have the same first words. Say --format kaldi if {first!r} is an id"
    return (
        f"the first words look like ids in one of them only ({first!r} and {second!r}), and both need ids, or neither. "
        "Say --format kaldi if they are ids"
    )


def _parse(source: TextSource, format_name: str, role: Role, problems: list[str]) -> list[Entry]:
    parse_lines = TABLE[format_name].parse_lines
    if parse_lines is None:
        return _parse_documents(source, format_name, problems)
    if not source.lines:
        problems.append(f"{source.path}: is not a file of lines, and so cannot be read as {format_name}")
        return []
    parsed: Parsed = parse_lines(source.lines, role)
    found = parsed.problems + _duplicates(parsed.entries)
    problems += [f"{source.path}:{number}: {message}" for number, message in sorted(found)]
    return parsed.entries


def _parse_documents(source: TextSource, format_name: str, problems: list[str]) -> list[Entry]:
    """One entry for each file; its id is the file's name without the ending."""
    parse = TABLE[format_name].parse_document
    assert parse is not None  # each row of the table has one of the two
    first: dict[str, Path] = {}
    entries = []
    for path, text in as_document(source).documents:
        try:
            entry = parse(text, path)
        except ValueError as error:
            problems.append(f"{path}: {error}")
            continue
        if entry.id in first:
            problems.append(f"{path}: the id {entry.id!r} was already used by {first[entry.id]}")
        first.setdefault(entry.id, path)
        entries.append(entry)
    return entries


def _duplicates(entries: Sequence[Entry]) -> list[tuple[int, str]]:
    first: dict[str, int] = {}
    problems = []
    for entry in entries:
        line = first.setdefault(entry.id, entry.line)
        if line != entry.line:
            problems.append((entry.line, f"the id {entry.id!r} was already used in line {line}"))
    return problems


def _require_equal_counts(sources: tuple[TextSource, TextSource]) -> None:
    references, hypotheses = sources
    if len(references.lines) != len(hypotheses.lines):
        raise ScoringError(
            f"{references.path} has {len(references.lines)} lines and {hypotheses.path} has {len(hypotheses.lines)}. "
            "Without ids, line n is compared with line n: leave an empty line where nothing was recognised, or give "
            "every line an id (--format kaldi: id, space, text)"
        )


def _text_file(path: Path, format_name: str, entries: Sequence[Entry], role: Role) -> TextFile:
    return TextFile(
        path=path,
        format=format_name,
        texts={entry.id: entry.text for entry in entries},
        speakers={entry.id: entry.speaker for entry in entries if entry.speaker is not None},
        durations_s={entry.id: entry.duration_s for entry in entries if entry.duration_s is not None},
        segments={entry.id: entry.segment for entry in entries if entry.segment is not None},
        words={entry.id: entry.words for entry in entries if entry.words is not None},
        metadata={entry.id: _metadata(entry, path, role) for entry in entries},
    )


def _metadata(entry: Entry, path: Path, role: Role) -> dict[str, Any]:
    """The entry's metadata; of a hypothesis its words, too; its audio as an absolute path."""
    metadata = dict(entry.metadata)
    if "audio" in metadata:
        metadata["audio"] = os.path.abspath((path if path.is_dir() else path.parent) / metadata["audio"])
    if entry.words is not None and role == "hypothesis":
        metadata["words"] = words_as_json(entry.words, entry.segment.start_s if entry.segment else 0.0)
    return metadata


def _raise(problems: list[str]) -> None:
    if problems:
        different = list(dict.fromkeys(problems))  # both sides may be one file
        shown = different[:_SHOWN_PROBLEMS]
        more = [f"… and {len(different) - len(shown)} more"] if len(different) > len(shown) else []
        raise DataError("\n  ".join(["the texts cannot be read:", *shown, *more]))
