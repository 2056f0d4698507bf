"""What a foreign system's file tells beyond its texts reaches results.jsonl, and with it groups and pages."""

import json
from pathlib import Path

import pytest

from asr.cli import main
from asr.scoring import read_results
from asr.scoring.breakdown import all_groupings


def write_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_fields_sound_words_and_confidence_of_both_files_reach_the_results(tmp_path: Path) -> None:
    references = write_lines(
        tmp_path / "manifest.jsonl",
        [
            {"id": "1", "text": "a b", "audio": "one.wav", "start_s": 1.5, "duration_s": 2.0, "room": "hall"},
            {"id": "2", "text": "c", "audio": "two.wav", "duration_s": 1.0, "room": "car", "snr_db": 7.5},
        ],
    )
    words = [{"text": "a", "start_s": 0.1, "end_s": 0.4, "confidence": 0.9, "right": False}]
    hypotheses = write_lines(
        tmp_path / "system.jsonl",
        [
            {"id": "1", "text": "a", "words": words, "n_best": [{"text": "a b", "score": -1.0}], "beam": 8},
            {"id": "2", "text": "x", "confidence": float("nan")},
        ],
    )
    assert main(["score", str(references), str(hypotheses), "--out", str(tmp_path / "out")]) == 0
    results = read_results(tmp_path / "out" / "results.jsonl")
    first, second = results.extras["1"], results.extras["2"]
    assert first["audio"] == str(tmp_path / "one.wav") and first["start_s"] == 1.5
    assert first["words"] == [{"text": "a", "start_s": 0.1, "end_s": 0.4, "confidence": 0.9}], "judged anew"
    assert first["n_best"] == [{"text": "a b", "score": -1.0}] and first["fields"] == {"beam": 8, "room": "hall"}
    assert second["confidence"] is None and second["snr_db"] == 7.5
    groups = {one.name: {row.label: row.words.errors for row in one.rows} for one in all_groupings(results)}
    assert groups["room"] == {"car": 1, "hall": 1}


def test_further_columns_of_a_table_are_fields(tmp_path: Path) -> None:
    (tmp_path / "ref.csv").write_text("id,text,site,take\n1,a b,north,3\n2,c,south,\n")
    (tmp_path / "hyp.trn").write_text("a b (1)\nd (2)\n")
    assert (
        main(["score", *(str(tmp_path / name) for name in ("ref.csv", "hyp.trn")), "--out", str(tmp_path / "o")]) == 0
    )
    extras = read_results(tmp_path / "o" / "results.jsonl").extras
    assert extras["1"] == {"fields": {"site": "north", "take": 3.0}} and extras["2"] == {"fields": {"site": "south"}}


def test_half_a_character_in_a_field_is_a_fault_of_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "a", "room": "\\ud800"}\n')
    assert main(["score", str(tmp_path / "a.jsonl"), str(tmp_path / "a.jsonl")]) == 1
    assert "a.jsonl:1: holds half of a surrogate pair" in capsys.readouterr().err


def test_a_number_that_no_float_holds_is_none_and_never_ends_a_scoring(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "a", "snr_db": 1' + "0" * 400 + ', "take": 3}\n')
    assert main(["score", *[str(tmp_path / "a.jsonl")] * 2, "--out", str(tmp_path / "o")]) == 0
    assert read_results(tmp_path / "o" / "results.jsonl").extras["1"] == {"snr_db": None, "fields": {"take": 3}}
