"""The bytes of live sound as samples: PCM and G.711, and Ogg and WebM as browsers record them (mostly Opus).

In: bytes as they come, cut anywhere. Out: mono samples, int16 or float32, of one rate. Ogg and WebM are read by PyAV
(the [media] extra).
"""

import io
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import soundfile
from pydantic import BeforeValidator

from asr.audio.streaming import PushedSound

_TELEPHONE_RATE = 8000  # of G.711
_LAWS = {"audio/pcmu": "ULAW", "audio/pcma": "ALAW"}
_READERS = {"audio/ogg": "ogg", "audio/webm": "matroska"}


def _without_parameters(given: Any) -> Any:
    """``audio/webm; codecs=opus``, as browsers call it, is ``audio/webm``; those of PCM could tell another rate."""
    kind = given.partition(";")[0].strip().lower() if isinstance(given, str) else ""
    return kind if kind in _READERS else given


SoundType = Annotated[
    Literal["audio/pcm", "audio/pcmu", "audio/pcma", "audio/ogg", "audio/webm"], BeforeValidator(_without_parameters)
]


class SoundBytes:
    """The sound of one session. ``rate``: of the samples, in Hz."""

    def __init__(self, kind: SoundType, pcm_rate: int, wanted_rate: int) -> None:
        """``pcm_rate``: of PCM; ``wanted_rate``: of what is decoded to any rate."""
        self._kind = kind
        self.rate = pcm_rate if kind == "audio/pcm" else _TELEPHONE_RATE if kind in _LAWS else wanted_rate
        self._pushed: PushedSound | None = None
        self._half = b""  # of a sample

    def feed(self, data: bytes) -> "Iterator[np.ndarray[Any, Any]]":
        """``(samples,)`` that the next bytes complete. Raises AudioError for what is no Ogg or WebM."""
        if self._kind in _READERS:
            if self._pushed is None or self._pushed.ended:
                self._pushed = PushedSound(self.rate, name="the sound", kind=_READERS[self._kind])
            yield from self._pushed.feed(data)
        elif self._kind in _LAWS:
            if data:
                law = {"format": "RAW", "subtype": _LAWS[self._kind], "channels": 1, "samplerate": self.rate}
                yield soundfile.read(io.BytesIO(data), dtype="int16", **law)[0]
        else:
            data = self._half + data
            whole = len(data) // 2 * 2
            self._half = data[whole:]
            yield np.frombuffer(data[:whole], "<i2")

    def rest(self) -> "Iterator[np.ndarray[Any, Any]]":
        """What is left, once there are no more bytes. Raises AudioError as ``feed``."""
        if self._pushed is not None:
            yield from self._pushed.finish()

    def cut(self) -> None:
        """Half a sample will not be completed; a file that is being sent goes on."""
        self._half = b""

    def close(self) -> None:
        """Give up what is left; safe to repeat."""
        if self._pushed is not None:
            self._pushed.close()
