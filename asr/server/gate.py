"""Who is let in: the API key, how many uploads, recordings and live sessions, and nobody while the server stops."""

import asyncio
import contextlib
import hashlib
import hmac
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from asr.server.errors import ApiError

if TYPE_CHECKING:
    from asr.server.metrics import Metrics
    from asr.server.options import ServeOptions

_SESSION_RETRY_S = 10.0


class Gate:
    """Counts what is under way; used by the thread of the event loop only. ``stopping``: set when the server stops."""

    def __init__(self, options: "ServeOptions", metrics: "Metrics") -> None:
        self._options, self._metrics = options, metrics
        self._uploads = self._queue = 0
        self._live: set[asyncio.Future[None]] = set()
        self._mean_s = 5.0  # that a recording took lately
        self.stopping = False

    def check_key(self, authorization: str | None) -> None:
        """Raise ApiError (401) unless the header holds the key; compared in constant time."""
        if self._options.api_key is None:
            return
        scheme, _, key = (authorization or "").partition(" ")
        given = key.strip() if scheme.lower() == "bearer" else ""
        if not hmac.compare_digest(_digest(given.encode("latin-1")), _digest(self._options.api_key.encode())):
            said = "is wrong" if given else "is missing"
            message = f"the API key {said}; send it as 'Authorization: Bearer KEY'"
            raise ApiError(401, message, code="invalid_api_key")

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Raise ApiError (403) unless a page of this server asks, or one that CORS names; others than browsers may."""
        origin, origins = headers.get("origin"), self._options.origins
        if origin is None or "*" in origins or origin in origins:
            return
        try:
            own = urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
        except ValueError:  # no URL at all
            own = False
        if not own:
            raise ApiError(403, f"pages of {origin} may not ask here; --cors {origin} lets them", code="origin")

    @contextlib.contextmanager
    def upload(self) -> Iterator[None]:
        """While a body is received. Raises ApiError: 503 over capacity or stopping, 429 where the queue is full."""
        self._check_open()
        self._check_queue()  # before the client has sent it all
        if self._uploads >= self._options.max_uploads:
            raise ApiError(
                503,
                f"{self._uploads} uploads are being received, and no more are taken at a time; try again",
                code="overloaded",
                retry_after_s=1,
            )
        self._uploads += 1
        self._metrics.uploads.set(self._uploads)
        try:
            yield
        finally:
            self._uploads -= 1
            self._metrics.uploads.set(self._uploads)

    @contextlib.contextmanager
    def queue(self) -> Iterator[None]:
        """While a recording waits or is computed. Raises ApiError as ``upload``."""
        self._check_open()
        self._check_queue()
        self._queue += 1
        self._metrics.queue.set(self._queue)
        try:
            yield
        finally:
            self._queue -= 1
            self._metrics.queue.set(self._queue)

    @contextlib.contextmanager
    def live(self) -> Iterator["asyncio.Future[None]"]:
        """While a session of live sound goes on; it must end once the future is done. Raises ApiError as ``queue``."""
        self._check_open()
        if len(self._live) >= self._options.max_live:
            raise ApiError(
                429,
                f"{len(self._live)} sessions of live sound are open, and no more are taken; try again",
                code="sessions_full",
                retry_after_s=_SESSION_RETRY_S,
            )
        ending = asyncio.get_running_loop().create_future()
        self._live.add(ending)
        self._metrics.live.set(len(self._live))
        try:
            yield ending
        finally:
            self._live.discard(ending)
            self._metrics.live.set(len(self._live))

    async def end_live(self, timeout_s: float) -> None:
        """Take nothing new, let the sessions of live sound end, and wait for them, so long at most."""
        self.stopping = True
        ends_s = time.monotonic() + timeout_s
        for ending in self._live:
            if not ending.done():
                ending.set_result(None)
        while self._live and time.monotonic() < ends_s:
            await asyncio.sleep(0.02)

    def took(self, seconds: float) -> None:
        """A recording was answered after so long; for Retry-After."""
        self._mean_s += 0.2 * (seconds - self._mean_s)

    def _check_open(self) -> None:
        if self.stopping:
            raise ApiError(503, "the server is stopping", code="stopping", retry_after_s=self._options.grace_s)

    def _check_queue(self) -> None:
        if self._queue >= self._options.max_queue:
            raise ApiError(
                429,
                f"{self._queue} recordings wait or are being transcribed, and no more are queued; try again",
                code="queue_full",
                retry_after_s=self._mean_s,
            )


def _digest(key: bytes) -> bytes:
    """Of one length, so that comparing does not tell the key's."""
    return hashlib.sha256(key).digest()
