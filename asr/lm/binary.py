"""Our binary form of an `NgramModel`: its arrays as they lie in memory, so that it loads at once.

In: a model, or a file's bytes. Out: the file, or the model. Data only, never pickle. The layout, little-endian:

    0   8 bytes   b"asrngram"
    8   uint32    version, 1
    12  uint32    length of the header
    16  uint32    CRC-32 of the header
    20  ...       the header: JSON with the sizes, the start state and the CRC-32 of all that follows; spaces up to 64
    64-byte steps the arrays in the order of `_DTYPES`, then the words (UTF-8, a line each)

The file is mapped, not copied: several processes share its pages. A file whose bytes changed, or whose numbers point
outside the model, is refused, because the compiled search does not check them.
"""

import json
import mmap
import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from asr.errors import ModelError
from asr.lm.model import BOS, EOS, UNITS, UNK, NgramModel

MAGIC = b"asrngram"
_VERSION = 1
_PREFIX = struct.Struct("<8sIII")
_ALIGNMENT = 64
_DTYPES = {
    "arc_start": "<i8",
    "arc_word": "<i4",
    "arc_log_prob": "<f4",
    "arc_next": "<i4",
    "backoff_log_weight": "<f4",
    "backoff_state": "<i4",
}


def write_binary(stream: BinaryIO, model: NgramModel) -> None:
    """Write the model to a file opened for writing bytes."""
    parts: list[memoryview] = [_bytes(getattr(model, name), dtype) for name, dtype in _DTYPES.items()]
    parts.append(memoryview("\n".join(model.words).encode()))
    checksum, sizes = 0, []
    for part in parts:
        sizes.append(len(part))
        checksum = zlib.crc32(_padding(len(part)), zlib.crc32(part, checksum))
    header = json.dumps({
        "order": model.order,
        "unit": model.unit,
        "words": len(model.words),
        "states": len(model.backoff_state),
        "arcs": len(model.arc_word),
        "start_state": model.start_state,
        "sizes": sizes,
        "crc32": checksum,
    }).encode()  # fmt: skip
    header += b" " * (_aligned(_PREFIX.size + len(header)) - _PREFIX.size - len(header))  # so that its CRC covers all
    stream.write(_PREFIX.pack(MAGIC, _VERSION, len(header), zlib.crc32(header)) + header)
    for part in parts:
        stream.write(part)
        stream.write(_padding(len(part)))


def read_binary(stream: BinaryIO, name: str) -> NgramModel:
    """Map a file that begins with `MAGIC`; ``name`` is what messages call it.

    Raises:
        ModelError: the file is damaged, cut off, or of a later version.
    """
    content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    header, start = _read_header(content, name)
    try:
        model = _read_model(content, header, start)
    except (KeyError, TypeError, ValueError):
        raise _damaged(name) from None
    if not _is_sound(model):
        raise _damaged(name)
    return model


def _read_header(content: mmap.mmap, name: str) -> tuple[dict[str, Any], int]:
    if len(content) < _PREFIX.size:
        raise _damaged(name)
    _, version, length, checksum = _PREFIX.unpack(content[: _PREFIX.size])
    if version != _VERSION:
        raise ModelError(
            f"{name}: is of version {version} of the binary format, but this program reads version {_VERSION}; "
            "build it again, or upgrade this program"
        )
    text = content[_PREFIX.size : _PREFIX.size + length]
    start = _PREFIX.size + length
    if zlib.crc32(text) != checksum:
        raise _damaged(name)
    header: dict[str, Any] = json.loads(text)
    with memoryview(content) as view, view[start:] as rest:
        if zlib.crc32(rest) != header["crc32"]:
            raise _damaged(name)
    return header, start


def _read_model(content: mmap.mmap, header: dict[str, Any], start: int) -> NgramModel:
    states, arcs = header["states"], header["arcs"]
    lengths = [states + 1, arcs, arcs, arcs, states, states]
    arrays: dict[str, npt.NDArray[Any]] = {}
    for (name, dtype), length, size in zip(_DTYPES.items(), lengths, header["sizes"][:-1], strict=True):
        arrays[name] = np.frombuffer(content, dtype, length, start)
        start += _aligned(size)
    words = tuple(content[start : start + header["sizes"][-1]].decode("utf-8").split("\n"))
    if len(words) != header["words"]:
        raise ValueError
    return NgramModel(
        order=header["order"],
        unit=header["unit"],
        words=words,
        unk=words.index(UNK),
        bos=words.index(BOS),
        eos=words.index(EOS),
        start_state=header["start_state"],
        **arrays,
    )


def _is_sound(model: NgramModel) -> bool:
    """Whether no walk can leave the arrays or go on for ever."""
    states, arcs, words = len(model.backoff_state), len(model.arc_word), len(model.words)
    start = model.arc_start
    return bool(
        model.unit in UNITS
        and states > 0
        and start[0] == 0
        and start[1] == words
        and start[-1] == arcs
        and (np.diff(start) >= 0).all()
        and np.array_equal(model.arc_word[:words], np.arange(words))
        and model.arc_word.min() >= 0
        and model.arc_word.max() < words
        and model.arc_next.min() >= 0
        and model.arc_next.max() < states
        and model.backoff_state.min() >= 0
        and (model.backoff_state[1:] < np.arange(1, states)).all()
        and 0 <= model.start_state < states
    )


def _bytes(values: npt.NDArray[Any], dtype: str) -> memoryview:
    return np.ascontiguousarray(values, dtype).data.cast("B")


def _padding(length: int) -> bytes:
    return bytes(_aligned(length) - length)


def _aligned(length: int) -> int:
    return -(-length // _ALIGNMENT) * _ALIGNMENT


def _damaged(name: str) -> ModelError:
    return ModelError(f"{name}: the language model is damaged (its checksum does not fit); fetch or build it again")
