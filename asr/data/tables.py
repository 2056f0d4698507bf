"""Reading tables of utterances: CSV or TSV with a header, and NeMo-style JSONL.

In: the file. Out: utterances with durations. Columns are known by the names that people give them; what is not known
is kept as ``extra``.

Reading Kaldi data folders: ``wav.scp``, ``text``, and, where there are any, ``segments`` and ``utt2spk``.

In: the folder. Out: utterances with durations. Commands in ``wav.scp`` (lines that end in ``|``) are refused: a data
file must not start programs.

How long each recording is, for many recordings at once, with every unreadable one named.

In: utterances, some with a ``duration_s`` of 0 because the corpus does not tell it. Out: the same with the duration that
the file's header gives. Opening a file waits for the disk, so it is done on a few threads (libsndfile releases the GIL).
"""

import dataclasses
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from asr.audio import probe
from asr.audio.load import END_TOLERANCE_S
from asr.errors import raise_faults
from asr.data.manifest import Utterance
from asr.errors import AudioError
import contextlib
import csv
import io
import json
import math
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any
from asr.data.manifest import Scalar, Utterance
from asr.errors import DataError




def with_durations(
    utterances: Iterable[Utterance], *, threads: int = 8, where: str = "The recordings", faults: Sequence[str] = ()
) -> list[Utterance]:
    """The same utterances, each ``duration_s`` of 0 replaced by the rest of its file after ``start_s``.

    Every recording is opened, also where its duration is given: a corpus whose files are not what it says is found
    here, and not in the middle of a training.

    Args:
        utterances: durations in seconds; 0 stands for "to the end".
        threads: recordings opened at a time.
        where: what the message is about.
        faults: what is known to be wrong already, to be told in the same message.

    Raises:
        DataError: naming every file that cannot be read, and every utterance that its file does not hold.
    """
    everything = list(utterances)
    files = sorted({u.audio for u in everything})
    with ThreadPoolExecutor(threads) as pool:
        found = dict(zip(files, pool.map(_duration_or_fault, files), strict=True))
    told = [*faults, *(fault for fault in found.values() if isinstance(fault, str))]
    filled = []
    for utterance in everything:
        length_s = found[utterance.audio]
        if isinstance(length_s, float):
            told += _span_faults(utterance, length_s)
            if utterance.duration_s == 0:
                utterance = dataclasses.replace(utterance, duration_s=round(length_s - utterance.start_s, 6))
        filled.append(utterance)
    raise_faults(where, told)
    return filled


def _span_faults(utterance: Utterance, length_s: float) -> list[str]:
    """What of the utterance lies outside its file of ``length_s`` seconds."""
    start_s, stop_s = utterance.start_s, utterance.start_s + utterance.duration_s
    if length_s <= start_s:
        return [f"{utterance.id}: starts at {start_s} s, but {utterance.audio} ends before."]
    if stop_s > length_s + END_TOLERANCE_S:
        return [f"{utterance.id}: ends at {stop_s:.3f} s, but {utterance.audio} lasts {length_s:.3f} s."]
    return []


def _duration_or_fault(path: str) -> float | str:
    try:
        return float(probe(Path(path)).duration_s)
    except AudioError as error:
        return str(error)




Row = Mapping[str, Any]

# What people call their columns; the first name found counts. Field → names, lower case.
COLUMNS = {
    "audio": ("audio", "audio_filepath", "path", "file", "filename", "file_name", "audio_path", "audio_file", "wav"),
    "text": ("text", "transcript", "transcription", "sentence"),
    "id": ("id", "utterance", "utterance_id", "utt_id", "utt"),
    "speaker": ("speaker", "speaker_id", "client_id", "spk", "spk_id"),
    "start_s": ("start_s", "start", "offset"),
    "end_s": ("end_s", "end"),
    "duration_s": ("duration_s", "duration"),
    "channel": ("channel",),
}
AUDIO_FOLDERS = ("", "clips", "wavs", "wav", "audio")  # where audio is looked for, below the table's folder


def read_table(file: Path) -> list[Utterance]:
    """A CSV or TSV with a header: an audio and a text column, and, if there are any, those in ``COLUMNS``.

    Further columns become ``extra``. Audio is looked for beside the table and in its folders ``AUDIO_FOLDERS``.

    Raises:
        DataError: naming the columns that are missing, or every faulty line.
    """
    return _read_rows(file, _table_rows(file))


def read_nemo(file: Path) -> list[Utterance]:
    """A NeMo-style JSONL: ``audio_filepath``, ``text``, and perhaps ``duration``, ``offset``, ``speaker``.

    Raises:
        DataError: naming every faulty line.
    """
    return _read_rows(file, _json_rows(file))


