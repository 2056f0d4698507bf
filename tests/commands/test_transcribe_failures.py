"""`asr transcribe`: what happens when something goes wrong, and which options are refused."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from asr import cli
from asr.commands.transcribe import build_parser, transcribe_options
from asr.files import atomic_path
from asr.transcription.options import TranscribeOptions
from tests.transcribe_stub import Stub, asr, recordings, tree


def parse_options(arguments: list[str]) -> TranscribeOptions:
    return transcribe_options(build_parser().parse_intermixed_args(arguments))


# --- failures --------------------------------------------------------------------------------------------------------


def test_failures_are_kept_and_forgotten_when_they_are_gone(
    stub: Stub, model: Path, tmp_path: Path, capsys: Any
) -> None:
    folder, out = recordings(tmp_path / "in", a_wav="one", b_wav="BAD", c_wav="three"), tmp_path / "out"
    assert asr(model, folder, folder / "x.wav", "--output-dir", out) == 1
    found = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert [(one["path"], one["message"]) for one in found] == [
        (f"{folder}/b.wav", f"{folder}/b.wav: is damaged"),
        (f"{folder}/x.wav", f"{folder}/x.wav: no such file"),
    ]
    assert all(one["time"].startswith("20") for one in found)
    assert "2 transcribed, 2 failed" in capsys.readouterr().err
    assert tree(out) == ["a.txt", "c.txt", "failures.jsonl"]
    (folder / "b.wav").write_text("two")
    assert asr(model, folder, "--output-dir", out, "--skip-existing") == 0
    assert stub.names[-1] == "b.wav" and tree(out) == ["a.txt", "b.txt", "c.txt"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_done_and_the_same_command_goes_on(
    stub: Stub, model: Path, tmp_path: Path, capsys: Any, number: int, code: int
) -> None:
    folder, out = recordings(tmp_path / "in", a_wav="one", b_wav="two", c_wav="three"), tmp_path / "out"
    handler = signal.getsignal(signal.SIGTERM)
    stub.before = lambda path: os.kill(os.getpid(), number) if path.name == "c.wav" else None
    assert asr(model, folder, "--output-dir", out) == code
    said = capsys.readouterr().err
    assert "stopped with 2 of 3 recordings done; rerun the command with --skip-existing to resume" in said
    assert tree(out) == ["a.txt", "b.txt"]
    assert signal.getsignal(signal.SIGTERM) == handler
    stub.before, stub.asked = lambda path: None, []
    assert asr(model, folder, "--output-dir", out, "--skip-existing") == 0
    assert stub.names == ["c.wav"] and tree(out) == ["a.txt", "b.txt", "c.txt"]


def test_a_full_disk_ends_the_run_and_one_bad_folder_does_not(
    stub: Stub, model: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    from asr.transcription import outputs

    folder = recordings(tmp_path / "in", a_wav="one", b_wav="two")
    fault = OSError(28, "No space left on device", "a.txt")

    def fail(path: Path, text: str) -> None:
        raise fault

    monkeypatch.setattr(outputs, "write_text", fail)
    assert asr(model, folder, "--output-dir", tmp_path / "out") == 1
    assert "the disk is full" in capsys.readouterr().err and stub.names == ["a.wav"]
    fault = PermissionError(13, "Permission denied", "a.txt")
    assert asr(model, folder, "--beside") == 1
    assert capsys.readouterr().err.count("cannot be written (Permission denied)") == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_one_line(
    stub: Stub, model: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    folder = recordings(tmp_path / "in", a_wav="one", b_wav="two")
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert asr(model, folder) == 1
        monkeypatch.undo()
    assert "the disk is full" in capsys.readouterr().err


def test_a_reader_that_goes_away_ends_it_quietly(
    stub: Stub, model: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with monkeypatch.context() as patch, os.fdopen(writing, "w") as stream:
        patch.setattr(sys, "stdout", stream)
        assert asr(model, recordings(tmp_path / "in", a_wav="one", b_wav="two")) == 141
    assert stub.names == ["a.wav"] and "error" not in capsys.readouterr().err


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/nowhere"])
def test_an_output_folder_that_cannot_be_is_told_before_the_work(
    stub: Stub, model: Path, tmp_path: Path, capsys: Any, place: str
) -> None:
    (tmp_path / "file").write_text("")
    assert asr(model, recordings(tmp_path / "in", a_wav="a"), "--output-dir", tmp_path / place) == 2
    assert "choose another folder" in capsys.readouterr().err and not stub.asked


# --- options ---------------------------------------------------------------------------------------------------------


def test_srt_of_several_on_the_terminal_is_refused(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = recordings(tmp_path / "in", a_wav="one", b_wav="two")
    assert asr(model, folder, "--format", "srt") == 2
    assert "srt is a format of one recording" in capsys.readouterr().err
    assert asr(model, folder / "a.wav", "--format", "srt") == 0
    assert capsys.readouterr().out.startswith("1\n00:00:00,000 --> ")


def test_decoder_options_arrive_as_the_decoders_keys(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text("")
    words = [
        "--lm",
        str(tmp_path / "lm.arpa"),
        "--lm-weight",
        "0.7",
        "--hotword",
        "new york:2.5",
        "--hotword",
        "ann",
        "--n-best",
        "5",
    ]
    assert parse_options(["english", "a.wav", *words]).decoder.given() == {
        "name": "beam",
        "language_model": str(tmp_path / "lm.arpa"),
        "lm_weight": 0.7,
        "hotwords": {"new york": 2.5, "ann": 5.0},
        "n_best": 5,
    }
    assert parse_options(["english", "a.wav"]).decoder.given() == {}


def test_a_name_that_is_too_long_fails_alone_or_is_shortened(
    stub: Stub, model: Path, tmp_path: Path, capsys: Any
) -> None:
    """255 bytes is the longest name of a file; "ü" has two."""
    folder = recordings(tmp_path / "in", a_wav="one")
    for name in ("ü" * 125 + ".wav", "ü" * 124 + "vv.wav"):
        (folder / name).write_text("long")
    beyond = tmp_path / ("x" * 300 + ".wav")
    assert asr(model, folder, beyond, "--output-dir", tmp_path / "out", "--format", "txt,textgrid") == 1
    said = capsys.readouterr().err
    assert "3 transcribed, 1 failed" in said and said.count("asr: error[") == 1
    made = tree(tmp_path / "out")
    assert len(made) == 7 and "a.txt" in made and len({name.rpartition(".")[0] for name in made}) == 4
    assert max(len(os.fsencode(name)) for name in made) <= 255
    assert asr(model, folder, "--output-dir", tmp_path / "out", "--format", "txt,textgrid", "--skip-existing") == 0
    assert "3 already up to date" in capsys.readouterr().err


def test_a_folder_whose_index_cannot_be_read_fails_alone(
    stub: Stub, model: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    folder, locked = recordings(tmp_path / "in", a_wav="one"), recordings(tmp_path / "locked", b_wav="two")
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:  # root, as which tests may run, is denied nothing
        if path.parent == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert asr(model, folder, locked, "--beside") == 1
    assert "cannot be read (Permission denied)" in capsys.readouterr().err
    assert tree(folder) == ["a.txt", "a.wav"] and tree(locked) == ["b.wav"]


def test_nothing_to_transcribe_leaves_nothing_behind(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    recordings(tmp_path / "in" / "sub", a_wav="a")
    assert asr(model, tmp_path / "in", "--output-dir", tmp_path / "out") == 1
    assert "-r searches its subfolders" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_what_a_killed_job_left_half_written_is_removed(stub: Stub, model: Path, tmp_path: Path) -> None:
    folder, out = recordings(tmp_path / "in" / "deep", a_wav="one").parent, tmp_path / "out"
    code = (
        "import os, signal, sys; from pathlib import Path; from asr.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    with atomic_path(out / "other.txt") as being_written:  # first: each process cleans up at its first file in a folder
        for place in (out, out / "deep"):
            subprocess.run([sys.executable, "-c", code, str(place / "a.txt")], check=False)
        assert len(tree(out)) == 3
        assert asr(model, "-r", folder, "--output-dir", out) == 0
        assert tree(out) == sorted([being_written.name, "deep/a.txt"])


def test_no_word_in_any_recording_is_said(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = recordings(tmp_path / "in", a_wav="", b_wav=" ")
    assert asr(model, folder) == 0
    assert (
        "no word was recognised in any of the 2 recordings: there is no speech by the speech gate"
        in (said := capsys.readouterr().err)
        and "trained too little" in said
    )
    assert asr(model, folder / "a.wav", "--no-speech-gate") == 0
    assert "in the recording: the model is trained" in capsys.readouterr().err
    (folder / "b.wav").write_text("two")
    assert asr(model, folder) == 0 and "no word" not in capsys.readouterr().err


def test_names_cannot_move_the_cursor_or_forge_a_line(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = recordings(tmp_path / "in")
    name = "a\x1b[2J\nasr: all is well\r.wav"
    (folder / name).write_text("BAD")
    (folder / f"b{name}").write_text("two")
    assert asr(model, folder, "--output-dir", tmp_path / "out") == 1
    assert asr(model, folder) == 1
    found = capsys.readouterr()
    for text in (found.out, found.err):
        assert "a\\x1b[2J\\nasr: all is well\\r.wav" in text
        assert "\x1b" not in text and "\r" not in text and "\nasr: all" not in text


def test_the_terminal_gets_no_escape_sequence_that_is_not_ours(tmp_path: Path) -> None:
    """Whatever verb prints it: a model directory's name, a token, a field of a manifest."""
    (tmp_path / "bad.jsonl").write_text(json.dumps({"id": "\x1b]0;owned\x07\nasr: done", "audio": "\x1b[2J"}) + "\n")
    for words in (["check", "bad.jsonl"], ["score", "bad.jsonl", "no\x1b[2J\nasr: done"], ["\x1b[2J"]):
        found = subprocess.run(
            [sys.executable, "-m", "asr", *words], capture_output=True, text=True, cwd=tmp_path, check=False,
            env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])},
        )  # fmt: skip
        assert found.returncode in (1, 2)
        assert "\x1b" not in found.stdout + found.stderr and "\nasr: done" not in found.stdout + found.stderr
