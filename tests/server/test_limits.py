"""What a server refuses, and how: size, length, queue, time, key, other sites; clients that stall, or that go."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.faults.requests import PATH, REQUESTS, Request, transcript
from tests.server.conftest import Running, Start, until


@pytest.fixture(scope="module")
def server(start: Start) -> Iterator[Running]:
    limits = {"max_upload_mb": 0.5, "max_audio_s": 4.0, "max_queue": 2, "max_uploads": 1}
    with start(**limits) as running:
        yield running


def form(path: Path, **fields: str) -> tuple[bytes, dict[str, str]]:
    parts = [f'--cut\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{one}\r\n' for key, one in fields.items()]
    parts.append(f'--cut\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n')
    body = "".join(parts).encode() + path.read_bytes() + b"\r\n--cut--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=cut"}


class Answer:
    """A response, read whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        return error


def ask(server: Running, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=120)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        return Answer(connection.getresponse())


def post(server: Running, path: Path, headers: dict[str, str] | None = None, **fields: str) -> Answer:
    body, own = form(path, **fields)
    return ask(server, "POST", PATH, body, {**own, **(headers or {})})


def open_post(server: Running, body: bytes, length: int) -> socket.socket:
    """A request of which only ``body`` has been sent."""
    address = urlsplit(server.address)
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=cut\r\n"
    connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + body)
    return connection


def test_an_upload_that_is_too_large_is_refused_by_its_length_and_by_its_bytes(
    server: Running, recordings: list[Path]
) -> None:
    answer = post(server, recordings[3])
    assert answer.status == 413 and answer.error["code"] == "file_too_large" and "0.5 MB" in answer.error["message"]
    body, headers = form(recordings[3])
    address = urlsplit(server.address)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    with contextlib.closing(connection):
        pieces = (body[start : start + 50_000] for start in range(0, 600_000, 50_000))  # chunked: of no known length
        connection.request("POST", PATH, pieces, headers, encode_chunked=True)
        assert Answer(connection.getresponse()).error["code"] == "file_too_large"


def test_a_recording_that_is_too_long_is_refused(server: Running, tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "long.ogg", np.random.default_rng(0).normal(0, 0.1, 8000 * 5), 8000)
    answer = post(server, tmp_path / "long.ogg")
    assert answer.status == 413 and answer.error["code"] == "audio_too_long"
    assert answer.error["message"] == "long.ogg: is longer than 4 s, which is what this server takes"


def test_a_full_queue_answers_429_and_a_client_that_goes_leaves_it(server: Running, recordings: list[Path]) -> None:
    body, _ = form(recordings[0])
    before = server.metric("asr_cancelled_total")
    with server.hold():
        waiting = [open_post(server, body, len(body)) for _ in range(1)]
        until(lambda: server.metric("asr_queue") == 1)
        stream, _ = form(recordings[0], stream="true")
        waiting.append(open_post(server, stream, len(stream)))
        until(lambda: server.metric("asr_queue") == 2)
        answer = post(server, recordings[0])
        assert answer.status == 429 and answer.error["type"] == "rate_limit_error"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        for connection in waiting:
            connection.close()
        until(lambda: server.metric("asr_queue") == 0)
        until(lambda: server.metric("asr_cancelled_total") == before + 2)
    assert post(server, recordings[0]).status == 200


def test_a_client_that_stalls_is_given_up_and_blocks_one_upload_only_until_then(
    server: Running, recordings: list[Path]
) -> None:
    body, _ = form(recordings[0])
    with open_post(server, body[:2000], len(body)):
        until(lambda: server.metric("asr_uploads") == 1)
        answer = post(server, recordings[0])
        assert answer.status == 503 and answer.error["code"] == "overloaded" and answer.headers["Retry-After"] == "1"
    until(lambda: server.metric("asr_uploads") == 0)
    with server.stall_s(0.3), open_post(server, body[:2000], len(body)) as stalled:
        assert b" 408 " in stalled.recv(1000)
    assert post(server, recordings[0]).status == 200


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux ends such connections")
def test_a_client_that_reads_no_answer_is_given_up(start: Start) -> None:
    with start(stall_s=0.3) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        address = urlsplit(server.address)
        client.connect((address.hostname, address.port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 300)  # of the page, more than the network holds
        page = {"path": "/", "status": "200"}
        until(lambda: server.connections or server.metric("asr_requests_total", **page))
        until(lambda: not server.connections)
        assert ask(server, "GET", "/health").status == 200


def test_an_upload_that_breaks_off_leaves_nothing(server: Running, recordings: list[Path]) -> None:
    body, _ = form(recordings[0])
    gone = {"path": PATH, "status": "499"}
    before = server.metric("asr_requests_total", **gone)
    open_post(server, body[:5000], len(body)).close()
    until(lambda: server.metric("asr_requests_total", **gone) == before + 1)
    assert server.metric("asr_uploads") == 0
    assert post(server, recordings[0]).status == 200


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: one.given.replace(" ", "-"))
def test_a_faulty_request_is_answered_with_its_fault(server: Running, request_: Request) -> None:
    headers = {"Content-Type": request_.kind, **request_.headers}
    answer = ask(server, request_.method, request_.path, request_.body, headers)
    assert (answer.status, answer.error["code"]) == (request_.status, request_.code)
    assert request_.says in f"{answer.error['param']} {answer.error['message']}"


