"""The metadata of a foreign system's file reaches results.jsonl, and with it groups and pages."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from asr.cli import main
from asr.scoring import read_results
from asr.scoring.breakdown import all_groupings


def write_lines(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
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
    assert first["words"] == [{"text": "a", "start_s": 0.1, "end_s": 0.4, "confidence": 0.9, "right": True}], "anew"
    none = {"substitutions": 0, "deletions": 0, "insertions": 0}
    assert first["n_best"] == [{"text": "a b", "score": -1.0, "word_errors": {"hits": 2, **none}}], "the best of it"
    assert first["fields"] == {"beam": 8, "room": "hall"}
    assert second["confidence"] is None and second["snr_db"] == 7.5
    groups = {one.name: {row.label: row.words.errors for row in one.rows} for one in all_groupings(results)}
    assert groups["room"] == {"car": 1, "hall": 1}


def test_further_columns_of_a_table_are_fields(tmp_path: Path) -> None:
    (tmp_path / "ref.csv").write_text("id,text,site,take\n1,a b,north,3\n2,c,south,2024_01\n")
    (tmp_path / "hyp.trn").write_text("a b (1)\nd (2)\n")
    assert (
        main(["score", *(str(tmp_path / name) for name in ("ref.csv", "hyp.trn")), "--out", str(tmp_path / "o")]) == 0
    )
    extras = read_results(tmp_path / "o" / "results.jsonl").extras
    assert extras["1"] == {"fields": {"site": "north", "take": 3.0}} and extras["2"] == {
        "fields": {"site": "south", "take": "2024_01"}
    }


def test_columns_that_have_a_meaning_keep_it(tmp_path: Path) -> None:
    (tmp_path / "ref.csv").write_text("id,text,snr_db,audio\n1,a,7.5,one.wav\n")
    (tmp_path / "hyp.csv").write_text("id,hypothesis,confidence\n1,a,0.5\n")
    expected = {"audio": str(tmp_path / "one.wav"), "start_s": 0.0, "snr_db": 7.5, "confidence": 0.5}
    assert score(tmp_path, "ref.csv", "hyp.csv") == [expected]


def test_groups_of_long_numbers_and_of_codes_stay_apart(tmp_path: Path) -> None:
    times = (20240101123000, 20240101124500)
    rows = [f"{key},a,00{key},2024010112300012{key},{times[key]}" for key in (0, 1)]
    (tmp_path / "ref.csv").write_text("\n".join(["id,text,room,code,time", *rows]) + "\n")
    write_lines(tmp_path / "hyp.jsonl", [{"id": str(key), "text": "ab"[key], "begun": times[key]} for key in (0, 1)])
    score(tmp_path, "ref.csv", "hyp.jsonl")
    groups = all_groupings(read_results(tmp_path / "out" / "results.jsonl"))
    assert {one.name: {row.label: row.words.errors for row in one.rows} for one in groups[1:]} == {
        "begun": {"20240101123000": 0, "20240101124500": 1},
        "code": {"20240101123000120": 0, "20240101123000121": 1},
        "room": {"000": 0, "001": 1},
        "time": {"20240101123000": 0, "20240101124500": 1},
    }


def test_the_channel_of_a_table_reaches_the_results(tmp_path: Path) -> None:
    (tmp_path / "ref.csv").write_text("id,text,audio,channel\n1,a,one.wav,1\n2,a,one.wav,x\n")
    (tmp_path / "hyp.csv").write_text("id,text\n1,a\n2,a\n")
    first, second = score(tmp_path, "ref.csv", "hyp.csv")
    assert first["channel"] == 1 and "channel" not in second


def test_half_a_character_in_a_field_is_a_fault_of_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "a", "room": "\\ud800"}\n')
    assert main(["score", str(tmp_path / "a.jsonl"), str(tmp_path / "a.jsonl")]) == 1
    assert "a.jsonl:1: holds half of a surrogate pair" in capsys.readouterr().err


def test_a_number_that_no_float_holds_is_none_and_never_ends_a_scoring(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "1", "text": "a", "snr_db": 1' + "0" * 400 + ', "take": 3}\n')
    assert main(["score", *[str(tmp_path / "a.jsonl")] * 2, "--out", str(tmp_path / "o")]) == 0
    assert read_results(tmp_path / "o" / "results.jsonl").extras["1"] == {"snr_db": None, "fields": {"take": 3}}


def score(tmp_path: Path, references: str, hypotheses: str) -> list[dict[str, Any]]:
    """The further keys of each line of results.jsonl, for two files in ``tmp_path``."""
    out = tmp_path / "out"
    assert main(["score", str(tmp_path / references), str(tmp_path / hypotheses), "--out", str(out)]) == 0
    return list(read_results(out / "results.jsonl").extras.values())


def test_what_a_hypothesis_tells_stays_with_it_where_ids_match_by_file_name(tmp_path: Path) -> None:
    (tmp_path / "ref.txt").write_text("utt_1 a b\nutt_2 c\n")
    rows = [
        {
            "audio_filepath": f"wavs/utt_{i}.wav",
            "duration": i,
            "pred_text": "a",
            "speaker": f"s{i}",
            "confidence": i / 4,
        }
        for i in (1, 2)
    ]
    write_lines(tmp_path / "hyp.jsonl", rows)
    found = score(tmp_path, "ref.txt", "hyp.jsonl")
    assert [one["confidence"] for one in found] == [0.25, 0.5]
    assert found[1]["audio"] == str(tmp_path / "wavs" / "utt_2.wav")
    report = read_results(tmp_path / "out" / "results.jsonl").report
    assert [(one.id, one.speaker, one.duration_s) for one in report.utterances] == [
        ("utt_1", "s1", 1.0),
        ("utt_2", "s2", 2.0),
    ]


def test_words_dealt_out_to_segments_have_times_from_the_segments_start(tmp_path: Path) -> None:
    (tmp_path / "ref.stm").write_text("rec 1 ann 0.00 1.00 a\nrec 1 bob 1.00 3.00 b c\n")
    (tmp_path / "hyp.ctm").write_text("rec 1 0.25 0.50 a\nrec 1 1.50 0.25 b\nrec 1 2.00 0.50 c\n")
    first, second = score(tmp_path, "ref.stm", "hyp.ctm")
    assert first["words"] == [{"text": "a", "start_s": 0.25, "end_s": 0.75, "right": True}]
    assert [(one["start_s"], one["end_s"]) for one in second["words"]] == [(0.5, 0.75), (1.0, 1.5)]


def test_the_times_of_reference_words_are_never_those_of_the_hypothesis(tmp_path: Path) -> None:
    (tmp_path / "ref.ctm").write_text("rec 1 0.00 0.40 a\nrec 1 1.00 0.40 b\n")
    (tmp_path / "hyp.ctm").write_text("rec 1 0.50 0.25 x\n")
    expected = [{"text": "x", "start_s": 0.5, "end_s": 0.75, "right": False}]
    assert score(tmp_path, "ref.ctm", "hyp.ctm") == [{"words": expected}]
    (tmp_path / "hyp.txt").write_text("rec x\n")
    assert score(tmp_path, "ref.ctm", "hyp.txt") == [{}]


def test_the_audio_of_results_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    write_lines(tmp_path / "data" / "m.jsonl", [{"id": "1", "text": "a", "audio": "one.wav"}])
    monkeypatch.chdir(tmp_path)
    assert main(["score", *["data/m.jsonl"] * 2, "--out", "out"]) == 0
    assert main(["score", *["out/results.jsonl"] * 2, "--out", "again"]) == 0
    audio = [read_results(Path(name) / "results.jsonl").extras["1"]["audio"] for name in ("out", "again")]
    assert audio == [str(tmp_path / "data" / "one.wav")] * 2


def test_confidence_of_words_is_read_from_ctm_and_whispers_json(tmp_path: Path) -> None:
    (tmp_path / "ref.txt").write_text("rec_1 a b c\n")
    (tmp_path / "hyp.ctm").write_text("rec_1 1 0.00 0.50 a 0.75\nrec_1 1 1.00 0.50 b NA\nrec_1 1 2.00 0.50 c -0.7\n")
    (ctm,) = score(tmp_path, "ref.txt", "hyp.ctm")
    assert [word.get("confidence") for word in ctm["words"]] == [0.75, None, None]
    (tmp_path / "rec_1.json").write_text(
        '{"text": " a b", "segments": [{"text": " a b", "words": ['
        '{"word": " a", "start": 0.0, "end": 0.5, "probability": 0.5}, {"word": " b", "start": 1, "end": 2}]}]}'
    )
    (whisper,) = score(tmp_path, "ref.txt", "rec_1.json")
    assert [word.get("confidence") for word in whisper["words"]] == [0.5, None]


def test_the_n_best_of_any_system_has_an_oracle_error(tmp_path: Path) -> None:
    (tmp_path / "ref.txt").write_text("utt_1 a b c\nutt_2 d\n")
    write_lines(
        tmp_path / "hyp.jsonl",
        [
            {"id": "utt_1", "text": "a x c", "n_best": [{"text": "a x c"}, {"text": "a b c"}]},
            {"id": "utt_2", "text": "d", "n_best": [{"hypothesis": "d"}]},  # another tool's, without a text we know
        ],
    )
    score(tmp_path, "ref.txt", "hyp.jsonl")
    found = json.loads((tmp_path / "out" / "breakdown.json").read_text())["oracle"]
    assert [(one["depth"], one["words"]["substitutions"]) for one in found["by_depth"]] == [(1, 1), (2, 0)]
