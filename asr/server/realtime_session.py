"""What a client of ``/v1/realtime`` chooses, in the form of OpenAI's transcription sessions.

In: the ``session`` of a ``session.update``. Out: a ``Session`` with all fields that have an effect, which is told back.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from asr.audio.recording import MAX_RATE_HZ, MIN_RATE_HZ
from asr.recognition.streaming import CHUNK_S
from asr.recognition.windows import MAX_WINDOW_S, PAUSE_S
from asr.server.errors import ApiError
from asr.server.form import TranscriptionForm
from asr.server.sound import SoundType

API_RATE = 24_000
_DELAYS: dict[str, dict[str, float]] = {  # docs/how-to/streaming.md has what they cost
    "minimal": {"chunk_s": 0.2, "look_ahead_s": 0.4},
    "low": {"chunk_s": 0.5, "look_ahead_s": 0.5},
    "medium": {"chunk_s": CHUNK_S},  # and the model's own look-ahead
    "high": {"chunk_s": 2.0, "look_ahead_s": 2.0},
    "xhigh": {"chunk_s": 4.0, "look_ahead_s": 2.0},
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class AudioFormat(_Part):
    """PCM is 16 bits, little-endian, mono, of this ``rate``; OpenAI takes 24 kHz only. PCMU and PCMA are G.711 at 8
    kHz. Ogg and WebM, beyond OpenAI's, tell their rate themselves.
    """

    type: SoundType = "audio/pcm"
    rate: Annotated[int, Field(ge=MIN_RATE_HZ, le=MAX_RATE_HZ)] = API_RATE


class Transcription(_Part):
    """``prompt`` and ``keywords``: hotwords. ``delay``: how long text may wait, "medium" where it is not given."""

    model: str | None = None
    language: str | None = None
    prompt: str | None = None
    keywords: Annotated[list[str] | None, Field(fail_fast=True)] = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class TurnDetection(_Part):
    """A turn ends where no token was heard for so long."""

    type: Literal["server_vad"] = "server_vad"
    silence_duration_ms: Annotated[int, Field(ge=100, le=int(MAX_WINDOW_S * 1000))] = int(PAUSE_S * 1000)


class AudioInput(_Part):
    """``turn_detection`` None: the client ends turns itself, by a commit. Noise is not reduced."""

    format: AudioFormat = AudioFormat()
    transcription: Transcription = Transcription()
    noise_reduction: None = None
    turn_detection: TurnDetection | None = TurnDetection()

    @field_validator("noise_reduction", mode="before")
    @classmethod
    def _none(cls, given: Any) -> None:
        """Whatever is asked for."""

    @field_validator("format", "transcription", mode="before")
    @classmethod
    def _default(cls, given: Any) -> Any:
        """Null means off in OpenAI's API, which has sessions that do more than transcribe."""
        return {} if given is None else given


class Audio(_Part):
    """Sound comes in only."""

    input: AudioInput = AudioInput()


class Session(_Part):
    """A transcription session."""

    type: Literal["transcription"] = "transcription"
    audio: Audio = Audio()
    include: Annotated[list[Literal["item.input_audio_transcription.logprobs"]] | None, Field(fail_fast=True)] = None

    def updated(self, given: Any) -> "Session":
        """With the fields that ``given`` has. Raises ApiError for the first that is impossible."""
        if not isinstance(given, dict):
            raise ApiError(400, "session: must be an object", param="session")
        if given.get("type", "transcription") != "transcription":
            message = "session.type: must be 'transcription'; this server has no other sessions"
            raise ApiError(400, message, param="session.type")
        try:
            return Session.model_validate(_merged(self.model_dump(), given))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(("session", *(str(one) for one in first["loc"])))
            raise ApiError(400, f"{where}: {first['msg']}, not {str(first['input'])[:80]!r}", param=where) from None

    @property
    def stream_options(self) -> dict[str, float]:
        """For ``Recognizer.stream``."""
        turns, delay = self.audio.input.turn_detection, self.audio.input.transcription.delay
        pause = {} if turns is None else {"pause_s": turns.silence_duration_ms / 1000}
        return {**_DELAYS[delay or "medium"], **pause}

    def hotwords(self) -> list[str]:
        """As those of an HTTP request. Raises ApiError where they are too many."""
        given = self.audio.input.transcription
        fields = {"prompt": given.prompt or "", "keywords": given.keywords or []}
        return TranscriptionForm.model_validate(fields).hotwords()


def _merged(old: Any, new: Any) -> Any:
    """``old`` with the fields of ``new``, part by part."""
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
