"""The model and the recordings of a transcription job: files, folders and standard input, without repetitions.

In: the words of a command line. Out: the model directory; `Input`s in a fixed order, and what could not be read.
"""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asr.audio import AUDIO_EXTENSIONS, MEDIA_EXTENSIONS
from asr.errors import UsageError
from asr.shipped import STARTER, is_model, model_directory, starter_directory

_EXTENSIONS = AUDIO_EXTENSIONS | MEDIA_EXTENSIONS
STDIN = "-"
MICROPHONE = "microphone"
# What lies beside recordings and is none: transcripts, and tables and notes about them.
_BESIDE = {
    "", ".txt", ".srt", ".vtt", ".tsv", ".json", ".jsonl", ".ctm", ".textgrid", ".eaf", ".pfsx", ".cha", ".csv", ".stm",
    ".trn", ".md",
}  # fmt: skip
_SHOWN_ENDINGS = 5
_NO_RECORDINGS = (".safetensors", ".ckpt", ".json", ".yaml")  # files of a model or a training, taken for its folder


@dataclass(frozen=True, slots=True)
class Input:
    """One recording: ``path`` to read, ``label`` for messages, and ``relative``, its place in an output tree."""

    path: Path
    label: str
    relative: Path

    @property
    def identity(self) -> str:
        """Identifies this input, in this job and in later ones."""
        return STDIN if self.label == STDIN else os.path.abspath(self.path)


@dataclass(frozen=True, slots=True)
class InputProblem:
    """A path that gives no recordings, and why."""

    label: str
    message: str


def split_model(words: Sequence[str], *, recursive: bool) -> tuple[Path, list[str]]:
    """The model and the recordings that ``words`` name, in this order or without a model.

    The first word is the model if it is a model directory or the name ``english``. Otherwise every word is a recording
    and the model is the one that comes with the package.

    Raises:
        UsageError: the first word is neither; a later one is a model; or there are no recordings.
        ModelError: no model is given and none is shipped.
    """
    first, rest = words[0], list(words[1:])
    named = first == STARTER or is_model(first)
    for word in rest:
        if is_model(word) or (word == STARTER and not os.path.exists(word)):
            both = f"{first} and {word} are models; give one" if named else f"{word} is a model; it goes first"
            raise UsageError(f"{both}: asr transcribe {word} FILE...")
    if not named:
        _check_recording(first, recursive)
        return starter_directory(), list(words)
    model = model_directory(first)
    if not rest:
        own = f"; the recordings in the folder (or file) of that name are ./{first}" if os.path.exists(first) else ""
        known = own if first == STARTER else ""
        raise UsageError(f"{first} is a model, and no recordings are given: asr transcribe {first} FILE...{known}")
    return model, rest


def _check_recording(word: str, recursive: bool) -> None:
    """Raise UsageError where the first word was probably meant as a model: it would be ignored otherwise."""
    if os.path.isdir(word):
        if is_model(os.path.join(word, "model")):
            raise UsageError(
                f"{word}: a training run, whose model is {os.path.join(word, 'model')}; for recordings in this folder"
                f" name a model before it: asr transcribe {STARTER} {word}"
            )
        if not any(True for _ in _audio_files(Path(word), recursive, [], Counter())):
            advice = "" if recursive else " (-r searches its subfolders too)"
            raise UsageError(f"{word}: neither a model directory (no config.json) nor a folder with recordings{advice}")
    elif os.path.isfile(word):
        if word.endswith(_NO_RECORDINGS):
            raise UsageError(f"{word}: not a recording; if it belongs to a model, give the model's folder")
    elif word not in (STDIN, MICROPHONE) and not os.path.exists(word) and not is_audio_name(os.path.basename(word)):
        raise UsageError(f"{word}: no such model directory or recording; check the path")


