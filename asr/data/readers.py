"""Reading your own recordings, and published corpora in their own layout.

In: a folder with a ``.txt`` next to each recording (TIMIT's too) or with annotation (``asr.data.annotation``), a CSV or
TSV with a header, a Kaldi data folder, a JSONL (NeMo's or ours), shards (WebDataset's, lhotse's) or a list of them, or
a folder laid out as LibriSpeech, VCTK or LJSpeech.
Out: utterances with durations, and speakers where they are known. All problems are listed in one error.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.audio import AUDIO_EXTENSIONS, MEDIA_EXTENSIONS
from asr.data.annotation import AnnotationOptions, AnnotationReport, Recordings, kind_of, read_annotations
from asr.data.kaldi import read_kaldi, read_kaldi_table
from asr.data.manifest import Utterance, read_manifest
from asr.data.recordings import with_durations
from asr.data.shards import read_shards
from asr.data.tables import read_nemo, read_table
from asr.errors import DataError
from asr.files import files_below

_DIALECT = re.compile("dr[1-8]", re.IGNORECASE)
_TIMIT_TEXT = re.compile(r"\d+ \d+ (.*)")  # first and last sample, then the sentence
_TIMIT_KINDS = (".PHN", ".phn", ".WRD", ".wrd")  # its other annotations of the same recording
_NOT_TRANSCRIPTS = {"readme", "license", "licence", "copying", "changelog", "notes", "requirements"}


def read_folder(
    path: Path, *, annotations: AnnotationOptions | None = None, report: AnnotationReport | None = None
) -> Sequence[Utterance]:
    """The utterances of ``path``, in any of the forms: a table file, a Kaldi folder, shards, or recordings with texts.

    ``annotations`` and ``report`` apply to the last only; see ``read_text_beside_audio``. Where the former names a
    format, the folder is taken for such recordings whatever else it holds.

    Raises:
        DataError: nothing readable, or more than one table, is there; or there are errors in it.
    """
    if path.is_file():
        return _reader_of_file(path)(path)
    if annotations is not None and annotations.kind != "auto":
        return read_text_beside_audio(path, annotations=annotations, report=report)
    if (path / "wav.scp").is_file():
        return read_kaldi(path)
    tables = sorted(file for file in path.glob("[!.]*") if file.suffix.lower() in {".csv", ".tsv", ".jsonl"})
    if len(tables) > 1:
        names = ", ".join(file.name for file in tables)
        raise DataError(f"{path} holds {len(tables)} tables ({names}): give the one to read, e.g. {tables[0]}")
    if tables:
        return _reader_of_file(tables[0])(tables[0])
    if any(path.rglob("*.trans.txt")):
        return read_librispeech(path)
    if (path / "txt").is_dir() and (recordings := _recordings_apart(path)):
        return read_vctk(path / "txt", recordings)
    if any(path.glob("*.tar")) and not any(one.suffix.lower() in AUDIO_EXTENSIONS for one in files_below(path)):
        return read_shards(path)
    return read_text_beside_audio(path, annotations=annotations, report=report)


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


def read_text_beside_audio(
    folder: Path, *, annotations: AnnotationOptions | None = None, report: AnnotationReport | None = None
) -> list[Utterance]:
    """Recordings anywhere below ``folder``, each with a ``.txt`` of the same stem next to it, or with annotation.

    Of TIMIT's dialect folders DR1 to DR8 the folder inside is the speaker's. Where there are files of annotation, a
    recording without any text is not an error: it is named in the report.

    Args:
        folder: where to look, subfolders included.
        annotations: how annotation files are read, and whether the first subfolder's name is the speaker.
        report: what was taken of annotations and what was left out is added to it.

    Raises:
        DataError: naming recordings without text, texts without recording, empty or non-UTF-8 texts, ambiguous stems,
            annotation files with errors or without a recording.
    """
    options, report = annotations or AnnotationOptions(), report if report is not None else AnnotationReport()
    problems: list[str] = []
    found = _find_files(folder, options, problems)
    if not found.audio and not found.texts:
        raise DataError(
            f"{folder} has no recordings that can be read. Put a .txt, .eaf or .TextGrid next to each recording, or"
            " give a CSV/TSV with a header, a Kaldi folder (wav.scp, text), or a JSONL."
        )
    if options.kind != "auto" and not found.annotations:
        raise DataError(f"{folder} has no annotation of the format {options.kind}")
    if options.kind == "auto":
        _prefer_texts(found, report)
    home = folder.resolve()
    recordings = Recordings(home, found.audio)
    utterances, annotated = read_annotations(home, found.annotations, recordings, options, report, problems)
    for stem in (stem for stem, path in found.audio.items() if stem in found.texts and path not in annotated):
        utterances.append(_beside(stem, found, problems, speaker_from_folder=options.speaker_from_folder))
    untold = [path for stem, path in found.audio.items() if stem not in found.texts and path not in annotated]
    unheard = [path for stem, path in found.texts.items() if stem not in found.audio]
    if found.annotations:  # recordings that nobody has transcribed, and notes, are usual then
        for why, paths in (("Recordings without annotation", untold), ("Texts without a recording", unheard)):
            report.without[why] += [path.relative_to(home).as_posix() for path in paths]
    else:
        problems += [f"{path}: no {path.stem}.txt next to it" for path in untold]
        problems += [f"{path}: no recording of that name next to it" for path in unheard]
    return with_durations(utterances, where=str(folder), problems=problems)


@dataclass(slots=True)
class _Files:
    """Recordings and texts by path below the folder without extension; annotation files with their formats."""

    audio: dict[str, Path]
    texts: dict[str, Path] = field(default_factory=dict)
    annotations: dict[Path, str] = field(default_factory=dict)


def _prefer_texts(found: _Files, report: AnnotationReport) -> None:
    """Without annotation files that are next to a recording and its .txt, which is read."""
    texts = {found.texts[stem].with_suffix("") for stem in found.audio if stem in found.texts}
    for file in [file for file in found.annotations if file.with_suffix("") in texts]:
        report.without["Annotation beside a .txt, which was read; annotation=FORMAT reads it"].append(file.name)
        del found.annotations[file]


def _beside(stem: str, found: _Files, problems: list[str], *, speaker_from_folder: bool) -> Utterance:
    """The recording ``stem`` with the text next to it."""
    subfolders = Path(stem).parts[:-1]
    if len(subfolders) > 1 and _DIALECT.fullmatch(subfolders[0]):
        subfolders = subfolders[1:]
    speaker = subfolders[0] if subfolders and speaker_from_folder else None
    text = _read_text(found.texts[stem], problems)
    name = "_".join(stem.split())
    return Utterance(id=name, audio=str(found.audio[stem]), duration_s=0.0, text=text, speaker=speaker)


def _reader_of_file(file: Path) -> Callable[[Path], Sequence[Utterance]]:
    suffix = file.suffix.lower()
    if suffix in {".csv", ".tsv"}:
        return read_table
    if suffix == ".shards":
        return read_shards
    if suffix in {".jsonl", ".json"}:
        with file.open(encoding="utf-8", errors="replace") as stream:
            first = next((line for line in stream if line.strip(" \t\r\n\ufeff")), "")
        is_nemo = first.lstrip("\ufeff \t").startswith("[") or '"audio_filepath"' in first
        return read_nemo if is_nemo else _read_own
    raise DataError(f"{file} is not a table of utterances: give a .csv, .tsv, .jsonl or .shards, or a folder.")


def _read_own(manifest: Path) -> list[Utterance]:
    """A manifest of this project, whose recordings are opened as those of any other form are."""
    return with_durations(read_manifest(manifest), where=str(manifest))


def _find_files(folder: Path, options: AnnotationOptions, problems: list[str]) -> _Files:
    """What is below ``folder``, hidden files left out.

    An audio file is preferred to a media file (m4a, mp4, ...) of the same stem, from which it was probably made.
    """
    found, media = _Files({}), _Files({})
    for file in files_below(folder.resolve()):
        place = file.relative_to(folder.resolve())
        if any(part.startswith(".") for part in place.parts) or not file.is_file():  # hidden, as for asr transcribe
            continue
        # composed, so that a recording and its text match where one of the names was written by macOS
        stem = unicodedata.normalize("NFC", place.with_suffix("").as_posix())
        suffix = file.suffix.lower()
        if suffix in AUDIO_EXTENSIONS or suffix in MEDIA_EXTENSIONS:
            same = (found if suffix in AUDIO_EXTENSIONS else media).audio
            if stem in same:
                problems.append(f"{file}: {same[stem].name} has the same stem; keep one of the two")
            same[stem] = file
        elif kind := kind_of(file):
            if options.kind in ("auto", kind):
                found.annotations[file] = kind
        elif suffix == ".txt":
            found.texts[stem] = file
    found.audio = media.audio | found.audio
    for stem in [stem for stem, file in found.texts.items() if file.stem.lower() in _NOT_TRANSCRIPTS]:
        if stem not in found.audio:
            del found.texts[stem]
    return found


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
