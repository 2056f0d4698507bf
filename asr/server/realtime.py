"""``/v1/realtime``: live sound in the form of OpenAI's realtime API, of which there are transcription sessions only.

In: ``session.update``, and ``input_audio_buffer.append``, ``.commit`` and ``.clear``. Out: for each turn an item, with
deltas of the words that have settled, and its whole transcript. Beyond OpenAI's fields, a delta has the ``partial``
text behind its words, which may still change and replaces that of the delta before, and deltas and transcripts have
``words`` with times, in seconds of the session's sound, and confidence. What a client gets wrong is answered with an
``error``, and the session goes on.
"""

import base64
import binascii
import contextlib
import json
import math
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from asr.errors import AsrError
from asr.files import json_value
from asr.recognition import Recognizer, StreamEvent, Word
from asr.server.errors import ApiError, as_api_error
from asr.server.live import LiveSound, OverError, parsed
from asr.server.models import Served
from asr.server.realtime_session import Session

if TYPE_CHECKING:
    from asr.server.transcriptions import State

_TRANSCRIPTION = "conversation.item.input_audio_transcription"
_MOST_ID = 512  # characters of a client's event_id


class Realtime:
    """One session; a ``LiveProtocol``."""

    ended = False

    def __init__(self, state: "State", served: Served) -> None:
        self._state = state
        chosen = {"model": served.name, "language": served.language}
        self._session = Session().updated({"audio": {"input": {"transcription": chosen}}})
        self._id, self._expires = _new_id("sess"), int(time.time() + state.options.max_audio_s)
        self._sound = LiveSound(state)
        self._choose(served.recognizer, self._session)
        self._previous: str | None = None
        self._begin_item()

    def begin(self) -> Sequence[str]:
        """The session as it is before the client has chosen anything."""
        return [self._told("session.created")]

    def receive(self, message: str | bytes) -> Iterator[Sequence[str]]:
        """Answer one event. Raises OverError."""
        event_id = None
        try:
            event = _event_of(message)
            given = event.get("event_id")
            event_id = given[:_MOST_ID] if isinstance(given, str) else None
            yield from self._answered(event)
        except OverError:
            raise
        except ApiError as error:
            yield [_error(error, event_id)]
        except AsrError as error:
            self._drop()
            yield [_error(as_api_error(error, "audio"), event_id)]

    def finish(self, error: ApiError) -> Iterator[Sequence[str]]:
        """Commit what has been heard, and say why the session ends."""
        with contextlib.suppress(ApiError, AsrError):  # of a file that was cut off: ``error`` tells more
            for events in self._sound.rest():
                yield list(self._heard(events))
        if self._sound.begun:
            yield from self._commit()
        yield [_error(error, None)]

    def close(self) -> None:
        """End what reads the sound."""
        self._sound.close()

    def _answered(self, event: dict[str, Any]) -> Iterator[Sequence[str]]:
        kind = event.get("type")
        if kind == "input_audio_buffer.append":
            yield from self._append(event.get("audio"))
        elif kind == "input_audio_buffer.commit":
            if not self._sound.begun:
                message = "nothing to commit: no sound has come since the last commit"
                raise ApiError(400, message, code="input_audio_buffer_commit_empty")
            yield from self._commit()
        elif kind == "input_audio_buffer.clear":
            self._drop()
            yield [_event("input_audio_buffer.cleared")]
        elif kind == "session.update":
            self._update(event.get("session"))
            yield [self._told("session.updated")]
        else:
            known = "session.update, input_audio_buffer.append, .commit and .clear"
            raise ApiError(400, f"type: {str(kind)[:80]!r} is not known here; there are {known}", param="type")

    def _append(self, audio: Any) -> Iterator[Sequence[str]]:
        if not isinstance(audio, str):
            raise ApiError(400, "audio: must be a string of base64", param="audio")
        try:
            data = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ApiError(400, f"audio: is no base64: {error}", param="audio") from None
        for events in self._sound.feed(data):
            yield list(self._heard(events))

    def _commit(self) -> Iterator[Sequence[str]]:
        """End the stream: its words, and the whole of its item, even where that is empty."""
        before = self._previous
        replies = list(self._heard(self._sound.finish()))
        if self._previous == before or self._texts:
            replies += self._completed(self._sound.heard_s)
        yield replies

    def _update(self, given: Any) -> None:
        if self._sound.begun:
            message = "session: changes wait for the end of the sound that has come; send a commit or a clear first"
            raise ApiError(400, message, param="session", code="session_busy")
        session = self._session.updated(given)
        served = self._state.models.get(session.audio.input.transcription.model or "")
        hotwords, _ = served.spelled(session.hotwords())
        self._choose(served.for_hotwords(hotwords), session)
        self._session = session.updated({"audio": {"input": {"transcription": {"model": served.name}}}})

    def _choose(self, recognizer: Recognizer, session: Session) -> None:
        given = session.audio.input.format
        self._sound.choose(given.type, given.rate, recognizer, **session.stream_options)

    def _drop(self) -> None:
        self._sound.drop()
        self._begin_item()

    def _begin_item(self) -> None:
        self._item = _new_id("item")
        self._texts: list[str] = []
        self._words: list[Word] = []
        self._speaking = False
        self._item_start_s = self._sound.heard_s

    def _heard(self, events: Sequence[StreamEvent]) -> Iterator[str]:
        turns = self._session.audio.input.turn_detection is not None
        for event in events:
            start_s, end_s = self._sound.start_s + event.start_s, self._sound.start_s + event.end_s
            if event.kind == "segment":
                if turns:
                    yield from self._completed(end_s)
                continue
            if turns and not self._speaking and event.text:
                self._speaking = True
                yield _event(
                    "input_audio_buffer.speech_started", item_id=self._item, audio_start_ms=round(start_s * 1000)
                )
            yield self._delta(event)

    def _delta(self, event: StreamEvent) -> str:
        if event.kind == "partial":
            return self._transcription("delta", (), delta="", partial=event.text)
        text = f" {event.text}" if self._texts else event.text
        moved = [_moved(word, self._sound.start_s) for word in event.words]
        self._texts.append(event.text)
        self._words += moved
        return self._transcription("delta", moved, delta=text, partial="")

    def _completed(self, end_s: float) -> Iterator[str]:
        """The end of the item, and the beginning of the next one."""
        if self._speaking:
            yield _event("input_audio_buffer.speech_stopped", item_id=self._item, audio_end_ms=round(end_s * 1000))
        yield _event("input_audio_buffer.committed", item_id=self._item, previous_item_id=self._previous)
        content = [{"type": "input_audio", "transcript": None}]
        item = {"id": self._item, "object": "realtime.item", "type": "message", "status": "completed", "role": "user"}
        for kind in ("added", "done"):
            yield _event(
                f"conversation.item.{kind}", previous_item_id=self._previous, item={**item, "content": content}
            )
        usage = {"type": "duration", "seconds": round(max(0.0, end_s - self._item_start_s), 3)}
        yield self._transcription("completed", self._words, transcript=" ".join(self._texts), usage=usage)
        self._previous = self._item
        self._begin_item()
        self._item_start_s = end_s

    def _transcription(self, kind: str, words: Sequence[Word], **fields: Any) -> str:
        own: dict[str, Any] = {
            "words": [
                {"word": word.text, "start": word.start_s, "end": word.end_s, "confidence": word.confidence}
                for word in words
            ]
        }
        if self._session.include:
            own["logprobs"] = [
                {"token": word.text, "logprob": math.log(max(word.confidence, 1e-6)), "bytes": list(word.text.encode())}
                for word in words
            ]
        own = json_value(own, digits=6)
        return _event(f"{_TRANSCRIPTION}.{kind}", item_id=self._item, content_index=0, **fields, **own)

    def _told(self, kind: str) -> str:
        own = {"object": "realtime.transcription_session", "id": self._id, "expires_at": self._expires}
        return _event(kind, session={**own, **self._session.model_dump()})


def _event_of(message: str | bytes) -> dict[str, Any]:
    if isinstance(message, bytes):
        raise ApiError(400, "events are sent as text, and sound in them as base64; this was a binary message")
    event = parsed(message)
    if not isinstance(event, dict):
        raise ApiError(400, "the event must be a JSON object", code="invalid_json")
    return event


def _event(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, "event_id": _new_id("event"), **fields}, ensure_ascii=False)


def _error(error: ApiError, event_id: str | None) -> str:
    return _event("error", error={**error.body()["error"], "event_id": event_id})


def _moved(word: Word, by_s: float) -> Word:
    return replace(word, start_s=word.start_s + by_s, end_s=word.end_s + by_s)


def _new_id(kind: str) -> str:
    return f"{kind}_{uuid.uuid4().hex}"
