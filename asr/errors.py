"""All errors that this project raises on purpose, in one tree.

In: what went wrong, where, why, and what to do, as one message. Out: an exception the command line prints as one line
(never a traceback) and exits with its ``exit_code``: 2 for what was typed or configured, 1 for what the data,
a file or the machine did.
"""


class AsrError(Exception):
    """Base of all errors raised on purpose; the command line prints it as ``asr: error: <message>``."""

    exit_code: int = 1


class UsageError(AsrError):
    """The command line cannot be understood: unknown verb, missing argument, contradictory options."""

    exit_code = 2


class ConfigError(AsrError):
    """A configuration key or value is wrong; the message names the key."""

    exit_code = 2


class AudioError(AsrError):
    """A recording cannot be read: it is absent, empty, damaged, too large, or its format is unsupported."""


class DataError(AsrError):
    """Manifests, transcripts or corpora are wrong; the message lists every error with file and line."""


class TextError(AsrError):
    """A text cannot be spelled in the vocabulary, or a tokenizer cannot be built."""


class ModelError(AsrError):
    """A model directory or checkpoint is absent, damaged, or does not fit."""


class TrainingError(AsrError):
    """Training cannot start or continue: out of memory, a run folder in use, no finite loss."""


class ScoringError(AsrError):
    """References and hypotheses do not fit together."""


class TranscriptError(AsrError):
    """A transcript cannot be written in a format, such as subtitles of a text without word times."""


class InternalError(AsrError):
    """A bug of this program, met in one recording; the others are processed. Its cause is the unexpected exception."""

    exit_code = 70


class Interrupted(AsrError):
    """A signal ended the work after saving; ``exit_code`` is 128 + the signal's number (130 Ctrl-C, 143 SIGTERM)."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message, signal_number)  # both, so that it comes back whole from another process
        self.exit_code = 128 + signal_number

    def __str__(self) -> str:
        return str(self.args[0])


class RecordingNote(UserWarning):
    """A recording was read in spite of a fault; the message names it. Given with ``warnings.warn``."""
