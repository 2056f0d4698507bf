"""A hypothesis as OpenAI's API answers: json, verbose_json, and events; other formats by ``asr.transcription``."""

import json
import math
import zlib
from collections.abc import Iterator
from typing import Any

from fastapi.responses import JSONResponse, Response

from asr.files import json_value
from asr.recognition import Hypothesis
from asr.server.form import TranscriptionForm
from asr.transcription import Provenance, make_cues, render_transcript
from asr.transcription.cues import duration_ms, word_spans

_OWN_NAMES = {"text": "txt", "transcript": "json"}
_TYPES = {"vtt": "text/vtt", "transcript": "application/json", "tsv": "text/tab-separated-values"}


def answer(hypothesis: Hypothesis, form: TranscriptionForm, language: str, provenance: Provenance) -> Response:
    """The response, in the format that was asked for."""
    name = form.response_format
    if name == "json":
        return JSONResponse({"text": hypothesis.text, "usage": _usage(hypothesis)})
    if name == "verbose_json":
        return JSONResponse(verbose(hypothesis, form, language))
    text = render_transcript(hypothesis, _OWN_NAMES.get(name, name), provenance)
    return Response(text, media_type=f"{_TYPES.get(name, 'text/plain')}; charset=utf-8")


def events(hypothesis: Hypothesis, form: TranscriptionForm, language: str) -> Iterator[str]:
    """Server-sent events: a delta for each segment, whose texts joined are the text; then the whole.

    Where verbose_json was asked for, the last event holds its fields too.
    """
    joined = ""
    for segment in segments(hypothesis):
        delta = segment["text"] if not joined else f" {segment['text']}"
        joined += delta
        yield event({"type": "transcript.text.delta", "delta": delta})
    done = {"type": "transcript.text.done", "text": hypothesis.text, "usage": _usage(hypothesis)}
    more = verbose(hypothesis, form, language) if form.response_format == "verbose_json" else {}
    yield event({**more, **done})


def event(value: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def verbose(hypothesis: Hypothesis, form: TranscriptionForm, language: str) -> dict[str, Any]:
    """``verbose_json``; words and segments also have a ``confidence``, which OpenAI's have not."""
    found: dict[str, Any] = {
        "task": "transcribe",
        "language": language,
        "duration": hypothesis.duration_s,
        "text": hypothesis.text,
        "usage": _usage(hypothesis),
    }
    if "segment" in form.timestamp_granularities:
        found["segments"] = segments(hypothesis)
    if "word" in form.timestamp_granularities:
        found["words"] = [
            {"word": word.text, "start": word.start_s, "end": word.end_s, "confidence": word.confidence}
            for word in hypothesis.words
        ]
    plain: dict[str, Any] = json_value(found, digits=6)
    return plain


def segments(hypothesis: Hypothesis) -> list[dict[str, Any]]:
    """The cues of the subtitles, with the times of their words.

    ``avg_logprob`` is the mean logarithm of the words' confidence. ``tokens`` is empty, ``seek`` and ``temperature``
    are 0, and so is ``no_speech_prob``: what is no speech has become no segment.
    """
    spans = word_spans(hypothesis, "segments")
    words = [word for word in hypothesis.words if word.text.strip()]
    found: list[dict[str, Any]] = []
    done = 0
    for cue in make_cues(spans, duration_ms(hypothesis, spans)):
        first, done = max(done, cue.first_word), max(done, cue.stop_word)  # a very long word is in several cues
        if first == done:
            continue
        own = words[first:done]
        text = " ".join(span.text for span in spans[first:done])
        sure = [max(word.confidence, 1e-6) for word in own]
        found.append(
            {
                "id": len(found),
                "seek": 0,
                "start": own[0].start_s,
                "end": own[-1].end_s,
                "text": text,
                "tokens": [],
                "temperature": 0.0,
                "avg_logprob": sum(map(math.log, sure)) / len(sure),
                "compression_ratio": len(text.encode()) / len(zlib.compress(text.encode())),
                "no_speech_prob": 0.0,
                "confidence": sum(sure) / len(sure),
            }
        )
    return found


def _usage(hypothesis: Hypothesis) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(hypothesis.duration_s)}
