"""Who may open a socket, how many, for how long; clients that stall, read nothing or go; a stop; vosk's protocol."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.server.conftest import HIGH, Running, Sound, Start, until
from tests.server.test_live import TEXT, append, event, listed, open_socket, streamed

pytest.importorskip("websockets", reason="needs the extra [server]")
from websockets.exceptions import ConnectionClosed, InvalidStatus

KEY = "Bearer sécret".encode().decode("latin-1")  # as headers carry bytes
REALTIME, VOSK = "/v1/realtime", "/vosk"


@pytest.fixture(scope="module")
def server(start: Start) -> Iterator[Running]:
    with start(max_live=2, max_audio_s=9.0, api_key="sécret", origins=("https://ok.org",)) as running:
        yield running


def opened(server: Running, path: str = REALTIME, **headers: str) -> Any:
    return open_socket(server, path, additional_headers={"Authorization": KEY, **headers})


def refused(server: Running, path: str = REALTIME, **options: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(InvalidStatus) as found:
        open_socket(server, path, **options)
    response = found.value.response
    return response.status_code, json.loads(response.body or b"")["error"]


def closed(client: Any, code: int) -> list[dict[str, Any]]:
    """All that comes until the server closes with that code."""
    found = []
    with pytest.raises(ConnectionClosed) as end:
        while True:
            found.append(json.loads(client.recv(30)))
    assert end.value.rcvd is not None and end.value.rcvd.code == code
    return found


def test_handshakes_are_refused_as_requests_are(server: Running) -> None:
    def counted(status: str) -> float:
        return server.metric("asr_requests_total", path=REALTIME, status=status)

    before = {status: counted(status) for status in ("101", "403")}
    wrong: list[dict[str, Any]] = [
        {},
        {"additional_headers": {"Authorization": "Bearer no"}},
        {"subprotocols": ["realtime"]},
    ]
    for options in wrong:
        status, error = refused(server, **options)
        assert status == 401 and error["code"] == "invalid_api_key"
    right = {"Authorization": KEY}
    assert refused(server, f"{VOSK}?model=other", additional_headers=right)[1]["code"] == "model_not_found"
    for origin in ("https://other.org", "http://127.0.0.1:1", "null", "http://[", "https://ok.org.other.org"):
        status, error = refused(server, additional_headers={**right, "Origin": origin})
        assert status == 403 and error["code"] == "origin"
    for origin in ("https://ok.org", server.address):
        with opened(server, Origin=origin):
            pass
    until(lambda: counted("403") == before["403"] + 5)  # counted when the answer has gone
    until(lambda: counted("101") == before["101"] + 2)


def test_a_browser_gives_the_key_as_a_subprotocol(start: Start) -> None:
    with start(api_key="key-1.a") as server:
        offered = ["realtime", "openai-insecure-api-key.key-1.a"]
        with open_socket(server, subprotocols=offered, origin=server.address) as client:
            assert client.subprotocol == "realtime"
            event(client, "session.created")
        assert refused(server, subprotocols=["realtime", "openai-insecure-api-key.other"])[0] == 401


def test_sessions_are_counted_and_those_that_go_make_room(server: Running) -> None:
    until(lambda: server.metric("asr_live_sessions") == 0)
    with opened(server), opened(server, VOSK):
        assert server.metric("asr_live_sessions") == 2
        status, error = refused(server, additional_headers={"Authorization": KEY})
        assert status == 429 and error["type"] == "rate_limit_error" and error["code"] == "sessions_full"
    until(lambda: server.metric("asr_live_sessions") == 0)
    with opened(server) as client:
        event(client, "session.created")


def test_a_client_that_stalls_gets_its_last_words(server: Running, sound: Sound) -> None:
    with opened(server) as client:
        client.send(append(sound[: HIGH * 3]))
        event(client, f"{TEXT}.delta")
        with server.stall_s(0.3):
            client.send(append(sound[:1]))
            found = closed(client, 1008)
    assert [one["type"] for one in found[-2:]] == [f"{TEXT}.completed", "error"]
    assert found[-2]["transcript"] and found[-1]["error"]["code"] == "stalled"


def test_a_session_is_not_longer_than_it_may_be(server: Running, sound: Sound) -> None:
    before = server.metric("asr_audio_seconds_total")
    with opened(server) as client:
        client.send(append(sound))
        client.send(append(sound))
        found = closed(client, 1008)
    assert found[-1]["error"]["code"] == "session_expired" and "9 s" in found[-1]["error"]["message"]
    assert found[-2]["type"] == f"{TEXT}.completed"
    assert server.metric("asr_audio_seconds_total") - before == pytest.approx(9)


@pytest.mark.parametrize(("last", "code"), [("x" * (17 << 20), 1009), (b"\xff", 1007)])
def test_a_message_that_cannot_be_taken_closes_the_socket_while_others_are_worked_on(
    server: Running, sound: Sound, caplog: pytest.LogCaptureFixture, last: str | bytes, code: int
) -> None:
    with opened(server) as client:
        for first in range(0, 4 * HIGH, HIGH):
            client.send(append(sound[first : first + HIGH]))
        with contextlib.suppress(ConnectionClosed):  # of what is too large the server reads no more than the start
            client.send(last, text=True)
        with pytest.raises(ConnectionClosed) as end:
            while True:
                client.recv(30)
        assert end.value.rcvd is None or end.value.rcvd.code == code
    until(lambda: server.metric("asr_live_sessions") == 0)
    assert not [record for record in caplog.records if record.name in ("asr.server", "uvicorn.error")]


def test_a_client_that_reads_nothing_is_given_up(start: Start) -> None:
    """Its answers fill what the network holds, some megabytes; then a send stalls, and the session ends."""
    with start(stall_s=0.5) as server, socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", urlsplit(server.address).port))
        transcription = {"language": "x" * 500_000}  # told back
        update = {"type": "session.update", "session": {"audio": {"input": {"transcription": transcription}}}}
        with open_socket(server, sock=raw, max_queue=1, close_timeout=1) as client:

            def flood() -> None:
                with contextlib.suppress(ConnectionClosed, OSError):
                    for _ in range(40):
                        client.send(json.dumps(update))

            thread = threading.Thread(target=flood, daemon=True)
            thread.start()
            until(lambda: server.metric("asr_live_sessions") == 0)
            until(
                lambda: not server.connections or not hasattr(socket, "TCP_USER_TIMEOUT")
            )  # else once the client goes
            raw.shutdown(socket.SHUT_RDWR)
            thread.join(60)
            assert not thread.is_alive()


def test_a_stop_ends_sessions_with_their_last_words(start: Start, sound: Sound, model: Path) -> None:
    part = sound[: HIGH * 3]
    with contextlib.ExitStack() as clients:
        with start(grace_s=20) as server:
            client, other = (clients.enter_context(open_socket(server, path)) for path in (REALTIME, VOSK))
            client.send(append(part))
            event(client, f"{TEXT}.delta")
        found = closed(client, 1001)
        assert found[-1]["error"]["code"] == "stopping" and found[-2]["type"] == f"{TEXT}.completed"
        assert found[-2]["transcript"] == " ".join(one.text for one in streamed(model, part, HIGH)[0])
        assert "stopping" in closed(other, 1001)[0]["error"]


def test_a_vosk_client_gets_one_answer_to_each_message(server: Running, model: Path, sound: Sound) -> None:
    segments, words = streamed(model, sound, HIGH)
    with opened(server, VOSK) as client:
        client.send('{ "config" : { "sample_rate" : 24000 } }')
        answers = []
        for first in range(0, len(sound) * 2, 9601):  # odd: samples are cut
            client.send(sound.tobytes()[first : first + 9601])
            answers.append(json.loads(client.recv(30)))
        client.send('{"eof" : 1}')
        answers += closed(client, 1000)
    assert all(one.keys() in ({"partial"}, {"text"}, {"text", "result"}) for one in answers)
    partial = [one["partial"] for one in answers if one.get("partial")]
    assert partial and segments[0].text.startswith(partial[0][:1])
    results = [one for one in answers if "text" in one]
    assert [one["text"] for one in results] == [one.text for one in segments] != [""]
    found = [(one["word"], one["start"], one["end"], one["conf"]) for one in results for one in one["result"]]
    assert found == listed(words)


def test_a_vosk_client_chooses(server: Running, model: Path, sound: Sound) -> None:
    low = sound[: HIGH * 3 : 3].copy()  # of 8 kHz, which is vosk's rate where none is given
    expected = " ".join(one.text for one in streamed(model, low, 8000)[0])
    with opened(server, VOSK) as client:
        client.send('{"config": {"words": 0, "max_alternatives": 1, "phrase_list": ["[unk]"]}}')
        client.send(low.tobytes())
        client.recv(30)
        client.send('{"eof": 1}')
        (answer,) = json.loads(client.recv(30))["alternatives"]
    assert answer.keys() == {"confidence", "text"} and answer["text"] == expected and 0 < answer["confidence"] <= 1


def test_vosk_phrases_are_limited(server: Running, sound: Sound) -> None:
    with opened(server, VOSK) as client:
        client.send(json.dumps({"config": {"phrase_list": ["a" * 11_000]}}))
        client.send(sound[:100].tobytes())
        (answer,) = closed(client, 1007)
        assert "1 hotwords of 11,000 characters are too many" in answer["error"]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("no json", "no JSON"),
        ("[]", "send"),
        ("{}", "send"),
        ('{"eof": 0}', "send"),
        ('{"config": 1}', "config"),
        ('{"config": {"sample_rate": "high"}}', "config.sample_rate"),
        ('{"config": {"sample_rate": 0}}', "config.sample_rate"),
        ('{"config": {"sample_rate": 8000.5}}', "config.sample_rate"),
        ('{"config": {"phrase_list": "a"}}', "config.phrase_list"),
        ('{"config": {"format": "audio/flac"}}', "config.format"),
    ],
)
def test_what_vosk_has_no_form_for_ends_the_session(server: Running, message: str, said: str) -> None:
    with opened(server, VOSK) as client:
        client.send(message)
        (answer,) = closed(client, 1007)
        assert said in answer["error"]
