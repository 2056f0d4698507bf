"""`asr transcribe`: what a person may name, where transcripts go, and what happens when something goes wrong."""

import io
import json
import os
import signal
import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr import cli
from asr.commands import _transcribe_work as work
from asr.commands._ledger import NAME as LEDGER
from asr.commands._transcribe_options import parse_options
from asr.decoding.config import DecodingConfig
from asr.errors import AsrError, AudioError, UsageError
from asr.formats import FORMATS
from asr.recognition.hypothesis import Hypothesis, Word


class Stub:
    """A recogniser that reads a "recording" as its text; "BAD" cannot be read; it keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Path] = []
        self.options: dict[str, Any] = {}
        self.decoding = DecodingConfig(name="beam", beam_width=7)  # as decoding.json in the model directory may ask
        self.before: Any = lambda path: None

    def transcribe_files(
        self, paths: Iterable[Path], *, progress: Any = None, **options: Any
    ) -> Generator[tuple[Path, Hypothesis | AsrError], None, None]:
        self.options = options
        for path in paths:
            self.asked.append(path)
            self.before(path)
            progress(len(self.asked), len(self.asked))
            yield path, self._hear(path)

    def _hear(self, path: Path) -> Hypothesis | AsrError:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return AudioError(f"{path}: no such file")
        if text == "BAD":
            return AudioError(f"{path}: is damaged")
        words = tuple(Word(word, index * 0.5, index * 0.5 + 0.4, 0.9) for index, word in enumerate(text.split()))
        return Hypothesis(text=text, score=-1.0, duration_s=1.0 + len(words), words=words, confidence=0.9)

    @property
    def names(self) -> list[str]:
        return [path.name for path in self.asked]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    made = Stub()
    monkeypatch.setattr(work, "build_recognizer", lambda options: made)
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"sha256": {"model.safetensors": "abc"}}')
    return tmp_path / "model"


def recordings(folder: Path, **texts: str) -> Path:
    """Files such as a.wav for a_wav="text"."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / ".".join(name.rsplit("_", 1))).write_text(text, encoding="utf-8")
    return folder


def asr(model: Path, *words: Any) -> int:
    return cli.main(["transcribe", str(model), *map(str, words)])


