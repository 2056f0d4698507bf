"""`asr check`: the summary, the findings and the exit code that a person sees."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.commands.check import run
from asr.data.manifest import write_manifest
from asr.data.utterance import Utterance


@pytest.fixture
def train(tmp_path: Path) -> list[Utterance]:
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.05, 36_000), 8_000)
    one = Utterance(id="u1", audio=str(tmp_path / "a.wav"), duration_s=1.5, text="a b", speaker="s1")
    return [one, replace(one, id="u2", start_s=1.5, duration_s=3.0, speaker="s2")]


def test_sound_data_gets_a_summary_and_0(
    tmp_path: Path, train: list[Utterance], capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(tmp_path / "train.jsonl", train)

    assert run([str(tmp_path / "train.jsonl")]) == 0

    shown = capsys.readouterr().out
    for words in (
        "2 in 1 recordings",
        "0.00 h; 1.50 to 3.00 s",
        "speakers:    2",
        "words:       4",
        "characters:  3: space a b",
        "WAV PCM_16 8000 Hz 1 ch",
        "nothing found that is wrong",
    ):
        assert words in shown


def test_warnings_alone_leave_0(tmp_path: Path, train: list[Utterance], capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(tmp_path / "train.jsonl", [replace(utterance, text="") for utterance in train])

    assert run([str(tmp_path / "train.jsonl"), "--show", "1"]) == 0

    shown = capsys.readouterr().out
    assert "warning: empty text (2)" in shown and "u1: nothing was said" in shown
    assert "u2" not in shown and "... and 1 more (--show 0 shows all)" in shown


def test_errors_and_leaks_between_splits_give_1(
    tmp_path: Path, train: list[Utterance], capsys: pytest.CaptureFixture[str]
) -> None:
    write_manifest(tmp_path / "train.jsonl", train)
    write_manifest(tmp_path / "test.jsonl", train[1:])

    assert run([str(tmp_path / "train.jsonl"), str(tmp_path / "test.jsonl")]) == 1

    shown = capsys.readouterr().out
    assert "train, test held against each other" in shown
    assert "error: same sound in two splits (1)" in shown and "warning: speakers in two splits (1)" in shown


def test_a_manifest_with_faults_does_not_keep_the_others_from_being_checked(
    tmp_path: Path, train: list[Utterance], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_text("{}\n")
    write_manifest(tmp_path / "train.jsonl", train)

    assert run([str(tmp_path / "bad.jsonl"), str(tmp_path / "train.jsonl")]) == 1

    shown = capsys.readouterr().out
    assert "bad.jsonl:1: id is not there" in shown and "2 in 1 recordings" in shown


def test_no_manifest_is_a_mistyped_command() -> None:
    with pytest.raises(SystemExit, match="2"):
        run([])
