"""Live sound: OpenAI's client and vosk-server's protocol give the text of ``Recognizer.stream`` for the same sound."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import asr
from asr.audio.streaming import PushedSound, media_blocks
from asr.recognition import StreamEvent, Word
from tests.random_model import RATE
from tests.server.conftest import HIGH, Running, Sound, Start, until

pytest.importorskip("websockets", reason="needs the extra [server]")
from websockets.sync.client import ClientConnection, connect

TEXT = "conversation.item.input_audio_transcription"


@pytest.fixture(scope="module")
def server(start: Start) -> Iterator[Running]:
    with start() as running:
        yield running


def streamed(
    model: Path, sound: np.ndarray[Any, Any], rate: int, **options: float
) -> tuple[list[StreamEvent], list[Word]]:
    """Segments and words of ``Recognizer.stream``, all samples at once."""
    stream = asr.load_model(model, speech_gate=False).stream(rate, **options)
    events = [*stream.feed(sound), *stream.finish()]
    segments = [event for event in events if event.kind == "segment"]
    return segments, [word for event in segments for word in event.words]


def open_socket(server: Running, path: str = "/v1/realtime", **options: Any) -> ClientConnection:
    opened: ClientConnection = connect(server.address.replace("http", "ws") + path, **options)
    return opened


def append(sound: Sound) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(sound.tobytes()).decode()})


def event(socket: ClientConnection, kind: str) -> dict[str, Any]:
    """The next event of that kind; an error is a failure unless it is asked for."""
    while True:
        found: dict[str, Any] = json.loads(socket.recv(30))
        if found["type"] == kind:
            return found
        assert found["type"] != "error", found


def listed(words: list[Word]) -> list[tuple[Any, ...]]:
    near = [
        tuple(pytest.approx(one, abs=2e-6) for one in (word.start_s, word.end_s, word.confidence)) for word in words
    ]
    return [(word.text, *numbers) for word, numbers in zip(words, near, strict=True)]


@pytest.mark.parametrize("block", [2400, 10**6])
def test_openais_client_gets_an_item_for_each_segment_of_the_stream(
    server: Running, model: Path, sound: Sound, block: int
) -> None:
    openai = pytest.importorskip("openai", reason="needs OpenAI's client (pip install openai)")
    segments, words = streamed(model, sound, HIGH, pause_s=0.3)
    assert len(segments) > 1 and len(words) > 5
    client = openai.OpenAI(base_url=f"{server.address}/v1", api_key="any")
    with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        created = connection.recv()
        assert created.type == "session.created" and created.session.audio.input.format.rate == HIGH
        turns = {"type": "server_vad", "silence_duration_ms": 300}
        chosen = {"type": "transcription", "audio": {"input": {"turn_detection": turns}}}
        connection.session.update(session=chosen)
        updated = connection.recv()
        assert updated.type == "session.updated" and updated.session.audio.input.transcription.model == "tiny"
        assert updated.session.audio.input.turn_detection.silence_duration_ms == 300
        for first in range(0, len(sound), block):
            piece = sound[first : first + block].tobytes()
            connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())
        connection.input_audio_buffer.commit()
        events: dict[str, list[Any]] = {}
        deltas: dict[str, str] = {}
        while len(events.get(f"{TEXT}.completed", [])) < len(segments):
            one = connection.recv()
            events.setdefault(one.type, []).append(one)
            if one.type == f"{TEXT}.delta":
                deltas[one.item_id] = deltas.get(one.item_id, "") + one.delta
    completed = events[f"{TEXT}.completed"]
    assert [one.transcript for one in completed] == [segment.text for segment in segments]
    assert [deltas[one.item_id] for one in completed] == [segment.text for segment in segments]
    found = [(one["word"], one["start"], one["end"], one["confidence"]) for item in completed for one in item.words]
    assert found == listed(words)
    ids = [one.item_id for one in completed]
    for kind in ("speech_started", "speech_stopped", "committed"):
        assert [one.item_id for one in events[f"input_audio_buffer.{kind}"]] == ids
    assert [one.previous_item_id for one in events["input_audio_buffer.committed"]] == [None, *ids[:-1]]
    assert [one.item.id for one in events["conversation.item.done"]] == ids
    assert [one.audio_end_ms for one in events["input_audio_buffer.speech_stopped"]] == [
        round(segment.end_s * 1000) for segment in segments
    ]
    assert sum(one.usage.seconds for one in completed) == pytest.approx(segments[-1].end_s, abs=0.01)


def test_a_client_that_ends_turns_itself_gets_one_item_for_each_commit(
    server: Running, model: Path, sound: Sound
) -> None:
    low = sound[::3].copy()  # 8 kHz
    with open_socket(server) as socket:
        given = {"turn_detection": None, "format": {"type": "audio/pcm", "rate": RATE}, "transcription": None}
        include = ["item.input_audio_transcription.logprobs"]
        update = {"type": "session.update", "session": {"audio": {"input": given}, "include": include}}
        socket.send(json.dumps(update))
        assert event(socket, "session.updated")["session"]["audio"]["input"]["turn_detection"] is None
        half = len(low) // 2
        for part, start_s in ((low[:half], 0.0), (low[half:], half / RATE)):
            socket.send(append(part))
            socket.send('{"type": "input_audio_buffer.commit"}')
            kinds, texts = [], ""
            found: dict[str, Any] = {"type": ""}
            while found["type"] != f"{TEXT}.completed":
                found = json.loads(socket.recv(30))
                kinds.append(found["type"])
                texts += found.get("delta", "")
            segments, words = streamed(model, part, RATE)
            assert found["transcript"] == texts == " ".join(one.text for one in segments) != ""
            assert not any("speech" in kind for kind in kinds)
            moved = [Word(one.text, one.start_s + start_s, one.end_s + start_s, one.confidence) for one in words]
            assert [(one["word"], one["start"], one["end"], one["confidence"]) for one in found["words"]] == listed(
                moved
            )
            assert [round(np.exp(one["logprob"]), 3) for one in found["logprobs"]] == [
                round(max(one.confidence, 1e-6), 3) for one in words
            ]
            assert found["usage"] == {"type": "duration", "seconds": pytest.approx(len(part) / RATE, abs=2e-3)}


def test_partial_text_comes_before_its_words_settle(server: Running, sound: Sound) -> None:
    with open_socket(server) as socket:
        socket.send(append(sound))
        socket.send('{"type": "input_audio_buffer.commit"}')
        found: dict[str, Any] = {"type": ""}
        partial, seen = "", 0
        while found["type"] != f"{TEXT}.completed":
            found = json.loads(socket.recv(30))
            if found["type"] == f"{TEXT}.delta":
                seen += bool(partial and found["delta"])
                partial = found["partial"]
        assert seen


def test_what_is_cleared_is_not_transcribed(server: Running, model: Path, sound: Sound) -> None:
    with open_socket(server) as socket:
        socket.send(append(sound))
        socket.send('{"type": "input_audio_buffer.clear"}')
        event(socket, "input_audio_buffer.cleared")
        part = sound[: HIGH * 2]
        socket.send(append(part[:7]))
        socket.send(append(part[7:]))
        socket.send('{"type": "input_audio_buffer.commit"}')
        found = event(socket, f"{TEXT}.completed")
        segments, words = streamed(model, part, HIGH)
        assert found["transcript"] == segments[0].text
        assert found["words"][0]["start"] == pytest.approx(words[0].start_s + len(sound) / HIGH, abs=1e-5)


@pytest.mark.parametrize(("kind", "subtype"), [("audio/pcmu", "ULAW"), ("audio/pcma", "ALAW")])
def test_g711_is_decoded(server: Running, model: Path, sound: Sound, tmp_path: Path, kind: str, subtype: str) -> None:
    low, path = sound[: HIGH * 3 : 3].copy(), tmp_path / "sound.raw"
    soundfile.write(path, low, RATE, subtype=subtype, format="RAW")
    given = {"turn_detection": None, "format": {"type": kind}}
    with open_socket(server) as socket:
        socket.send(json.dumps({"type": "session.update", "session": {"audio": {"input": given}}}))
        audio = base64.b64encode(path.read_bytes()).decode()
        socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        socket.send('{"type": "input_audio_buffer.commit"}')
        found = event(socket, f"{TEXT}.completed")
    expected, _ = soundfile.read(
        path, format="RAW", subtype=subtype, channels=1, samplerate=RATE, dtype="int16", always_2d=False
    )
    assert abs(expected.astype(int) - low).max() < 1100, "the coarsest step of G.711 is 1024"
    assert found["transcript"] == " ".join(one.text for one in streamed(model, expected, RATE)[0]) != ""


def encoded(sound: Sound, kind: str) -> bytes:
    """Opus in Ogg or WebM, as browsers record it."""
    av, target = pytest.importorskip("av"), io.BytesIO()
    with av.open(target, "w", format=kind) as container:
        track = container.add_stream("libopus", rate=HIGH, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
        frame.sample_rate = HIGH
        for one in (frame, None):
            container.mux(track.encode(one))
    return target.getvalue()


@pytest.mark.parametrize(("kind", "reader"), [("ogg", "ogg"), ("webm", "matroska")])
def test_opus_is_decoded_as_it_comes(server: Running, model: Path, sound: Sound, kind: str, reader: str) -> None:
    """The file goes on behind a commit and an update; in vosk's protocol ``eof`` gives its last samples, too."""
    data, pushed = encoded(sound, kind), PushedSound(RATE, name="it", kind=reader)
    half = len(data) * 2 // 3
    with open_socket(server) as socket:
        given = {"turn_detection": None, "format": {"type": f"audio/{kind};codecs=opus"}}
        socket.send(json.dumps({"type": "session.update", "session": {"audio": {"input": given}}}))
        assert event(socket, "session.updated")["session"]["audio"]["input"]["format"]["type"] == f"audio/{kind}"
        for part in (data[:half], data[half:]):
            for start in range(0, len(part), 3000):
                audio = base64.b64encode(part[start : start + 3000]).decode()
                socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            socket.send('{"type": "input_audio_buffer.commit"}')
            segments, _ = streamed(model, np.concatenate(list(pushed.feed(part))), RATE)
            expected = " ".join(one.text for one in segments)
            assert event(socket, f"{TEXT}.completed")["transcript"] == expected != ""
            socket.send('{"type": "session.update", "session": {}}')
    pushed.close()
    segments, words = streamed(model, np.concatenate(list(media_blocks(io.BytesIO(data), RATE))), RATE)
    with open_socket(server, "/vosk") as socket:
        socket.send(json.dumps({"config": {"format": f"audio/{kind}"}}))
        answers = []
        for start in range(0, len(data), 3000):
            socket.send(data[start : start + 3000])
            answers.append(json.loads(socket.recv(30)))
        socket.send('{"eof": 1}')
        answers.append(json.loads(socket.recv(30)))
    assert " ".join(filter(None, (one.get("text") for one in answers))) == " ".join(one.text for one in segments)
    found = [(one["word"], one["start"], one["end"], one["conf"]) for each in answers for one in each.get("result", [])]
    assert found == listed(words)
    until(lambda: not any(thread.name == "asr-decode" for thread in threading.enumerate()))


