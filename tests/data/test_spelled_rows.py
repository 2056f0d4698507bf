"""recipes/english/spelled.py and pronounce.py: rows for the language model, and words for the dictionary."""

from pathlib import Path

import pytest

from asr.data.manifest import Utterance, write_manifest
from recipes.english import pronounce, spelled


def test_numbers_are_said_as_num2words_says_them() -> None:
    num2words = pytest.importorskip("num2words", reason="oracle: pip install num2words").num2words
    for value in [*range(0, 1200, 7), 2005, 12_345, 99_999, 100_000, 250_017, 999_999]:
        expected = num2words(value).replace("-", " ").replace(",", "")
        assert spelled.cardinal(value, "and ") == expected
        assert spelled.cardinal(value) == expected.replace(" and", "")


def test_rows_are_of_each_kind_and_none_is_a_dev_or_test_text(tmp_path: Path) -> None:
    (tmp_path / "words.dict").write_text("RUBY R UW1 B IY0\nO'NEIL OW0 N IY1 L\nMAY M EY1\n")
    (tmp_path / "a.wav").touch()
    for part, text in (("dev-an4", "m a y"), ("test", "seven"), ("train", "eight")):
        write_manifest(
            tmp_path / f"{part}.jsonl", [Utterance(id="a", audio=str(tmp_path / "a.wav"), duration_s=1.0, text=text)]
        )
    words = [str(tmp_path / "words.dict"), str(tmp_path), "--rows", "2000", "--out", str(tmp_path / "rows.txt")]
    assert spelled.main(words) == 0
    rows = (tmp_path / "rows.txt").read_text().splitlines()
    assert {"r u b y", "eight"} <= {*rows} and not {"m a y", "seven", "o ' n e i l"} & {*rows}
    assert 1700 < len(rows) < 1900, "of 400 spelled words half are left out"
    said = {word for row in rows for word in row.split() if len(word) > 1}
    assert {"oh", "zero", "hundred", "and", "thousand", "twentieth", "first", "may"} <= said
    assert all(row.replace(" ", "").isalpha() for row in rows)


def test_words_that_a_dictionary_lacks_are_added_as_they_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever its form: here a mark at the beginning, no end of the last line; phones that it lacks are none."""
    said = {"tack": ["T", "AE", "K"], "zoo": ["Z", "UW"]}
    monkeypatch.setattr(pronounce, "_said", lambda words: [said[word] for word in words])
    (tmp_path / "cmu.dict").write_text("\ufeffTHE  DH AH0\nCAT  K AE1 T", encoding="utf-8")
    (tmp_path / "a.wav").touch()
    train = Utterance(id="a", audio=str(tmp_path / "a.wav"), duration_s=1.0, text="the tack zoo")
    write_manifest(tmp_path / "train.jsonl", [train])
    words = [tmp_path / "cmu.dict", tmp_path / "train.jsonl", "--out", tmp_path / "english.dict"]
    assert pronounce.main([str(word) for word in words]) == 0
    assert (tmp_path / "english.dict").read_text() == "cat K AE T\ntack T AE K\nthe DH AH\n"
    assert "2 words, and 1 of 2 that were missing" in capsys.readouterr().out
