"""The application: its paths, who may use them, and what every response has in common.

In: options. Out: a FastAPI application; its models end with it.
"""

import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import Depends, FastAPI, Request, WebSocket
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr import __version__
from asr.server.corpus import Corpus
from asr.server.corpus_drafting import Drafting
from asr.server.corpus_paths import add_corpus_paths
from asr.server.errors import ApiError, add_error_handlers
from asr.server.exports import export
from asr.server.form import TranscriptionForm
from asr.server.gate import Gate
from asr.server.live import converse
from asr.server.metrics import Metrics
from asr.server.models import Served, load_models
from asr.server.options import ServeOptions
from asr.server.page import render_corpus_page, render_page
from asr.server.realtime import Realtime
from asr.server.transcriptions import IGNORED, State, transcribe
from asr.server.vosk import Vosk

# The page's own policy is inside it; that it may not be framed can be said in a header only.
_PAGE_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def create_app(options: ServeOptions) -> FastAPI:
    """Load the models and make the application. Raises an AsrError."""
    metrics = Metrics()
    with contextlib.ExitStack() as opened:
        corpus = opened.enter_context(contextlib.closing(Corpus(options.corpus))) if options.corpus else None
        models = load_models(options, metrics)
        opened.callback(models.close)
        served = next(iter(models))
        drafting = Drafting(corpus, served, options.max_audio_s, options.workers) if corpus else None
        held = opened.pop_all()
    state = State(options, models, Gate(options, metrics), metrics)

    @contextlib.asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        with held, drafting or contextlib.nullcontext():
            yield

    app = FastAPI(title="asr", version=__version__, lifespan=life, docs_url=None, redoc_url=None)
    app.state.asr = state
    add_error_handlers(app)
    key = Depends(_key_check(state.gate))
    _add_paths(app, state, key)
    if corpus is not None:
        _add_page(app, "/corpus", render_corpus_page())
        add_corpus_paths(app, corpus, state.gate, options, served.unspelled, [key])
    _add_sockets(app, state)
    app.add_middleware(_Measured, metrics=metrics)
    if options.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(options.origins),
            allow_methods=["GET", "POST", "PUT"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after", IGNORED],
        )
    return app


def _key_check(gate: Gate) -> Callable[[Request], Awaitable[None]]:
    async def key(request: Request) -> None:
        gate.check_key(request.headers.get("authorization"))

    return key


def _add_page(app: FastAPI, path: str, page: str) -> None:
    @app.get(path, include_in_schema=False)
    async def shown() -> Response:
        """For people."""
        return HTMLResponse(page, headers=_PAGE_HEADERS)


def _add_paths(app: FastAPI, state: State, key: Any) -> None:
    _add_page(app, "/", render_page())

    @app.get("/health")
    async def health() -> dict[str, str]:
        """The process runs."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> JSONResponse:
        """Whether requests are answered."""
        why = "stopping" if state.gate.stopping else "" if state.models.alive else "recognition ended"
        return JSONResponse({"status": why or "ready"}, 503 if why else 200)

    @app.get("/metrics", dependencies=[key])
    async def figures() -> Response:
        """Prometheus' text format."""
        return PlainTextResponse(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/v1/models", dependencies=[key])
    async def models() -> dict[str, Any]:
        """All models; the first is the default."""
        return {"object": "list", "data": [_described(one) for one in state.models]}

    @app.get("/v1/models/{name:path}", dependencies=[key])
    async def model(name: str) -> dict[str, Any]:
        """One model."""
        return _described(state.models.get(name))

    form = {"schema": TranscriptionForm.model_json_schema(), "encoding": {"file": {"contentType": "audio/*"}}}
    form["schema"]["properties"]["file"] = {"type": "string", "format": "binary"}
    body = {"required": True, "content": {"multipart/form-data": form}}

    @app.post("/v1/audio/transcriptions", dependencies=[key], openapi_extra={"requestBody": body})
    async def transcriptions(request: Request) -> Response:
        """A recording's text."""
        return await transcribe(request, state)

    @app.post("/v1/transcripts", dependencies=[key])
    async def transcripts(request: Request) -> Response:
        """Words, perhaps changed, as a file of a format."""
        return await export(request, state.options.stall_s)

    @app.post("/v1/audio/translations", dependencies=[key])
    async def translations() -> Response:
        """Not possible."""
        raise ApiError(400, "these models transcribe and do not translate; use /v1/audio/transcriptions")


def _add_sockets(app: FastAPI, state: State) -> None:
    @app.websocket("/v1/realtime")
    async def realtime(socket: WebSocket) -> None:
        await converse(socket, state, Realtime)

    @app.websocket("/vosk")
    async def vosk(socket: WebSocket) -> None:
        await converse(socket, state, Vosk)


def _described(served: Served) -> dict[str, Any]:
    return {"id": served.name, "object": "model", "created": served.created, "owned_by": "asr"}


class _Measured:
    """Gives each response an id, and counts it and its seconds by path and status; an open socket's is 101."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        started_s, status = time.monotonic(), "499"  # the client went before there was an answer

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
                status = str(message.get("status", 101))
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", uuid.uuid4().hex.encode())]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            path = getattr(scope.get("route"), "path", "other")  # as declared: a client cannot make up labels
            self._metrics.requests.labels(path, status).inc()
            self._metrics.seconds.labels(path).observe(time.monotonic() - started_s)
