"""OpenAI's API as its JavaScript client uses it; `test_transcriptions.py` has the details with the Python client."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import asr
from asr.transcription import render_transcript
from tests.javascript.packages import FOLDER, node, npm_package
from tests.server.conftest import Start


@pytest.fixture(scope="module")
def answers(start: Start, recordings: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    npm_package("openai")
    (no_sound := tmp_path_factory.mktemp("javascript") / "notes.wav").write_text("no sound at all")
    with start(api_key="key") as server:
        command: list[str | Path] = [node(), FOLDER / "client.mjs", f"{server.address}/v1", recordings[2], no_sound]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    answered: dict[str, Any] = json.loads(ended.stdout)
    return answered


@pytest.fixture(scope="module")
def expected(model: Path, recordings: list[Path]) -> asr.Hypothesis:
    return asr.load_model(model, speech_gate=False).transcribe(recordings[2])


def test_every_format_holds_the_text_words_and_times(answers: dict[str, Any], expected: asr.Hypothesis) -> None:
    assert answers["models"] == ["tiny"]
    assert answers["json"]["text"] == answers["bytes"]["text"] == expected.text != ""
    assert (answers["text"], answers["srt"]) == (render_transcript(expected, "txt"), render_transcript(expected, "srt"))
    words = [(one["word"], one["start"], one["end"]) for one in answers["verbose"]["words"]]
    assert words == [
        (one.text, pytest.approx(one.start_s, abs=1e-5), pytest.approx(one.end_s, abs=1e-5)) for one in expected.words
    ]
    assert " ".join(one["text"] for one in answers["verbose"]["segments"]) == expected.text


def test_a_stream_is_iterated_event_by_event(answers: dict[str, Any], expected: asr.Hypothesis) -> None:
    *deltas, last = answers["events"]
    assert {one["type"] for one in deltas} == {"transcript.text.delta"} and last["type"] == "transcript.text.done"
    assert "".join(one["delta"] for one in deltas) == last["text"] == expected.text


@pytest.mark.parametrize(
    ("name", "kind", "status", "code", "says"),
    [
        ("no_sound", "BadRequestError", 400, "invalid_audio", "notes.wav: "),
        ("no_model", "NotFoundError", 404, "model_not_found", "tiny"),
        ("no_key", "AuthenticationError", 401, "invalid_api_key", "the API key is wrong"),
    ],
)
def test_an_error_is_the_clients_own(
    answers: dict[str, Any], name: str, kind: str, status: int, code: str, says: str
) -> None:
    failed = answers[name]
    assert (failed["class"], failed["status"], failed["code"]) == (kind, status, code)
    assert says in failed["message"]
