"""The order of the queue: made again, in a thread of its own, when much has been drafted or corrected since.

In: candidates and what is transcribed (``asr.recognition.suggestions``). Out: the place of each segment. A request
waits for it a second at most, and has the order before otherwise.
"""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from asr.recognition.suggestions import Candidate, rank_untranscribed
from asr.server.corpus_files import log

CORRECTIONS = 20  # that make a new order worth its time
_WAIT_S, _REST = 1.0, 10  # after a ranking, so many times as long without one
Known = tuple[str, str | None]  # text, speaker


class Order:
    """``drafted`` and ``corrected`` tell it of changes."""

    def __init__(self, inputs: Callable[[], tuple[Sequence[Candidate], Sequence[Known]]]) -> None:
        """``inputs()``: what is to be ranked now."""
        self._inputs = inputs
        self._threads = ThreadPoolExecutor(1, "asr-ranking")
        self._places: dict[str, int] = {}
        self._corrections, self._drafts, self._not_before_s = 0, False, 0.0
        self._running: Future[None] | None = None

    def drafted(self) -> None:
        """There are other drafts."""
        self._drafts = True

    def corrected(self) -> None:
        """One more correction."""
        self._corrections += 1

    def place(self, name: str) -> float:
        """Of the segment of that id; infinite where it has none."""
        return self._places.get(name, math.inf)

    def refresh(self) -> None:
        """Rank where it is worth it. From any thread."""
        running = self._running
        if running is None or running.done():
            if not (self._drafts or self._corrections >= CORRECTIONS) or time.monotonic() < self._not_before_s:
                return
            self._drafts, self._corrections = False, 0
            running = self._running = self._threads.submit(self._rank)
        wait([running], _WAIT_S)

    def close(self) -> None:
        """End the thread."""
        self._threads.shutdown(cancel_futures=True)

    def _rank(self) -> None:
        began_s = time.monotonic()
        try:
            ranked = rank_untranscribed(*self._inputs())
            self._places = {one.candidate.id: place for place, one in enumerate(ranked)}
        except Exception:
            log.exception("the queue cannot be ranked; it stays as it was")
        ended_s = time.monotonic()
        self._not_before_s = ended_s + _REST * (ended_s - began_s)
