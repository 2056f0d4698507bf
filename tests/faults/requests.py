"""Requests that the server cannot answer; tests/server/test_limits.py sends them."""

import json
from dataclasses import dataclass, field

PATH = "/v1/audio/transcriptions"
HEAD = b"--cut\r\nContent-Disposition: form-data; name="
FORM = "multipart/form-data; boundary=cut"
TRANSCRIPT = {"format": "srt", "duration": 1, "words": [{"word": "a", "start": 0, "end": 1}]}


@dataclass(frozen=True)
class Request:
    """``code``: of the error in the answer, whose message holds ``says``."""

    given: str
    code: str
    status: int
    says: str
    body: bytes = b""
    kind: str = FORM
    path: str = PATH
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)


def form(**fields: str) -> bytes:
    """A form with a recording that is none."""
    parts = [HEAD + f'"{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    return b"".join([*parts, HEAD, b'"file"; filename="a.wav"\r\n\r\nno sound\r\n--cut--\r\n'])


def transcript(**changes: object) -> bytes:
    """A transcript to be written, changed."""
    return json.dumps({**TRANSCRIPT, **changes}).encode()


def _bad(given: str, says: str, body: bytes, kind: str = FORM, path: str = PATH) -> Request:
    return Request(given, "invalid_request", 400, says, body, kind, path)


WRITE = "/v1/transcripts"
WORD = {"word": "a", "start": 0, "end": 1}
REQUESTS = [
    _bad("JSON in place of a form", "multipart/form-data", b"{}", "application/json"),
    _bad("an empty body", "form", b""),
    _bad("a form that is cut", "form", b"--cut\r\nnonsense"),
    _bad("a form without names", "form", b"--cut\r\n\r\n\r\n--cut--\r\n"),
    _bad("a form without a boundary", "form", b"x", "multipart/form-data"),
    _bad("a form without a file", "'file' is missing", HEAD + b'"model"\r\n\r\ntiny\r\n--cut--\r\n'),
    _bad("a text as file", "'file' is missing", HEAD + b'"file"\r\n\r\ntext\r\n--cut--\r\n'),
    _bad("a field of 70 kB", "64KB", HEAD + b'"prompt"\r\n\r\n' + b"a" * 70_000 + b"\r\n--cut--"),
    _bad("a second file", "Maximum number of files is 1", HEAD + b'"model"; filename="m"\r\n\r\nx\r\n' + form()),
    _bad("an unknown format", "response_format", form(response_format="odt")),
    _bad("a temperature that is a word", "temperature", form(temperature="warm")),
    _bad("101 keywords", "101 hotwords", form(prompt=", ".join(f"a{n}" for n in range(101)))),
    Request("an empty file", "invalid_audio", 400, "empty", HEAD + b'"file"; filename="a"\r\n\r\n\r\n--cut--\r\n'),
    Request("a file that is no recording", "invalid_audio", 400, "a.wav: is not audio", form()),
    Request("an unknown model", "model_not_found", 404, "other", form(model="other")),
    Request("an unknown page", "unknown_url", 404, "/v1/chat", path="/v1/chat", method="GET"),
    Request("a wrong method", "invalid_request", 405, "Method Not Allowed", method="GET"),
    Request("a translation", "invalid_request", 400, "translate", form(), path="/v1/audio/translations"),
    _bad("a transcript that is no JSON", "", b"no json", "application/json", WRITE),
    _bad("a transcript of 100,000 brackets", "", b"[" * 100_000, "application/json", WRITE),
    _bad("a transcript in an unknown format", "odt", transcript(format="odt"), "application/json", WRITE),
    _bad("a transcript of a negative length", "duration", transcript(duration=-1), "application/json", WRITE),
    _bad(
        "a transcript that is more than sure", "confidence", transcript(words=[{**WORD, "confidence": 2}]), path=WRITE
    ),
    _bad("a transcript of 100,000 wrong words", "words.0", transcript(words=[0] * 100_000), path=WRITE),
    _bad("a transcript without words", "words", transcript(words=None), "application/json", WRITE),
]
