"""The recordings of a corpus that nobody has transcribed, and the file in which the drafts of each are kept.

In: a folder. Out: ``Recording``s, and ``DraftFile``s read.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from asr.errors import UsageError
from asr.files import check_output_folder
from asr.transcription.inputs import find_inputs

log = logging.getLogger("asr.server")
Failure = tuple[str, str]  # a recording, and why it is left out


class DraftWord(BaseModel, frozen=True):
    """Times in seconds from the start of the segment."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None


class DraftSegment(BaseModel, frozen=True):
    """Times in seconds of the recording; ``alternatives``: other texts, the best first."""

    start_s: float
    end_s: float
    text: str
    confidence: float | None
    words: tuple[DraftWord, ...] = ()
    alternatives: tuple[str, ...] = ()


class DraftFile(BaseModel, frozen=True):
    """What a model made of a recording, ``recording`` in the folder; ``key``: of the model and its settings."""

    format: Literal[1] = 1
    recording: str
    size: int
    mtime_ns: int
    sha256: str
    model: str
    key: str
    segments: tuple[DraftSegment, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """A file of the folder; ``name``: its path in it."""

    name: str
    path: Path
    size: int
    mtime_ns: int

    @property
    def speaker(self) -> str | None:
        """The first subfolder, as recipes/folder takes it."""
        first, slash, _ = self.name.partition("/")
        return first if slash else None

    def is_same(self, other: "DraftFile | Recording") -> bool:
        """Whether it has not been written since."""
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


def find_recordings(folder: Path) -> tuple[list[Recording], list[Failure]]:
    """Those below the folder, and those that do not serve. Raises UsageError where there are none, or it is none."""
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "there is no such folder"
        raise UsageError(f"--corpus {folder}: {what}; give the folder that holds the recordings")
    check_output_folder(folder)
    inputs, problems, _ = find_inputs([str(folder)], folder, recursive=True)
    found: list[Recording] = []
    failed: list[Failure] = []
    for one in inputs:
        try:
            status = one.path.stat()
            one.relative.as_posix().encode()
        except OSError as error:
            failed.append((one.relative.as_posix(), f"cannot be read ({error.strerror})"))
        except UnicodeEncodeError:
            name = one.relative.as_posix().encode("utf-8", "backslashreplace").decode()
            failed.append((name, "its name is not UTF-8; rename it"))
        else:
            found.append(Recording(one.relative.as_posix(), one.path.absolute(), status.st_size, status.st_mtime_ns))
    if not found:
        why = "; ".join(message for _, message in failed[:3]) or "it holds no recordings (.wav, .flac, .mp3, ...)"
        raise UsageError(f"--corpus {folder}: {why}; put recordings there, in subfolders by speaker if you like")
    for problem in problems:
        log.warning("%s", problem.message)
    return found, failed


def read_draft_file(path: Path) -> DraftFile | None:
    """None where there is none, or, with a warning, where it is damaged: it can be made again."""
    try:
        return DraftFile.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        log.warning("%s: cannot be read (%s), and is made again", path, str(error).splitlines()[0])
        return None
