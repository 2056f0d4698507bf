"""Corpora in layouts of their own (TIMIT, LibriSpeech, VCTK, LJSpeech, NeMo) by recipes/folder and ``read_folder``."""

import json
from pathlib import Path

import pytest

from asr.data.manifest import read_manifest
from asr.data.prepare import run_prepare
from asr.data.readers import read_folder
from asr.data.tables import read_table
from asr.errors import DataError
from tests.data.made import write_pair, write_tone

RECIPE = Path(__file__).parents[2] / "recipes" / "folder"


def prepared(corpus: Path, out: Path, **options: object) -> tuple[dict[str, list[str]], str]:
    """The ids of each part that recipes/folder writes, and its summary."""
    summary = run_prepare(RECIPE, corpus, out, options)
    parts = {path.stem: [one.id for one in read_manifest(path)] for path in out.glob("*.jsonl")}
    return parts, summary


def write_timit(folder: Path, speaker: str, sentence: str, text: str) -> None:
    write_tone(folder / speaker / f"{sentence}.wav").rename(folder / speaker / f"{sentence}.WAV")
    (folder / speaker / f"{sentence}.TXT").write_text(f"0 8000 {text}\n")
    (folder / speaker / f"{sentence}.PHN").write_text("0 8000 h#\n")


@pytest.mark.parametrize("train, test", [("TRAIN", "TEST"), ("train", "test"), ("Train", "Test")])
def test_timit_keeps_its_split_and_its_speakers_are_inside_dialect_folders(
    tmp_path: Path, train: str, test: str
) -> None:
    for number in range(4):
        write_timit(tmp_path / "timit" / train / "DR1", f"FCJF{number}", "SX37", "Critical equipment.")
    write_timit(tmp_path / "timit" / test / "DR2", "MABW0", "SI1230", "1 2 three")
    parts, summary = prepared(tmp_path / "timit", tmp_path / "out", dev=0.25)
    assert parts["test"] == ["DR2/MABW0/SI1230"] and len(parts["train"]) == 3 and len(parts["dev"]) == 1
    (held_out,) = read_manifest(tmp_path / "out" / "test.jsonl")
    assert (held_out.speaker, held_out.text) == ("MABW0", "1 2 three")
    assert {one.text for one in read_manifest(tmp_path / "out" / "train.jsonl")} == {"Critical equipment."}
    assert "own test is kept" in summary and "Dev is taken from train" in summary


def test_a_split_is_never_mixed_without_a_word(tmp_path: Path) -> None:
    for place in ("test/s0/a", "s1/a", "s2/a", "s3/a"):
        write_pair(tmp_path / "mine" / place)
    with pytest.raises(DataError, match=r"has parts \(test\), but none named train.*split=none"):
        prepared(tmp_path / "mine", tmp_path / "out")
    parts, _ = prepared(tmp_path / "mine", tmp_path / "out", split="none", test=0.25, dev=0)
    assert sum(map(len, parts.values())) == 4
    for name in ("train-a", "train_b", "dev", "extra", "clips"):
        write_pair(tmp_path / "more" / name / name / "x")
    parts, summary = prepared(tmp_path / "more", tmp_path / "out2", test=0)
    assert sorted(parts["train"]) == ["train-a/x", "train_b/x"] and parts["dev"] == ["dev/x"] and "test" not in parts
    assert "own dev is kept" in summary and "Not read: extra." in summary


def test_librispeech_trees_are_read_by_their_trans_files(tmp_path: Path) -> None:
    chapter = tmp_path / "libri" / "19" / "198"
    write_tone(chapter / "19-198-0000.flac", 0.5)
    (chapter / "19-198.trans.txt").write_text("19-198-0000 NORTHANGER ABBEY\n")
    (only,) = read_folder(tmp_path / "libri")
    assert (only.id, only.text, only.speaker, only.duration_s) == ("19-198-0000", "NORTHANGER ABBEY", "19", 0.5)
    (chapter / "19-198.trans.txt").write_text("19-198-0000 A\n19-198-0001 B\n")
    with pytest.raises(DataError, match="19-198-0001 has no recording next to it"):
        read_folder(tmp_path / "libri")