def test_what_is_no_opus_is_said_and_the_next_file_is_read(server: Running, sound: Sound) -> None:
    webm = {"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/webm"}}}}}
    with open_socket(server) as socket:
        socket.send(json.dumps(webm))
        socket.send(append(sound))
        found = event(socket, "error")["error"]
        assert (found["code"], found["param"]) == ("invalid_audio", "audio") and "the sound: is not" in found["message"]
        audio = base64.b64encode(encoded(sound[:HIGH], "webm")).decode()
        socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
        socket.send('{"type": "input_audio_buffer.commit"}')
        assert event(socket, f"{TEXT}.completed")["transcript"]
    with open_socket(server, "/vosk") as socket:
        socket.send('{"config": {"format": "audio/ogg"}}')
        socket.send(b"no sound")
        assert json.loads(socket.recv(30)) == {"partial": ""}
        socket.send('{"eof": 1}')
        assert "the sound: is not" in json.loads(socket.recv(30))["error"]


BAD = [
    ("no json", "invalid_json", None),
    ("", "invalid_json", None),
    ("[1]", "invalid_json", None),
    ("[" * 10_000, "invalid_json", None),
    ('{"type": "\\ud800"}', "invalid_json", None),
    (b"\0\1", None, None),
    ("{}", None, "type"),
    ({"type": 7}, None, "type"),
    ({"type": "response.create"}, None, "type"),
    ({"type": "input_audio_buffer.append"}, None, "audio"),
    ({"type": "input_audio_buffer.append", "audio": [1]}, None, "audio"),
    ({"type": "input_audio_buffer.append", "audio": "ä"}, None, "audio"),
    ({"type": "input_audio_buffer.append", "audio": "AAA"}, None, "audio"),
    ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
    ({"type": "session.update"}, None, "session"),
    ({"type": "session.update", "session": {"type": "realtime"}}, None, "session.type"),
    ({"type": "session.update", "session": {"audio": 3}}, None, "session.audio"),
    ({"type": "session.update", "session": {"include": ["all"]}}, None, "session.include.0"),
]
BAD_INPUTS: list[tuple[dict[str, Any], str]] = [
    ({"format": {"type": "audio/flac"}}, "format.type"),
    ({"format": {"type": "audio/pcm;rate=16000"}}, "format.type"),
    ({"format": {"type": [1]}}, "format.type"),
    ({"format": {"rate": 10}}, "format.rate"),
    ({"format": {"rate": 10**9}}, "format.rate"),
    ({"format": {"rate": "fast"}}, "format.rate"),
    ({"turn_detection": {"type": "semantic_vad"}}, "turn_detection.type"),
    ({"turn_detection": {"silence_duration_ms": -1}}, "turn_detection.silence_duration_ms"),
    ({"transcription": {"delay": "none"}}, "transcription.delay"),
    ({"transcription": {"keywords": "one"}}, "transcription.keywords"),
    ({"transcription": {"keywords": [0] * 100_000}}, "transcription.keywords.0"),
]


