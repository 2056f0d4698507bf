"""Tables of utterances: CSV or TSV with a header, LJSpeech's without one, and NeMo's JSON Lines or array.

In: the file. Out: utterances with durations. Columns are found by the names in ``FIELD_NAMES``; others are kept as
``extra``.
"""

import contextlib
import csv
import io
import json
import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from asr.audio import AUDIO_EXTENSIONS
from asr.data.manifest import Scalar, Utterance
from asr.data.recordings import with_durations
from asr.data.records import FIELD_NAMES, describe_value, field_value, json_object, text_value
from asr.errors import DataError

Row = Mapping[str, Any]

AUDIO_FOLDERS = ("", "clips", "wavs", "wav", "audio")  # searched for audio, below the table's folder


def read_table(file: Path) -> list[Utterance]:
    """A CSV or TSV with a header: an audio and a text column, and, if there are any, those in ``FIELD_NAMES``.

    Further columns become ``extra``. Audio is searched next to the table and in ``AUDIO_FOLDERS`` below.

    Raises:
        DataError: listing the columns that are missing or there twice, or every line with an error.
    """
    return _read_rows(file, _table_rows(file))


def read_nemo(file: Path) -> list[Utterance]:
    """A NeMo-style JSONL, or the same objects in one array: ``audio_filepath``, ``text`` (or the file
    ``text_filepath``), and perhaps ``duration``, ``offset``, ``speaker``.

    Raises:
        DataError: listing every line with an error.
    """
    return _read_rows(file, _json_rows(file))


def _table_rows(file: Path) -> Iterator[tuple[int, Row | str]]:
    """(line number, column → value, or what is wrong with the line) of each row that is not blank."""
    rows, header = _open_table(file)
    if _is_ljspeech(file, header):
        yield from _ljspeech_rows(file)
        return
    try:
        names = Counter(name.strip().lower() for name in rows.fieldnames or [])
    except csv.Error as error:
        raise DataError(
            f"{file}: the header {header.strip()[:80]!r} is not a row of a table ({error}): is a quote not closed?"
        ) from None
    for field in ("audio", "text"):
        if not names.keys() & set(FIELD_NAMES[field]):
            raise DataError(
                f"{file}: no column for {field} in the header {header.strip()[:80]!r}. Name it {field} (also known: "
                f"{', '.join(FIELD_NAMES[field][1:])})."
            )
    if twice := [name for known in FIELD_NAMES.values() for name in known if names[name] > 1]:
        raise DataError(f"{file}: the header has {', '.join(twice)} in more than one column. Rename all but one.")
    try:
        for row in rows:
            if None in row:
                yield rows.line_num, "more fields than the header has (if a text contains a separator, quote the text)"
            elif swallowed := _swallowed_rows(file, row, rows.reader.dialect.delimiter):
                yield rows.line_num, f"a quote that opens {swallowed} line(s) above is closed only here: close it there"
            elif any(row.values()):
                yield rows.line_num, {name.strip().lower(): value for name, value in row.items()}
    except csv.Error as error:
        yield (
            rows.line_num,
            f"not a row of a table ({error}): is a quote not closed here, above or below? Double it inside a text",
        )


def _open_table(file: Path) -> tuple["csv.DictReader[str]", str]:
    """Rows by column, and the header line. Lines end as in CSV, not at U+2028 or U+0085 inside a text."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            lines = io.StringIO(stream.read(), newline="")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 (byte {error.start}): convert it.") from error
    header = lines.readline()
    lines.seek(0)
    # Quotes are ordinary characters in TSV files as Common Voice writes them.
    if file.suffix.lower() == ".tsv" or "\t" in header:
        return csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), header
    # strict: a quote that is never closed is an error, and does not take all further rows into one text
    return csv.DictReader(lines, delimiter=max(",;|", key=header.count), strict=True), header


def _is_ljspeech(file: Path, line: str) -> bool:
    """Whether the first line is a row of LJSpeech, ``ID|text|normalised text``, with its recording in place."""
    return "|" in line and _ljspeech_audio(file, line.split("|")[0].strip()) is not None


def _ljspeech_audio(file: Path, name: str) -> str | None:
    """The recording that LJSpeech's first column names, without its extension in the original."""
    return next((one for one in (name, *(name + kind for kind in AUDIO_EXTENSIONS)) if _find_audio(file, one)), None)


def _ljspeech_rows(file: Path) -> Iterator[tuple[int, Row | str]]:
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").split("\n"), start=1):
        name, *texts = (cell.strip() for cell in line.split("|"))
        if name:
            audio = _ljspeech_audio(file, name) or f"{name}.wav"
            yield number, {"id": name, "audio": audio, "text": next(filter(None, reversed(texts)), "")}


