"""References and hypotheses out of any two files of texts; all problems of both are reported at once.

In: two paths (a file, or a folder with a file for each recording), and the format or "auto". Out: a ``TextFile`` each:
texts by id and metadata. A path is first read as lines or documents (``TextSource``), then parsed in its format; where
it is not sure which one that is, the person is asked. What cannot be read (absent, UTF-16, zero bytes, bad UTF-8),
broken JSON, missing and repeated ids are collected over both into one DataError.
"""

import codecs
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.errors import DataError, ScoringError, UsageError
from asr.scoring.formats import (
    BARE,
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
    foreign,
    is_comment,
    is_document,
    is_seglst,
    words_as_json,
)
from asr.scoring.formats import FORMATS as TABLE
from asr.terminal import few_of_each_kind, shorten


@dataclass(slots=True)
class TextSource:
    """The lines of a file, or the documents (path and text) of a file or folder; ``kinds``: what it may be.

    ``blank``: it was read and holds no text at all.
    """

    path: Path
    lines: list[Line] = field(default_factory=list)
    documents: list[tuple[Path, str]] = field(default_factory=list)
    kinds: tuple[str, ...] = BARE
    blank: bool = False

    @property
    def unreadable(self) -> bool:
        """Whether nothing could be read."""
        return not self.lines and not self.documents and not self.blank


def read_keywords(path: Path, normalizer: Callable[[str], str]) -> list[str]:
    """The words and phrases of a file, one a line, normalised, each once; raises DataError for a line without any."""
    problems: list[str] = []
    source = read_source(path, problems)
    words = [(line.number, normalizer(line.text)) for line in filled(source.lines)]
    problems += [
        f"{path}:{number}: nothing is left of this keyword once normalised" for number, word in words if not word
    ]
    if problems or not words:
        raise DataError(
            "\n  ".join(["the keywords cannot be read:", *few_of_each_kind(problems or [f"{path}: holds none"])])
        )
    return list(dict.fromkeys(word for _, word in words))


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
    if all(is_comment(line) for line in filled(lines)):
        return TextSource(path, kinds=detect(path, lines), blank=True)
    if what := foreign(lines):
        known = "jsonl, csv, kaldi, trn, stm, ctm, whisper's JSON"
        problems.append(f"{path}: is {what}; give transcripts in a format that can be scored ({known})")
        return TextSource(path)
    value, whole = _json(lines)
    if is_document(value):
        return TextSource(path, documents=[(path, whole)], kinds=("whisper",))
    if is_seglst(value):
        return TextSource(path, lines=lines, kinds=("seglst",))
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):  # as NeMo's manifests may be
        rows = [Line(number, json.dumps(one, ensure_ascii=False)) for number, one in enumerate(value, start=1)]
        return TextSource(path, lines=rows, kinds=("jsonl",))
    kinds = detect(path, lines)
    if value is not None and (kinds != ("jsonl",) or filled(lines)[0].text.strip() in ("[", "{")):
        problems.append(
            f"{path}: is one JSON document that holds no list of texts; write one object per line (JSON Lines)"
        )
        return TextSource(path)
    return TextSource(path, lines=lines, kinds=kinds)


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
    source = TextSource(folder, kinds=(DOCUMENT_SUFFIXES[present[0]],))
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


def _json(lines: Sequence[Line]) -> tuple[Any, str]:
    """The JSON object or list that the whole file is, or None; and the whole file."""
    whole = "\n".join(line.text for line in lines)
    if whole.lstrip()[:1] not in ("{", "["):
        return None, whole
    try:
        return json.loads(whole), whole
    except (ValueError, RecursionError):
        return None, whole


