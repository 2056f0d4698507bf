"""`asr transcribe --stream`: the same text from a file, raw sound and a format in a pipe; refusals in one sentence."""

import errno
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from asr import cli
from asr.pretrained import save_pretrained
from tests.recognition.test_streaming import RATE, make_recognizer, make_sound

EVERYTHING = ["--look-ahead-s", "50"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recognizer = make_recognizer()
    path = tmp_path_factory.mktemp("live") / "model"
    save_pretrained(path, recognizer.features, recognizer.model, recognizer.tokenizer, {})
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    soundfile.write(path, make_sound(4.0, 3), RATE, subtype="PCM_16")
    return path


def piped(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content), isatty=lambda: False))


def run(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str, str]:
    code = cli.main(["transcribe", *map(str, words), "--stream", "--no-speech-gate"])
    out, err = capsys.readouterr()
    return code, out, err


def test_files_raw_sound_and_formats_in_pipes_give_the_text_of_the_recording(
    model: Path, sound: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["transcribe", str(model), str(sound), "--no-speech-gate"]) == 0
    expected = capsys.readouterr().out
    assert len(expected.split()) > 5
    assert run(capsys, model, sound, *EVERYTHING) == (0, expected, "")
    samples = soundfile.read(sound, dtype="int16")[0]
    piped(monkeypatch, samples.astype("<i2").tobytes() + b"\0")
    assert run(capsys, model, "-", "--rate", RATE, *EVERYTHING) == (0, expected, "")
    pytest.importorskip("av")
    piped(monkeypatch, sound.read_bytes())
    assert run(capsys, model, "-", *EVERYTHING) == (0, expected, "")


def test_events_are_lines_of_json(model: Path, sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--chunk-s", "0.4", "--look-ahead-s", "0.2", "--format", "jsonl"]
    code, out, _ = run(capsys, model, sound, *options)
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and {event["kind"] for event in events} == {"words", "segment"}, "words are tokens here"
    words = [word for event in events if event["kind"] == "words" for word in event["words"]]
    assert [word for event in events if event["kind"] == "segment" for word in event["words"]] == words
    assert words[0].keys() == {"word", "start_s", "end_s", "confidence"}
    _, text, _ = run(capsys, model, sound, *options[:-2])
    assert text.splitlines() == [event["text"] for event in events if event["kind"] == "segment"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.wav", "b.wav", "--stream"], "--stream transcribes one recording"),
        (["a.wav", "--stream", "--format", "srt"], "--stream writes to the terminal, as txt or jsonl"),
        (["a.wav", "--stream", "--output-dir", "out"], "--stream writes to the terminal"),
        (["a.wav", "--stream", "--rate", "8000"], "--rate is for raw sound on standard input"),
        (["a.wav", "--format", "jsonl"], "jsonl is for live sound; give --stream"),
        (["a.wav", "--chunk-s", "1"], "--chunk-s is for live sound; give --stream"),
        (["microphone"], "microphone is for live sound; give --stream"),
        (["a.wav", "--stream", "--channels", "split"], "--channels split is for whole recordings"),
        (["a.wav", "--stream", "--backend", "onnx-int8"], "--backend onnx-int8: live sound is computed by torch"),
        (["a.wav", "--stream", "--batch-s", "60"], "--batch-s is for whole recordings"),
        (["a.wav", "--stream", "--workers", "1"], "--workers is for whole recordings"),
        (["a.wav", "--stream", "-r"], "--recursive is for whole recordings"),
        (["a.wav", "--stream", "--n-best", "2"], "--n-best is for whole recordings"),
        (["a.wav", "--stream", "--look-ahead-s", "99"], "look_ahead_s=99.0 must be 0 to 56 seconds"),
    ],
)
def test_what_does_not_go_together_is_refused(
    model: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["transcribe", str(model), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_pipe_that_is_no_sound_is_refused(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av")
    piped(monkeypatch, b"these are no samples " * 100)
    code, _, err = run(capsys, model, "-")
    assert code == 1 and "is not sound that can be read as it comes" in err


def test_what_was_heard_before_a_pipe_fails_is_written(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            if block := super().read1(size):
                return block
            raise OSError(errno.EIO, "Input/output error")

    content = np.round(make_sound(4.0, 3) * 32767).astype("<i2").tobytes()
    piped(monkeypatch, content)
    code, expected, _ = run(capsys, model, "-", "--rate", RATE)
    assert code == 0 and len(expected.split()) > 5
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Failing(content), isatty=lambda: False))
    code, out, err = run(capsys, model, "-", "--rate", RATE)
    assert (code, out) == (1, expected) and "standard input: cannot be read" in err


def test_without_a_microphone_one_sentence_says_so(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    code, _, err = run(capsys, model, "microphone")
    assert code == 1 and "pip install 'asr-bilstm[microphone]'" in err


def test_the_end_of_a_microphone_is_ctrl_c(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Device:
        def __init__(self, **options: Any) -> None:
            assert options == {"samplerate": RATE, "channels": 1, "dtype": "float32", "blocksize": RATE // 10}
            self.rest = make_sound(2.0, 3)

        def __enter__(self) -> "Device":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def read(self, size: int) -> tuple[np.ndarray, bool]:
            if not len(self.rest):
                raise KeyboardInterrupt
            block, self.rest = self.rest[:size], self.rest[size:]
            return block[:, None], False

    monkeypatch.setitem(
        sys.modules, "sounddevice", SimpleNamespace(InputStream=Device, PortAudioError=type("E", (Exception,), {}))
    )
    code, out, _ = run(capsys, model, "microphone", *EVERYTHING)
    assert code == 0 and len(out.split()) > 3
