"""References and hypotheses out of any two files of texts, with every fault of both told at once.

In: two paths (a file, or a folder with a file for each recording), and the format or "auto". Out: a ``TextFile`` each:
texts by id, and what else the file tells. Bad UTF-8, broken JSON, missing and double ids are collected over both into
one DataError.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.errors import DataError, ScoringError, UsageError
from asr.scoring.formats import FORMATS as TABLE
from asr.scoring.formats import Entry, Parsed, Role, Segment, TimedWord, filled, first_words_are_ids, told_words
from asr.scoring.source import Source, as_document, read_source

FORMATS = ("auto", *TABLE)
_SHOWN_FAULTS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """The texts of one file by id, in the file's order; ``format`` is what it was read as.

    ``segments`` and ``words`` are there for the ids whose place in a recording, or whose words' times, the file tells;
    ``told``: what else it tells of each, as further keys of its line in results.jsonl.
    """

    path: Path
    format: str
    texts: dict[str, str]
    speakers: dict[str, str] = field(default_factory=dict)
    durations_s: dict[str, float] = field(default_factory=dict)
    segments: dict[str, Segment] = field(default_factory=dict)
    words: dict[str, tuple[TimedWord, ...]] = field(default_factory=dict)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

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
        DataError: a file is absent or has faults; the message lists all of both files, with file and line.
        ScoringError: neither file has ids and their line counts differ.
        UsageError: nothing tells whether the lines begin with ids, or the format is unknown.
    """
    wanted = format_name, format_name if hypothesis_format is None else hypothesis_format
    for name in wanted:
        if name not in FORMATS:
            raise UsageError(f"unknown format {name!r}; choose one of: {', '.join(FORMATS)}")
    faults: list[str] = []
    sources = read_source(references, faults), read_source(hypotheses, faults)
    if any(source.is_empty for source in sources):
        _raise(faults)
    formats = _formats(sources, wanted)
    if "plain" in formats:
        _require_equal_counts(sources)
    entries = (
        _parse(sources[0], formats[0], "reference", faults),
        _parse(sources[1], formats[1], "hypothesis", faults),
    )
    if faults and "auto" in wanted:
        faults.append(f"(read as {formats[0]} and {formats[1]}; --format says what they are where that is not so)")
    _raise(faults)
    return (
        _text_file(references, formats[0], entries[0], "reference"),
        _text_file(hypotheses, formats[1], entries[1], "hypothesis"),
    )


def _formats(sources: tuple[Source, Source], wanted: tuple[str, str]) -> tuple[str, str]:
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


def _why_unclear(sources: tuple[Source, Source]) -> str:
    """Why nothing tells, and the first half of what to do; both sides need ids, or neither."""
    first, second = (filled(source.lines)[0].text.split()[0] for source in sources)
    if {line.text.split()[0] for line in filled(sources[0].lines)} == {
        line.text.split()[0] for line in filled(sources[1].lines)
    }:
        return f"both have the same first words. Say --format kaldi if {first!r} is an id"
    return (
        f"the first words look like ids in one of them only ({first!r} and {second!r}), and both need ids, or neither. "
        "Say --format kaldi if they are ids"
    )


def _parse(source: Source, format_name: str, role: Role, faults: list[str]) -> list[Entry]:
    parse_lines = TABLE[format_name].parse_lines
    if parse_lines is None:
        return _parse_documents(source, format_name, faults)
    if not source.lines:
        faults.append(f"{source.path}: is not a file of lines, and so cannot be read as {format_name}")
        return []
    parsed: Parsed = parse_lines(source.lines, role)
    found = parsed.faults + _duplicates(parsed.entries)
    faults += [f"{source.path}:{number}: {message}" for number, message in sorted(found)]
    return parsed.entries


def _parse_documents(source: Source, format_name: str, faults: list[str]) -> list[Entry]:
    """One entry for each file; its id is the file's name without the ending."""
    parse = TABLE[format_name].parse_document
    assert parse is not None  # each row of the table has one of the two
    first: dict[str, Path] = {}
    entries = []
    for path, text in as_document(source).documents:
        try:
            entry = parse(text, path)
        except ValueError as error:
            faults.append(f"{path}: {error}")
            continue
        if entry.id in first:
            faults.append(f"{path}: the id {entry.id!r} was already used by {first[entry.id]}")
        first.setdefault(entry.id, path)
        entries.append(entry)
    return entries


def _duplicates(entries: Sequence[Entry]) -> list[tuple[int, str]]:
    first: dict[str, int] = {}
    faults = []
    for entry in entries:
        line = first.setdefault(entry.id, entry.line)
        if line != entry.line:
            faults.append((entry.line, f"the id {entry.id!r} was already used in line {line}"))
    return faults


def _require_equal_counts(sources: tuple[Source, Source]) -> None:
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
        told={entry.id: _told(entry, path, role) for entry in entries},
    )


def _told(entry: Entry, path: Path, role: Role) -> dict[str, Any]:
    """What the entry tells besides: of a hypothesis its words, too; its audio as an absolute path."""
    told = dict(entry.told)
    if "audio" in told:
        told["audio"] = os.path.abspath((path if path.is_dir() else path.parent) / told["audio"])
    if entry.words is not None and role == "hypothesis":
        told["words"] = told_words(entry.words, entry.segment.start_s if entry.segment else 0.0)
    return told


def _raise(faults: list[str]) -> None:
    if faults:
        different = list(dict.fromkeys(faults))  # both sides may be one file
        shown = different[:_SHOWN_FAULTS]
        more = [f"… and {len(different) - len(shown)} more"] if len(different) > len(shown) else []
        raise DataError("\n  ".join(["the texts cannot be read:", *shown, *more]))
