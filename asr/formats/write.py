"""One door to all formats: a hypothesis as text, or as a file that appears whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import TranscriptError
from asr.files import write_text
from asr.formats.json_format import render_json
from asr.formats.lines import render_ctm, render_tsv, render_txt
from asr.formats.praat import render_textgrid
from asr.formats.provenance import Provenance
from asr.formats.subtitles import render_srt, render_vtt

if TYPE_CHECKING:
    from asr.recognition.hypothesis import Hypothesis

_RENDERERS: dict[str, Callable[["Hypothesis", Provenance], str]] = {
    "txt": lambda hypothesis, _: render_txt(hypothesis),
    "srt": lambda hypothesis, _: render_srt(hypothesis),
    "vtt": lambda hypothesis, _: render_vtt(hypothesis),
    "tsv": lambda hypothesis, _: render_tsv(hypothesis),
    "json": render_json,
    "ctm": render_ctm,
    "textgrid": lambda hypothesis, _: render_textgrid(hypothesis),
}
FORMATS: tuple[str, ...] = tuple(_RENDERERS)
# A file's ending in each format; Praat looks for this spelling.
EXTENSIONS: dict[str, str] = {name: f".{name}" for name in FORMATS} | {"textgrid": ".TextGrid"}
# These are made of word times.
TIMED_FORMATS: frozenset[str] = frozenset({"srt", "vtt", "tsv", "ctm", "textgrid"})


def render_transcript(hypothesis: "Hypothesis", format_name: str, provenance: Provenance | None = None) -> str:
    """A transcript as the text of a file, ending in a newline.

    Args:
        hypothesis: what a recogniser said.
        format_name: one of `FORMATS`.
        provenance: the recording and the model, which json and ctm name.

    Raises:
        TranscriptError: the format is unknown, or needs word times that the hypothesis lacks.
    """
    if format_name not in _RENDERERS:
        raise TranscriptError(f"the format {format_name!r} is unknown; choose from {', '.join(FORMATS)}")
    return _RENDERERS[format_name](hypothesis, provenance or Provenance())


def write_transcript(
    hypothesis: "Hypothesis",
    path: str | os.PathLike[str],
    format_name: str | None = None,
    provenance: Provenance | None = None,
) -> None:
    """Write a transcript to ``path``, atomically, as UTF-8.

    Args:
        hypothesis: what a recogniser said.
        path: the file; one that stands there is replaced.
        format_name: one of `FORMATS`; None: told by the path's ending.
        provenance: the recording and the model, which json and ctm name.

    Raises:
        TranscriptError: as `render_transcript`, or the ending tells no format.
        OSError: the file cannot be written.
    """
    target = Path(path)
    if format_name is None:
        format_name = target.suffix.lower().removeprefix(".")
        if format_name not in _RENDERERS:
            raise TranscriptError(f"{target}: its ending tells no format; choose from {', '.join(FORMATS)}")
    write_text(target, render_transcript(hypothesis, format_name, provenance))