def finish(where: Path, utterances: list[Utterance], faults: list[str]) -> list[Utterance]:
    """Measure durations; refuse repeated ids and unreadable recordings along with the other faults."""
    seen: dict[str, str] = {}
    for utterance in utterances:
        if utterance.id in seen:
            faults.append(f"id {utterance.id} is there twice: {seen[utterance.id]} and {utterance.audio}")
        seen[utterance.id] = utterance.audio
    return with_durations(utterances, where=str(where), faults=faults)


def _table_rows(file: Path) -> Iterator[tuple[int, Row | str]]:
    """(line number, column → value, or what is wrong with the line) of each row that is not blank."""
    rows, header = _open_table(file)
    names = {(name or "").strip().lower() for name in rows.fieldnames or []}
    for field in ("audio", "text"):
        if not names & set(COLUMNS[field]):
            raise DataError(
                f"{file}: no column for {field} in the header {header.strip()[:80]!r}. Name it {field} (also known: "
                f"{', '.join(COLUMNS[field][1:])})."
            )
    try:
        for row in rows:
            if None in row:
                yield rows.line_num, "more fields than the header has (if a text holds a separator, quote the text)"
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
    """Rows by column, and the header line. Lines end where CSV says, not at U+2028 or U+0085 inside a text."""
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


def _swallowed_rows(file: Path, row: Row, delimiter: str) -> int:
    """How many lines a field goes on for where one of them names a recording, as a row does and a text does not."""
    for value in filter(None, row.values()):
        inner = value.splitlines()[1:]
        if any(_find_audio(file, cell.strip(' "')) for line in inner for cell in line.split(delimiter)):
            return len(inner)
    return 0


def _json_rows(file: Path) -> Iterator[tuple[int, Row | str]]:
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:  # bad UTF-8 is one as well
                row = None
            yield number, row if isinstance(row, dict) else "not a JSON object"


def _read_rows(file: Path, rows: Iterator[tuple[int, Row | str]]) -> list[Utterance]:
    faults: list[str] = []
    utterances = []
    for number, row in rows:
        found = row if isinstance(row, str) else _utterance_of_row(file, row)
        if isinstance(found, str):
            faults.append(f"{file}:{number}: {found}")
        else:
            utterances.append(found)
    if not utterances and not faults:
        raise DataError(f"{file} holds no utterance.")
    return finish(file, utterances, faults)


def _utterance_of_row(file: Path, row: Row) -> Utterance | str:
    """The row's utterance, or what is wrong with it."""
    fields = {
        field: next((row[name] for name in names if row.get(name) not in (None, "")), None)
        for field, names in COLUMNS.items()
    }
    text, audio = " ".join(str(fields["text"] or "").split()), str(fields["audio"] or "")
    if not audio or not text:
        return "no audio" if not audio else f"{audio}: the transcript is empty"
    path = _find_audio(file, audio)
    if path is None:
        return f"{audio} does not exist beside the table"
    span = _span(fields)
    if isinstance(span, str):
        return f"{audio}: {span}"
    return Utterance(
        id=str(fields["id"] or "_".join(_default_id(audio, span[0]).split())),
        audio=str(path),
        start_s=span[0],
        duration_s=span[1],
        text=text,
        speaker=None if fields["speaker"] is None else str(fields["speaker"]),
        channel=None if fields["channel"] is None else int(fields["channel"]),
        extra=_extra(row),
    )


def _find_audio(table: Path, name: str) -> Path | None:
    """The recording beside the table or in one of ``AUDIO_FOLDERS``.

    Accents may be composed in the table and apart in the file's name, or the other way round (macOS, Excel).
    """
    home = table.resolve().parent
    for spelled in dict.fromkeys((name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))):
        for folder in AUDIO_FOLDERS:
            with contextlib.suppress(OSError):  # a name too long for the file system
                if name and (home / folder / spelled).is_file():
                    return home / folder / spelled
    return None


def _extra(row: Row) -> dict[str, Scalar]:
    known = {name for names in COLUMNS.values() for name in names}
    return {
        name: value
        for name, value in row.items()
        if name not in known and isinstance(value, str | int | float) and value != ""
    }


