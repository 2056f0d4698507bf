"""A transcript that was changed on the page, in every format of ``asr transcribe``.

In: words with times and confidence, as JSON. Out: the file's text. The writers are those of ``asr.transcription``.
"""

from typing import Annotated

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from asr.errors import TranscriptError
from asr.recognition import Hypothesis, Word
from asr.server.errors import ApiError
from asr.server.form import body_of
from asr.transcription import Provenance, render_transcript

_MAX_BYTES = 16_000_000
_Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class ExportedWord(BaseModel):
    """``start`` and ``end`` in seconds, as in verbose_json."""

    word: str
    start: _Seconds
    end: _Seconds
    confidence: Annotated[float, Field(ge=0, le=1)] = 1.0


class Export(BaseModel):
    """``name``: of the recording, for formats that name it."""

    format: str
    name: str = "recording"
    duration: _Seconds
    words: Annotated[list[ExportedWord], Field(fail_fast=True)]  # else each of a million errors takes a kilobyte


async def export(request: Request, stall_s: float) -> Response:
    """The answer to POST /v1/transcripts. Raises ApiError."""
    body = await body_of(request, _MAX_BYTES, stall_s)
    try:
        given = Export.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise ApiError(400, f"{where}: {first['msg']}", param=where) from None
    words = tuple(Word(one.word, one.start, one.end, one.confidence) for one in given.words if one.word.strip())
    hypothesis = Hypothesis(
        text=" ".join(word.text for word in words),
        score=0.0,
        duration_s=given.duration,
        words=words,
        confidence=sum(word.confidence for word in words) / len(words) if words else None,
    )
    try:
        text = await run_in_threadpool(render_transcript, hypothesis, given.format, Provenance(audio=given.name))
    except TranscriptError as error:
        raise ApiError(400, str(error), param="format") from None
    return Response(text, media_type="text/plain; charset=utf-8")
