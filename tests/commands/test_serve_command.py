"""``asr serve`` as a process: how it starts, stops and refuses; and that all ways to a text give the same."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import asr
from asr import cli
from asr.server.options import named_models
from asr.shipped import find_starter

FILES = Path(__file__).resolve().parents[2] / "recipes" / "english"


@contextlib.contextmanager
def served(*words: Any, env: dict[str, str] | None = None) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address and the process."""
    pytest.importorskip("fastapi", reason="needs the extra [server]")
    command = [sys.executable, "-m", "asr", "serve", "--port", "0", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.fullmatch(r"asr: serving \S+ on (http://127\.0\.0\.1:\d+); Ctrl-C stops\n", line)
        assert found, line + process.stderr.read()
        yield found[1], process
    finally:
        process.kill()
        process.wait()


def post(address: str, path: Path, key: str = "", **fields: str) -> bytes:
    parts = [f'--cut\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{one}\r\n' for name, one in fields.items()]
    parts.append('--cut\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n')
    body = "".join(parts).encode() + path.read_bytes() + b"\r\n--cut--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=cut", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{address}/v1/audio/transcriptions", body, headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        content: bytes = answer.read()
    return content


@pytest.mark.skipif(find_starter() is None, reason="this checkout comes without the model english")
def test_the_command_line_python_and_the_server_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, rate = soundfile.read(FILES / "sentence.ogg")
    long = tmp_path / "long.wav"  # several windows and parts
    soundfile.write(long, np.concatenate([np.r_[sound, np.zeros(rate)]] * (60 * rate // len(sound))), rate)
    files = [FILES / "sentence.ogg", long]
    model = asr.load_model("english")
    with served(env={"ASR_API_KEY": "key"}) as (address, process):
        for path in files:
            assert cli.main(["transcribe", str(path), "--format", "json"]) == 0
            by_command = json.loads(capsys.readouterr().out)
            by_server = json.loads(post(address, path, "key", response_format="transcript"))
            heard = model.transcribe(path)
            keys = ("text", "words", "confidence", "cues", "score", "settings")
            assert {key: by_server[key] for key in keys} == {key: by_command[key] for key in keys}
            assert by_server["model"]["sha256"] == by_command["model"]["sha256"]
            assert by_server["text"] == heard.text and by_server["confidence"] == round(heard.confidence or 0, 6)
            assert [(one["word"], one["start_s"], one["end_s"], one["confidence"]) for one in by_server["words"]] == [
                (one.text, round(one.start_s, 6), round(one.end_s, 6), round(one.confidence, 6)) for one in heard.words
            ]
            assert len(heard.words) > 5
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr is not None and process.stderr.read() == ""


def test_models_are_called_after_their_folders(tmp_path: Path) -> None:
    words = ["runs/fsdd/model", "runs/an4/model/", "other=runs/x", "models/plain"]
    assert list(named_models(words)) == ["fsdd", "an4", "other", "plain"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a/model", "b/a"], "two models are called 'a' (a/model, b/a)"),
        (["=x"], "give a model directory, or NAME=DIRECTORY"),
        (["x", "--port", "70000"], "70000"),
        (["x", "--max-queue", "0"], "--max-queue"),
        (["x", "--decoder", "greedy", "--hotword", "a"], "--decoder greedy"),
        (["x", "--host", "no.such.host.invalid"], "choose another with --host"),
    ],
)
def test_wrong_arguments_are_named(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_taken_port_and_a_missing_model_are_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("fastapi", reason="needs the extra [server]")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert cli.main(["serve", str(tmp_path), "--port", str(port)]) == 2
        assert f"cannot listen on 127.0.0.1 port {port}" in capsys.readouterr().err
    assert cli.main(["serve", str(tmp_path / "none"), "--port", "0"]) == 1
    assert "none" in capsys.readouterr().err


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["serve", "x"]) == 2
    assert "pip install 'asr-bilstm[server]'" in capsys.readouterr().err
