"""OpenAI's API as its own client uses it: what each format holds, streams, models, errors, hotwords."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import asr
from asr.cli import main
from asr.transcription import render_transcript
from tests.server.conftest import Running, Start

openai = pytest.importorskip("openai", reason="needs OpenAI's client (pip install openai)")


@pytest.fixture(scope="module")
def server(start: Start, model: Path) -> Iterator[Running]:
    with start(models={"tiny": model, "whisper-1": model}) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Running) -> Any:
    return openai.OpenAI(base_url=f"{server.address}/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def expected(model: Path, recordings: list[Path]) -> list[asr.Hypothesis]:
    recognizer = asr.load_model(model, speech_gate=False)
    return [recognizer.transcribe(path) for path in recordings]


def ask(client: Any, path: Path, **fields: Any) -> Any:
    with path.open("rb") as file:
        return client.audio.transcriptions.create(file=file, **{"model": "tiny", **fields})


def test_json_holds_the_text(client: Any, recordings: list[Path], expected: list[asr.Hypothesis]) -> None:
    answer = ask(client, recordings[0])
    assert answer.text == expected[0].text != ""
    assert answer.usage.seconds == 1


@pytest.mark.parametrize(("name", "ours"), [("text", "txt"), ("srt", "srt"), ("vtt", "vtt")])
def test_formats_are_those_of_asr_transcribe(
    client: Any, recordings: list[Path], expected: list[asr.Hypothesis], name: str, ours: str
) -> None:
    assert ask(client, recordings[2], response_format=name) == render_transcript(expected[2], ours)


def test_verbose_json_has_words_with_times_and_segments_that_cover_them(
    client: Any, recordings: list[Path], expected: list[asr.Hypothesis]
) -> None:
    answer = ask(
        client,
        recordings[3],
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        language="en",
    )
    heard = expected[3]
    assert (answer.text, answer.duration, answer.language) == (heard.text, 120.0, "en")
    got = [(word.word, word.start, word.end, word.confidence) for word in answer.words]
    assert got == [
        (word.text, *(pytest.approx(one, abs=1e-5) for one in (word.start_s, word.end_s, word.confidence)))
        for word in heard.words
    ]
    assert " ".join(segment.text for segment in answer.segments) == heard.text
    assert [segment.id for segment in answer.segments] == list(range(len(answer.segments)))
    assert answer.segments[0].start == answer.words[0].start and answer.segments[-1].end == answer.words[-1].end
    assert all(one.end <= two.start for one, two in zip(answer.segments, answer.segments[1:], strict=False))
    assert all(segment.avg_logprob < 0 < segment.compression_ratio for segment in answer.segments)


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_all_faces_give_what_torch_gives(
    start: Start, model: Path, recordings: list[Path], capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    """Python, the command line, the server, and live sound that is heard to its end before it is decided."""
    path = recordings[2]
    whole = asr.load_model(model, speech_gate=False, backend="torch").transcribe(path)
    python = asr.load_model(model, speech_gate=False, backend=backend).transcribe(path)
    command = ["transcribe", str(model), str(path), "--no-speech-gate", "--backend", backend, "--format"]
    assert main([*command, "json"]) == 0
    (written,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert main([*command, "jsonl", "--stream", "--look-ahead-s", "30", "--pause-s", "30"]) == 0
    events = map(json.loads, capsys.readouterr().out.splitlines())
    (live,) = (event for event in events if event["kind"] == "segment")
    with start(backend=backend) as running:
        client = openai.OpenAI(base_url=f"{running.address}/v1", api_key="any", max_retries=0)
        served = ask(client, path, response_format="verbose_json", timestamp_granularities=["word"])
    keys = ("word", "start_s", "end_s", "confidence")
    faces = [[tuple(word[key] for key in keys) for word in face["words"]] for face in (written, live)]
    faces.append([(one.word, one.start, one.end, one.confidence) for one in served.words])
    assert {python.text, written["text"], live["text"], served.text} == {whole.text} and len(whole.words) > 30
    for face in faces:
        assert [word[:3] for word in face] == [
            (one.text, pytest.approx(one.start_s, abs=1e-5), pytest.approx(one.end_s, abs=1e-5)) for one in whole.words
        ]
        # onnxruntime's rounding, through the weights of this model, which are random and large
        assert [word[3] for word in face] == pytest.approx([one.confidence for one in whole.words], abs=5e-3)
    assert [one[3] for one in faces[0]] == pytest.approx([one.confidence for one in python.words], abs=1e-5)
    assert [one[3] for one in faces[2]] == pytest.approx([one.confidence for one in python.words], abs=1e-5)


def test_verbose_json_has_segments_only_unless_words_are_asked_for(client: Any, recordings: list[Path]) -> None:
    answer = ask(client, recordings[0], response_format="verbose_json")
    assert answer.segments and answer.words is None
    answer = ask(client, recordings[0], response_format="verbose_json", timestamp_granularities=["word"])
    assert answer.words and answer.segments is None


@pytest.mark.parametrize("number", [0, 3])
def test_a_stream_gives_the_text_in_parts_and_then_whole(
    client: Any, recordings: list[Path], expected: list[asr.Hypothesis], number: int
) -> None:
    events = list(ask(client, recordings[number], stream=True))
    assert {event.type for event in events[:-1]} == {"transcript.text.delta"}
    assert events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events[:-1]) == events[-1].text == expected[number].text
    assert number == 0 or len(events) > 5


def test_an_error_within_a_stream_reaches_the_client(client: Any, tmp_path: Path) -> None:
    (tmp_path / "no.wav").write_text("no sound")
    with pytest.raises(openai.APIError, match=r"no\.wav"):
        list(ask(client, tmp_path / "no.wav", stream=True))


def test_models_are_listed_and_found_by_name(client: Any, server: Running) -> None:
    assert [one.id for one in client.models.list()] == ["tiny", "whisper-1"]
    assert client.models.retrieve("whisper-1").id == "whisper-1"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("other")
    assert caught.value.body["code"] == "model_not_found" and "tiny, whisper-1" in caught.value.body["message"]


def test_a_recording_that_is_none_is_named_as_the_client_names_it(client: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("no sound at all")
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, tmp_path / "notes.wav")
    body = caught.value.body
    assert body["param"] == "file" and body["code"] == "invalid_audio" and body["type"] == "invalid_request_error"
    assert body["message"].startswith("notes.wav: ") and "/tmp" not in body["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "diarized_json"}, "response_format"),
        ({"temperature": 7}, "temperature"),
        ({"timestamp_granularities": ["letter"]}, "timestamp_granularities"),
        ({"prompt": "a, " * 101}, "prompt"),
        ({"model": "gpt-9"}, "model"),
    ],
)
def test_a_wrong_field_is_named(client: Any, recordings: list[Path], fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, recordings[0], **fields)
    assert caught.value.status_code == (404 if param == "model" else 400)
    assert caught.value.body["param"] == param and param in caught.value.body["message"]


def test_what_is_ignored_is_said(client: Any, recordings: list[Path]) -> None:
    with recordings[0].open("rb") as file:
        answer = client.audio.transcriptions.with_raw_response.create(
            file=file, model="tiny", temperature=0.5, include=["logprobs"], prompt="ab, Zoë"
        )
    assert answer.headers["x-asr-ignored"] == r"include, temperature, prompt (Zo\xeb)"
    assert len(answer.headers["x-request-id"]) == 32
    assert json.loads(answer.text)["text"]


def test_a_prompt_is_hotwords_as_on_the_command_line(
    client: Any, model: Path, recordings: list[Path], expected: list[asr.Hypothesis]
) -> None:
    hotwords = {"ab": 5.0, "cab": 5.0}
    recognizer = asr.load_model(model, speech_gate=False, decoding={"name": "beam", "hotwords": hotwords})
    heard = recognizer.transcribe(recordings[3]).text
    assert heard != expected[3].text and f" {heard} ".count(" ab ") > f" {expected[3].text} ".count(" ab ")
    assert ask(client, recordings[3], prompt="Ab; cab").text == heard
    assert ask(client, recordings[3]).text == expected[3].text, "the next request has none"
