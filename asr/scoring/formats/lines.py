"""Formats with a text a line: Kaldi's ``text``, sclite's ``trn``, and plain lines without ids.

In: numbered lines. Out: entries and faults. A trn text may hold sclite's alternatives, ``{ a / b }``, and words that
may be left out, ``(uh)``; they stay in the text here (see asr/scoring/alternatives.py, which chooses).
"""

import re
from collections.abc import Sequence

from asr.scoring.formats.entries import Entry, Line, Parsed, Role, clean_id, filled, is_comment
from asr.scoring.formats.marks import check_marks

TRN_LINE = re.compile(r"(?P<text>.*?)\s*\((?P<id>[^()\s]+)\)\s*")


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
        if is_comment(line):
            continue
        match = TRN_LINE.fullmatch(line.text)
        if match is None:
            parsed.faults.append((line.number, "does not end with an id in parentheses, as the lines of a trn file do"))
            continue
        try:
            check_marks(match["text"], role)
        except ValueError as error:
            parsed.faults.append((line.number, str(error)))
        parsed.entries.append(Entry(line.number, clean_id(match["id"]), match["text"].strip()))
    return parsed


def parse_plain(lines: Sequence[Line], role: Role) -> Parsed:
    """A text a line, blank lines too; the id is the line's number."""
    return Parsed([Entry(line.number, f"line-{line.number}", line.text.strip()) for line in lines])
