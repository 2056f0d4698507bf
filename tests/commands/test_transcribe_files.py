"""`asr transcribe`: what folders mean, where transcripts go, and what is left out when the command is repeated."""

import os
from pathlib import Path
from typing import Any

import pytest

from asr.data.annotation.eaf import read_eaf
from asr.files import write_text
from asr.transcription import FORMATS, job
from asr.transcription.outputs import INDEX_NAME
from asr.transcription.tiers import Tier, eaf_text
from tests.transcribe_stub import Stub, asr, recordings, tree

# --- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_means_its_own_recordings_and_r_those_below(stub: Stub, model: Path, tmp_path: Path) -> None:
    folder = recordings(tmp_path / "in", b_wav="b", a_m4a="a", notes_txt="no", hidden_wav="h")
    (folder / "hidden.wav").rename(folder / "._hidden.wav")
    recordings(folder / "deep" / "er", c_FLAC="c")
    assert asr(model, folder) == 0 and stub.names == ["a.m4a", "b.wav"]
    stub.asked.clear()
    assert asr(model, "-r", folder, folder / "b.wav") == 0
    assert stub.names == ["a.m4a", "b.wav", "c.FLAC"], "each once"


def test_files_left_out_for_their_endings_are_counted(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = recordings(tmp_path / "in", a_avi="a", b_WAVE="b", c_ts="c", d_ts="d", a_txt="no", e_DB="no")
    recordings(folder / "deep", f_ts="f")
    (folder / ".hidden.ts").write_text("h")
    assert asr(model, folder) == 0 and stub.names == ["a.avi", "b.WAVE"]
    assert "note: files left out, whose endings are no recordings': .ts (2), .db (1);" in capsys.readouterr().err
    for path in folder.glob("*.[tD][sB]"):
        path.unlink()
    assert asr(model, folder) == 0 and "left out" not in capsys.readouterr().err, "transcripts lie beside"


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
    assert "no recordings" in (said := capsys.readouterr().err) and "-r searches" in said


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
    endings = ["TextGrid", "ctm", "eaf", "json", "srt", "tsv", "txt", "vtt"]
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
    assert f"{folder}/a.txt: was not written by this command" in capsys.readouterr().err
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
    assert "0 transcribed, 2 already up to date" in capsys.readouterr().err
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
    given = [tmp_path / name / "en.txt" for name in ("lm", "lexicon")]
    for path in given:
        path.parent.mkdir()
        path.write_text("one")
    words = [word for path in given for word in (f"--{path.parent.name}", str(path))]
    assert [again(*words), again(*words)] == [["a.wav", "b.wav"], []]
    given[0].write_text("two")
    assert again(*words) == ["a.wav", "b.wav"], "files of one name are two"
    assert again() == ["a.wav", "b.wav"]
    (model / "config.json").write_text('{"sha256": {"model.safetensors": "other"}}')
    assert again() == ["a.wav", "b.wav"]
    (model / "calibration.json").write_text("{}")
    assert again() == ["a.wav", "b.wav"]


def test_nothing_to_do_needs_no_recogniser(stub: Stub, model: Path, tmp_path: Path, monkeypatch: Any) -> None:
    folder = recordings(tmp_path / "in", a_wav="one")
    assert asr(model, folder, "--output-dir", tmp_path / "out") == 0
    monkeypatch.setattr(job, "build_recognizer", lambda options: pytest.fail("built"))
    assert asr(model, folder, "--output-dir", tmp_path / "out", "--skip-existing") == 0


def test_a_ledger_that_was_cut_short_is_read_as_far_as_it_goes(stub: Stub, model: Path, tmp_path: Path) -> None:
    folder, out = recordings(tmp_path / "in", a_wav="one", b_wav="two"), tmp_path / "out"
    assert asr(model, folder, "--output-dir", out) == 0
    whole = (out / INDEX_NAME).read_bytes()
    (out / INDEX_NAME).write_bytes(whole[:-20])
    stub.asked.clear()
    assert asr(model, folder, "--output-dir", out, "--skip-existing", "--overwrite") == 0
    assert stub.names == ["b.wav"]
    assert asr(model, folder, "--output-dir", out, "--skip-existing") == 0
    assert stub.names == ["b.wav"]


@pytest.mark.parametrize("moment", ["index", "first file"])
def test_a_crash_between_two_files_is_made_good(
    stub: Stub, model: Path, tmp_path: Path, monkeypatch: Any, moment: str
) -> None:
    folder, out = recordings(tmp_path / "in", a_wav="one"), tmp_path / "out"
    assert asr(model, folder, "--output-dir", out, "--format", "txt,srt") == 0
    (folder / "a.wav").write_text("another text")
    real, written = write_text, list[Path]()

    def crash(path: Path, text: str) -> None:
        if moment == "index" or written:
            raise SystemExit(9)
        written.append(path)
        real(path, text)

    monkeypatch.setattr("asr.transcription.outputs.write_text", crash)
    assert asr(model, folder, "--output-dir", out, "--format", "txt,srt") == 9
    monkeypatch.setattr("asr.transcription.outputs.write_text", real)
    assert asr(model, folder, "--output-dir", out, "--format", "txt,srt", "--skip-existing") == 0
    assert (out / "a.txt").read_text() == "another text\n" and "another text" in (out / "a.srt").read_text()


# --- into copies of annotation files ---------------------------------------------------------------------------------


def test_keep_tiers_copies_the_annotation_beside_and_notices_when_it_changes(
    stub: Stub, model: Path, tmp_path: Path, capsys: Any
) -> None:
    folder = recordings(tmp_path / "in", a_wav="one two", b_wav="three")
    own = eaf_text([Tier("Phrase", [(100, 900, "by hand")])])
    (folder / "a.EAF").write_text(own, encoding="utf-8")
    command = (folder, "--output-dir", tmp_path / "out", "--format", "eaf,txt", "--keep-tiers", "--skip-existing")
    assert asr(model, *command) == 0 and tree(tmp_path / "out") == ["a.eaf", "a.txt", "b.eaf", "b.txt"]
    tiers = {name: read_eaf((tmp_path / "out" / f"{name}.eaf").read_bytes()).tiers for name in "ab"}
    assert [tier.name for tier in tiers["a"]] == ["Phrase", "segments", "words", "confidence"]
    assert [tier.name for tier in tiers["b"]] == ["segments", "words", "confidence"]
    assert (folder / "a.EAF").read_text(encoding="utf-8") == own
    stub.asked.clear()
    (folder / "a.EAF").write_text(own.replace("by hand", "again"), encoding="utf-8")
    assert asr(model, *command) == 0 and stub.names == ["a.wav"]
    (folder / "a.EAF").write_bytes(b"<html/>")
    assert asr(model, *command) == 1 and "a.EAF: is not an ELAN file" in capsys.readouterr().err


def test_keep_tiers_is_for_copies_in_formats_with_tiers(stub: Stub, model: Path, tmp_path: Path, capsys: Any) -> None:
    folder = recordings(tmp_path / "in", a_wav="one")
    assert asr(model, folder, "--keep-tiers", "--format", "srt", "--beside") == 2
    assert "give --format eaf or textgrid too" in capsys.readouterr().err
    assert asr(model, folder, "--keep-tiers", "--format", "eaf", "--beside") == 2
    assert "give --output-dir DIR in place of --beside" in capsys.readouterr().err