def _swallowed_rows(file: Path, row: Row, delimiter: str) -> int:
    """How many lines a field continues for, where one of them names a recording: a row was taken into a quoted text."""
    for value in filter(None, row.values()):
        inner = value.splitlines()[1:]
        if any(_find_audio(file, cell.strip(' "')) for line in inner for cell in line.split(delimiter)):
            return len(inner)
    return 0


def _json_rows(file: Path) -> Iterator[tuple[int, Row | str]]:
    content = file.read_bytes()
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        yield from _array_rows(content)
        return
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            try:
                yield number, json_object(line)
            except ValueError as error:
                yield number, str(error)


def _array_rows(content: bytes) -> Iterator[tuple[int, Row | str]]:
    """The objects of one JSON array, numbered from 1."""
    try:
        values = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        yield 1, f"is not a JSON array that can be read ({error})"
        return
    for number, value in enumerate(values, start=1):
        yield number, value if isinstance(value, dict) else f"is not a JSON object, but {describe_value(value)}"


def _read_rows(file: Path, rows: Iterator[tuple[int, Row | str]]) -> list[Utterance]:
    problems: list[str] = []
    utterances = []
    for number, row in rows:
        found = row if isinstance(row, str) else _utterance_of_row(file, row)
        if isinstance(found, str):
            problems.append(f"{file}:{number}: {found}")
        else:
            utterances.append(found)
    if not utterances and not problems:
        raise DataError(f"{file} contains no utterances.")
    return with_durations(utterances, where=str(file), problems=problems)


def _utterance_of_row(file: Path, row: Row) -> Utterance | str:
    """The row's utterance, or what is wrong with it."""
    fields = {field: field_value(row, field) for field in FIELD_NAMES}
    try:
        audio, text, identifier, speaker = (text_value(row, field) for field in ("audio", "text", "id", "speaker"))
    except ValueError as error:
        return str(error)
    text = " ".join(text.split())
    if not text and row.get("text_filepath"):
        place = file.resolve().parent / str(row["text_filepath"])
        try:
            text = " ".join(place.read_text(encoding="utf-8-sig").split())
        except (OSError, ValueError) as error:
            return f"{row['text_filepath']}: cannot be read ({error})"
    if not audio or not text:
        return "no audio" if not audio else f"{audio}: the transcript is empty"
    path = _find_audio(file, audio)
    if path is None:
        return f"{audio} does not exist next to the table"
    span = _span(fields)
    if isinstance(span, str):
        return f"{audio}: {span}"
    return Utterance(
        id=identifier or "_".join(_default_id(audio, span[0]).split()),
        audio=str(path),
        start_s=span[0],
        duration_s=span[1],
        text=text,
        speaker=speaker or None,
        channel=None if fields["channel"] is None else int(float(fields["channel"])),
        extra=_extra(row),
    )


def _find_audio(table: Path, name: str) -> Path | None:
    """The recording next to the table or in one of ``AUDIO_FOLDERS``.

    Accents may be composed in the table and decomposed in the file's name, or the reverse (macOS, Excel).
    """
    home = table.resolve().parent
    for spelled in dict.fromkeys((name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))):
        for folder in AUDIO_FOLDERS:
            with contextlib.suppress(OSError):  # a name too long for the file system
                if name and (home / folder / spelled).is_file():
                    return home / folder / spelled
    return None


def _extra(row: Row) -> dict[str, Scalar]:
    known = {name for names in FIELD_NAMES.values() for name in names} | {"text_filepath"}
    return {
        name: value
        for name, value in row.items()
        if name not in known and isinstance(value, str | int | float) and value != ""
    }


def _span(fields: Mapping[str, Any]) -> tuple[float, float] | str:
    """(start_s, duration_s), the latter 0 where the row has none; or what is wrong."""
    try:
        start_s = float(fields["start_s"] or 0)
        end_s = float(fields["end_s"]) if fields["end_s"] else None
        duration_s = float(fields["duration_s"] or 0)
        whole = float(fields["channel"] or 0).is_integer()  # a spreadsheet may write 1.0
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        return "start, end, duration must be seconds and channel a whole number"
    if end_s is not None:
        duration_s = end_s - start_s
        if duration_s <= 0:
            return f"end {end_s} is not after start {start_s}"
    if not (0 <= start_s < math.inf and 0 <= duration_s < math.inf):
        return f"start {start_s} and duration {duration_s} are not a valid span of seconds"
    return start_s, round(duration_s, 6)


def _default_id(audio: str, start_s: float) -> str:
    stem = Path(audio).with_suffix("").as_posix().lstrip("./")
    return f"{stem}@{start_s:.3f}" if start_s else stem