FORMATS = ("auto", *TABLE)


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
    references: Path,
    hypotheses: Path,
    *,
    format_name: str = "auto",
    hypothesis_format: str | None = None,
    allow_empty: bool = False,
) -> tuple[TextFile, TextFile]:
    """Read two files of texts. A format is one of ``FORMATS``; "auto" looks at what they hold.

    ``format_name`` holds for both files, or for the references only where ``hypothesis_format`` is given;
    ``allow_empty``: a file of hypotheses without any is no problem: nothing was recognised.

    Raises:
        DataError: a file is absent or has problems; the message lists them of both files, with file and line.
        ScoringError: neither file has ids and their line counts differ.
        UsageError: it is not sure which format a file is in, or the format is unknown.
    """
    wanted = format_name, format_name if hypothesis_format is None else hypothesis_format
    for name in wanted:
        if name not in FORMATS:
            raise UsageError(f"unknown format {name!r}; choose one of: {', '.join(FORMATS)}")
    problems: list[str] = []
    sources = read_source(references, problems), read_source(hypotheses, problems)
    for source, role in zip(sources, ("reference", "hypothesis"), strict=True):
        if source.blank and not (allow_empty and role == "hypothesis"):
            tip = " (--missing as-deletions: nothing was recognised)" if role == "hypothesis" else ""
            problems.append(f"{source.path}: is empty; it must hold a text per line{tip}")
    if problems and any(source.unreadable or source.blank for source in sources):
        _raise(problems)
    try:
        formats = _formats(sources, wanted)
    except UsageError:
        _raise(problems)  # such as bytes that are not UTF-8: they may be why the format is not sure
        raise
    if "plain" in formats and not sources[1].blank:
        _require_equal_counts(sources)
    entries = (
        _parse(sources[0], formats[0], "reference", problems),
        [] if sources[1].blank else _parse(sources[1], formats[1], "hypothesis", problems),
    )
    if problems and "auto" in wanted:
        problems.append(how_read(*formats))
    _raise(problems)
    return (
        _text_file(references, formats[0], entries[0], "reference"),
        _text_file(hypotheses, formats[1], entries[1], "hypothesis"),
    )


def how_read(reference: str, hypothesis: str) -> str:
    """What a message says of the formats where nobody gave them."""
    return f"(read as {reference} and {hypothesis}; if that is wrong, give --format)"


def _formats(sources: tuple[TextSource, TextSource], wanted: tuple[str, str]) -> tuple[str, str]:
    first, second = (source.kinds if name == "auto" else (name,) for source, name in zip(sources, wanted, strict=True))
    _require_sure(sources[0], first, "--format")
    _require_sure(sources[1], second, "--hypothesis-format")
    if sources[1].blank and second == BARE:
        sources, second = (sources[0], sources[0]), first  # what the references are
    if first == second == BARE:
        have_ids = first_words_are_ids(sources[0].lines, sources[1].lines)
        if have_ids is None:
            paths = " and ".join(dict.fromkeys(str(source.path) for source in sources))
            raise UsageError(
                f"cannot tell whether the lines of {paths} begin with an id: {_why_unclear(sources)}, --format plain if"
                " it was spoken"
            )
        return ("kaldi", "kaldi") if have_ids else ("plain", "plain")
    other = "plain" if ("plain",) in (first, second) else "kaldi"  # the other file has ids, so this one must have them
    return other if first == BARE else first[0], other if second == BARE else second[0]


def _require_sure(source: TextSource, kinds: tuple[str, ...], option: str) -> None:
    if len(kinds) > 1 and kinds != BARE:
        raise UsageError(
            f"{source.path} may be {', '.join(kinds[:-1])} or {kinds[-1]}: its first line is "
            f"{shorten(filled(source.lines)[0].text.strip(), 40)!r}. Say which one with {option}, or give the file "
            f"an ending that says so (.{kinds[0]})"
        )


def _why_unclear(sources: tuple[TextSource, TextSource]) -> str:
    """Why it is unclear, and the first half of what to do; both sides need ids, or neither."""
    first, second = (filled(source.lines)[0].text.split()[0] for source in sources)
    if sources[0] is sources[1]:
        return f"the hypotheses are empty. Say --format kaldi if {first!r} is an id"
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
    problems += [
        f"{source.path}:{number}: {message}" if number else f"{source.path}: {message}"
        for number, message in sorted(found)
    ]
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
    if "audio" in metadata and "://" not in str(metadata["audio"]):  # a shard on a server
        metadata["audio"] = os.path.abspath((path if path.is_dir() else path.parent) / metadata["audio"])
    if entry.words is not None and role == "hypothesis":
        metadata["words"] = words_as_json(entry.words, entry.segment.start_s if entry.segment else 0.0)
    return metadata


def _raise(problems: list[str]) -> None:
    if problems:
        raise DataError("\n  ".join(["the texts cannot be read:", *few_of_each_kind(problems)]))  # both may be one file
