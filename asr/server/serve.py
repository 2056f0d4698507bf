"""Running the server: a socket, uvicorn, and a stop that ends what is under way.

In: options. Out: a server that listens until it is told to stop (SIGTERM, Ctrl-C); then it takes nothing new, gives
running requests ``grace_s`` seconds, and ends. A second Ctrl-C ends it at once.
"""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from asr.errors import UsageError
from asr.server.app import create_app
from asr.server.options import ServeOptions

_HEADER_BYTES = 64 << 10


def serve(options: ServeOptions, ready: Callable[[str], None]) -> None:
    """Listen until told to stop; ``ready(address)`` is called once requests are answered.

    Raises UsageError where the port cannot be had, an AsrError where a model cannot be loaded.
    """
    with _listening(options.host, options.port) as listener:
        app = create_app(options)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=max(1, round(options.grace_s)),
            h11_max_incomplete_event_size=_HEADER_BYTES,
            server_header=False,
        )
        host, port = listener.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        with _stopped_quietly():
            _Server(config, lambda: ready(address), lambda: setattr(app.state.asr.gate, "stopping", True)).run(
                [listener]
            )


class _Server(uvicorn.Server):
    """Tells when it has started, and when it is told to stop."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell_started, self._tell_stopping = started, stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens."""
        await super().startup(sockets)
        self._tell_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop."""
        self._tell_stopping()
        super().handle_exit(sig, frame)


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
