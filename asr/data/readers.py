"""Reading your own recordings, and published corpora in their own layout.

In: a folder with a ``.txt`` next to each recording (TIMIT's too), a CSV or TSV with a header, a Kaldi data folder, a
JSONL (NeMo's or ours), or a folder laid out as LibriSpeech, VCTK or LJSpeech. Out: utterances with durations, and
speakers where they are known. All problems are listed in one error.
"""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from asr.audio import AUDIO_EXTENSIONS, MEDIA_EXTENSIONS
from asr.data.kaldi import read_kaldi, read_kaldi_table
from asr.data.manifest import Utterance, read_manifest
from asr.data.recordings import with_durations
from asr.data.tables import read_nemo, read_table
from asr.errors import DataError
from asr.files import files_below

_DIALECT = re.compile("dr[1-8]", re.IGNORECASE)
_TIMIT_TEXT = re.compile(r"\d+ \d+ (.*)")  # first and last sample, then the sentence
_TIMIT_KINDS = (".PHN", ".phn", ".WRD", ".wrd")  # its other annotations of the same recording
_NOT_TRANSCRIPTS = {"readme", "license", "licence", "copying", "changelog", "notes", "requirements"}


def read_folder(path: Path, *, speaker_from_folder: bool = True) -> list[Utterance]:
    """The utterances of ``path``, in any of the forms: a table file, a Kaldi folder, or recordings with ``.txt``.

    ``speaker_from_folder`` applies to the last only; see ``read_text_beside_audio``.

    Raises:
        DataError: nothing readable, or more than one table, is there; or there are errors in it.
    """
    if path.is_file():
        return _reader_of_file(path)(path)
    if (path / "wav.scp").is_file():
        return read_kaldi(path)
    tables = sorted(file for file in path.glob("*") if file.suffix.lower() in {".csv", ".tsv", ".jsonl"})
    if len(tables) > 1:
        names = ", ".join(file.name for file in tables)
        raise DataError(f"{path} holds {len(tables)} tables ({names}): give the one to read, e.g. {tables[0]}")
    if tables:
        return _reader_of_file(tables[0])(tables[0])
    if any(path.rglob("*.trans.txt")):
        return read_librispeech(path)
    if (path / "txt").is_dir() and (recordings := _recordings_apart(path)):
        return read_vctk(path / "txt", recordings)
    return read_text_beside_audio(path, speaker_from_folder=speaker_from_folder)


def read_librispeech(folder: Path) -> list[Utterance]:
    """A tree of ``SPEAKER-CHAPTER.trans.txt`` files with lines ``ID TEXT``, each recording next to its file.

    Raises:
        DataError: listing files that are not UTF-8, and utterances without text or recording.
    """
    problems: list[str] = []
    utterances = []
    for file in sorted(folder.rglob("*.trans.txt")):
        audio = {one.stem: one for one in file.parent.iterdir() if one.suffix.lower() in AUDIO_EXTENSIONS}
        texts = read_kaldi_table(file, problems)
        problems += [f"{file}: {name} has no recording next to it" for name in texts if name not in audio]
        utterances += [
            Utterance(id=name, audio=str(audio[name].resolve()), duration_s=0.0, text=text, speaker=name.split("-")[0])
            for name, text in texts.items()
            if name in audio
        ]
    return with_durations(utterances, where=str(folder), problems=problems)


def read_vctk(texts: Path, recordings: Path) -> list[Utterance]:
    """VCTK: ``texts/SPEAKER/NAME.txt`` and ``recordings/SPEAKER/NAME.wav`` (of two microphones the first).

    A recording without a text is left out, as VCTK has none for speaker p315.

    Raises:
        DataError: listing texts without a recording and those that cannot be read.
    """
    problems: list[str] = []
    audio: dict[str, Path] = {}
    for file in sorted(files_below(recordings.resolve())):
        if file.suffix.lower() in AUDIO_EXTENSIONS and not file.stem.endswith("_mic2"):
            stem = file.relative_to(recordings.resolve()).with_suffix("").as_posix().removesuffix("_mic1")
            audio[stem] = file
    utterances = []
    for file in sorted(texts.rglob("*.txt")):
        stem = file.relative_to(texts).with_suffix("").as_posix()
        if stem not in audio:
            problems.append(f"{file}: no recording of that name in {recordings}")
            continue
        text, speaker = _read_text(file, problems), Path(stem).parts[0]
        name = "_".join(file.stem.split())
        utterances.append(Utterance(id=name, audio=str(audio[stem]), duration_s=0.0, text=text, speaker=speaker))
    return with_durations(utterances, where=str(texts.parent), problems=problems)