def test_time_is_limited(start: Start, recordings: list[Path]) -> None:
    with start(timeout_s=0.3) as server, server.hold():
        answer = post(server, recordings[0])
        assert answer.status == 503 and answer.error["code"] == "timeout" and answer.headers["Retry-After"]
        assert b'"code": "timeout"' in post(server, recordings[0], stream="true").body
        until(lambda: server.metric("asr_queue") == 0)


def test_a_key_is_asked_for_and_other_sites_only_with_cors(start: Start, recordings: list[Path]) -> None:
    origin = {"Origin": "https://example.org"}
    with start(api_key="sécret", origins=("https://example.org",)) as server:
        for wrong in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Basic sécret"}):
            answer = post(server, recordings[0], {key: one.encode().decode("latin-1") for key, one in wrong.items()})
            assert answer.status == 401 and answer.error["code"] == "invalid_api_key"
        right = {"Authorization": "Bearer sécret".encode().decode("latin-1"), **origin}
        answer = post(server, recordings[0], right)
        assert answer.status == 200 and answer.headers["Access-Control-Allow-Origin"] == "https://example.org"
        assert ask(server, "GET", "/metrics").status == 401 and ask(server, "GET", "/v1/models").status == 401
        assert ask(server, "GET", "/health").status == ask(server, "GET", "/ready").status == 200
    with start() as server:
        assert "Access-Control-Allow-Origin" not in post(server, recordings[0], origin).headers


def test_requests_that_meet_are_computed_together(start: Start, recordings: list[Path], model: Path) -> None:
    import asr

    short = [path for path in recordings if path.stat().st_size < 1_000_000]
    texts = [asr.load_model(model, speech_gate=False).transcribe(path).text for path in short]
    with start(workers=1) as server:
        answers: dict[int, Answer] = {}

        def one(number: int) -> None:
            answers[number] = post(server, short[number % len(short)], response_format="text")

        threads = [threading.Thread(target=one, args=(number,)) for number in range(24)]
        with server.hold():
            for thread in threads:
                thread.start()
            until(lambda: server.metric("asr_queue") == len(threads))
        for thread in threads:
            thread.join()
        for number, answer in answers.items():
            assert answer.body.decode() == texts[number % len(texts)] + "\n"
        figures = ask(server, "GET", "/metrics").body.decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in figures if not line.startswith("#"))
    assert values[f'asr_requests_total{{path="{PATH}",status="200"}}'] == "24.0"
    assert float(values["asr_batch_windows_count"]) < float(values["asr_batch_windows_sum"]), "some met"
    assert float(values["asr_audio_seconds_total"]) == pytest.approx(6 * (1.0 + 0.5 + 3.3 + 2.2))


def test_stopping_refuses_what_is_new_and_ends_what_runs(start: Start, recordings: list[Path]) -> None:
    with start() as server:
        with server.hold():
            found: list[Answer] = []
            thread = threading.Thread(target=lambda: found.append(post(server, recordings[0])))
            thread.start()
            until(lambda: server.metric("asr_queue") == 1)
            server.state.gate.stopping = True
            answer = post(server, recordings[0])
            assert answer.status == 503 and answer.error["code"] == "stopping" and answer.headers["Retry-After"]
            assert ask(server, "GET", "/ready").status == 503 and ask(server, "GET", "/health").status == 200
        thread.join()
        assert found[0].status == 200


def test_a_transcript_that_takes_long_to_write_keeps_nobody_waiting(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, free = threading.Event(), threading.Event()

    def waiting(*_: Any) -> str:
        begun.set()
        return str(free.wait(60))

    monkeypatch.setattr("asr.server.exports.render_transcript", waiting)
    found: list[Answer] = []
    thread = threading.Thread(target=lambda: found.append(ask(server, "POST", "/v1/transcripts", transcript())))
    thread.start()
    assert begun.wait(60) and ask(server, "GET", "/health").status == 200
    free.set()
    thread.join()
    assert found[0].body == b"True", "not given up before /health was answered"


def test_a_transcript_that_the_page_has_edited_is_written(server: Running) -> None:
    assert ask(server, "POST", "/v1/transcripts", transcript()).body.endswith(b"\na\n\n")
