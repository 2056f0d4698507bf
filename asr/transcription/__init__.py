"""Transcripts in the formats that other programs read: txt, srt, vtt, tsv, json, ctm, textgrid, eaf.

In: a `Hypothesis` of the recogniser. Out: a text in one of the formats, or a file that appears whole or not at all.

    hypothesis = asr.load_model("runs/fsdd/model").transcribe("talk.wav")
    write_transcript(hypothesis, "talk.srt")

Knows what a hypothesis is, and nothing of models or audio.
"""

from asr.transcription.cues import Cue, CueLimits, make_cues
from asr.transcription.formats import (
    CUE_FORMATS,
    EXTENSIONS,
    FORMATS,
    TIER_FORMATS,
    TIMED_FORMATS,
    Provenance,
    render_transcript,
    write_transcript,
)

__all__ = [
    "CUE_FORMATS",
    "EXTENSIONS",
    "FORMATS",
    "TIER_FORMATS",
    "TIMED_FORMATS",
    "Cue",
    "CueLimits",
    "Provenance",
    "make_cues",
    "render_transcript",
    "write_transcript",
]
