"""Praat's TextGrid files: long and short text form, UTF-8 or UTF-16.

As Praat reads them (https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html): the texts in quotes and the
numbers that stand alone count, in their order; all else, such as ``xmin =`` or ``intervals [1]:``, only explains them.
"""

import codecs
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from asr.data.annotation.records import Annotation, AnnotationFile, AnnotationTier
from asr.errors import DataError

INTERVALS = "IntervalTier"


@dataclass(frozen=True, slots=True, kw_only=True)
class GridTier:
    """A tier from ``start_s`` to ``end_s``. ``entries``: times in seconds, two of an interval, one of a point; text.

    ``kind``: INTERVALS, or ``TextTier`` with points.
    """

    kind: str
    name: str
    start_s: float
    end_s: float
    entries: Sequence[tuple[tuple[float, ...], str]]


def read_textgrid(data: bytes) -> AnnotationFile:
    """The intervals with text; of tiers of the same name the later ones get numbers, ``words_2``.

    Point tiers hold no durations and are left out.

    Raises:
        DataError: as ``parse_textgrid``.
    """
    names: list[str] = []
    tiers = []
    for tier in parse_textgrid(data):
        numbered = (f"{tier.name}_{number}" for number in count(2))
        names.append(tier.name if tier.name not in names else next(name for name in numbered if name not in names))
        if tier.kind == INTERVALS:
            texts = [(start_s, end_s, " ".join(text.split())) for (start_s, end_s), text in tier.entries]
            tiers.append(AnnotationTier(name=names[-1], annotations=[Annotation(*one) for one in texts if one[2]]))
    return AnnotationFile(tiers=tiers)


def parse_textgrid(data: bytes) -> list[GridTier]:
    """All tiers of a file as they are.

    Raises:
        DataError: it is no TextGrid, or a damaged one; the message completes "FILE: ".
    """
    if data.startswith(b"ooBinaryFile"):
        raise DataError("is a binary TextGrid; save it in Praat as a text file")
    text = decode_text(data)
    if "ooTextFile" not in text[:100] or "TextGrid" not in text[:200]:
        raise DataError('is not a TextGrid (Praat\'s begin with File type = "ooTextFile")')
    try:
        return _Content(text).tiers()
    except (ValueError, OverflowError) as error:
        raise DataError(f"is a damaged TextGrid ({error})") from None


# A comment, a text in quotes, which are doubled inside it, or a number.
_VALUE = re.compile(r'(?<!\S)!.*|"((?:[^"]|"")*+)"|(?<![^\s=])([-+]?\.?[0-9][0-9.]*(?:[eE][-+]?[0-9]+)?)(?!\S)')


class _Content:
    """The texts and numbers of a file, taken one after the other. Raises ValueError where another is expected."""

    def __init__(self, text: str) -> None:
        self._all = text
        self._values = (found for found in _VALUE.finditer(text) if found.lastindex)

    def tiers(self) -> list[GridTier]:
        _file_type, _object_class = self._text(), self._text()
        span = self._number(), self._number()
        tiers = [self._tier(span) for _ in range(int(self._number()))]
        if (more := next(self._values, None)) is not None:
            raise ValueError(f"line {self._line(more)}: more than the sizes before it say")
        return tiers

    def _tier(self, span: tuple[float, float]) -> GridTier:
        kind, name = self._text(), self._text()
        times = [*span, self._number(), self._number()]
        entries = []
        for _ in range(int(self._number())):
            entry = (self._number(), self._number()) if kind == INTERVALS else (self._number(),)
            if entry[-1] < entry[0]:
                raise ValueError(f"an interval from {entry[0]} to {entry[-1]} s")
            entries.append((entry, self._text()))
            times += entry
        return GridTier(kind=kind, name=name, start_s=min(times), end_s=max(times), entries=entries)

    def _text(self) -> str:
        return self._next(1, "text").replace('""', '"')

    def _number(self) -> float:
        value = float(self._next(2, "number"))
        if not math.isfinite(value):
            raise ValueError("a number of more than 308 digits")
        return value

    def _next(self, group: int, what: str) -> str:
        found = next(self._values, None)
        if found is None:
            raise ValueError("it ends too early")
        value: str | None = found[group]
        if value is None:
            raise ValueError(f"line {self._line(found)}: no {what} before {found[0][:40]}")
        return value

    def _line(self, found: re.Match[str]) -> int:
        return self._all.count("\n", 0, found.start()) + 1


def decode_text(data: bytes) -> str:
    """A text file in UTF-8 or, where it begins with a byte-order mark, UTF-16; line ends as ``\\n``.

    Raises:
        DataError: it is neither; the message completes "FILE: ".
    """
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"is not {'UTF-16' if marked else 'UTF-8'} (byte {error.start}); convert it") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
