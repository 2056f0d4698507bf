"""The ARPA format: read what SRILM, KenLM, IRSTLM and this program write.

In: a stream of bytes. Out: an `NgramTrie` in natural logs, or a `ModelError` with file and line. Lenient where writers
differ and nothing is lost: backoff weights left out, contexts left out, `\r\n`, blank lines, -99, -inf or 0 for <s>,
<unk> absent (added as KenLM does, with 10^-100) or written <UNK>, text before ``\\data\\``. N-grams may come in any
order. A context that has continuations but no line of its own (SRILM prunes so) is added with the probability that
backing off gives it and weight 1, which changes no probability.
"""

import itertools
import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from asr.errors import ModelDamagedError
from asr.lm.model import BOS, EOS, SPACE, UNK
from asr.lm.trie import NgramTrie, backed_off, suffix_nodes

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NgramRows:
    """The n-grams of one order: words int32 (n-grams, order); log_prob, backoff float32 (n-grams,), natural log."""

    words: npt.NDArray[np.int32]
    log_prob: npt.NDArray[np.float32]
    backoff: npt.NDArray[np.float32]


class DuplicateNgram(ValueError):
    """The same n-gram twice: in ``row`` of ``order`` for the second time."""

    def __init__(self, order: int, row: int) -> None:
        super().__init__(f"n-gram of order {order} twice")
        self.order, self.row = order, row


