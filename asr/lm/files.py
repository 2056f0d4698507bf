"""Read and write language models: ARPA for every tool, ARPA.gz, or a binary form of our own, which loads fastest.

In: a path. Out: an `NgramModel` to query, or an `NgramTrie` to write and mix, or one clear `ModelError`; when writing,
the file, atomically. The format is recognised by content when reading and by name when writing (.arpa, .arpa.gz; all
else is binary).

The binary form holds the arrays of an `NgramModel` as they are in memory. Data only, never pickle. The layout,
little-endian:

    0   8 bytes   b"asrngram"
    8   uint32    version, 1
    12  uint32    length of the header
    16  uint32    CRC-32 of the header
    20  ...       the header: JSON with the sizes, the start state and the CRC-32 of all that follows; spaces up to 64
    64-byte steps the arrays in the order of `_DTYPES`, then the words (UTF-8, a line each)

The file is mapped, not copied: several processes share its pages. A file whose bytes changed, or whose numbers point
outside the model, is refused, because the compiled search does not check them.
"""

import gzip
import io
import itertools
import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from asr.errors import ModelDamagedError, ModelError, ModelMissingError
from asr.files import atomic_path
from asr.lm.arpa import LN_10, LOWEST_LOG10, read_arpa
from asr.lm.model import BOS, EOS, UNITS, UNK, NgramModel
from asr.lm.trie import NgramTrie, to_model, to_trie

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
    try:
        header, start = _read_header(content, name)
        model = _read_model(content, header, start)
        sound = _is_sound(model)
    except (LookupError, OverflowError, RecursionError, TypeError, ValueError):  # forged: its checksums fit
        raise _damaged(name) from None
    if not sound:
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
    """Whether every walk stays within the arrays and ends."""
    states, arcs, words = len(model.backoff_state), len(model.arc_word), len(model.words)
    start = model.arc_start
    return bool(
        model.unit in UNITS
        and 0 < model.order < 1 << 31
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
        and np.isfinite(model.arc_log_prob).all()
        and np.isfinite(model.backoff_log_weight).all()
    )


def _bytes(values: npt.NDArray[Any], dtype: str) -> memoryview:
    return np.ascontiguousarray(values, dtype).data.cast("B")


def _padding(length: int) -> bytes:
    return bytes(_aligned(length) - length)


def _aligned(length: int) -> int:
    return -(-length // _ALIGNMENT) * _ALIGNMENT


def _damaged(name: str) -> ModelError:
    return ModelDamagedError(
        f"{name}: the language model is damaged (its checksum does not fit); fetch or build it again"
    )


_GZIP = b"\x1f\x8b"


def read_lm(path: str | os.PathLike[str]) -> NgramModel:
    """Read an n-gram model: ARPA, ARPA.gz or our binary.

    Raises:
        ModelError: there is no such file, it is damaged, or it is no language model.
    """
    found = _read(os.fspath(path))
    return to_model(found) if isinstance(found, NgramTrie) else found


def read_trie(path: str | os.PathLike[str]) -> NgramTrie:
    """Read an n-gram model of any of these formats as a trie; errors as `read_lm`."""
    found = _read(os.fspath(path))
    return found if isinstance(found, NgramTrie) else to_trie(found)


def _read(name: str) -> NgramModel | NgramTrie:
    try:
        with open(name, "rb") as stream:
            beginning = stream.read(len(MAGIC))
            stream.seek(0)
            if beginning == MAGIC:
                return read_binary(stream, name)
            if not beginning.startswith(_GZIP):
                return read_arpa(stream, name)
            unzipped: BinaryIO = io.BufferedReader(gzip.GzipFile(fileobj=stream))
            return read_arpa(unzipped, name)
    except FileNotFoundError:
        raise ModelMissingError(
            f"{name}: no such language model. Check the path, or make one with: asr lm build"
        ) from None
    except IsADirectoryError:
        raise ModelMissingError(f"{name}: is a folder, not a language model (.arpa, .arpa.gz or .bin)") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ModelDamagedError(f"{name}: its compression is damaged ({error}); fetch or build it again") from None


_CHUNK_NGRAMS = 50_000
_GZIP_LEVEL = 4  # a third faster than 6 for 3 % more bytes


def write_lm(path: str | os.PathLike[str], trie: NgramTrie) -> None:
    """Write the model as ARPA (.arpa), zipped ARPA (.arpa.gz) or binary (any other name)."""
    target = Path(path)
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        if target.name.endswith(".arpa"):
            write_arpa(stream, trie)
        elif target.name.endswith((".arpa.gz", ".gz")):
            with gzip.GzipFile("", "wb", _GZIP_LEVEL, stream, mtime=0) as zipped:
                write_arpa(zipped, trie)
        else:
            write_binary(stream, to_model(trie))


def write_arpa(stream: "BinaryIO | gzip.GzipFile", trie: NgramTrie) -> None:
    """Write ARPA text: log10 with 7 digits, a backoff weight where it is not 1, <s> with -99."""
    head = "".join(f"ngram {order}={count}\n" for order, count in enumerate(trie.counts, start=1))
    stream.write(f"\\data\\\n{head}".encode())
    for order, (first, last) in enumerate(itertools.pairwise(trie.bounds()), start=1):
        stream.write(f"\n\\{order}-grams:\n".encode())
        for start in range(first, last, _CHUNK_NGRAMS):
            part = slice(start, min(last, start + _CHUNK_NGRAMS))
            stream.write("".join(_lines(trie, order, part)).encode())
    stream.write(b"\n\\end\\\n")


def _lines(trie: NgramTrie, order: int, part: slice) -> Iterator[str]:
    log10 = np.maximum(trie.log_prob[part].astype(np.float64) / LN_10, LOWEST_LOG10).tolist()
    weight = (trie.backoff[part].astype(np.float64) / LN_10).tolist()
    for log_prob, words, backoff in zip(log10, _texts(trie, order, part), weight, strict=True):
        yield f"{log_prob:.7g}\t{words}\t{backoff:.7g}\n" if backoff else f"{log_prob:.7g}\t{words}\n"


def _texts(trie: NgramTrie, order: int, part: slice) -> Iterator[str]:
    """The words of each n-gram, joined by spaces."""
    columns = [_column(trie, trie.word[part])]
    node = trie.parent[part]
    for _ in range(order - 1):
        columns.append(_column(trie, trie.word[node - 1]))
        node = trie.parent[node - 1]
    return map(" ".join, zip(*reversed(columns), strict=True))


def _column(trie: NgramTrie, numbers: npt.NDArray[np.int32]) -> list[str]:
    return [trie.words[number] for number in numbers.tolist()]
