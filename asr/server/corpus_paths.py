"""The paths below ``/corpus``: the queue of segments, one of them, its sound, and its corrections.

In: requests. Out: JSON in the server's form; 409 with the segment as it is where somebody else was faster.
"""

import io
import time
import unicodedata
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import soundfile
from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.params import Depends
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, ValidationError
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from asr.audio import load_part
from asr.errors import AudioError
from asr.server.corpus import Corpus, Segment, StaleError
from asr.server.corpus_log import Seconds
from asr.server.errors import ApiError
from asr.server.form import body_of

if TYPE_CHECKING:
    from asr.server.gate import Gate
    from asr.server.options import ServeOptions

_MAX_BYTES, _MAX_TEXT, _MAX_NAME = 64_000, 5000, 100
_MOST = 500  # segments in an answer
_OPEN_S, _MOST_OPEN = 60.0, 1000  # how long a segment is held to be open without a sign, and by how many people at most


class Undo(BaseModel):
    """``version``: the one that is undone; ``seconds`` of work."""

    by: Annotated[str, Field(max_length=_MAX_NAME)] = ""
    version: Annotated[int, Field(ge=0)]
    seconds: Seconds = 0.0


class Change(Undo):
    """``version``: the one that was changed."""

    text: Annotated[str, Field(max_length=_MAX_TEXT)]
    status: Literal["corrected", "skipped"] = "corrected"


B = TypeVar("B", bound=Undo)


class _Openings:
    """Who has which segment open at present, so that two people who take the next of the queue take different ones."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by: dict[str, tuple[str, float]] = {}  # by name, the one heard of last at the end

    def open(self, segment: str, by: str) -> str | None:
        """``by`` ("": nobody) has it open, and no other. Returns somebody else who has."""
        now_s = time.monotonic()
        with self._lock:
            self._by.pop(by, None)
            held = [(name, one) for name, one in self._by.items() if now_s - one[1] < _OPEN_S][-_MOST_OPEN:]
            self._by = {**dict(held), **({by: (segment, now_s)} if by else {})}
            return next((name for name, (one, _) in held if one == segment), None)


class _Changes:
    """A request that changes a segment: its body, the change, and the answer."""

    def __init__(self, corpus: Corpus, gate: "Gate", stall_s: float, unspelled: Callable[[str], str | None]) -> None:
        self._corpus, self._gate, self._stall_s, self._unspelled = corpus, gate, stall_s, unspelled

    async def make(
        self, request: Request, name: str, kind: type[B], change: Callable[[Segment, B], None]
    ) -> JSONResponse:
        """Make ``change`` with the body, of ``kind``; 409 with the state where it was based on an older one."""
        self._gate.check_origin(request.headers)
        found = _found(self._corpus, name)
        given = await _body(request, kind, self._stall_s)
        try:
            await run_in_threadpool(change, found, given)
        except StaleError as error:
            if error.nothing:
                told = ApiError(409, error.message, param="version", code="nothing_to_undo")
            else:
                told = ApiError(409, error.message, param="version", code="stale_version")
            return JSONResponse({**told.body(), "current": await run_in_threadpool(self._corpus.state, found)}, 409)
        except OSError as error:
            why = error.strerror or str(error)
            raise ApiError(503, f"nothing was saved: {why}", code="storage", retry_after_s=60) from None
        state = await run_in_threadpool(self._corpus.state, found)
        lacks = self._unspelled(state["text"]) if isinstance(given, Change) and given.status == "corrected" else None
        state["warnings"] = [lacks] if lacks else []
        return JSONResponse(state, background=BackgroundTask(self._corpus.refresh))


def add_corpus_paths(
    app: FastAPI,
    corpus: Corpus,
    gate: "Gate",
    options: "ServeOptions",
    unspelled: Callable[[str], str | None],
    dependencies: Sequence[Depends] = (),
) -> None:
    """``unspelled(text)``: what the model cannot spell of it, None where it can. ``dependencies``: of each path."""
    openings, changes = _Openings(), _Changes(corpus, gate, options.stall_s, unspelled)
    paths = APIRouter(prefix="/corpus/segments", dependencies=list(dependencies))

    @paths.get("")
    def segments(
        order: Literal["useful", "recording"] = "useful",
        status: Literal["open", "corrected", "skipped", "all"] = "open",
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=_MOST)] = 50,
    ) -> dict[str, Any]:
        """The queue."""
        return corpus.queue(order, status, offset, limit)

    @paths.get("/{name}")
    def segment(name: str, by: Annotated[str, Query(max_length=_MAX_NAME)] = "") -> dict[str, Any]:
        """One segment; ``by``: who has it open from now on."""
        state = corpus.state(_found(corpus, name))
        return {**state, "open_by": openings.open(name, by)}

    @paths.get("/{name}/audio")
    def audio(name: str) -> Response:
        """Its sound, 16 bits, mono."""
        return Response(_wave(_found(corpus, name)), media_type="audio/wav", headers={"Cache-Control": "no-cache"})

    @paths.put("/{name}")
    async def correct(request: Request, name: str) -> JSONResponse:
        """A correction, or that the segment is to be left out."""

        def save(segment: Segment, given: Change) -> None:
            corpus.save(segment, given.status, given.text, given.by, given.version, given.seconds)

        return await changes.make(request, name, Change, save)

    @paths.post("/{name}/undo")
    async def undo(request: Request, name: str) -> JSONResponse:
        """The state before the last change that still holds."""

        def back(segment: Segment, given: Undo) -> None:
            corpus.undo(segment, given.by, given.version, given.seconds)

        return await changes.make(request, name, Undo, back)

    app.include_router(paths)


def _found(corpus: Corpus, name: str) -> Segment:
    if (segment := corpus.find(name)) is None:
        raise ApiError(404, f"there is no segment {name[:40]!r}", code="segment_not_found")
    return segment


async def _body(request: Request, kind: type[B], stall_s: float) -> B:
    """What was sent, its texts tidied. Raises ApiError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(
            415, "the body must be JSON, with Content-Type: application/json"
        )  # which other sites cannot send
    content = await body_of(request, _MAX_BYTES, stall_s)
    try:
        given = kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ApiError(422, f"{where or 'the body'}: {first['msg']}", param=where or None) from None
    given.by = _tidy(given.by, "by")
    if isinstance(given, Change):
        given.text = _tidy(given.text, "text")
        if given.status == "corrected" and not given.text:
            raise ApiError(422, "text: is empty; skip a segment in which nothing is said", param="text")
    return given


def _tidy(text: str, param: str) -> str:
    text = " ".join(text.split())
    if any(unicodedata.category(one) == "Cc" for one in text):
        raise ApiError(422, f"{param}: holds a control character", param=param)
    return text


def _wave(segment: Segment) -> bytes:
    """Raises ApiError where the recording is gone, or is another one by now."""
    path = segment.recording.path
    try:
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) != (segment.recording.size, segment.recording.mtime_ns):
            raise ApiError(410, f"{segment.recording.name} has changed; restart the server", code="recording_changed")
        samples, rate = load_part(path, segment.start_s, segment.end_s - segment.start_s)
    except (OSError, AudioError) as error:
        message = str(error).replace(str(path), segment.recording.name)
        raise ApiError(410, f"{segment.recording.name} cannot be read: {message}", code="recording_gone") from None
    stream = io.BytesIO()
    soundfile.write(stream, samples.clip(-1, 1), rate, format="WAV", subtype="PCM_16")
    return stream.getvalue()