def find_inputs(
    arguments: Sequence[str], spool: Path, *, recursive: bool
) -> tuple[list[Input], list[InputProblem], str | None]:
    """The recordings that ``arguments`` mean, in their order, a folder's sorted by name; and a note of the files that
    were left out of folders for their endings, where there are any but transcripts.

    Args:
        arguments: files (whatever their ending), folders (their files with an audio ending), "-" for standard input.
        spool: an empty folder in which standard input is kept.
        recursive: search subfolders; links are followed, each folder is visited once.

    Raises:
        UsageError: "-" where standard input is a terminal, or closed.
    """
    problems: list[InputProblem] = []
    other: Counter[str] = Counter()
    groups = [list(_of_argument(argument, spool, recursive, problems, other)) for argument in dict.fromkeys(arguments)]
    inputs = [one for group in groups for one in group]
    if len(groups) > 1 and len({one.relative for one in inputs}) < len(inputs):
        inputs = _below_common_folder(inputs)
    first: dict[str, Input] = {}
    for one in inputs:
        first.setdefault(one.identity, one)
    return list(first.values()), problems, _left_out(other)


def _left_out(other: Counter[str]) -> str | None:
    """``other``: how many files have each ending that is no recording's."""
    found = [f"{ending} ({count})" for ending, count in other.most_common() if ending not in _BESIDE]
    if not found:
        return None
    kinds = ", ".join([*found[:_SHOWN_ENDINGS], *(["..."] if len(found) > _SHOWN_ENDINGS else [])])
    return f"files left out, whose endings are no recordings': {kinds}; a file that is named itself is read"


def _of_argument(
    argument: str, spool: Path, recursive: bool, problems: list[InputProblem], other: Counter[str]
) -> Iterator[Input]:
    if argument == STDIN:
        yield Input(_spooled(spool), STDIN, Path("stdin"))
        return
    path = Path(argument)
    if not os.path.isdir(argument):  # False also for names that are too long
        yield Input(path, argument, Path(path.name or argument))
        return
    files = sorted(_audio_files(path, recursive, problems, other), key=lambda file: file.parts)
    if not files:
        advice = "" if recursive else "; -r searches its subfolders too"
        message = f"{argument}: no recordings (.wav, .flac, .mp3, ...) in the folder{advice}"
        problems.append(InputProblem(argument, message))
    for file in files:
        yield Input(file, str(file), file.relative_to(path))


def _audio_files(folder: Path, recursive: bool, problems: list[InputProblem], other: Counter[str]) -> Iterator[Path]:
    def cannot_look(error: OSError) -> None:
        name = os.fsdecode(error.filename or folder)
        message = f"{name}: the folder cannot be read ({error.strerror}); check its permissions"
        problems.append(InputProblem(name, message))

    seen: set[tuple[int, int]] = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=cannot_look):
        try:
            status = os.stat(place)
        except OSError as error:
            cannot_look(error)
            folders.clear()
            continue
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above, or to one seen before
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for name in names:
            if is_audio_name(name):
                yield Path(place) / name
            elif not name.startswith("."):
                other[os.path.splitext(name)[1].lower()] += 1


def is_audio_name(name: str) -> bool:
    """Whether a file of this name counts as a recording when a folder is searched; hidden ones are not."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in _EXTENSIONS


def _below_common_folder(inputs: list[Input]) -> list[Input]:
    """Arguments whose files have the same names keep the folders in which they differ."""
    absolute = [Path(os.path.abspath(one.path)) for one in inputs if one.label != STDIN]
    root = Path(os.path.commonpath([path.parent for path in absolute]))
    return [
        one if one.label == STDIN else replace(one, relative=Path(os.path.abspath(one.path)).relative_to(root))
        for one in inputs
    ]


def _spooled(folder: Path) -> Path:
    """All of standard input as a file: decoders need its length and seek in it."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or sys.stdin.isatty():
        raise UsageError("'-' reads audio from a pipe, and stdin is no pipe: asr transcribe [MODEL] - < FILE")
    path = folder / "stdin"
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file, 1 << 20)
    return path
