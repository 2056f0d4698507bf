"""recipes/english/spelled.py: rows of spelled words and numbers for the language model."""

from pathlib import Path

import pytest

from asr.data.manifest import Utterance, write_manifest
from recipes.english import spelled


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
