"""Read a language model, whatever its format: told by content, never by name.

In: a path. Out: an `NgramModel` to query, or an `NgramTrie` to write and mix, or one clear `ModelError`.
"""

import gzip
import io
import os
import zlib
from typing import BinaryIO

from asr.errors import ModelError
from asr.lm.arpa import read_arpa
from asr.lm.binary import MAGIC, read_binary
from asr.lm.model import NgramModel
from asr.lm.trie import NgramTrie, to_model, to_trie

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


def read_arpa_text(text: str) -> NgramModel:
    """The model that an ARPA file of this text holds; for tests and small examples."""
    return to_model(read_arpa(io.BytesIO(text.encode()), "<text>"))


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
        raise ModelError(f"{name}: no such language model. Check the path, or make one with: asr lm build") from None
    except IsADirectoryError:
        raise ModelError(f"{name}: is a folder, not a language model (.arpa, .arpa.gz or .bin)") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ModelError(f"{name}: its compression is damaged ({error}); fetch or build it again") from None
