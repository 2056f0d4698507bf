"""`asr report RUN_DIR`: from a real, tiny training to its page; and the message without one."""

import json
import os
import shutil
from pathlib import Path

import pytest

from asr.cli import main
from asr.pages.run_data import load_run
from asr.training.logs import RunLogs
from asr.training.start import train
from tests.tiny_run import Quiet, make_corpus, settings


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunLogs, "draw", lambda self: None)  # a picture takes longer than this training
        train(settings(make_corpus(folder / "data")), folder / "run", Quiet())
    (folder / "run" / "config.yaml").write_text("seed: 3\nmodel: {name: bilstm, dropout: 0.2}\n", encoding="utf-8")
    return folder / "run"


def test_a_training_becomes_a_page_beside_its_metrics(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(trained), "--html"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("run=") and " epoch=3 " in line and " dev_wer=" in line
    page = (trained / "report.html").read_text(encoding="utf-8")
    plots = ("error", "loss", "rate", "norm", "blank", "padding", "throughput", "wait")
    assert all(f'data-plot="{key}"' in page for key in plots)
    assert "The hardest utterances" in page and "model.dropout" in page and "not recorded" not in page.lower()
    assert len(page) < 1_000_000


def test_histories_hold_the_errors_that_the_trainer_wrote(trained: Path) -> None:
    history = load_run(trained, "r").history
    lines = [json.loads(one) for one in (trained / "dev_utterances.jsonl").read_text().splitlines()]
    assert history is not None and list(history.epochs) == [1, 2, 3]
    assert [list(column) for column in zip(*history.errors, strict=True)] == [one["errors"] for one in lines[1:]]
    first = lines[1]["worst"][0]
    text = history.texts[first["index"]][0]
    assert (text.epoch, text.reference, text.hypothesis) == (1, first["reference"], first["hypothesis"])


def test_texts_of_an_older_run_are_read_under_their_former_key(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "older")
    lines = (trained / "dev_utterances.jsonl").read_text().replace('"hypothesis":', '"heard":')
    (tmp_path / "older" / "dev_utterances.jsonl").write_text(lines, encoding="utf-8")
    older, newer = load_run(tmp_path / "older", "r").history, load_run(trained, "r").history
    assert older is not None and newer is not None and newer.texts
    assert older.texts == newer.texts


def test_two_trainings_over_each_other_have_names_that_differ(trained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "run"
    shutil.copytree(trained, other)
    (other / "config.yaml").write_text("seed: 4\nmodel: {name: bilstm, dropout: 0.2}\n", encoding="utf-8")
    out = tmp_path / "two.html"
    assert main(["report", str(trained), "--against", str(other), "--html", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert "1 of 3 settings differ." in page and "other/run" in page


@pytest.mark.parametrize(
    ("lock", "expected"),
    [("", "; finished"), (f"process {os.getpid()}", "; training now"), (f"process {2**22 + 1}", " s")],  # killed late
    ids=["no lock", "of a process that lives", "of a process that is gone"],
)
def test_the_lock_shows_whether_it_trains(trained: Path, tmp_path: Path, lock: str, expected: str) -> None:
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / ".lock").write_text(lock)
    assert load_run(tmp_path / "run", "r").state.endswith(expected)


def test_a_run_that_was_killed_in_mid_line_with_damaged_files_still_gives_a_page(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    with (tmp_path / "run" / "metrics.jsonl").open("a") as stream:
        stream.write('[1]\n{"kind": "step", "step": "x", "epoch": 1}\n{"kind": "st')
    with (tmp_path / "run" / "dev_utterances.jsonl").open("a") as stream:
        stream.write('{"kind": "epoch", "epoch": 4, "step": 20, "errors": [1]}\n{"kind"')
    (tmp_path / "run" / "run.json").write_text("{")
    (tmp_path / "run" / "config.yaml").write_text("a: [")
    (tmp_path / "run" / ".lock").write_text(f"process {2**22 + 1}")
    assert main(["report", str(tmp_path / "run"), "--html"]) == 0
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert (
        "Config.yaml is missing or cannot be read" in page
        and "killed or crashed" not in page
        and "epochs 1 to 3" in page
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["{empty}", "--html"], "holds neither results.jsonl"),
        (["{begun}", "--html"], "has recorded nothing yet"),
        (["{run}", "--against", "{empty}"], "not the folder of a training run"),
        (["{run}", "{run}"], "goes after --against"),
        (["{run}", "--csv", "x.csv"], "--csv is for results.jsonl files"),
        (["{run}", "--fail-above", "3"], "--fail-above is for results.jsonl files"),
        (["{run}", "--html", "{run}/metrics.jsonl"], "is an input"),
        (["{run}", "--html", "{empty}"], "is a folder"),
        (["{run}", "--name", "a", "--name", "b"], "--name is given 2 times for 1 runs"),
    ],
)
def test_what_cannot_be_done_gives_one_message(
    trained: Path, tmp_path: Path, words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("empty", "begun"):
        (tmp_path / name).mkdir()
    (tmp_path / "begun" / "metrics.jsonl").touch()
    places = {"run": trained, "empty": tmp_path / "empty", "begun": tmp_path / "begun"}
    assert main(["report", *(word.format(**places) for word in words)]) in (1, 2)
    output = capsys.readouterr().err
    assert expected in output and output.count("\n") == 1
