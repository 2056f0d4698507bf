"""The recordings of a transcription job: files, folders and standard input, as one list without repetitions.

In: paths. Out: `Input`s in a fixed order, and what could not be read.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from asr.audio import AUDIO_EXTENSIONS, MEDIA_EXTENSIONS
from asr.errors import UsageError

_EXTENSIONS = AUDIO_EXTENSIONS | MEDIA_EXTENSIONS
STDIN = "-"


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


def find_inputs(arguments: Sequence[str], spool: Path, *, recursive: bool) -> tuple[list[Input], list[InputProblem]]:
    """The recordings that ``arguments`` mean, in their order, a folder's sorted by name.

    Args:
        arguments: files (whatever their ending), folders (their files with an audio ending), "-" for standard input.
        spool: an empty folder in which standard input is kept.
        recursive: search subfolders; links are followed, each folder is visited once.

    Raises:
        UsageError: "-" where standard input is a terminal, or closed.
    """
    problems: list[InputProblem] = []
    groups = [list(_of_argument(argument, spool, recursive, problems)) for argument in dict.fromkeys(arguments)]
    inputs = [one for group in groups for one in group]
    if len(groups) > 1 and len({one.relative for one in inputs}) < len(inputs):
        inputs = _below_common_folder(inputs)
    first: dict[str, Input] = {}
    for one in inputs:
        first.setdefault(one.identity, one)
    return list(first.values()), problems


def _of_argument(argument: str, spool: Path, recursive: bool, problems: list[InputProblem]) -> Iterator[Input]:
    if argument == STDIN:
        yield Input(_spooled(spool), STDIN, Path("stdin"))
        return
    path = Path(argument)
    if not os.path.isdir(argument):  # False also for names that are too long
        yield Input(path, argument, Path(path.name or argument))
        return
    files = sorted(_audio_files(path, recursive, problems), key=lambda file: file.parts)
    if not files:
        advice = "" if recursive else "; -r searches its subfolders too"
        message = f"{argument}: no recordings (.wav, .flac, .mp3, ...) in the folder{advice}"
        problems.append(InputProblem(argument, message))
    for file in files:
        yield Input(file, str(file), file.relative_to(path))


def _audio_files(folder: Path, recursive: bool, problems: list[InputProblem]) -> Iterator[Path]:
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
        raise UsageError("'-' reads audio from a pipe, and stdin is no pipe: asr transcribe MODEL - < FILE")
    path = folder / "stdin"
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file, 1 << 20)
    return path