def _recordings_apart(corpus: Path) -> Path | None:
    """VCTK's folder of recordings: wav48, wav48_silence_trimmed, wav, ..."""
    found = sorted(one for one in corpus.iterdir() if one.is_dir() and one.name.lower().startswith(("wav", "audio")))
    return found[0] if found else None


def read_text_beside_audio(folder: Path, *, speaker_from_folder: bool = True) -> list[Utterance]:
    """Recordings anywhere below ``folder``, each with a ``.txt`` of the same stem next to it.

    Args:
        folder: where to look, subfolders included.
        speaker_from_folder: take the first subfolder's name as the speaker; of TIMIT's dialect folders DR1 to DR8 the
            one inside.

    Raises:
        DataError: naming recordings without text, texts without recording, empty or non-UTF-8 texts, ambiguous stems.
    """
    problems: list[str] = []
    audio, texts = _audio_and_texts(folder, problems)
    if not audio and not texts:
        raise DataError(
            f"{folder} has no recordings that can be read. Put a .txt next to each recording, or give a CSV/TSV with "
            "a header, a Kaldi folder (wav.scp, text), or a JSONL."
        )
    problems += [f"{audio[stem]}: no {Path(stem).name}.txt next to it" for stem in audio if stem not in texts]
    problems += [f"{texts[stem]}: no recording of that name next to it" for stem in texts if stem not in audio]
    utterances = []
    for stem in (stem for stem in audio if stem in texts):
        subfolders = Path(stem).parts[:-1]
        if len(subfolders) > 1 and _DIALECT.fullmatch(subfolders[0]):
            subfolders = subfolders[1:]
        speaker = subfolders[0] if subfolders and speaker_from_folder else None
        text = _read_text(texts[stem], problems)
        name = "_".join(stem.split())
        utterances.append(Utterance(id=name, audio=str(audio[stem]), duration_s=0.0, text=text, speaker=speaker))
    return with_durations(utterances, where=str(folder), problems=problems)


def _reader_of_file(file: Path) -> Callable[[Path], list[Utterance]]:
    suffix = file.suffix.lower()
    if suffix in {".csv", ".tsv"}:
        return read_table
    if suffix in {".jsonl", ".json"}:
        with file.open(encoding="utf-8", errors="replace") as stream:
            first = next((line for line in stream if line.strip(" \t\r\n\ufeff")), "")
        is_nemo = first.lstrip("\ufeff \t").startswith("[") or '"audio_filepath"' in first
        return read_nemo if is_nemo else read_manifest
    raise DataError(f"{file} is not a table of utterances: give a .csv, .tsv or .jsonl, or a folder.")


def _audio_and_texts(folder: Path, problems: list[str]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Recordings and transcripts by their path below ``folder`` without the extension.

    An audio file is preferred to a media file (m4a, mp4, ...) of the same stem, from which it was probably made.
    """
    audio: dict[str, Path] = {}
    media: dict[str, Path] = {}
    texts: dict[str, Path] = {}
    for file in files_below(folder.resolve()):
        place = file.relative_to(folder.resolve())
        if any(part.startswith(".") for part in place.parts) or not file.is_file():  # hidden, as for asr transcribe
            continue
        # composed, so that a recording and its text match where one of the names was written by macOS
        stem = unicodedata.normalize("NFC", place.with_suffix("").as_posix())
        kind = file.suffix.lower()
        if kind in AUDIO_EXTENSIONS or kind in MEDIA_EXTENSIONS:
            found = audio if kind in AUDIO_EXTENSIONS else media
            if stem in found:
                problems.append(f"{file}: {found[stem].name} has the same stem; keep one of the two")
            found[stem] = file
        elif file.suffix.lower() == ".txt" and file.stem.lower() not in _NOT_TRANSCRIPTS:
            texts[stem] = file
    return media | audio, texts


def _read_text(file: Path, problems: list[str]) -> str:
    try:
        text = " ".join(file.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError as error:
        problems.append(f"{file}: not UTF-8 (byte {error.start}); convert it")
        return ""
    if (timit := _TIMIT_TEXT.fullmatch(text)) and any(file.with_suffix(kind).exists() for kind in _TIMIT_KINDS):
        text = timit[1]
    if not text:
        problems.append(f"{file}: the transcript is empty")
    return text