def tree(folder: Path) -> list[str]:
    """All files below ``folder`` but the ledgers."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != LEDGER)
    return sorted(path.relative_to(folder).as_posix() for path in found)


# --- on the terminal -------------------------------------------------------------------------------------------------


def test_one_file_prints_its_text_alone_and_several_their_names(
    stub: Stub, model: Path, tmp_path: Path, capsys: Any
) -> None:
    folder = recordings(tmp_path / "in", a_wav="one two", b_wav="three")
    assert asr(model, folder / "a.wav") == 0
    assert capsys.readouterr().out == "one two\n"
    assert asr(model, folder / "b.wav", folder / "a.wav") == 0
    assert capsys.readouterr().out == f"{folder}/b.wav\tthree\n{folder}/a.wav\tone two\n"
    assert asr(model, recordings(tmp_path / "single", c_wav="x")) == 0
    assert capsys.readouterr().out == f"{tmp_path}/single/c.wav\tx\n", "a folder's lines look the same however many"


def test_a_bad_file_is_named_and_the_rest_goes_on(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = recordings(tmp_path / "in", a_wav="one", b_wav="BAD", c_wav="three")
    assert asr(model, *(folder / f"{name}.wav" for name in "axbc")) == 1
    found = capsys.readouterr()
    assert found.out.splitlines() == [f"{folder}/a.wav\tone", f"{folder}/c.wav\tthree"]
    assert f"asr: error: {folder}/x.wav: no such file" in found.err and f"{folder}/b.wav: is damaged" in found.err


@pytest.mark.parametrize("options", [(), ("--output-dir", "out")])
def test_a_transcript_that_cannot_be_rendered_is_its_recordings_failure(
    stub: Stub, model: Path, tmp_path: Path, monkeypatch: Any, capsys: Any, options: tuple[str, ...]
) -> None:
    folder = recordings(tmp_path / "in", a_wav="one", b_wav="two", c_wav="three")
    render = work.render_transcript

    def fails(hypothesis: Hypothesis, *rest: Any) -> str:
        return str(hypothesis.text.index("t")) if hypothesis.text == "one" else render(hypothesis, *rest)

    monkeypatch.setattr(work, "render_transcript", fails)
    monkeypatch.chdir(tmp_path)
    assert asr(model, folder, *options) == 1
    said = capsys.readouterr()
    assert "a.wav: internal error in writing txt: ValueError: substring not found" in said.err
    written = "".join(path.read_text() for path in sorted(tmp_path.glob("out/*.txt"))) if options else said.out
    assert "two" in written and "three" in written


def test_a_file_name_of_any_bytes_is_transcribed_to_every_format(stub: Stub, model: Path, tmp_path: Path) -> None:
    folder = recordings(tmp_path / "in", a_wav="one")
    os.rename(folder / "a.wav", os.fsencode(folder) + b"/b\xff.wav")
    assert asr(model, folder, "--output-dir", tmp_path / "out", "--format", ",".join(FORMATS)) == 0
    assert len(list((tmp_path / "out").glob("b*"))) == len(FORMATS)


def test_json_on_the_terminal_is_an_object_a_line(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = recordings(tmp_path / "in", a_wav="one two", b_wav="three")
    assert asr(model, folder, "--format", "json", "--channel", "1") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["text"] for one in found] == ["one two", "three"]
    assert found[0]["audio"] == {"path": f"{folder}/a.wav", "channel": 1, "duration_s": 3.0}
    assert found[0]["model"] == {"path": str(model), "sha256": "abc"}
    assert (found[0]["settings"]["decoding"]["name"], found[0]["settings"]["decoding"]["beam_width"]) == ("beam", 7)
    assert stub.options["channel"] == 1


def test_standard_input_is_a_recording(stub: Stub, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped text")))
    assert asr(model, "-") == 0
    assert capsys.readouterr().out == "piped text\n"
    assert not stub.asked[0].exists(), "what was kept of it is gone"


def test_a_fault_of_standard_input_is_told_by_that_name(stub: Stub, model: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"BAD")))
    assert asr(model, "-") == 1
    assert "asr: error: -: is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a b.wav", "ü'\"日本.wav", "-x.wav", "a=b(1).wav", "new\nline.wav", "*\t.wav"])
def test_no_file_name_is_special(
    stub: Stub, model: Path, tmp_path: Path, name: str, monkeypatch: Any, capsys: Any
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / name).write_text("text", encoding="utf-8")
    monkeypatch.chdir(folder)
    assert asr(model, f"./{name}") == 0
    assert asr(model, "--", name) == 0
    assert asr(model, ".", "--output-dir", tmp_path / "out") == 0
    assert tree(tmp_path / "out") == [name.removesuffix(".wav") + ".txt"]
    assert asr(model, ".", tmp_path / "nothing.wav") == 1
    assert len(capsys.readouterr().out.splitlines()) == 3, "one line a recording"


def test_words_of_the_command_line_come_in_any_order(model: Path) -> None:
    options = parse_options(["--format", "srt,json,SRT", str(model), "a.wav", "--beside", "b.wav"])
    assert (options.model, options.paths, options.formats) == (model, ("a.wav", "b.wav"), ("srt", "json"))


# --- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_means_its_own_recordings_and_r_those_below(stub: Stub, model: Path, tmp_path: Path) -> None:
    folder = recordings(tmp_path / "in", b_wav="b", a_m4a="a", notes_txt="no", hidden_wav="h")
    (folder / "hidden.wav").rename(folder / "._hidden.wav")
    recordings(folder / "deep" / "er", c_FLAC="c")
    assert asr(model, folder) == 0 and stub.names == ["a.m4a", "b.wav"]
    stub.asked.clear()
    assert asr(model, "-r", folder, folder / "b.wav") == 0
    assert stub.names == ["a.m4a", "b.wav", "c.FLAC"], "each once"


def test_links_in_a_circle_end(stub: Stub, model: Path, tmp_path: Path) -> None:
    folder = recordings(tmp_path / "in" / "sub", a_wav="a").parent
    (folder / "sub" / "up").symlink_to("..")
    recordings(tmp_path / "elsewhere", b_wav="b")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    assert asr(model, "-r", folder) == 0
    assert stub.names == ["b.wav", "a.wav"]


def test_an_empty_folder_is_a_failure_with_advice(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    recordings(tmp_path / "in" / "sub", a_wav="a")
    assert asr(model, tmp_path / "in") == 1
    assert "holds no recordings" in (said := capsys.readouterr().err) and "-r looks" in said


def test_a_folder_that_cannot_be_read_is_a_failure(
    stub: Stub, model: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    folder = recordings(tmp_path / "in", a_wav="a")
    recordings(folder / "locked", b_wav="b")
    real = os.scandir

    def scandir(path: Any) -> Any:  # root, as which tests may run, is denied nothing
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert asr(model, "-r", folder) == 1
    found = capsys.readouterr()
    assert found.out == f"{folder}/a.wav\ta\n" and "locked: the folder cannot be read (Permission denied)" in found.err


# --- into files ------------------------------------------------------------------------------------------------------


def test_the_tree_is_kept_and_every_format_is_written(stub: Stub, model: Path, tmp_path: Path) -> None:
    folder = recordings(tmp_path / "in", a_wav="one two")
    recordings(folder / "x" / "y", b_mp3="three")
    assert asr(model, "-r", folder, "--output-dir", tmp_path / "out", "--format", ",".join(FORMATS)) == 0
    endings = ["TextGrid", "ctm", "json", "srt", "tsv", "txt", "vtt"]
    assert tree(tmp_path / "out") == [f"{stem}.{ending}" for stem in ("a", "x/y/b") for ending in endings]
    assert (tmp_path / "out" / "a.txt").read_text() == "one two\n"
    assert (tmp_path / "out" / "a.srt").read_text() == "1\n00:00:00,000 --> 00:00:01,000\none two\n\n"
    assert (tmp_path / "out" / "x" / "y" / "b.ctm").read_text() == "b 1 0.000 0.400 three 0.900\n"


def test_names_never_clash(stub: Stub, model: Path, tmp_path: Path) -> None:
    folder = recordings(tmp_path / "in", a_wav="wav", a_mp3="mp3", A_flac="flac", b_wav="b")
    out = tmp_path / "out"
    assert asr(model, folder, "--output-dir", out) == 0
    assert tree(out) == ["A.flac.txt", "a.mp3.txt", "a.wav.txt", "b.txt"]
    recordings(folder, b_ogg="late")
    assert asr(model, folder / "b.ogg", "--output-dir", out) == 0
    assert (out / "b.txt").read_text() == "b\n" and (out / "b.ogg.txt").read_text() == "late\n"
    assert asr(model, folder, "--output-dir", out, "--skip-existing") == 0
    assert tree(out) == ["A.flac.txt", "a.mp3.txt", "a.wav.txt", "b.ogg.txt", "b.txt"], "a file keeps its name"


def test_equal_names_of_several_folders_keep_their_folders(stub: Stub, model: Path, tmp_path: Path) -> None:
    one, two = recordings(tmp_path / "d1", a_wav="1"), recordings(tmp_path / "d2", a_wav="2")
    assert asr(model, one / "a.wav", two / "a.wav", "--output-dir", tmp_path / "files") == 0
    assert asr(model, one, two, "--output-dir", tmp_path / "folders") == 0
    assert tree(tmp_path / "files") == tree(tmp_path / "folders") == ["d1/a.txt", "d2/a.txt"]


def test_beside_the_input(stub: Stub, model: Path, tmp_path: Path) -> None:
    folder = recordings(tmp_path / "in", a_mp4="film", b_wav="wav", b_mp3="mp3")
    assert asr(model, folder / "a.mp4", folder / "b.wav", "--beside", "--format", "srt") == 0
    assert tree(folder) == ["a.mp4", "a.srt", "b.mp3", "b.wav", "b.wav.srt"], "b.mp3 has as good a claim on b.srt"


def test_a_file_that_is_not_ours_is_never_overwritten(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = recordings(tmp_path / "in", a_wav="heard", a_txt="the true text", b_wav="b")
    assert asr(model, folder, "--beside") == 1
    assert (folder / "a.txt").read_text() == "the true text" and (folder / "b.txt").read_text() == "b\n"
    assert f"{folder}/a.txt: stands there and was not written by this command" in capsys.readouterr().err
    assert stub.names == ["b.wav"], "it is refused before the work"
    assert asr(model, folder, "--beside", "--overwrite") == 0
    assert (folder / "a.txt").read_text() == "heard\n"
    (folder / "a.txt").write_text("corrected by hand")
    assert asr(model, folder, "--beside") == 1 and asr(model, folder, "--beside", "--skip-existing") == 0
    assert (folder / "a.txt").read_text() == "corrected by hand"


def test_its_own_transcripts_are_no_recordings(stub: Stub, model: Path, tmp_path: Path) -> None:
    folder = recordings(tmp_path / "in", a_wav="a")
    for _ in range(2):
        assert asr(model, "-r", folder, "--output-dir", folder / "out", "--format", ",".join(FORMATS)) == 0
    assert stub.names == ["a.wav", "a.wav"]


# --- again -----------------------------------------------------------------------------------------------------------


def test_what_stands_is_left_out_until_something_changes(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    folder, out = recordings(tmp_path / "in", a_wav="one", b_wav="two"), tmp_path / "out"

    def again(*more: str) -> list[str]:
        stub.asked.clear()
        assert asr(model, folder, "--output-dir", out, "--skip-existing", *more) == 0
        return stub.names

    assert again() == ["a.wav", "b.wav"]
    assert again() == []
    assert "0 transcribed, 2 stood already" in capsys.readouterr().err
    (folder / "a.wav").write_text("another")
    assert again() == ["a.wav"] and (out / "a.txt").read_text() == "another\n"
    os.utime(folder / "b.wav", ns=(1, 1))
    assert again() == ["b.wav"]
    assert again("--format", "txt,srt") == ["a.wav", "b.wav"]
    assert again() == again("--format", "srt") == [], "each format stands"
    (out / "b.srt").unlink()
    assert again("--format", "srt") == ["b.wav"]
    assert again("--no-speech-gate") == ["a.wav", "b.wav"]
    assert again() == ["a.wav", "b.wav"], "other settings, other transcripts"
    (model / "config.json").write_text('{"sha256": {"model.safetensors": "other"}}')
    assert again() == ["a.wav", "b.wav"]
    (model / "calibration.json").write_text("{}")
    assert again() == ["a.wav", "b.wav"]


def test_nothing_to_do_needs_no_recogniser(stub: Stub, model: Path, tmp_path: Path, monkeypatch: Any) -> None:
    folder = recordings(tmp_path / "in", a_wav="one")
    assert asr(model, folder, "--output-dir", tmp_path / "out") == 0
    monkeypatch.setattr(work, "build_recognizer", lambda options: pytest.fail("built"))
    assert asr(model, folder, "--output-dir", tmp_path / "out", "--skip-existing") == 0


def test_a_ledger_that_was_cut_short_is_read_as_far_as_it_goes(stub: Stub, model: Path, tmp_path: Path) -> None:
    folder, out = recordings(tmp_path / "in", a_wav="one", b_wav="two"), tmp_path / "out"
    assert asr(model, folder, "--output-dir", out) == 0
    whole = (out / LEDGER).read_bytes()
    (out / LEDGER).write_bytes(whole[:-20])
    stub.asked.clear()
    assert asr(model, folder, "--output-dir", out, "--skip-existing", "--overwrite") == 0
    assert stub.names == ["b.wav"]
    assert asr(model, folder, "--output-dir", out, "--skip-existing") == 0
    assert stub.names == ["b.wav"]


@pytest.mark.parametrize("moment", ["ledger", "first file"])
def test_a_crash_between_two_files_is_made_good(
    stub: Stub, model: Path, tmp_path: Path, monkeypatch: Any, moment: str
) -> None:
    from asr.commands import _transcripts

    folder, out = recordings(tmp_path / "in", a_wav="one"), tmp_path / "out"
    assert asr(model, folder, "--output-dir", out, "--format", "txt,srt") == 0
    (folder / "a.wav").write_text("another text")
    real, written = _transcripts.write_text, []

    def crash(path: Path, text: str) -> None:
        if moment == "ledger" or written:
            raise SystemExit(9)
        written.append(path)
        real(path, text)

    monkeypatch.setattr(_transcripts, "write_text", crash)
    assert asr(model, folder, "--output-dir", out, "--format", "txt,srt") == 9
    monkeypatch.setattr(_transcripts, "write_text", real)
    assert asr(model, folder, "--output-dir", out, "--format", "txt,srt", "--skip-existing") == 0
    assert (out / "a.txt").read_text() == "another text\n" and "another text" in (out / "a.srt").read_text()


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
    assert "stopped with 2 of 3 recordings done; the same command with --skip-existing goes on" in said
    assert tree(out) == ["a.txt", "b.txt"]
    assert signal.getsignal(signal.SIGTERM) == handler
    stub.before, stub.asked = lambda path: None, []
    assert asr(model, folder, "--output-dir", out, "--skip-existing") == 0
    assert stub.names == ["c.wav"] and tree(out) == ["a.txt", "b.txt", "c.txt"]


def test_a_full_disk_ends_the_run_and_one_bad_folder_does_not(
    stub: Stub, model: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    from asr.commands import _transcripts

    folder = recordings(tmp_path / "in", a_wav="one", b_wav="two")
    fault = OSError(28, "No space left on device", "a.txt")

    def fail(path: Path, text: str) -> None:
        raise fault

    monkeypatch.setattr(_transcripts, "write_text", fail)
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
):
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


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--format", "srt,txt"], "several formats go to files"),
        (["--skip-existing"], "--output-dir DIR or --beside"),
        (["--format", "srt", "--no-words"], "srt is made of word times"),
        (["--decoder", "greedy", "--lm-weight", "0.5"], "no use for lm_weight"),
        (["--lm", "absent.arpa"], "--lm absent.arpa: no such file"),
        (["--lexicon", "absent.txt"], "no such file"),
        (["--lm-weight=-1"], "0 or more"),
        (["--lm", "none", "--lm-weight", "1"], "without a language model to weigh"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words: list[str], part: str) -> None:
    with pytest.raises(UsageError, match=part):
        parse_options(["model", "a.wav", *words])


@pytest.mark.parametrize(
    "words",
    [
        ["--format", "doc"], ["--format", ","], ["--channel", "left"], ["--n-best", "0"], ["--workers", "x"],
        ["--batch-s", "0"], ["--batch-s", "nan"], ["--hotword", ":3"], ["--hotword", "a:b"], ["--lm-weight", "inf"],
        ["--beside", "--output-dir", "x"],
    ],
)  # fmt: skip
def test_mistyped_options_are_misuse(words: list[str], capsys: Any) -> None:
    assert cli.main(["transcribe", "model", "a.wav", *words]) == 2
    assert "asr transcribe: error: argument" in capsys.readouterr().err


def test_srt_of_several_on_the_terminal_is_refused(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = recordings(tmp_path / "in", a_wav="one", b_wav="two")
    assert asr(model, folder, "--format", "srt") == 2
    assert "srt holds one recording only" in capsys.readouterr().err
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
    assert parse_options(["m", "a.wav", *words]).decoder.given() == {
        "name": "beam",
        "language_model": str(tmp_path / "lm.arpa"),
        "lm_weight": 0.7,
        "hotwords": {"new york": 2.5, "ann": 5.0},
        "n_best": 5,
    }
    assert parse_options(["m", "a.wav"]).decoder.given() == {}


# --- with a true model -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from asr.features import LogMel, LogMelConfig
    from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
    from asr.pretrained import save_pretrained
    from asr.text.tokenizer import CharacterTokenizer

    torch.manual_seed(4)
    tokenizer = CharacterTokenizer.from_texts(["abcdefgh "])
    subsampling = SubsamplingConfig(factor=2, channels=4, output_size=16)
    config = BiLstmConfig(num_layers=1, hidden_size=12, subsampling=subsampling)
    network = AcousticModel(config, 16, tokenizer.vocab_size)
    with torch.no_grad():
        for weight in (network.head.weight, *network.encoder.parameters()):
            weight.mul_(6)
    path = tmp_path_factory.mktemp("tiny") / "model"
    save_pretrained(path, LogMel(LogMelConfig(sample_rate=8000, n_mels=16)), network, tokenizer, {})
    return path


def test_command_line_and_python_say_the_same(tiny: Path, tmp_path: Path, capsys: Any) -> None:
    from asr import load_model
    from asr.formats import render_transcript

    generator = np.random.default_rng(1)
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", generator.uniform(-0.5, 0.5, (6000, 2)), 8000)
    (tmp_path / "c.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:2000])
    assert asr(tiny, tmp_path, "--no-speech-gate", "--format", "json", "--device", "cpu") == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    recognizer = load_model(tiny, device="cpu", speech_gate=False)
    for one in found:
        hypothesis = recognizer.transcribe(one["audio"]["path"])
        said = json.loads(render_transcript(hypothesis, "json"))
        for words in (one["words"], said["words"]):  # alone or in a batch, sums are rounded in another order
            for word in words:
                word["confidence"] = round(word["confidence"], 4)
        for key in ("text", "words", "n_best", "cues"):
            assert one[key] == said[key]
        assert one["score"] == pytest.approx(said["score"], abs=1e-4) and one["text"]
    assert len(found) == 2
    assert asr(tiny, tmp_path / "a.wav", "--channel", "5", "--device", "cpu") == 1
    assert "has no channel 5; it has 2" in capsys.readouterr().err


def test_a_weight_of_no_language_model_is_refused(tiny: Path, tmp_path: Path, capsys: Any) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    line = {"id": "a", "audio": "a.wav", "duration_s": 1.0, "text": "a"}
    (tmp_path / "test.jsonl").write_text(json.dumps(line) + "\n")
    weight = ["--lm-weight", "2"]
    assert asr(tiny, tmp_path / "a.wav", *weight) == 2
    assert cli.main(["evaluate", str(tiny), str(tmp_path / "test.jsonl"), "--out", str(tmp_path / "out"), *weight]) == 2
    assert capsys.readouterr().err.count("--lm-weight: the model directory holds no language model") == 2
