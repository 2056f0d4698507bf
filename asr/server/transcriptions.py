"""A request to transcribe: received, let into the queue, computed with those that it meets, answered or cancelled.

In: the request and the server's state. Out: the response. A client that goes takes its recording with it.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from asr.errors import AsrError
from asr.recognition import Hypothesis
from asr.recognition.request_pool import Task
from asr.server.answers import answer, event, events
from asr.server.errors import ApiError, as_api_error
from asr.server.form import TranscriptionForm, Upload, received
from asr.server.gate import Gate
from asr.server.metrics import Metrics
from asr.server.models import Models, Served, log
from asr.server.options import ServeOptions
from asr.transcription import Provenance
from asr.transcription.job import provenance_of

_TICK_S = 0.5  # how often a stream tells its progress
IGNORED = "x-asr-ignored"


@dataclass(frozen=True, slots=True)
class State:
    """What the requests of one server share."""

    options: ServeOptions
    models: Models
    gate: Gate
    metrics: Metrics


async def transcribe(request: Request, state: State) -> Response:
    """The answer to POST /v1/audio/transcriptions. Raises ApiError, or an AsrError of recognition."""
    files = contextlib.AsyncExitStack()  # closed with the answer, or by the stream at its end
    async with files:
        with state.gate.upload():
            form, upload = await files.enter_async_context(received(request, state.options))
        served = state.models.get(form.model)
        hotwords, unknown = served.spelled(form.hotwords())
        ignored = [*form.ignored(), *(f"prompt ({phrase})" for phrase in unknown)]
        if ignored:
            log.info("ignored: %s", ", ".join(ignored))
        headers = {IGNORED: ", ".join(ignored).encode("ascii", "backslashreplace").decode()} if ignored else {}
        run = _Run(state, served, form, upload, hotwords)
        if form.stream:
            files.enter_context(state.gate.queue())
            return _EventStream(run.events(), files.pop_all(), headers)
        with state.gate.queue():
            hypothesis = await run.result(request)
        response = await run_in_threadpool(answer, hypothesis, form, run.language, run.provenance())
        response.headers.update(headers)
        return response


class _Run:
    """One recording on its way."""

    def __init__(
        self, state: State, served: Served, form: TranscriptionForm, upload: Upload, hotwords: list[str]
    ) -> None:
        self._state, self._served, self._form = state, served, form
        self._upload, self._hotwords = upload, hotwords
        self._recognizer = served.recognizer
        self._started_s = time.monotonic()

    @property
    def language(self) -> str:
        """The model's, else what the client said, else nothing: no language is detected."""
        return self._served.language or self._form.language or ""

    def provenance(self) -> Provenance:
        """For formats that name the recording and the model."""
        return replace(provenance_of(self._served.options, self._recognizer), audio=self._upload.name)

    async def result(self, request: Request) -> Hypothesis:
        """The hypothesis. Raises ApiError; cancels the recording where the client goes or time is over."""
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            async with self._task() as (_, future):
                waiting: list[asyncio.Future[Any]] = [future, gone]
                await asyncio.wait(waiting, timeout=self._left_s(), return_when=asyncio.FIRST_COMPLETED)
                if not future.done() and gone.done():
                    self._state.metrics.cancelled.inc()
                    raise ApiError(499, "the client went away", code="cancelled")
                return self._hypothesis(future)
        finally:
            gone.cancel()

    async def events(self) -> AsyncIterator[str]:
        """Server-sent events; comments tell the progress."""
        try:
            async with self._task() as (task, future):
                while not future.done() and self._left_s() > 0:
                    yield f": progress {task.share():.4f}\n\n"
                    await asyncio.wait([future], timeout=min(_TICK_S, self._left_s()))
                hypothesis = self._hypothesis(future)
            for one in events(hypothesis, self._form, self.language):
                yield one
        except ApiError as error:
            yield event(error.body())
        except asyncio.CancelledError:
            self._state.metrics.cancelled.inc()
            raise

    @contextlib.asynccontextmanager
    async def _task(self) -> "AsyncIterator[tuple[Task[Hypothesis], asyncio.Future[Hypothesis]]]":
        """The recording in its model's pool, and its result; cancelled at the end unless it is done."""
        served, upload = self._served, self._upload
        try:
            self._recognizer = await run_in_threadpool(served.for_hotwords, self._hotwords)
            task = served.transcribe(self._recognizer, upload.path, upload.name, self._state.options.max_audio_s)
            future = asyncio.wrap_future(task.result)
            try:
                yield task, future
            finally:
                if not future.done():
                    served.pool.cancel(task)
                    future.cancel()
        except AsrError as error:
            raise self._told(error) from error

    def _hypothesis(self, future: "asyncio.Future[Hypothesis]") -> Hypothesis:
        if not future.done():
            seconds = f"{self._state.options.timeout_s:g} s"
            raise ApiError(
                503, f"not done within {seconds}; try again later, or send a shorter recording", code="timeout",
                retry_after_s=self._state.options.timeout_s / 10,
            )  # fmt: skip
        hypothesis = future.result()
        self._state.gate.took(time.monotonic() - self._started_s)
        self._state.metrics.audio_s.inc(hypothesis.duration_s)
        return hypothesis

    def _told(self, error: ApiError | AsrError) -> ApiError:
        """The error, with the client's name of the recording."""
        if isinstance(error, ApiError):
            return error
        told = as_api_error(error)
        told.message = told.message.replace(self._upload.path, self._upload.name)
        if told.status >= 500:
            log.error("%s", told.message)
        return told

    def _left_s(self) -> float:
        return max(0.0, self._started_s + self._state.options.timeout_s - time.monotonic())


class _EventStream(StreamingResponse):
    """Server-sent events; ``held`` is released at their end, or when the client goes, even before the first."""

    def __init__(
        self, content: AsyncIterator[str], held: contextlib.AsyncExitStack, headers: Mapping[str, str]
    ) -> None:
        super().__init__(content, media_type="text/event-stream", headers={**headers, "Cache-Control": "no-store"})
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            await super().__call__(scope, receive, send)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