def _span(fields: Mapping[str, Any]) -> tuple[float, float] | str:
    """(start_s, duration_s), the latter 0 where the row does not say; or what is wrong."""
    try:
        start_s = float(fields["start_s"] or 0)
        end_s = float(fields["end_s"]) if fields["end_s"] else None
        duration_s = float(fields["duration_s"] or 0)
        int(fields["channel"] or 0)
    except (TypeError, ValueError):
        return "start, end, duration must be seconds and channel a whole number"
    if end_s is not None:
        duration_s = end_s - start_s
        if duration_s <= 0:
            return f"end {end_s} is not after start {start_s}"
    if not (0 <= start_s < math.inf and 0 <= duration_s < math.inf):
        return f"start {start_s} and duration {duration_s} are no span of seconds"
    return start_s, round(duration_s, 6)


def _default_id(audio: str, start_s: float) -> str:
    stem = Path(audio).with_suffix("").as_posix().lstrip("./")
    return f"{stem}@{start_s:.3f}" if start_s else stem




def read_kaldi(folder: Path) -> list[Utterance]:
    """The utterances of a Kaldi data folder, in the order of ``text``.

    Relative paths are looked for below ``folder``, its parent and its grandparent (``data/train`` names files from
    where the recipe ran).

    Raises:
        DataError: listing every line that is malformed, or whose recording, segment or transcript is missing.
    """
    faults: list[str] = []
    texts = read_kaldi_table(folder / "text", faults, allow_empty=True)
    recordings = _read_recordings(folder, faults)
    segments = _read_segments(folder / "segments", recordings, faults)
    speakers = read_kaldi_table(folder / "utt2spk", faults) if (folder / "utt2spk").is_file() else {}
    utterances = []
    for name, text in ((name, " ".join(text.split())) for name, text in texts.items()):
        if not text:
            faults.append(f"{folder / 'text'}: {name} has an empty transcript")
        if name not in segments:
            faults.append(f"{folder / 'text'}: {name} has a transcript but no recording")
            continue
        recording, start_s, duration_s = segments[name]
        utterances.append(
            Utterance(
                id=name,
                audio=str(recordings[recording]),
                start_s=start_s,
                duration_s=duration_s,
                text=text,
                speaker=speakers.get(name),
            )
        )
    faults += [f"{folder}: {name} has a recording but no transcript" for name in segments if name not in texts]
    there = [utterance for utterance in utterances if Path(utterance.audio).is_file()]  # absent ones are named already
    return with_durations(there, where=str(folder), faults=faults)


def read_kaldi_table(file: Path, faults: list[str], *, allow_empty: bool = False) -> dict[str, str]:
    """First word → rest of the line; what is malformed or named twice is added to ``faults``."""
    if not file.is_file():
        faults.append(f"{file} is missing")
        return {}
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")  # never at U+2028
    except UnicodeDecodeError as error:
        faults.append(f"{file} is not UTF-8 (byte {error.start}); convert it")
        return {}
    table: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        key, *rest = line.split(maxsplit=1) or [""]
        value = " ".join(rest).strip()
        if key and key in table:
            faults.append(f"{file}:{number}: {key} is there twice")
        elif key and (value or allow_empty):
            table[key] = value
        elif key:
            faults.append(f"{file}:{number}: {key} has no value")
    return table


def _read_recordings(folder: Path, faults: list[str]) -> dict[str, Path]:
    recordings = {}
    for name, value in read_kaldi_table(folder / "wav.scp", faults).items():
        if value.endswith("|"):
            faults.append(f"{folder / 'wav.scp'}: {name} is a command; run it once and name the audio file it makes")
            continue
        home = folder.resolve()
        places = [place / value for place in (home, home.parent, home.parent.parent)]
        found = [place for place in places if place.is_file()]
        if not found:
            faults.append(f"{folder / 'wav.scp'}: {name}: {value} does not exist")
        recordings[name] = found[0] if found else places[0]
    return recordings


def _read_segments(file: Path, recordings: dict[str, Path], faults: list[str]) -> dict[str, tuple[str, float, float]]:
    """Utterance → (recording, start_s, duration_s); duration 0 stands for the whole recording."""
    if not file.is_file():
        return {name: (name, 0.0, 0.0) for name in recordings}
    segments: dict[str, tuple[str, float, float]] = {}
    for name, value in read_kaldi_table(file, faults).items():
        try:
            recording, start, end = value.split()
            start_s, end_s = float(start), float(end)
        except ValueError:
            faults.append(f"{file}: {name}: {value!r} is not RECORDING START END")
            continue
        if not 0 <= start_s < end_s < float("inf"):
            faults.append(f"{file}: {name}: start {start} and end {end} are no span of seconds")
        elif recording not in recordings:
            faults.append(f"{file}: {name}: recording {recording} is not in wav.scp")
        else:
            segments[name] = (recording, start_s, round(end_s - start_s, 6))
    return segments