def test_what_a_client_gets_wrong_is_answered_and_the_session_goes_on(server: Running, sound: Sound) -> None:
    cases: list[tuple[Any, str | None, str | None]] = [*BAD]
    for given, where in BAD_INPUTS:
        update = {"type": "session.update", "session": {"audio": {"input": given}}}
        cases.append((update, None, f"session.audio.input.{where}"))
    for given, code in (
        ({"model": "other" * 1000}, "model_not_found"),
        ({"keywords": ["a"] * 101}, None),
        ({"prompt": "a" * 11_000}, None),
    ):
        update = {"type": "session.update", "session": {"audio": {"input": {"transcription": given}}}}
        cases.append((update, code, "model" if code else "prompt"))
    with open_socket(server) as socket:
        event(socket, "session.created")
        for number, (message, code, param) in enumerate(cases):
            named = isinstance(message, dict)
            socket.send(json.dumps({**message, "event_id": f"e{number}"}) if named else message)
            found = json.loads(socket.recv(60))
            assert found["type"] == "error" and found["error"]["type"] == "invalid_request_error", message
            assert (found["error"]["code"], found["error"]["param"]) == (code or "invalid_request", param), message
            assert found["error"]["event_id"] == (f"e{number}" if named else None)
            assert 0 < len(found["error"]["message"]) < 400
        socket.send(append(sound[:HIGH]))
        socket.send('{"type": "session.update", "session": {}}')
        assert event(socket, "error")["error"]["code"] == "session_busy"
        socket.send('{"type": "input_audio_buffer.commit"}')
        assert event(socket, f"{TEXT}.completed")["transcript"]


def test_prompt_and_keywords_are_hotwords(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    served, given = server.state.models.get(""), {"transcription": {"keywords": ["Hag", "ÿ"], "prompt": "bad, head"}}
    asked: list[list[str]] = []

    def for_hotwords(words: list[str]) -> Any:
        asked.append(words)
        return served.recognizer

    monkeypatch.setattr(served, "for_hotwords", for_hotwords)
    with open_socket(server) as socket:
        socket.send(json.dumps({"type": "session.update", "session": {"audio": {"input": given}}}))
        event(socket, "session.updated")
    assert asked == [["bad", "head", "hag"]]
