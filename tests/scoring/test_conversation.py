"""cpWER and tcpWER: who said what, by hand; MeetEval counts."""

import json
from pathlib import Path
from typing import Any

import pytest

from asr.cli import main

pytest.importorskip("meeteval", reason="pip install meeteval (it is compiled)")

STM = """r1 1 ann 0.0 3.0 one two three
r1 1 bob 3.0 5.0 four five
r2 1 ann 0.0 2.0 six { seven / 7 }
r2 1 bob 2.0 4.0 IGNORE_TIME_SEGMENT_IN_SCORING
"""
HEARD: list[dict[str, Any]] = [
    {"session_id": "r1", "speaker": "0", "words": "Four five.", "start_time": 3.0, "end_time": 5.0},
    {"session_id": "r1", "speaker": "1", "words": "One two three!", "start_time": 0.0, "end_time": 3.0},
    {"session_id": "r2", "speaker": "0", "words": "six seven", "start_time": 0.0, "end_time": 2.0},
]


def score(folder: Path, heard: list[dict[str, Any]], *options: str) -> int:
    (folder / "ref.stm").write_text(STM, encoding="utf-8")
    (folder / "hyp.json").write_text(json.dumps(heard), encoding="utf-8")
    return main(["score", str(folder / "ref.stm"), str(folder / "hyp.json"), "--conversation", *options])


@pytest.mark.parametrize(
    ("change", "cpwer", "tcpwer"),
    [
        ({}, 0.0, 0.0),  # the names of speakers need not agree
        ({"speaker": "0"}, 400 / 7, 400 / 7),  # all by one: "four five" is inserted at ann's and missed at bob's
        ({"start_time": 60.0, "end_time": 63.0}, 0.0, 600 / 7),  # right words a minute late
        ({"words": "One two free"}, 100 / 7, 100 / 7),
    ],
)
def test_rates_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], cpwer: float, tcpwer: float
) -> None:
    assert score(tmp_path, [HEARD[0], HEARD[1] | change, HEARD[2]], "--print", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["cpwer"], found["tcpwer"]) == pytest.approx((cpwer, tcpwer), abs=1e-3)
    assert found["recordings"]["r1"]["speakers"]["reference"] == 2


def test_the_table_the_line_the_files_and_the_gate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heard = [HEARD[0] | {"words": "four"}, *HEARD[1:]]
    assert score(tmp_path, heard, "--out", str(tmp_path / "out")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 recordings (stm and seglst), compared as basic v1"
    assert lines[2].split()[:2] == ["cpWER", "14.29%"] and lines[3].split()[:2] == ["tcpWER", "14.29%"]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["recordings"]["r1"]["cpwer_words"] == {"S": 0, "D": 1, "I": 0, "errors": 1, "N": 5}
    assert "| r1 | 2 / 2 | 20.00% |" in (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert score(tmp_path, heard, "--print", "line", "--fail-above", "10") == 1
    shown = capsys.readouterr()
    rates = "cpwer=14.29 tcpwer=14.29 s=0 d=1 i=0 n=7 recordings=2"
    assert shown.out == f"{rates} reference_format=stm hypothesis_format=seglst\n"
    assert "the cpWER of 14.29% is 4.29 points above the 10%" in shown.err


def test_recordings_without_a_partner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(tmp_path, HEARD[:2]) == 1
    assert "1 recording without a hypothesis: 'r2'; add it, or give --missing" in capsys.readouterr().err
    assert score(tmp_path, HEARD[:2], "--missing", "as-deletions", "--print", "json") == 0
    assert json.loads(capsys.readouterr().out)["cpwer"] == pytest.approx(200 / 7, abs=1e-3)
    assert score(tmp_path, HEARD[:2], "--missing", "skip", "--print", "json") == 0
    assert json.loads(capsys.readouterr().out)["cpwer"] == 0.0


def test_without_times_there_is_no_tcpwer_and_without_speakers_neither(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    untimed = [{key: one[key] for key in ("session_id", "speaker", "words")} for one in HEARD]
    assert score(tmp_path, untimed) == 0
    shown = capsys.readouterr().out
    assert "cpWER" in shown and "note: no tcpWER: not all segments have times" in shown
    (tmp_path / "ref.txt").write_text("u_1 a\n", encoding="utf-8")
    assert main(["score", str(tmp_path / "ref.txt"), str(tmp_path / "hyp.json"), "--conversation"]) == 1
    assert "1 text without recording or speaker ('u_1')" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--alignment sclite", "--reduce both", "--optional-words ordinary", "--worst 3"])
def test_options_of_other_scorings_are_refused(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score(tmp_path, HEARD, *option.split()) == 2
    assert f"--conversation does not take {option.split()[0]}; leave it out" in capsys.readouterr().err


def test_marks_are_read_by_their_first_alternatives_and_a_note_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By hand: the reference is "a b uh" then, of which the hypothesis lacks uh."""
    for name, text in (("ref", "a { b / c } (uh)"), ("hyp", "a b")):
        (tmp_path / f"{name}.stm").write_text(f"r1 1 ann 0.0 2.0 {text}\n", encoding="utf-8")
    assert main(["score", str(tmp_path / "ref.stm"), str(tmp_path / "hyp.stm"), "--conversation"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[2].split() == ["cpWER", "33.33%", "0", "1", "0", "1", "3"]
    assert "note: 1 segment with sclite's marks: first alternatives and all optional words count" in shown