@pytest.mark.parametrize("recordings, ending", [("wav48", ".wav"), ("wav48_silence_trimmed", "_mic1.flac")])
def test_vctk_has_texts_and_recordings_in_trees_of_their_own(tmp_path: Path, recordings: str, ending: str) -> None:
    write_tone(tmp_path / recordings / "p225" / f"p225_001{ending}")
    write_tone(tmp_path / recordings / "p225" / "p225_001_mic2.flac")
    write_tone(tmp_path / recordings / "p315" / f"p315_001{ending}")  # it has no texts
    (tmp_path / "txt" / "p225").mkdir(parents=True)
    (tmp_path / "txt" / "p225" / "p225_001.txt").write_text("Please call Stella.\n")
    (tmp_path / "speaker-info.txt").write_text("ID AGE\n")
    (only,) = read_folder(tmp_path)
    assert (only.id, only.text, only.speaker) == ("p225_001", "Please call Stella.", "p225")
    assert only.audio.endswith(f"p225_001{ending}")
    (tmp_path / "txt" / "p225" / "p225_002.txt").write_text("Ask her.\n")
    with pytest.raises(DataError, match=r"p225_002\.txt: no recording of that name in .*wav48"):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["LJ001-0001", "LJ001-0001.wav"])
def test_ljspeech_has_no_header(tmp_path: Path, name: str) -> None:
    write_tone(tmp_path / "wavs" / "LJ001-0001.wav")
    write_tone(tmp_path / "wavs" / "LJ001-0002.wav")
    (tmp_path / "metadata.csv").write_text(f'{name}|In 1455, "Gutenberg"|In fourteen "fifty|\nLJ001-0002|modern.|\n')
    assert [one.text for one in read_folder(tmp_path)] == ['In fourteen "fifty', "modern."]
    (tmp_path / "metadata.csv").write_text(f"{name}|one\nLJ001-0009|two\n")
    with pytest.raises(DataError, match=r"metadata\.csv:2: LJ001-0009\.wav does not exist"):
        read_folder(tmp_path)


@pytest.mark.parametrize("column", ["wav_filename", "audio_filename"])
def test_audio_columns_of_other_tools(tmp_path: Path, column: str) -> None:
    write_tone(tmp_path / "a.wav")
    (tmp_path / "t.csv").write_text(f"{column},wav_filesize,transcript\na.wav,16044,good day\n")
    (only,) = read_table(tmp_path / "t.csv")
    assert (only.text, dict(only.extra)) == ("good day", {"wav_filesize": "16044"})
    (tmp_path / "t.csv").write_text("sound,transcript\na.wav,good day\n")
    with pytest.raises(DataError, match=f"no column for audio.*{column}"):
        read_table(tmp_path / "t.csv")


def test_nemo_arrays_and_texts_in_files(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav", 2.0)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("\ufeffgood\nday\n", encoding="utf-8")
    rows: list[object] = [{"audio_filepath": "a.wav", "text_filepath": "texts/a.txt", "duration": 1.5}]
    file = tmp_path / "m.json"
    file.write_text(json.dumps(rows, indent=2))
    (only,) = read_folder(file)
    assert (only.text, only.duration_s, dict(only.extra)) == ("good day", 1.5, {})
    file.write_text(json.dumps([*rows, {"audio_filepath": "a.wav", "text_filepath": "gone.txt"}, 7]))
    with pytest.raises(
        DataError, match=r"(?s)m.json:2: gone.txt: cannot be read.*m.json:3: is not a JSON object, but 7"
    ):
        read_folder(file)
    file.write_text("[{")
    with pytest.raises(DataError, match=r"m.json:1: is not a JSON array"):
        read_folder(file)
