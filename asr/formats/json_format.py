"""JSON: everything that the recogniser knows about a recording, in a schema with a version.

In: a hypothesis, and where it comes from. Out: one JSON object, never with NaN (null instead). Its keys:

    format, version     "asr-transcript" and 1; the version rises when a key changes its meaning or goes
    audio               path, channel (from 0; null: all mixed), duration_s
    model               path, sha256 (of its weights; null where unknown)
    settings            what else decided on the text
    text, score         score: natural log-probability; with what language model, word score and hotwords added
    confidence          0 to 1, null where unknown
    words               a list of: word, start_s, end_s, confidence; in order
    cues                the subtitles that srt and vtt hold: start_s, end_s, lines, words [first, stop)
    n_best              a list of: text, score, ctc_score, lm_score; best first; empty where one text only is known
"""

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from asr.formats.cues import make_cues
from asr.formats.provenance import Provenance
from asr.formats.spans import duration_ms, word_spans

if TYPE_CHECKING:
    from asr.recognition.hypothesis import Hypothesis

FORMAT = "asr-transcript"
VERSION = 1


def render_json(hypothesis: "Hypothesis", provenance: Provenance, *, indent: int | None = 2) -> str:
    """The object as text; ``indent`` None puts it on one line (JSON Lines)."""
    value = _plain(transcript_dict(hypothesis, provenance))
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def transcript_dict(hypothesis: "Hypothesis", provenance: Provenance) -> dict[str, Any]:
    """The same as a dictionary, numbers as the recogniser gave them."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "audio": {"path": provenance.audio, "channel": provenance.channel, "duration_s": hypothesis.duration_s},
        "model": {"path": provenance.model, "sha256": provenance.model_sha256},
        "settings": dict(provenance.settings),
        "text": hypothesis.text,
        "score": hypothesis.score,
        "confidence": hypothesis.confidence,
        "words": [
            {"word": word.text, "start_s": word.start_s, "end_s": word.end_s, "confidence": word.confidence}
            for word in hypothesis.words
        ],
        "cues": _cues(hypothesis),
        "n_best": [asdict(alternative) for alternative in hypothesis.n_best],
    }


def _cues(hypothesis: "Hypothesis") -> list[dict[str, Any]]:
    if not hypothesis.words:
        return []
    spans = word_spans(hypothesis, "json")
    return [
        {
            "start_s": cue.start_ms / 1000,
            "end_s": cue.end_ms / 1000,
            "lines": list(cue.lines),
            "words": [cue.first_word, cue.stop_word],
        }
        for cue in make_cues(spans, duration_ms(hypothesis, spans))
    ]


def _plain(value: Any) -> Any:
    """What JSON can hold: microseconds are enough, what is no number becomes null, undecodable bytes of a path \\x.."""
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
