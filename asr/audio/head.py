"""The first bytes of a recording, and the errors of files that cannot be one; before any decoder opens them.

In: a path. Out: its first bytes, or an `AudioError` that names the file, the problem and the remedy. This comes first
because a decoder hangs on a FIFO, reports "unknown error" for a folder, and an empty text for most other files.
"""

import os
import stat
import warnings

import numpy as np

from asr.errors import AudioDamagedError, AudioError, AudioFormatError, AudioMissingError, RecordingNote
from asr.terminal import printable

AudioPath = str | os.PathLike[str]

HEAD_BYTES = 4096

# How messages call the files in memory that recordings of shards are (asr/audio/shards.py).
SHOWN_AS: dict[str, str] = {}

_AGAIN = "Copy or download it again, or take it out of the list."


def shown(path: AudioPath) -> str:
    """A file's name as messages show it, on one line whatever it holds."""
    name = os.fspath(path)
    return printable(SHOWN_AS.get(name, name))


def damaged(path: AudioPath, why: str, kind: type[AudioError] = AudioDamagedError) -> AudioError:
    """The error for a recording that is incomplete, damaged, or none; `why` continues 'PATH: '."""
    return kind(f"{shown(path)}: {why}. {_AGAIN}")


def note(path: AudioPath, what: str) -> None:
    """Warn of a fault in spite of which the recording is read; `what` continues 'PATH: '."""
    warnings.warn(RecordingNote(f"{shown(path)}: {what}."), stacklevel=2)


def check_finite(path: AudioPath, block: np.ndarray) -> np.ndarray:
    """The block of samples; raises AudioError where it holds NaN or infinity."""
    if not np.isfinite(block).all():
        raise AudioDamagedError(
            f"{shown(path)}: holds samples that are not numbers (NaN or infinity). "
            "Export it again as 16-bit PCM, or leave it out."
        )
    return block


def media_kind(head: bytes) -> str | None:
    """By its first bytes, the kind of a file that PyAV reads and soundfile does not; or None."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"pnot"):
        return "mp4"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    signatures = {
        b"\x1aE\xdf\xa3": "matroska",
        b"0&\xb2u": "asf",
        b"#!AMR": "amr",
        b"\xff\xf0": "aac",
        b"\xff\xf1": "aac",
        b"\xff\xf8": "aac",
        b"\xff\xf9": "aac",
        b"FLV": "flv",
    }
    return next((kind for start, kind in signatures.items() if head.startswith(start)), None)


def _no_audio_kind(head: bytes) -> str | None:
    """What a file without any sound is, with the usual reason; None where the first bytes do not show it."""
    if head.startswith((b"RIFF", b"fLaC", b"OggS")):
        return None
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the recording itself (run: git lfs pull)"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, probably the error page of a failed download"
    if text.startswith((b"pk\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"bzh")):
        return "an archive (unpack it first)"
    return "zero bytes only, a file whose content was never written" if head and not head.strip(b"\0") else None


def read_head(path: AudioPath) -> bytes:
    """The first bytes of a regular, readable file that may hold audio.

    Args:
        path: the recording.

    Returns:
        Up to `HEAD_BYTES` bytes, never none.

    Raises:
        AudioError: the file is absent, a folder, not regular (a FIFO, a device), unreadable, empty, or plainly
            something other than a recording.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise AudioMissingError(f"{shown(path)}: is a folder, not a recording. Name the files in it.")
        if not stat.S_ISREG(mode):
            raise AudioMissingError(
                f"{shown(path)}: is a pipe or a device, not a regular file. Save the audio to a file first."
            )
        with open(path, "rb", buffering=0) as stream:
            head = stream.read(HEAD_BYTES)
    except FileNotFoundError:
        raise AudioMissingError(f"{shown(path)}: no such file. Check the path, and that the disk is mounted.") from None
    except PermissionError:
        raise AudioMissingError(
            f"{shown(path)}: cannot be read (permission denied). Change its permissions, for instance with chmod +r."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioMissingError(f"{shown(path)}: cannot be opened ({reason}). Check the path and the disk.") from None
    _refuse_other_kinds(path, head)
    return head


def _refuse_other_kinds(path: AudioPath, head: bytes) -> None:
    if not head:
        raise damaged(path, "is empty (0 bytes)")
    if (kind := _no_audio_kind(head)) is not None:
        raise damaged(path, f"is not audio: it is {kind}", AudioFormatError)
