"""results.jsonl and summary.json hold what was scored, and come back as they were."""

import json
import math
from pathlib import Path

import pytest

from asr.errors import DataError, UsageError
from asr.scoring.breakdown import break_down
from asr.scoring.markdown import ReportHeader
from asr.scoring.output import prepare_folder, summary_notes, summary_rows, write_report
from asr.scoring.report import ScoreReport, score_texts
from asr.scoring.results import read_results, summarize, write_results
from asr.text.normalize import NORMALIZERS

HEADER = ReportHeader(title="t", system="s", data="d", date="2026-11-23")


@pytest.fixture
def report() -> ScoreReport:
    return score_texts(
        {"u1": "Caf\u00e9, one\u2028two!", "u2": "", "u3": "yes"},
        {"u1": "cafe\u0301 one", "u2": "uh", "u3": "yes"},
        normalizer=NORMALIZERS["basic"],
        speakers={"u1": "ann"},
        durations_s={"u1": 1.5, "u2": 0.5, "u3": 1.6},
    )


def test_results_come_back_as_they_were_written(report: ScoreReport, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    extras = {"u1": {"words": [{"word": "caf\u00e9", "start_s": 0.1}], "confidence": 0.5}}
    write_results(path, report, extras)
    results = read_results(path)
    assert results.report == report
    assert results.extras == {"u1": extras["u1"], "u2": {}, "u3": {}}


def test_a_result_line_holds_texts_counts_speaker_and_duration(report: ScoreReport, tmp_path: Path) -> None:
    write_results(tmp_path / "r.jsonl", report)
    first = json.loads((tmp_path / "r.jsonl").read_text(encoding="utf-8").split("\n")[0])
    assert first["reference"] == "Caf\u00e9, one\u2028two!"
    assert first["hypothesis_normalized"] == "caf\u00e9 one"
    assert first["word_errors"] == {"hits": 2, "substitutions": 0, "deletions": 1, "insertions": 0}
    assert (first["normalizer"], first["speaker"], first["duration_s"]) == ("basic v1", "ann", 1.5)


def test_extras_cannot_overwrite_what_was_scored(report: ScoreReport, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'u1' would overwrite \\['hypothesis'\\]"):
        write_results(tmp_path / "r.jsonl", report, {"u1": {"hypothesis": "better"}})
    assert list(tmp_path.iterdir()) == []


def test_the_summary_holds_percentages_and_null_where_there_is_no_rate(report: ScoreReport) -> None:
    summary = summarize(report)
    assert summary["wer"] == 50.0  # caf\u00e9 one [two] / [uh] / yes: 2 errors in 4 words
    assert summary["words"] == {
        **{"hits": 3, "substitutions": 0, "deletions": 1, "insertions": 1},
        **{"errors": 2, "reference_length": 4},
    }
    assert summary["audio_hours"] == 0.001
    assert summary["by_speaker"]["ann"]["wer"] == 33.3333
    silent = score_texts({"u": ""}, {"u": "x"}, normalizer=NORMALIZERS["basic"])
    assert summarize(silent)["wer"] is None


def test_a_report_is_four_files_and_a_second_one_replaces_it(report: ScoreReport, tmp_path: Path) -> None:
    for _ in range(2):
        files = write_report(tmp_path / "new" / "out", report, HEADER, figures={"real_time_factor": 0.02})
    names = ["breakdown.json", "report.md", "results.jsonl", "summary.json"]
    assert sorted(p.name for p in files.page.parent.iterdir()) == names
    summary = json.loads(files.summary.read_text(encoding="utf-8"))
    assert (summary["title"], summary["system"], summary["real_time_factor"]) == ("t", "s", 0.02)


def test_the_short_form_has_a_row_a_measure_and_tells_of_silent_references(report: ScoreReport) -> None:
    assert summary_rows(report)[0] == ["basic v1", "WER", "50.00% [0.0, 200.0]", "0", "1", "1", "2", "4"]
    assert [row[:2] for row in summary_rows(report)[1:]] == [["basic v1", "CER"], ["raw", "WER"], ["raw", "CER"]]
    assert summary_notes(report)[-1:] == [
        "no reference words in 1 of 3 utterances; what was recognised there (1 word) counts as insertions"
    ]


def test_a_report_never_overwrites_what_it_reads_nor_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file; give a folder"):
        prepare_folder(tmp_path / "file")
    with pytest.raises(UsageError, match="would overwrite"):
        prepare_folder(tmp_path, tmp_path / "results.jsonl")


def test_whole_numbers_that_no_float_holds_are_read_as_infinite_and_never_end_a_report(tmp_path: Path) -> None:
    report = score_texts({"a": "x", "b": "y"}, {"a": "x", "b": "z"}, normalizer=NORMALIZERS["basic"])
    path = tmp_path / "results.jsonl"
    words = [{"text": "x", "start_s": 0, "end_s": 1, "confidence": 0.5}]
    write_results(path, report, {"a": {"snr_db": 7, "fields": {"room": 7}, "words": words}})
    path.write_text(path.read_text(encoding="utf-8").replace("7", "1" + "0" * 5000), encoding="utf-8")
    results = read_results(path)
    assert results.extras["a"]["snr_db"] == math.inf
    break_down(results)


def test_faults_of_one_kind_are_three_and_a_count(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"id": "x"}\n' * 90 + "{\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_results(path)
    assert str(caught.value).count("lacks reference") == 3 and "… and 87 more like these" in str(caught.value)
    assert ":91: is not JSON" in str(caught.value)
