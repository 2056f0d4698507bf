"""A request's form: its recording, spooled to a file as it arrives, and its fields, checked.

In: multipart/form-data of any size. Out: a ``TranscriptionForm`` and the path of a temporary file. No more than a
megabyte of the recording is in memory; a body beyond the limit, and a client that stalls, are given up.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from asr.server.errors import ApiError

if TYPE_CHECKING:
    from asr.server.options import ServeOptions

_LISTS = {"timestamp_granularities", "keywords", "include"}
_MAX_FIELDS, _MAX_FIELD_BYTES = 200, 64 << 10
_MAX_HOTWORDS, _MAX_HOTWORD_CHARACTERS = 100, 10_000  # the second of all; each takes 0.1 kB in a decoder
ResponseFormat = Literal["json", "text", "srt", "vtt", "verbose_json", "tsv", "ctm", "textgrid", "transcript"]


class TranscriptionForm(BaseModel):
    """OpenAI's fields. Beyond its formats there are those of ``asr transcribe`` (its json is "transcript")."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    model: str = Field("", description="the first of /v1/models where it is left out")
    language: str | None = Field(None, description="repeated in verbose_json; a model knows one language")
    prompt: str = Field("", description="hotwords: words or phrases, separated by commas or line ends")
    keywords: list[str] = Field([], description="hotwords too, one each")
    response_format: ResponseFormat = "json"
    temperature: float = Field(0.0, ge=0, le=1, description="ignored: decoding has no randomness")
    timestamp_granularities: list[Literal["word", "segment"]] = Field(["segment"], description="for verbose_json")
    stream: bool = Field(False, description="server-sent events")

    def hotwords(self) -> list[str]:
        """The phrases of ``prompt`` and ``keywords``. Raises ApiError where they are too many."""
        parts = [*self.prompt.replace(";", ",").replace("\n", ",").split(","), *self.keywords]
        return checked_hotwords([part.strip() for part in parts if part.strip()], _MAX_HOTWORDS, "prompt")

    def ignored(self) -> list[str]:
        """The fields that were given and change nothing."""
        fields = {"temperature"} & self.model_fields_set | set(self.model_extra or {})
        return sorted(fields)


def checked_hotwords(phrases: list[str], most: int, param: str) -> list[str]:
    """The phrases. Raises ApiError where they are too many, or too long."""
    characters = sum(map(len, phrases))
    if len(phrases) > most or characters > _MAX_HOTWORD_CHARACTERS:
        given = f"{len(phrases)} hotwords of {characters:,} characters are too many"
        limits = f"at most {most}, of {_MAX_HOTWORD_CHARACTERS:,} characters in all"
        raise ApiError(400, f"{param}: {given}; {limits}", param=param)
    return phrases


@dataclass(frozen=True, slots=True)
class Upload:
    """A recording on disk: ``path``; ``name`` is what the client calls it."""

    path: str
    name: str


@contextlib.asynccontextmanager
async def received(request: Request, options: "ServeOptions") -> AsyncIterator[tuple[TranscriptionForm, Upload]]:
    """The form and its recording; the file is removed at the end. Raises ApiError."""
    with tempfile.TemporaryDirectory(prefix="asr-serve-") as folder:
        form, upload = await _receive(request, options, Path(folder))
        yield form, upload


async def _receive(request: Request, options: "ServeOptions", folder: Path) -> tuple[TranscriptionForm, Upload]:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise ApiError(400, "the body must be multipart/form-data with the recording in 'file'", param="file")
    limit = round(options.max_upload_mb * 1e6)
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise _too_large(limit)
    limited = Request(request.scope, _bounded(request.receive, limit, options.stall_s, _too_large(limit)))
    try:
        async with limited.form(max_files=1, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES) as fields:
            return _checked(fields), await _stored(fields.get("file"), folder)
    except ClientDisconnect:
        raise ApiError(499, "the client went away", code="cancelled") from None
    except HTTPException as error:  # what the parser says of a broken form
        raise ApiError(400, f"the form cannot be read: {error.detail}") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ApiError(503, f"the recording cannot be stored: {reason}", code="storage", retry_after_s=60) from None


async def body_of(request: Request, limit: int, stall_s: float) -> bytes:
    """A body that is no form, of at most ``limit`` bytes. Raises ApiError."""
    too_large = ApiError(413, f"the body is larger than {limit / 1e6:g} MB", code="body_too_large")
    try:
        return await Request(request.scope, _bounded(request.receive, limit, stall_s, too_large)).body()
    except ClientDisconnect:
        raise ApiError(499, "the client went away", code="cancelled") from None


def _bounded(receive: Receive, limit: int, stall_s: float, too_large: ApiError) -> Receive:
    """``receive`` that gives up a body beyond ``limit`` bytes, and a client that sends nothing for ``stall_s``."""
    got = 0

    async def bounded() -> Message:
        nonlocal got
        try:
            message = await asyncio.wait_for(receive(), stall_s)
        except TimeoutError:
            raise ApiError(408, f"nothing was received for {stall_s:g} s", code="stalled") from None
        got += len(message.get("body", b""))
        if got > limit:
            raise too_large
        return message

    return bounded


def _too_large(limit: int) -> ApiError:
    return ApiError(
        413, f"the upload is larger than {limit / 1e6:g} MB; send a compressed file, or cut it", param="file",
        code="file_too_large",
    )  # fmt: skip


def _checked(fields: FormData) -> TranscriptionForm:
    """The fields but ``file``. Raises ApiError."""
    values: dict[str, Any] = {}
    for key, value in fields.multi_items():
        name = key.removesuffix("[]")
        if key == "file":
            continue
        if not isinstance(value, str):
            raise ApiError(400, f"{key}: is a file; only 'file' may be one", param=key)
        if name in _LISTS:
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
    try:
        return TranscriptionForm.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise ApiError(400, f"{name}: {first['msg']}, not {str(first['input'])[:80]!r}", param=name) from None


async def _stored(file: object, folder: Path) -> Upload:
    if not isinstance(file, UploadFile):
        raise ApiError(400, "'file' is missing: the recording, as a file of the form", param="file")
    name = os.path.basename(file.filename or "") or "recording"
    path = folder / "recording"
    await run_in_threadpool(_copy, file.file, path)
    return Upload(str(path), name)


def _copy(source: IO[bytes], path: Path) -> None:
    source.seek(0)
    with path.open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
