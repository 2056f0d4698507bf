"""Kaldi data folders: ``wav.scp``, ``text``, and, where they exist, ``segments`` and ``utt2spk``.

In: the folder. Out: utterances with durations. Commands in ``wav.scp`` (lines that end in ``|``) are refused: a data
file must not start programs.
"""

from pathlib import Path

from asr.data.manifest import Utterance
from asr.data.recordings import with_durations
from asr.data.records import kaldi_fields


def read_kaldi(folder: Path) -> list[Utterance]:
    """The utterances of a Kaldi data folder, in the order of ``text``.

    Relative paths are searched below ``folder``, its parent and its grandparent (``data/train`` lists files relative
    to where the recipe ran).

    Raises:
        DataError: listing every line that is malformed, or whose recording, segment or transcript is missing.
    """
    problems: list[str] = []
    texts = read_kaldi_table(folder / "text", problems, allow_empty=True)
    recordings = _read_recordings(folder, problems)
    segments = _read_segments(folder / "segments", recordings, problems)
    speakers = read_kaldi_table(folder / "utt2spk", problems) if (folder / "utt2spk").is_file() else {}
    utterances = []
    for name, text in ((name, " ".join(text.split())) for name, text in texts.items()):
        if not text:
            problems.append(f"{folder / 'text'}: {name} has an empty transcript")
        if name not in segments:
            problems.append(f"{folder / 'text'}: {name} has a transcript but no recording")
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
    problems += [f"{folder}: {name} has a recording but no transcript" for name in segments if name not in texts]
    there = [one for one in utterances if Path(one.audio).is_file()]  # missing files are listed already
    return with_durations(there, where=str(folder), problems=problems)


def read_kaldi_table(file: Path, problems: list[str], *, allow_empty: bool = False) -> dict[str, str]:
    """First word → rest of the line; lines that are malformed or repeat a key are added to ``problems``."""
    if not file.is_file():
        problems.append(f"{file} is missing")
        return {}
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")  # never at U+2028
    except UnicodeDecodeError as error:
        problems.append(f"{file} is not UTF-8 (byte {error.start}); convert it")
        return {}
    table: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if (fields := kaldi_fields(line)) is None:
            continue
        key, value = fields
        if key in table:
            problems.append(f"{file}:{number}: {key} is listed twice")
        elif value or allow_empty:
            table[key] = value
        else:
            problems.append(f"{file}:{number}: {key} has no value")
    return table


def _read_recordings(folder: Path, problems: list[str]) -> dict[str, Path]:
    recordings = {}
    for name, value in read_kaldi_table(folder / "wav.scp", problems).items():
        if value.endswith("|"):
            problems.append(
                f"{folder / 'wav.scp'}: {name} is a command; run it once and list the audio file that it writes"
            )
            continue
        home = folder.resolve()
        places = [place / value for place in (home, home.parent, home.parent.parent)]
        found = [place for place in places if place.is_file()]
        if not found:
            problems.append(f"{folder / 'wav.scp'}: {name}: {value} does not exist")
        recordings[name] = found[0] if found else places[0]
    return recordings


def _read_segments(file: Path, recordings: dict[str, Path], problems: list[str]) -> dict[str, tuple[str, float, float]]:
    """Utterance → (recording, start_s, duration_s); duration 0 means to the end of the recording."""
    if not file.is_file():
        return {name: (name, 0.0, 0.0) for name in recordings}
    segments: dict[str, tuple[str, float, float]] = {}
    for name, value in read_kaldi_table(file, problems).items():
        try:
            recording, start, end = value.split()
            start_s, end_s = float(start), float(end)
        except ValueError:
            problems.append(f"{file}: {name}: {value!r} is not RECORDING START END")
            continue
        to_the_end = end_s == -1  # as in Kaldi
        if not 0 <= start_s < (float("inf") if to_the_end else end_s) or end_s == float("inf"):
            problems.append(f"{file}: {name}: start {start} and end {end} are not a valid span of seconds")
        elif recording not in recordings:
            problems.append(f"{file}: {name}: recording {recording} is not in wav.scp")
        else:
            segments[name] = (recording, start_s, 0.0 if to_the_end else round(end_s - start_s, 6))
    return segments
