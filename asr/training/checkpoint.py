"""Checkpoints: the whole training state in one file that is either complete or not there.

In: a plain state (tensors, numbers, text). Out: a file with a magic line, the SHA-256 of what follows, and torch's own
format; it is written aside, synced and renamed (FIELD_NOTES: overwriting in place lost 14 of 15 under SIGKILL), and
read back with ``weights_only=True``, never as a pickle of code.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from asr.errors import ModelError, TrainingError
from asr.files import atomic_path

MAGIC = b"asr-checkpoint 1 "
HEADER_BYTES = len(MAGIC) + 64 + 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, lists and dicts of them) to ``path``, atomically.

    Raises TrainingError when it cannot be written; what stood at ``path`` before stands still.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getbuffer()
    header = MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n"
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            stream.write(header)
            stream.write(payload)
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be saved ({error.strerror}, {len(payload) / 2**20:.1f} MiB);"
            " what was saved before still stands:"
            " make room, then go on with the same command"
        ) from None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state in ``path``, on the CPU. Raises ModelError when it is absent, damaged or not one of ours."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: no checkpoint can be read here ({error.strerror})") from None
    if not content.startswith(MAGIC) or len(content) < HEADER_BYTES:
        raise ModelError(f"{path}: not a checkpoint of this program")
    payload = memoryview(content)[HEADER_BYTES:]
    if hashlib.sha256(payload).hexdigest().encode() != content[len(MAGIC) : HEADER_BYTES - 1]:
        raise ModelError(f"{path}: damaged, its SHA-256 does not match; use an earlier copy, or train again")
    try:
        state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    except Exception as error:  # torch's own text advises weights_only=False: never repeat it
        raise ModelError(f"{path}: holds more than data, so it is not loaded ({type(error).__name__})") from None
    return state
