"""SubRip (srt) and WebVTT (vtt) through pysubs2.

In: a hypothesis. Out: the text of a subtitle file. A transcript may hold what these formats take for commands; it is
written so that a player shows it as it stands.
"""

import html
import warnings
from typing import TYPE_CHECKING

from asr.errors import TranscriptError
from asr.formats.cues import make_cues
from asr.formats.spans import duration_ms, word_spans

if TYPE_CHECKING:
    from asr.recognition.hypothesis import Hypothesis

# Shown as nothing; stands where two characters together would be a command.
_WORD_JOINER = "\u2060"
_MAX_MS = 100 * 3_600_000


def render_srt(hypothesis: "Hypothesis") -> str:
    """SubRip: numbered cues, ``HH:MM:SS,mmm``."""
    return _render(hypothesis, "srt")


def render_vtt(hypothesis: "Hypothesis") -> str:
    """WebVTT (W3C): `&`, `<` and `>` escaped, ``HH:MM:SS.mmm``."""
    return _render(hypothesis, "vtt")


def _render(hypothesis: "Hypothesis", format_name: str) -> str:
    from pysubs2 import SSAEvent, SSAFile

    spans = word_spans(hypothesis, format_name)
    cues = make_cues(spans, duration_ms(hypothesis, spans))
    if cues and cues[-1].end_ms >= _MAX_MS:
        raise TranscriptError(f"{format_name} holds times below 100 hours; cut the recording, or ask for json")
    file = SSAFile()
    for cue in cues:
        text = r"\N".join(_shown(line, format_name) for line in cue.lines)
        file.append(SSAEvent(start=cue.start_ms, end=cue.end_ms, text=text))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written: str = file.to_string(format_name, keep_ssa_tags=True)  # no styles: the text as it stands
    return written


def _shown(line: str, format_name: str) -> str:
    """``line`` so that neither pysubs2 nor a player takes any of it for a command."""
    if format_name == "vtt":
        line = html.escape(line, quote=False)
    else:
        line = line.replace("-->", f"--{_WORD_JOINER}>").replace("<", f"<{_WORD_JOINER}")
    return line.replace("\\", f"\\{_WORD_JOINER}").replace("{", f"{{{_WORD_JOINER}")
