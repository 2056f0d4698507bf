"""The formats that are lines of fields: txt, tsv, and NIST's ctm.

In: a hypothesis, and where it comes from. Out: the text of a file.
"""

import os
from typing import TYPE_CHECKING

from asr.formats.provenance import Provenance
from asr.formats.spans import word_spans

if TYPE_CHECKING:
    from asr.recognition.hypothesis import Hypothesis

TSV_HEADER = "start_s\tend_s\tconfidence\tword"


def render_txt(hypothesis: "Hypothesis") -> str:
    """The text on one line."""
    return " ".join(hypothesis.text.split()) + "\n"


def render_tsv(hypothesis: "Hypothesis") -> str:
    """A header and a word a line, tab-separated; seconds with three decimals.

    A word that begins with a quotation mark is quoted as in CSV, or spreadsheets and Python's csv would read on to the
    next mark, over lines.
    """
    rows = [TSV_HEADER]
    for span in word_spans(hypothesis, "tsv"):
        confidence = "" if span.confidence is None else f"{span.confidence:.3f}"
        rows.append(f"{span.start_ms / 1000:.3f}\t{span.end_ms / 1000:.3f}\t{confidence}\t{_cell(span.text)}")
    return "\n".join(rows) + "\n"


def render_ctm(hypothesis: "Hypothesis", provenance: Provenance) -> str:
    """NIST's time-marked conversation file, as sclite reads it: ``recording channel start duration word confidence``.

    The recording is the file's name without its extension (its white space becomes "_"), as in the matching stm file;
    the channel is counted from 1, and is 1 for a mix.
    """
    recording = recording_id(provenance.audio)
    channel = 1 if provenance.channel is None else provenance.channel + 1
    rows = []
    for span in word_spans(hypothesis, "ctm"):
        start, duration = f"{span.start_ms / 1000:.3f}", f"{(span.end_ms - span.start_ms) / 1000:.3f}"
        word = span.text.replace(" ", "_")
        confidence = "" if span.confidence is None else f" {span.confidence:.3f}"
        rows.append(f"{recording} {channel} {start} {duration} {word}{confidence}\n")
    return "".join(rows)


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if text.startswith('"') else text


def recording_id(audio: str) -> str:
    """The name under which a ctm file knows a recording; bytes of a file name that are no UTF-8 become \\udc.."""
    stem = os.path.splitext(os.path.basename(audio))[0].encode("utf-8", "backslashreplace").decode()
    return "_".join(stem.split()).replace(";;", "__") or "recording"
