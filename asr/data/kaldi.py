"""Reading Kaldi data folders: ``wav.scp``, ``text``, and, where there are any, ``segments`` and ``utt2spk``.

In: the folder. Out: utterances with durations. Commands in ``wav.scp`` (lines that end in ``|``) are refused: a data
file must not start programs.
"""

from pathlib import Path

from asr.data.durations import with_durations
from asr.data.utterance import Utterance


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
