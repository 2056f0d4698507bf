"""Tables with a header: CSV and TSV with a column for the id and one for the text.

In: numbered lines. Out: entries. The columns are named as the keys of JSON Lines are; others are left alone. A quoted
cell may hold commas, not line ends.
"""

import csv
from collections.abc import Sequence

from asr.scoring.formats.entries import Entry, Line, Parsed, Role, clean_id, filled, seconds_of
from asr.scoring.formats.json_lines import DURATION_KEYS, ID_KEYS, TEXT_KEYS
from asr.scoring.formats.told import told_by_row

_ID_COLUMNS = (*ID_KEYS, "file", "path", "utterance", "wav_filename")
_TEXT_COLUMNS: dict[Role, tuple[str, ...]] = {
    "reference": (*TEXT_KEYS["reference"], "ref", "transcript", "sentence"),
    "hypothesis": (*TEXT_KEYS["hypothesis"], "hyp", "prediction", "transcript", "sentence"),
}


def parse_csv(lines: Sequence[Line], role: Role) -> Parsed:
    """Cells parted by commas, or by semicolons as spreadsheets write them where 1,5 is a number; quoted if need be."""
    return _parse(lines, role, ";" if _parted_by_semicolons(filled(lines)[0]) else ",")


def parse_tsv(lines: Sequence[Line], role: Role) -> Parsed:
    """Cells parted by tabs."""
    return _parse(lines, role, "\t")


def is_header(line: Line, delimiter: str) -> bool:
    """Whether the line names a column for the id and one for a text of either side."""
    try:
        names = set(_cells(line, delimiter))
    except ValueError:
        return False
    return not names.isdisjoint(_ID_COLUMNS) and any(not names.isdisjoint(role) for role in _TEXT_COLUMNS.values())


def _parted_by_semicolons(header: Line) -> bool:
    """Whether only semicolons make a header of it."""
    by_comma, by_semicolon = (is_header(header, delimiter) for delimiter in ",;")
    return by_semicolon and not by_comma


def _parse(lines: Sequence[Line], role: Role, delimiter: str) -> Parsed:
    header, *rows = filled(lines)
    names = _cells(header, delimiter)
    id_column, text_column = _column(names, _ID_COLUMNS), _column(names, _TEXT_COLUMNS[role])
    if id_column is None or text_column is None:
        lacking, wanted = ("id", _ID_COLUMNS) if id_column is None else (role, _TEXT_COLUMNS[role])
        choices = ", ".join(wanted)
        return Parsed(faults=[(header.number, f"the header has no column for the {lacking}: none of {choices}")])
    parsed = Parsed()
    for line in rows:
        try:
            cells = _cells(line, delimiter, strip=False)
            if len(cells) != len(names):
                raise ValueError(f"has {len(cells)} cells, and the header has {len(names)}")
            row = dict(zip(names, cells, strict=True))
            key = clean_id(cells[id_column])
            if not key:
                raise ValueError("has an empty id")
            duration = next((row[name] for name in DURATION_KEYS if row.get(name)), None)
            duration_s = None if duration is None else seconds_of(duration, "the duration")
            text = cells[text_column].strip()
            speaker = row.get("speaker") or None
            parsed.entries.append(Entry(line.number, key, text, speaker, duration_s, told=told_by_row(row, role)))
        except ValueError as error:
            parsed.faults.append((line.number, str(error)))
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
