"""``/vosk``: live sound as vosk-server's clients send it (github.com/alphacep/vosk-server, websocket/asr_server.py).

In: a ``config``, then binary messages of 16-bit PCM (or, beyond vosk's, of G.711, Ogg or WebM), then ``eof``. Out:
exactly one answer to each message of sound, the partial text or the words that a pause has ended; and after ``eof`` the
rest.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asr.audio.recording import MAX_RATE_HZ, MIN_RATE_HZ
from asr.errors import AsrError
from asr.files import json_value
from asr.recognition import StreamEvent, Word
from asr.server.errors import ApiError
from asr.server.form import checked_hotwords
from asr.server.live import LiveSound, parsed
from asr.server.models import Served
from asr.server.sound import SoundType

if TYPE_CHECKING:
    from asr.server.transcriptions import State

_RATE = 8000  # of vosk-server, where no config says another
_MAX_PHRASES = 1000


class VoskConfig(BaseModel):
    """``words``: whether results hold their words' times. ``phrase_list``: here hotwords; in vosk a grammar.
    ``format``, beyond vosk's: as the ``type`` of that of ``/v1/realtime``.
    """

    model_config = ConfigDict(extra="ignore")

    format: SoundType = "audio/pcm"
    sample_rate: Annotated[int, Field(ge=MIN_RATE_HZ, le=MAX_RATE_HZ)] = _RATE
    words: bool = True
    max_alternatives: Annotated[int, Field(ge=0)] = 0
    phrase_list: Annotated[list[str], Field(fail_fast=True)] = []


class Vosk:
    """One session; a ``LiveProtocol``. Every error ends it."""

    def __init__(self, state: "State", served: Served) -> None:
        self._served, self._config, self._sound = served, VoskConfig(), LiveSound(state)
        self._chosen = False
        self._settled: list[str] = []  # of the segment that goes on
        self._partial = ""
        self.ended = False

    def begin(self) -> Sequence[str]:
        """Nothing: the client speaks first."""
        return []

    def receive(self, message: str | bytes) -> Iterator[Sequence[str]]:
        """Answer sound, and ``eof``; a ``config`` has no answer. Raises ApiError."""
        if isinstance(message, bytes):
            yield from self._hear(message)
            return
        given = parsed(message)
        if isinstance(given, dict) and "config" in given:
            self._choose(given["config"])
        elif isinstance(given, dict) and given.get("eof"):
            found: list[StreamEvent] = []
            for events in self._sound.rest():
                found += events
                yield []
            self.ended = True
            yield [self._rest_of_it(found)]
        else:
            raise ApiError(400, 'send {"config": {...}}, binary messages of 16-bit PCM, or {"eof": 1}')

    def finish(self, error: ApiError) -> Iterator[Sequence[str]]:
        """The rest, and the error, for which vosk has no form."""
        found: list[StreamEvent] = []
        with contextlib.suppress(ApiError, AsrError):  # of a file that was cut off: ``error`` tells more
            for events in self._sound.rest():
                found += events
                yield []
        last = [self._rest_of_it(found)] if self._sound.begun else []
        yield [*last, json.dumps({"error": error.message}, ensure_ascii=False)]

    def close(self) -> None:
        """End what reads the sound."""
        self._sound.close()

    def _choose(self, given: Any) -> None:
        """As in vosk, what comes once there is sound changes nothing."""
        try:
            config = VoskConfig.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(("config", *(str(one) for one in first["loc"])))
            raise ApiError(400, f"{where}: {first['msg']}, not {str(first['input'])[:80]!r}") from None
        if not self._chosen:
            self._config = config

    def _hear(self, data: bytes) -> Iterator[Sequence[str]]:
        if not self._chosen:
            phrases = [phrase for phrase in self._config.phrase_list if phrase != "[unk]"]
            phrases = checked_hotwords(phrases, _MAX_PHRASES, "config.phrase_list")
            recognizer = self._served.for_hotwords(self._served.spelled(phrases)[0])
            self._sound.choose(self._config.format, self._config.sample_rate, recognizer)
            self._chosen = True
        found: list[StreamEvent] = []
        for events in self._sound.feed(data):
            found += events
            yield []
        yield [self._said(found) or self._partially()]

    def _rest_of_it(self, found: Sequence[StreamEvent]) -> str:
        return self._said([*found, *self._sound.finish()]) or self._result("", ())

    def _said(self, events: Sequence[StreamEvent]) -> str | None:
        """The segments that have ended, as one; None where there is none."""
        ended = []
        for event in events:
            if event.kind == "segment":
                ended.append(event)
                self._settled = []
            elif event.kind == "words":
                self._settled.append(event.text)
            self._partial = event.text if event.kind == "partial" else ""
        if not ended:
            return None
        return self._result(" ".join(one.text for one in ended), [word for one in ended for word in one.words])

    def _partially(self) -> str:
        return json.dumps({"partial": " ".join(filter(None, (*self._settled, self._partial)))}, ensure_ascii=False)

    def _result(self, text: str, words: Sequence[Word]) -> str:
        result: dict[str, Any] = {}
        if self._config.words and words:
            named = [
                {"conf": one.confidence, "end": one.end_s, "start": one.start_s, "word": one.text} for one in words
            ]
            result["result"] = json_value(named, digits=6)
        result["text"] = text
        if self._config.max_alternatives:
            sure = sum(word.confidence for word in words) / len(words) if words else 0.0
            result = {"alternatives": [{"confidence": round(sure, 6), **result}]}
        return json.dumps(result, ensure_ascii=False)
