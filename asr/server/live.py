"""Live sound over a WebSocket: who may open one, how long it lasts, and its messages, one after the other.

In: a socket, and the protocol that it speaks (``realtime``, ``vosk``). Out: replies, until the client closes, stalls or
does not read, time is over, or the server stops; whoever ends it, the last words are sent first. A message is worked on
in steps of at most ``STEP_S`` of sound by threads that all sessions share, and the next one is read when it is done: a
client that sends faster than is computed waits, and nothing piles up.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import TypeAdapter, ValidationError

from asr.errors import AsrError
from asr.recognition import Recognizer, StreamEvent
from asr.recognition.streaming import TranscriptStream
from asr.server.errors import ApiError, as_api_error
from asr.server.models import Served, log
from asr.server.sound import SoundBytes, SoundType

if TYPE_CHECKING:
    import numpy as np

    from asr.server.transcriptions import State

STEP_S = 1.0
_JSON = TypeAdapter(Any)  # unlike json, bounds depth and refuses half characters
_KEY = "openai-insecure-api-key."  # before the key, in a subprotocol: browsers cannot set headers
_SUBPROTOCOL = "realtime"
_CODES = {400: 1007, 500: 1011, 503: 1001}  # of closing, by the status of the error; others 1008


class LiveProtocol(Protocol):
    """How one client is spoken to. Each item of an iterator is a step, and what is to be sent after it."""

    ended: bool  # nothing is expected from the client any more

    def begin(self) -> Sequence[str]:
        """What is sent first."""

    def receive(self, message: str | bytes) -> Iterator[Sequence[str]]:
        """Answer a message. Raises ApiError where the session cannot go on."""

    def finish(self, error: ApiError) -> Iterator[Sequence[str]]:
        """The words that are left, and why the session ends."""

    def close(self) -> None:
        """Release what is held, once nothing else is asked."""


class OverError(ApiError):
    """A session has lasted as long as it may."""

    def __init__(self, longest_s: float) -> None:
        super().__init__(413, f"a session lasts {longest_s:g} s at most; open another one", code="session_expired")


class LiveSound:
    """The sound of one session as streams, one after the other: each begins with its first samples."""

    def __init__(self, state: "State") -> None:
        self._metrics, self._longest_s = state.metrics, state.options.max_audio_s
        self._bytes: SoundBytes | None = None
        self._wanted: tuple[SoundType, int, int] | None = None  # what it was made for
        self._begin: Callable[[int], TranscriptStream] | None = None
        self._stream: TranscriptStream | None = None
        self._fed_s = self._total_s = 0.0  # of this stream, and of those before
        self.start_s = 0.0  # of this stream, in the session

    @property
    def begun(self) -> bool:
        """Whether there is sound that no ``finish`` or ``drop`` has ended."""
        return self._stream is not None

    @property
    def heard_s(self) -> float:
        """Seconds of sound in the session so far."""
        return self._total_s + self._fed_s

    def choose(self, kind: SoundType, rate: int, recognizer: Recognizer, **options: float) -> None:
        """How what comes next is read, by whom it is recognised, and the options of ``Recognizer.stream``."""
        wanted = (kind, rate, recognizer.sample_rate)
        if wanted != self._wanted:  # else a file that is being sent goes on
            self.close()
            self._bytes, self._wanted = SoundBytes(*wanted), wanted
        self._begin = lambda rate: recognizer.stream(rate, **options)

    def feed(self, data: bytes) -> Iterator[list[StreamEvent]]:
        """What becomes known by the next bytes, step by step. Raises OverError, or an AsrError."""
        assert self._bytes is not None
        for samples in self._bytes.feed(data):
            yield from self._hear(samples)

    def rest(self) -> Iterator[list[StreamEvent]]:
        """The same by what was held back, once there are no more bytes; ``finish`` is still to come."""
        for samples in () if self._bytes is None else self._bytes.rest():
            yield from self._hear(samples)

    def _hear(self, samples: "np.ndarray[Any, Any]") -> Iterator[list[StreamEvent]]:
        assert self._bytes is not None and self._begin is not None
        rate = self._bytes.rate
        step = round(STEP_S * rate)
        for first in range(0, len(samples), step):
            if self._stream is None:
                self.start_s, self._stream = self.heard_s, self._begin(rate)
            block = samples[first : first + step]
            self._fed_s += len(block) / rate
            self._metrics.audio_s.inc(len(block) / rate)
            yield self._stream.feed(block)
            if self.heard_s >= self._longest_s:
                raise OverError(self._longest_s)

    def finish(self) -> list[StreamEvent]:
        """What is left of the stream; the next one begins with the next samples."""
        events = [] if self._stream is None else self._stream.finish()
        self.drop()
        return events

    def drop(self) -> None:
        """Give the stream up."""
        self._total_s, self._fed_s, self._stream = self.heard_s, 0.0, None
        if self._bytes is not None:
            self._bytes.cut()

    def close(self) -> None:
        """Read no more bytes; safe to repeat."""
        if self._bytes is not None:
            self._bytes.close()


def parsed(text: str) -> Any:
    """The JSON of a message. Raises ApiError."""
    try:
        return _JSON.validate_json(text)
    except ValidationError as error:
        raise ApiError(400, f"the message is no JSON ({error.errors()[0]['msg']})", code="invalid_json") from None


async def converse(socket: WebSocket, state: "State", make: Callable[["State", Served], LiveProtocol]) -> None:
    """Answer a handshake, and all that follows; refusals are HTTP responses, as those of other requests."""
    with contextlib.ExitStack() as held:
        try:
            state.gate.check_origin(socket.headers)
            offered = [one.strip() for one in socket.headers.get("sec-websocket-protocol", "").split(",")]
            state.gate.check_key(_authorization(socket, offered))
            served = state.models.get(socket.query_params.get("model", ""))
            ending = held.enter_context(state.gate.live())
        except ApiError as error:
            await socket.send_denial_response(error.response())
            return
        await socket.accept(_SUBPROTOCOL if _SUBPROTOCOL in offered else None)
        await _Conversation(socket, state, make(state, served), ending).run()


def _authorization(socket: WebSocket, offered: Sequence[str]) -> str | None:
    keys = [one.removeprefix(_KEY) for one in offered if one.startswith(_KEY)]
    return f"Bearer {keys[0]}" if keys else socket.headers.get("authorization")


class _Conversation:
    """One socket, from its acceptance to its end."""

    def __init__(
        self, socket: WebSocket, state: "State", protocol: LiveProtocol, ending: "asyncio.Future[None]"
    ) -> None:
        self._socket, self._protocol, self._ending = socket, protocol, ending
        self._options, self._threads = state.options, state.models.threads
        self._ends_s = time.monotonic() + state.options.max_audio_s
        self._coming = asyncio.create_task(self._received())  # one message is read ahead, to see when the client goes

    async def run(self) -> None:
        """Until it ends; never raises for what the client does."""
        try:
            await self._talk()
        except WebSocketDisconnect:
            pass  # the client has gone, and nobody is left to tell
        finally:
            self._coming.cancel()
            self._protocol.close()
            await asyncio.gather(self._coming, return_exceptions=True)

    async def _talk(self) -> None:
        try:
            await self._send(self._protocol.begin())
            while not self._protocol.ended:
                await self._answer(self._protocol.receive(await self._next()))
            await self._socket.close(1000)
        except AsrError as error:
            await self._end(as_api_error(error))
        except ApiError as error:
            await self._end(error)
        except (WebSocketDisconnect, asyncio.CancelledError):
            raise
        except Exception as error:
            log.exception("a session of live sound failed")
            await self._end(ApiError(500, f"internal error: {type(error).__name__}; see the server's log"))

    async def _end(self, error: ApiError) -> None:
        """Say what is left and why, then close."""
        try:
            await self._answer(self._protocol.finish(error))
        except (AsrError, ApiError) as another:  # the first one tells more
            log.warning("the last words of a session were lost: %s", another)
        reason = error.message.encode()[:120].decode(errors="ignore")  # a close frame holds 123 bytes
        with contextlib.suppress(RuntimeError):  # closed already
            await self._socket.close(_CODES.get(error.status, 1008), reason)

    async def _answer(self, steps: Iterator[Sequence[str]]) -> None:
        loop = asyncio.get_running_loop()
        while (replies := await loop.run_in_executor(self._threads, next, steps, None)) is not None:
            if self._coming.done():
                self._coming.result()  # raises WebSocketDisconnect where the client has gone
            await self._send(replies)

    async def _send(self, replies: Sequence[str]) -> None:
        try:
            for reply in replies:
                await asyncio.wait_for(self._socket.send_text(reply), self._options.stall_s)
        except RuntimeError:  # uvicorn has closed the socket, for a message that is too large or no UTF-8
            raise WebSocketDisconnect(1006) from None
        except TimeoutError:
            log.warning("a client of live sound has read nothing for %g s, and is given up", self._options.stall_s)
            raise WebSocketDisconnect(1008) from None

    async def _next(self) -> str | bytes:
        """The next message. Raises ApiError where the session must end, WebSocketDisconnect where the client went."""
        left_s = self._ends_s - time.monotonic()
        waited: list[asyncio.Future[Any]] = [self._coming, self._ending]
        await asyncio.wait(
            waited, timeout=max(0.0, min(left_s, self._options.stall_s)), return_when=asyncio.FIRST_COMPLETED
        )
        if self._ending.done():
            raise ApiError(503, "the server is stopping; connect again", code="stopping")
        if self._ends_s <= time.monotonic():
            raise OverError(self._options.max_audio_s)
        if not self._coming.done():
            raise ApiError(408, f"nothing was received for {self._options.stall_s:g} s", code="stalled")
        message = self._coming.result()
        self._coming = asyncio.create_task(self._received())
        return message

    async def _received(self) -> str | bytes:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        content: str | bytes | None = message.get("text")
        return content if content is not None else bytes(message["bytes"])
