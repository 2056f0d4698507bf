"""An aligned text as files and as a report: the formats of transcripts, json with lines and passages, and what does not
fit in words.

In: an ``AlignedText``. Out: the text of a file in one of the formats, or lines for a reader. And the way in: a text
file, read.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import DataError
from asr.files import json_value
from asr.terminal import shorten
from asr.transcription.formats import Provenance, render_transcript, transcript_dict

if TYPE_CHECKING:
    from asr.recognition.alignment import AlignedText

_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


def read_text_file(path: Path) -> str:
    """A text in UTF-8, or in UTF-16 with its mark. Raises DataError where it is neither, or cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path") from None
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8 text") from None
    if "\0" in text:
        raise DataError(f"{path}: is not text (it holds zero bytes); save it as UTF-8 text")
    return text


def render_alignment(aligned: "AlignedText", format_name: str, provenance: Provenance) -> str:
    """The words found as a transcript; json holds the text's lines and the passages that do not fit, too.

    Raises TranscriptError as ``render_transcript`` does.
    """
    if format_name != "json":
        return render_transcript(aligned.hypothesis, format_name, provenance)
    value = transcript_dict(aligned.hypothesis, provenance) | {
        "lines": [asdict(line) for line in aligned.lines],
        "passages": [asdict(passage) for passage in aligned.passages],
        "unspelled": list(aligned.unspelled),
    }
    return json.dumps(json_value(value, digits=6), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def describe(aligned: "AlignedText", most: int = 10) -> Iterator[str]:
    """What was found in one line, then a line for each of the longest passages that do not fit, in their order."""
    total, found, kinds = len(aligned.words), len(aligned.found), [one.kind for one in aligned.passages]
    sure = "" if aligned.confidence is None else f", confidence {aligned.confidence:.2f}"
    yield (
        f"{found:,} of {total:,} words found{sure}; {kinds.count('missing')} passages of the text missing from the"
        f" sound, {kinds.count('extra')} of the sound not in the text"
    )
    longest = sorted(aligned.passages, key=lambda one: -one.words)[:most]
    for one in aligned.passages:
        if one in longest:
            lines = f"{one.first_line}" if one.first_line == one.last_line else f"{one.first_line} to {one.last_line}"
            what = f"missing: line {lines}," if one.kind == "missing" else f"extra: near line {lines}, heard"
            yield f"{one.start_s:.2f} to {one.end_s:.2f} s: {what} {one.words} words: {shorten(one.text, 60)}"
    if len(aligned.passages) > most:
        yield f"... and {len(aligned.passages) - most:,} shorter passages; --format json has all"
    if aligned.unspelled:
        few = ", ".join(dict.fromkeys(aligned.unspelled[:5]))
        yield (
            f"{len(aligned.unspelled):,} words have only the time between their neighbours, because the model cannot"
            f" spell them ({few}); write them as they are spoken"
        )