def trie_from_rows(unit: str, words: tuple[str, ...], rows: list[NgramRows]) -> NgramTrie:
    """Sort rows of orders 1, 2, ... into a trie; row i of order 1 is word i.

    Raises:
        DuplicateNgram: a row occurs twice.
    """
    at = [each.words[:, 0].astype(np.int64) + 1 for each in rows]  # the node of each row's prefix so far
    columns = [(np.zeros(len(words), np.int32), np.arange(len(words), dtype=np.int32))]
    filled = [(rows[0].log_prob, rows[0].backoff)]
    counts = [len(words)]
    for order in range(2, len(rows) + 1):
        made = [at[i] * len(words) + rows[i].words[:, order - 1] for i in range(order - 1, len(rows))]
        keys = _distinct(np.concatenate(made))
        start = sum(counts) + 1  # the first node of this order
        for i, key in enumerate(made, start=order - 1):
            at[i] = np.searchsorted(keys, key) + start
        filled.append(_place(order, rows[order - 1], at[order - 1] - start, len(keys)))
        columns.append(((keys // len(words)).astype(np.int32), (keys % len(words)).astype(np.int32)))
        counts.append(len(keys))
    trie = NgramTrie(
        unit=unit,
        words=words,
        counts=tuple(counts),
        parent=np.concatenate([parent for parent, _ in columns]),
        word=np.concatenate([word for _, word in columns]),
        log_prob=np.concatenate([log_prob for log_prob, _ in filled]),
        backoff=np.concatenate([backoff for _, backoff in filled]),
    )
    return _fill_in(trie)


def _distinct(values: Ints) -> Ints:
    """What np.unique gives; several times faster than its hashing on millions of numbers."""
    values.sort()
    is_new = np.concatenate([np.ones(min(1, len(values)), bool), values[1:] != values[:-1]])
    distinct: Ints = values[is_new]
    return distinct


def _place(
    order: int, rows: NgramRows, place: Ints, size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The rows' values at their places; NaN where no row is."""
    if len(place) and np.bincount(place).max() > 1:
        again = np.ones(len(place), bool)
        again[np.unique(place, return_index=True)[1]] = False
        raise DuplicateNgram(order, int(np.flatnonzero(again)[0]))
    log_prob = np.full(size, np.nan, np.float32)
    backoff = np.zeros(size, np.float32)
    log_prob[place] = rows.log_prob
    backoff[place] = rows.backoff
    return log_prob, backoff


def _fill_in(trie: NgramTrie) -> NgramTrie:
    """Give the contexts that had no line the probability that backing off gives."""
    if not np.isnan(trie.log_prob).any():
        return trie
    keys, suffix = trie.keys(), suffix_nodes(trie)
    filled = replace(trie, log_prob=trie.log_prob.copy())
    for first, last in itertools.pairwise(trie.bounds()[1:]):
        empty = first + np.flatnonzero(np.isnan(trie.log_prob[first:last]))
        context = trie.parent[empty]
        lower = backed_off(filled, keys, suffix, context, trie.word[empty])
        filled.log_prob[empty] = trie.backoff[context - 1] + lower
    return filled


LN_10 = math.log(10.0)
LOWEST_LOG10 = -99.0  # what ARPA files write for a probability of 0
_MISSING_UNK_LOG10 = -100.0
_CHUNK_LINES = 20_000
_MOST_ORDERS = 20
_LONGEST_LINE = 1 << 20  # bytes


def read_arpa(stream: BinaryIO, name: str) -> NgramTrie:
    """Read a whole ARPA file (already unzipped) that is called ``name`` in messages.

    Raises:
        ModelError: a line is wrong, or the file ends too early; the message names file and line.
    """
    return _Reader(stream, name).read()


class _Reader:
    """Walks through the file once; ``line`` is the number of the line last read."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream, self._name = stream, name
        self.line = 0
        self._ids: dict[bytes, int] = {}

    def read(self) -> NgramTrie:
        counts = self._read_counts()
        rows: list[NgramRows] = []
        starts: list[int] = []
        for order, count in enumerate(counts, start=1):
            self._expect_section(order)
            starts.append(self.line + 1)
            rows.append(self._read_section(order, count, last=order == len(counts)))
        if self._next_filled() != b"\\end\\":
            raise self._error(f"expected \\end\\ after {counts[-1]:,} n-grams of order {len(counts)}")
        self._add_special(rows)
        words = tuple(self._decode(word) for word in self._ids)
        composed = tuple(unicodedata.normalize("NFC", word) for word in words)  # as the texts of models are
        words = composed if len(set(composed)) == len(words) else words
        try:
            return trie_from_rows(_unit(words), words, rows)
        except DuplicateNgram as error:
            # exact without blank lines between the n-grams, as in every file seen
            self.line = starts[error.order - 1] + error.row
            raise self._error(f"this n-gram of order {error.order} is in the file already") from None

    def _read_counts(self) -> list[int]:
        line = self._next_filled()
        while line != b"\\data\\":
            if line is None or self.line > 1000:
                raise self._error("no \\data\\ line: this is not an ARPA file")
            line = self._next_filled()
        counts: list[int] = []
        while True:
            place, number = self._stream.tell(), self.line
            line = self._next_filled()
            match = re.fullmatch(rb"ngram\s+(\d{1,99})\s*=\s*(\d{1,99})", line or b"")
            if match is None:
                if not counts or line is None or not line.startswith(b"\\"):
                    raise self._error("expected a count such as `ngram 1=2000` or the section \\1-grams:")
                self._stream.seek(place)
                self.line = number
                return counts
            if int(match[1]) != len(counts) + 1 or len(counts) == _MOST_ORDERS:
                raise self._error(f"expected the count of order {len(counts) + 1} (at most {_MOST_ORDERS} orders)")
            counts.append(int(match[2]))
            if counts[0] == 0:
                raise self._error("a model without unigrams holds nothing")

    def _expect_section(self, order: int) -> None:
        line = self._next_filled()
        if line != b"\\%d-grams:" % order:
            raise self._error(f"expected the section \\{order}-grams: (the header's counts may be wrong)")

    def _read_section(self, order: int, count: int, *, last: bool) -> NgramRows:
        try:
            words = np.zeros((count, order), np.int32)
            log_prob, backoff = np.zeros(count, np.float32), np.zeros(count, np.float32)
        except (MemoryError, ValueError, OverflowError):
            raise self._error(
                f"the header promises {count:,} n-grams of order {order}, more than memory holds; is it damaged?"
            ) from None
        done = 0
        while done < count:
            fields, numbers = self._next_rows(count - done)
            if not fields:
                raise self._error(f"the file ends after {done:,} of {count:,} n-grams of order {order}; it is cut off")
            part = slice(done, done + len(fields))
            try:
                ids, log_prob[part], backoff[part] = self._parse(fields, order)
            except (ValueError, KeyError):
                self._blame(fields, numbers, order)
                raise
            words[part] = ids
            done += len(fields)
        return NgramRows(words, log_prob, np.zeros_like(backoff) if last else backoff)

    def _next_rows(self, most: int) -> tuple[list[list[bytes]], list[int]]:
        """At most ``most`` lines that are not blank, split at white space, with their line numbers."""
        lines = list(itertools.islice(self._lines(), min(most, _CHUNK_LINES)))
        fields = [line.split() for line in lines]
        numbers = list(range(self.line + 1, self.line + 1 + len(lines)))
        self.line += len(lines)
        if lines and not all(fields):
            numbers = [number for number, parts in zip(numbers, fields, strict=True) if parts]
            fields = [parts for parts in fields if parts]
            return (fields, numbers) if fields else self._next_rows(most)
        return fields, numbers

    def _parse(self, fields: list[list[bytes]], order: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Word numbers (rows, order) and natural logs (rows,) twice; ValueError or KeyError where any row is wrong."""
        lengths = set(map(len, fields))
        if not lengths <= {order + 1, order + 2}:
            raise ValueError
        columns = list(itertools.zip_longest(*fields, fillvalue=b"0"))
        log_prob = np.array(list(map(float, columns[0])))
        backoff = np.array(list(map(float, columns[order + 1]))) if len(columns) == order + 2 else np.zeros(len(fields))
        if np.isnan(log_prob).any() or np.isnan(backoff).any() or (log_prob > 0).any() or np.isposinf(backoff).any():
            raise ValueError
        if order == 1:
            self._add_words(columns[1])
        ids = np.array([list(map(self._ids.__getitem__, column)) for column in map(_known, columns[1 : order + 1])])
        return ids.T, np.maximum(log_prob, LOWEST_LOG10 - 1) * LN_10, np.maximum(backoff, LOWEST_LOG10) * LN_10

    def _add_words(self, words: tuple[bytes, ...]) -> None:
        before = len(self._ids)
        new = dict.fromkeys(_known(words))
        if len(new) < len(words) or any(word in self._ids for word in new):
            raise ValueError
        self._ids.update(zip(new, range(before, before + len(new)), strict=True))

    def _blame(self, fields: list[list[bytes]], numbers: list[int], order: int) -> None:
        """Find the row that is wrong and raise with its line."""
        seen = set[bytes]() if order > 1 else set(self._ids)
        for parts, self.line in zip(fields, numbers, strict=True):
            if parts[0].startswith(b"\\"):
                raise self._error(f"the section of order {order} ends here, before the count that the header gives")
            if len(parts) not in (order + 1, order + 2):
                raise self._error(
                    f"expected a log-probability, {order} word(s) and optionally a backoff weight,"
                    f" found {len(parts)} fields"
                )
            for part in (parts[0], *parts[order + 1 :]):
                self._check_number(part, is_probability=part is parts[0])
            words = _known(parts[1 : order + 1])
            unknown = [word for word in words if word not in self._ids] if order > 1 else []
            if unknown:
                raise self._error(f"the word {self._decode(unknown[0])!r} is not among the unigrams")
            if order == 1 and words[0] in seen:
                raise self._error(f"the word {self._decode(words[0])!r} is among the unigrams already")
            seen.add(words[0])

    def _check_number(self, part: bytes, *, is_probability: bool) -> None:
        what = "log-probability" if is_probability else "backoff weight"
        shown = part.decode("utf-8", "replace")
        try:
            value = float(part)
        except ValueError:
            raise self._error(f"{shown!r} should be a {what}, a number") from None
        if math.isnan(value) or value == math.inf:
            raise self._error(f"{shown!r} cannot be a {what}")
        if is_probability and value > 0:
            raise self._error(f"the log-probability {shown} is above 0; a probability is at most 1")

    def _add_special(self, rows: list[NgramRows]) -> None:
        """Append <unk> and <s> where the file has none; refuse a file without </s>."""
        if EOS.encode() not in self._ids:
            raise ModelDamagedError(f"{self._name}: has no </s> among its unigrams, so it cannot end a sentence")
        for word, log10 in ((UNK.encode(), _MISSING_UNK_LOG10), (BOS.encode(), LOWEST_LOG10)):
            if word not in self._ids:
                self._ids[word] = len(self._ids)
                rows[0] = NgramRows(
                    np.append(rows[0].words, np.array([[self._ids[word]]], np.int32), axis=0),
                    np.append(rows[0].log_prob, np.float32(log10 * LN_10)),
                    np.append(rows[0].backoff, np.float32(0.0)),
                )

    def _lines(self) -> Iterator[bytes]:
        """The lines from here on; a file without line ends (zipped zeros) must not take the memory."""
        while line := self._stream.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise self._error(f"a line of {_LONGEST_LINE:,} bytes and more: this is not an ARPA file")
            yield line

    def _next_filled(self) -> bytes | None:
        """The next line that is not blank, stripped; None at the end."""
        for line in self._lines():
            self.line += 1
            if stripped := line.removeprefix(b"\xef\xbb\xbf").strip():
                return stripped
        return None

    def _decode(self, word: bytes) -> str:
        try:
            return word.decode("utf-8")
        except UnicodeDecodeError:
            raise ModelDamagedError(
                f"{self._name}: the word {word!r} is not UTF-8. Convert the file (iconv -t UTF-8)."
            ) from None

    def _error(self, message: str) -> ModelDamagedError:
        return ModelDamagedError(f"{self._name}:{self.line}: {message}")


def _known(words: "list[bytes] | tuple[bytes, ...]") -> "list[bytes] | tuple[bytes, ...]":
    """The same words, with <UNK> as <unk>."""
    return [b"<unk>" if word == b"<UNK>" else word for word in words] if b"<UNK>" in words else words


def _unit(words: tuple[str, ...]) -> str:
    """ARPA does not say what its words are; a model that knows <space> and else only single characters spells texts."""
    plain = set(words) - {UNK, BOS, EOS, SPACE}
    return "character" if SPACE in words and all(len(word) == 1 for word in plain) else "word"
