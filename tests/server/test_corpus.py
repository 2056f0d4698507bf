"""The corpus of `asr serve --corpus`: its queue, corrections by several people, and what can be trained on then."""

import contextlib
import http.client
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile

import asr
from asr.data.manifest import read_manifest
from asr.transcription.drafts import drafting
from recipes.folder.prepare import prepare
from tests.random_model import RATE, save_random_model
from tests.server.conftest import Running, Start, until

PATH = "/corpus/segments"
JSON = {"Content-Type": "application/json"}


def ask(
    server: Running, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status, and the JSON or the bytes of the answer."""
    connection = http.client.HTTPConnection(urlsplit(server.address).netloc, timeout=60)
    with contextlib.closing(connection):
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request(method, path, content, {**JSON, **(headers or {})})
        answer = connection.getresponse()
        read = answer.read()
        return answer.status, json.loads(read) if answer.headers["content-type"] == "application/json" else read


def drafted(server: Running) -> dict[str, Any]:
    """The queue by recording, once all is drafted."""

    def queue() -> Any:
        status, answer = ask(server, "GET", f"{PATH}?order=recording&status=all")
        assert status == 200
        return answer if answer["drafting"]["done"] == answer["drafting"]["total"] else None

    until(queue, 60)
    found: dict[str, Any] = queue()
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, recordings: list[Path]) -> Path:
    """Two recordings: 20 s without a pause, and a short one of a speaker; and a file that is none."""
    made = tmp_path_factory.mktemp("pile")
    (made / "ann").mkdir()
    long, short = (soundfile.read(recordings[number], dtype="float32")[0] for number in (3, 4))
    soundfile.write(made / "two.wav", long[: 20 * RATE], RATE)
    soundfile.write(made / "ann" / "one.flac", short, RATE)
    (made / "broken.wav").write_text("no sound")
    return made


@pytest.fixture
def pile(folder: Path, tmp_path: Path) -> Path:
    made: Path = shutil.copytree(folder, tmp_path / "pile")
    return made


@pytest.fixture(scope="module", autouse=True)
def whole(folder: Path, model: Path) -> asr.Hypothesis:
    """The recording that is one segment; by the way, the beam search is compiled before a server waits for it."""
    return drafting(asr.load_model(model, speech_gate=False)).transcribe(folder / "ann" / "one.flac")


@pytest.fixture(scope="module")
def server(start: Start, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    own = shutil.copytree(folder, tmp_path_factory.mktemp("served") / "pile")
    with start(corpus=own) as running:
        yield running


def test_recordings_are_cut_and_drafted(server: Running, whole: asr.Hypothesis) -> None:
    found = drafted(server)
    assert [one["recording"] for one in found["segments"]] == ["ann/one.flac", "two.wav", "two.wav"]
    assert [one["speaker"] for one in found["segments"]] == ["ann", None, None]
    assert found["drafting"]["failed"][0]["recording"] == "broken.wav" and len(found["drafting"]["failed"]) == 1
    first, second = found["segments"][1:]
    assert first["start_s"] == 0 and 7.5 < first["end_s"] == second["start_s"] < 15 and second["end_s"] == 20
    state = ask(server, "GET", f"{PATH}/{first['id']}")[1]
    assert state["text"] == " ".join(word["text"] for word in state["words"]) != ""
    assert state["words"][-1]["end_s"] <= first["end_s"] - first["start_s"]
    assert state["text"] not in [one["text"] for one in state["alternatives"]] and len(state["alternatives"]) >= 2
    assert found["segments"][0]["text"] == whole.text and found["segments"][0]["confidence"] is not None


def test_a_segments_sound_is_that_of_the_recording(server: Running) -> None:
    one = drafted(server)["segments"][2]
    status, content = ask(server, "GET", f"{PATH}/{one['id']}/audio")
    sound, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    whole = soundfile.read(server.state.options.corpus / "two.wav", dtype="int16")[0]
    assert (status, rate) == (200, RATE)
    assert np.array_equal(sound, whole[round(one["start_s"] * RATE) : round(one["end_s"] * RATE)])


def test_two_people_do_not_overwrite_each_other_and_what_is_done_can_be_undone(server: Running) -> None:
    one = drafted(server)["segments"][1]
    path, before = f"{PATH}/{one['id']}", one["text"]

    def put(version: int, text: str, **more: Any) -> tuple[int, Any]:
        return ask(server, "PUT", path, {"text": text, "by": "ann", "version": version, "seconds": 4.5, **more})

    assert ask(server, "GET", path)[1]["can_undo"] is False
    status, state = put(0, " a  bad\ncab ")
    assert (status, state["text"], state["status"], state["version"]) == (200, "a bad cab", "corrected", 1)
    assert state["draft"]["text"] == before and state["draft"]["model"].startswith("tiny ") and state["warnings"] == []
    assert put(0, "a bad cab") == (200, state)  # the answer was lost, and it is sent again
    status, refused = put(0, "a bed", by="ben")
    assert status == 409 and refused["error"]["code"] == "stale_version" and refused["current"]["text"] == "a bad cab"
    status, state = put(1, "zebra", by="ben")
    assert state["version"] == 2 and "'rz'" in state["warnings"][0]  # not in the alphabet of the model
    assert put(2, "", status="skipped")[1]["status"] == "skipped"
    texts = []
    for version in (3, 4, 5):
        status, state = ask(server, "POST", f"{path}/undo", {"by": "ann", "version": version})
        texts.append((state["version"], state["status"], state["text"]))
    assert texts == [(4, "corrected", "zebra"), (5, "corrected", "a bad cab"), (6, "open", before)]
    assert ask(server, "POST", f"{path}/undo", {"by": "ann", "version": 5})[0] == 200  # the same one again
    assert ask(server, "POST", f"{path}/undo", {"by": "ben", "version": 5})[0] == 409
    status, refused = ask(server, "POST", f"{path}/undo", {"by": "ann", "version": 6})
    assert (status, refused["error"]["code"], state["can_undo"]) == (409, "nothing_to_undo", False)
    assert [(one["version"], one["by"], one["text"]) for one in state["history"]][:2] == [
        (1, "ann", "a bad cab"),
        (2, "ben", "zebra"),
    ]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"version": 0}, {}, 422),
        ({"text": " \n", "version": 0}, {}, 422),
        ({"text": "a\u0007b", "version": 0}, {}, 422),
        ({"text": "a" * 5001, "version": 0}, {}, 422),
        ({"text": "a", "version": -1}, {}, 422),
        ({"text": "a", "version": 0, "status": "open"}, {}, 422),
        (b'{"text": "\\ud800", "version": 0}', {}, 422),
        (b"a" * 65_000, {}, 413),
        ({"text": "a", "version": 0}, {"Content-Type": "text/plain"}, 415),
        ({"text": "a", "version": 0}, {"Origin": "https://example.org"}, 403),
    ],
)
def test_what_is_no_correction_is_refused(server: Running, body: Any, headers: dict[str, str], status: int) -> None:
    one = drafted(server)["segments"][2]
    got, answer = ask(server, "PUT", f"{PATH}/{one['id']}", body, headers)
    assert got == status and answer["error"]["message"]
    assert ask(server, "GET", f"{PATH}/{one['id']}")[1]["version"] == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [(f"{PATH}/0123456789abcdef", 404), (f"{PATH}/..%2f..%2ftwo.wav/audio", 404), (f"{PATH}?limit=501", 400)],
)
def test_what_is_not_there_is_not_found(server: Running, path: str, status: int) -> None:
    got, answer = ask(server, "GET", path)
    assert got == status and answer["error"]["message"]


def test_corrected_segments_can_be_trained_on(start: Start, pile: Path, tmp_path: Path) -> None:
    with start(corpus=pile, api_key="secret") as server:
        assert ask(server, "GET", PATH)[0] == 401
        key = {"Authorization": "Bearer secret"}
        until(lambda: ask(server, "GET", PATH, headers=key)[1]["total"] == 3, 60)
        for number, one in enumerate(ask(server, "GET", f"{PATH}?order=recording", headers=key)[1]["segments"]):
            change = {"text": f"{'abc'[number]} cab", "by": "ann", "version": 0, "seconds": 2.0}
            assert ask(server, "PUT", f"{PATH}/{one['id']}", change, key)[0] == 200
        until((pile / "corrected.jsonl").exists)
        assert ask(server, "GET", PATH, headers=key)[1]["counts"] == {"open": 0, "corrected": 3, "skipped": 0}
    found = read_manifest(pile / "corrected.jsonl")
    assert [(Path(one.audio).name, one.text, one.speaker) for one in found] == [
        ("one.flac", "a cab", "ann"),
        ("two.wav", "b cab", None),
        ("two.wav", "c cab", None),
    ]
    assert found[2].start_s > 7 and found[0].extra["seconds"] == 2.0 and found[0].extra["by"] == "ann"
    prepare(pile, tmp_path / "data", dev=0, test=0)  # of all that is in the folder, the manifest is what is read
    assert [one.text for one in read_manifest(tmp_path / "data" / "train.jsonl")] == ["a cab", "b cab", "c cab"]


def test_drafts_are_made_once_for_each_model_and_content(
    start: Start, pile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start(corpus=pile) as server:
        before = drafted(server)
        one = before["segments"][1]
        assert ask(server, "PUT", f"{PATH}/{one['id']}", {"text": "a cab", "version": 0})[0] == 200

    def refuse(*arguments: Any) -> None:
        raise AssertionError("drafted again")

    (pile / "two.wav").rename(pile / "moved.wav")
    shutil.copy(pile / "moved.wav", pile / "zzz copy.wav")
    with monkeypatch.context() as patch:
        patch.setattr("asr.server.corpus_drafting.draft", refuse)
        with start(corpus=pile) as server:
            again = drafted(server)
    assert [one["id"] for one in again["segments"]] == [one["id"] for one in before["segments"]]
    assert again["segments"][1]["recording"] == "moved.wav" and again["segments"][1]["text"] == "a cab"
    assert read_manifest(pile / "corrected.jsonl")[0].audio == str(pile / "moved.wav")

    (pile / "zzz copy.wav").unlink()
    soundfile.write(pile / "moved.wav", soundfile.read(pile / "moved.wav")[0][: 19 * RATE], RATE)
    other = save_random_model(tmp_path / "other" / "model", seed=5)
    with start(corpus=pile, models={"other": other}) as server:
        changed = drafted(server)
        state = ask(server, "GET", f"{PATH}/{changed['segments'][0]['id']}")[1]
    assert changed["segments"][0]["id"] == before["segments"][0]["id"]  # cut as before, drafted anew
    assert changed["segments"][0]["text"] != before["segments"][0]["text"] and state["words"]
    assert changed["segments"][1]["id"] != before["segments"][1]["id"] and changed["counts"]["corrected"] == 0
    assert not (pile / "corrected.jsonl").exists()  # the sound at those times may be another
