"""Write a language model: ARPA for every tool, ARPA.gz, or our binary, which loads at once.

In: an `NgramTrie` and a path, whose name says the format (.arpa, .arpa.gz; all else is binary). Out: the file, whole or
not at all.
"""

import gzip
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from asr.files import atomic_path
from asr.lm.arpa import LN_10, LOWEST_LOG10
from asr.lm.binary import write_binary
from asr.lm.trie import NgramTrie, to_model

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
