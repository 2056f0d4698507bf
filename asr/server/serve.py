"""Running the server: a socket, uvicorn, and a stop that ends what is under way.

In: options. Out: a server that listens until it is told to stop (SIGTERM, Ctrl-C); then it takes nothing new, gives
running requests ``grace_s`` seconds, and ends. A second Ctrl-C ends it at once.
"""

import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from fastapi import FastAPI

from asr.errors import UsageError
from asr.server.app import create_app
from asr.server.gate import Gate
from asr.server.options import ServeOptions

_HEADER_BYTES = 64 << 10
_MESSAGE_BYTES = 16 << 20  # of a WebSocket, at most


def serve(options: ServeOptions, ready: Callable[[str], None]) -> None:
    """Listen until told to stop; ``ready(address)`` is called once requests are answered.

    Raises UsageError where the port cannot be had, an AsrError where a model cannot be loaded.
    """
    with _listening(options.host, options.port) as listener:
        server = make_server(create_app(options), options)
        host, port = listener.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        server.tell_started = lambda: ready(address)
        with _stopped_quietly():
            server.run([listener])


def make_server(app: FastAPI, options: ServeOptions) -> "Server":
    """uvicorn with an application of ``create_app``."""
    logging.getLogger("uvicorn.error").addFilter(_no_fault_of_a_client)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_keep_alive=15,
        h11_max_incomplete_event_size=_HEADER_BYTES,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=_MESSAGE_BYTES,
        ws_ping_timeout=None,  # an answer waits behind the sound that a client has sent; who stalls is given up anyway
        ws_per_message_deflate=False,
    )
    return Server(config, app.state.asr.gate, options)


def _no_fault_of_a_client(record: logging.LogRecord) -> bool:
    """uvicorn calls it an error where a socket is refused by a response, or a message is no UTF-8."""
    return not any(part in record.getMessage() for part in ("without completing handshake", "Invalid UTF-8"))


class Server(uvicorn.Server):
    """Tells when it has started; lets running requests and sessions end once it is told to stop."""

    def __init__(self, config: uvicorn.Config, gate: Gate, options: ServeOptions) -> None:
        super().__init__(config)
        self._gate, self._grace_s, self._stall_s = gate, options.grace_s, options.stall_s
        self.tell_started: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens."""
        for listener in sockets or ():
            _give_up_stalled(listener, self._stall_s)
        await super().startup(sockets)
        self.tell_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop."""
        self._gate.stopping = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends what runs; uvicorn alone would cut sockets off."""
        began_s = time.monotonic()
        await self._gate.end_live(self._grace_s)
        left_s = self._grace_s - (time.monotonic() - began_s)
        self.config.timeout_graceful_shutdown = max(1, round(left_s))
        await super().shutdown(sockets)


def _give_up_stalled(listener: socket.socket, stall_s: float) -> None:
    """Let Linux end connections whose client takes no bytes of an answer for so long; uvicorn would wait for ever."""
    if hasattr(socket, "TCP_USER_TIMEOUT") and listener.family in (socket.AF_INET, socket.AF_INET6):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(stall_s * 1000)))


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot listen on {host} port {port}: {reason}; choose another with --host, --port") from None
    with listener:
        yield listener


@contextmanager
def _stopped_quietly() -> Iterator[None]:
    """uvicorn raises the signal that stopped it again, once all is ended; to stop when told is no failure."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
