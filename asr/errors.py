"""All errors that this project raises on purpose, in one tree.

In: what went wrong, where, why, and what to do, as one message. Out: an exception the command line prints as one line
(never a traceback) and exits with its ``exit_code``: 2 for what was typed or configured, 1 for what the data,
a file or the machine did. Its ``id`` names the kind of fault for scripts; docs/reliability.md explains each.
"""

import errno
import traceback
from typing import TypeVar

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
OF_THE_DISK = DISK_FULL | {errno.EIO}  # whatever was asked for, and wherever
_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EIO: "the disk or the connection to it fails (input/output error); check the disk (dmesg), then run the same"
    " command again",
    errno.EACCES: "permission denied; check who owns it",
    errno.EPERM: "the system does not permit it; check who owns it",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EMFILE: "too many open files; raise the limit with `ulimit -n 4096`",
}


def reason(error: OSError) -> str:
    """What is wrong and what to do, without the names of files."""
    return _ADVICE.get(error.errno or 0) or error.strerror or " ".join(str(error).split()) or type(error).__name__


class AsrError(Exception):
    """Base of all errors raised on purpose; the command line prints it as ``asr: error[<id>]: <message>``."""

    exit_code: int = 1
    id: str = "system"


class UsageError(AsrError):
    """The command line cannot be understood: unknown verb, missing argument, contradictory options."""

    exit_code = 2
    id = "usage"


class ConfigError(AsrError):
    """A configuration key or value is wrong; the message names the key."""

    exit_code = 2
    id = "config"


class AudioError(AsrError):
    """A recording cannot be read, for a reason that is none of the kinds below."""

    id = "audio"


class AudioMissingError(AudioError):
    """There is no such recording, or it cannot be opened."""

    id = "audio-missing"


class AudioFormatError(AudioError):
    """A file holds no sound, or none of a format that can be read here."""

    id = "audio-format"


class AudioDamagedError(AudioError):
    """A recording is cut short or spoiled, or holds samples that are no numbers."""

    id = "audio-damaged"


class AudioUnreachableError(AudioError):
    """A server that holds recordings does not answer, or does not give them."""

    id = "audio-unreachable"


class AudioPartError(AudioError):
    """A recording lacks the span, channel or track that was asked for, or the span is too long to be loaded."""

    id = "audio-part"


class DataError(AsrError):
    """Manifests, transcripts or corpora are wrong; the message lists every error with file and line."""

    id = "data"


class DownloadError(DataError):
    """A corpus cannot be downloaded or unpacked; what has arrived is kept where it can be continued."""

    id = "download"


class TextError(AsrError):
    """A text cannot be spelled in the vocabulary, or a tokenizer cannot be built."""

    id = "text"


class ModelError(AsrError):
    """A model, language model or checkpoint does not fit, or is not understood."""

    id = "model"


class ModelMissingError(ModelError):
    """There is no model, language model or checkpoint in this place."""

    id = "model-missing"


class ModelDamagedError(ModelError):
    """A file of a model is damaged: its checksum does not fit, it is cut short, or it holds what no model holds."""

    id = "model-damaged"


class TrainingError(AsrError):
    """Training cannot start or continue: out of memory, a run folder in use, no finite loss."""

    id = "training"


class DiskFullError(TrainingError):
    """There is no space for a checkpoint. The command line gives any OSError of ``DISK_FULL`` the same id."""

    id = "disk-full"


class ScoringError(AsrError):
    """References and hypotheses do not fit together."""

    id = "scoring"


class TranscriptError(AsrError):
    """A transcript cannot be written in a format, such as subtitles of a text without word times."""

    id = "transcript"


class InternalError(AsrError):
    """A bug of this program, met in one recording; the others are processed. Its cause is the unexpected exception."""

    exit_code = 70
    id = "internal"


class Interrupted(AsrError):
    """A signal ended the work after saving; ``exit_code`` is 128 + the signal's number (130 Ctrl-C, 143 SIGTERM)."""

    id = "interrupted"

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message, signal_number)  # both, so that it comes back whole from another process
        self.exit_code = 128 + signal_number

    def __str__(self) -> str:
        return str(self.args[0])


class RecordingNote(UserWarning):
    """A recording was read in spite of a fault; the message names it. Given with ``warnings.warn``."""


_E = TypeVar("_E", bound=BaseException)


def without_locals(error: _E) -> _E:
    """``error``, the local variables in its traceback freed (a recording's samples): for those that are kept."""
    one: BaseException | None = error
    while one is not None:
        traceback.clear_frames(one.__traceback__)
        one = one.__cause__ or one.__context__
    return error
