"""Praat's TextGrid files, through praatio: long and short text form, UTF-8 or UTF-16."""

import codecs
import contextlib
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from asr.data.annotation.records import Annotation, AnnotationFile, AnnotationTier
from asr.errors import DataError

if TYPE_CHECKING:
    from praatio.textgrid import Textgrid


def read_textgrid(data: bytes) -> AnnotationFile:
    """The interval tiers; point tiers hold no durations and are left out.

    Raises:
        DataError: as ``parse_textgrid``.
    """
    from praatio.textgrid import IntervalTier

    grid = parse_textgrid(data, empty=False)
    tiers = [
        AnnotationTier(
            name=tier.name,
            annotations=[Annotation(one.start, one.end, " ".join(one.label.split())) for one in tier.entries],
        )
        for tier in grid.tiers
        if isinstance(tier, IntervalTier)
    ]
    return AnnotationFile(tiers=tiers)


def parse_textgrid(data: bytes, *, empty: bool) -> "Textgrid":
    """The file as praatio's object; tiers of the same name get numbers. ``empty``: with intervals without text.

    Raises:
        DataError: it is no TextGrid, or a damaged one; the message completes "FILE: ".
    """
    from praatio import textgrid

    if data.startswith(b"ooBinaryFile"):
        raise DataError("is a binary TextGrid; save it in Praat as a text file")
    text = decode_text(data)
    if "ooTextFile" not in text[:100] or "TextGrid" not in text[:200]:
        raise DataError('is not a TextGrid (Praat\'s begin with File type = "ooTextFile")')
    with tempfile.TemporaryDirectory() as folder:  # praatio reads files only
        path = Path(folder) / "read.TextGrid"
        path.write_text(text, encoding="utf-8")
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                return textgrid.openTextgrid(
                    str(path), includeEmptyIntervals=empty, reportingMode="silence", duplicateNamesMode="rename"
                )
        except Exception as error:  # praatio's own and those of its parser: whatever is wrong with the file
            reason = " ".join(str(error).split())
            raise DataError(f"is a damaged TextGrid ({type(error).__name__}: {reason[:200]})") from None


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
