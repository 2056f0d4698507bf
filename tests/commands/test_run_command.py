"""`asr run`: the four stages, done once, and done again only where something changed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asr.cli import main
from asr.training.logs import RunLogs
from tests.tiny_run import SETTINGS, make_corpus

PREPARE = '''
"""Copies manifests of tones."""
import os
from pathlib import Path
from asr.data.manifest import read_manifest, write_manifest
from asr.errors import DataError

def prepare(
    corpus: Path, out: Path, *, limit: int = 100, dev: bool = True, late: str = "",
    fails: bool = False, killed: bool = False,
) -> str:
    for split in ("train", "dev", "test"):
        write_manifest(out / f"{split}.jsonl", read_manifest(corpus / f"{split}.jsonl")[:limit])
    if late and not (corpus / late).exists():
        (corpus / late).touch()  # by somebody who copies recordings while this runs
    if not dev:
        (out / "dev.jsonl").rename(out / "test-dev.jsonl")
    if killed:
        os.kill(os.getpid(), 9)
    if fails:
        raise DataError("no more of the corpus")
    return f"at most {limit} of each"
'''


class Runner:
    """`asr run` on one recipe and one run folder; returns which stages were run and which were up to date."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.recipe, self.corpus, self.run_dir = folder / "recipe" / "tiny.yaml", folder / "corpus", folder / "run"
        self.capsys = capsys
        make_corpus(self.corpus)
        self.recipe.parent.mkdir()
        (self.recipe.parent / "prepare.py").write_text(PREPARE)
        self.recipe.write_text(json.dumps({"defaults": ["base", "_self_"], **SETTINGS}))

    def __call__(self, *words: str, code: int = 0) -> list[str]:
        self.capsys.readouterr()
        assert main(["run", str(self.recipe), f"corpus={self.corpus}", f"run_dir={self.run_dir}", *words]) == code
        self.said = self.capsys.readouterr().err
        stages = ("prepare", "train", "evaluate", "report")
        return [
            line
            for line in self.said.splitlines()
            if line.split(":")[0] in stages and line in (*stages, *map(up_to_date, stages))
        ]

    @staticmethod
    def done(lines: list[str]) -> list[str]:
        return [line for line in lines if not line.endswith("skipped")]


def up_to_date(stage: str) -> str:
    return f"{stage}: up to date, skipped"


@pytest.fixture
def runner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(tmp_path, capsys)


def test_a_recipe_runs_whole_and_then_every_stage_is_up_to_date(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, draw_curves: Callable[..., None]
) -> None:
    monkeypatch.setattr(RunLogs, "draw", draw_curves)
    assert runner() == ["prepare", "train", "evaluate", "report"]
    page = (runner.run_dir / "report.md").read_text()
    summary = json.loads((runner.run_dir / "evaluation" / "test" / "summary.json").read_text())
    assert (
        page.startswith("# recipe/tiny, seed 3")
        and f"| {summary['wer']:.2f} |" in page
        and "| command | asr run " in page
    )
    for name in ("config.yaml", "run.json", "metrics.jsonl", "curves.png", "model/model.safetensors"):
        assert (runner.run_dir / name).is_file()
    assert runner() == [up_to_date(stage) for stage in ("prepare", "train", "evaluate", "report")]
    assert (runner.run_dir / "report.md").read_text() == page


def test_a_stage_is_done_again_where_its_outputs_or_inputs_changed_and_only_then(runner: Runner) -> None:
    runner()
    evaluation = runner.run_dir / "evaluation" / "test"
    for name in ("report.md", "results.jsonl", "summary.json"):
        (evaluation / name).unlink()
        assert "evaluate" in runner.done(runner()) and (evaluation / name).is_file()
    (evaluation / "report.md").write_text("all is well")
    assert runner.done(runner())[0] == "evaluate"
    assert "all is well" not in (evaluation / "report.md").read_text()

    (runner.run_dir / "report.md").unlink()
    assert runner.done(runner()) == ["report"]
    assert runner.done(runner("scoring.worst=3"))[0] == "evaluate"

    shutil.rmtree(runner.run_dir / "model")
    assert runner.done(runner("scoring.worst=3"))[0] == "train"  # made again from its checkpoint
    (runner.corpus / "new.txt").write_text("a file more")
    assert runner.done(runner("scoring.worst=3")) == ["prepare"]
    os.utime(runner.corpus / "test0.wav", (1, 1))  # as a copy that is repaired, of the same length
    assert runner.done(runner("scoring.worst=3"))[:2] == ["prepare", "evaluate"]


@pytest.mark.parametrize(
    ("options", "code", "part"),
    [
        (["prepare.limit=2"], 2, "its training began on other data"),
        (["prepare.dev=false"], 2, "its training began on other data"),
        (["prepare.limit=2", "prepare.fails=true"], 1, "no more of the corpus"),
    ],
)
def test_changed_data_is_refused_before_a_begun_training_loses_its_own(
    runner: Runner, options: list[str], code: int, part: str
) -> None:
    runner("stages=[prepare,train]")
    manifests = {path.name: path.read_bytes() for path in (runner.run_dir / "data").glob("*.jsonl")}
    lines = runner(*options, code=code)
    assert lines == ["prepare"] and part in runner.said
    assert {path.name: path.read_bytes() for path in (runner.run_dir / "data").glob("*.jsonl")} == manifests
    assert runner("stages=[train,evaluate,report]") == [up_to_date("train"), "evaluate", "report"]


def test_data_that_a_killed_preparation_changed_is_put_back(runner: Runner) -> None:
    runner("stages=[prepare,train]")
    manifests = {path.name: path.read_bytes() for path in (runner.run_dir / "data").glob("*.jsonl")}
    words = [f"corpus={runner.corpus}", f"run_dir={runner.run_dir}", "prepare.limit=2", "prepare.killed=true"]
    command = [sys.executable, "-m", "asr", "run", str(runner.recipe), *words]
    assert subprocess.run(command, check=False, capture_output=True).returncode == -9
    assert runner() == ["prepare", up_to_date("train"), "evaluate", "report"]
    assert {path.name: path.read_bytes() for path in (runner.run_dir / "data").glob("*.jsonl")} == manifests
    assert not [path.name for path in (runner.run_dir / "data").glob(".before*")]


def test_a_file_in_a_linked_folder_prepares_again(runner: Runner, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (runner.corpus / "more").symlink_to(elsewhere)
    assert runner("stages=[prepare]") == ["prepare"]
    assert runner("stages=[prepare]") == [up_to_date("prepare")]
    (elsewhere / "new.txt").write_text("a file more")
    assert runner("stages=[prepare]") == ["prepare"]


def test_what_changes_while_a_stage_works_is_an_input_that_it_has_not_seen(runner: Runner) -> None:
    words = ("stages=[prepare]", "prepare.late=new.wav")
    assert [runner(*words) for _ in range(3)] == [["prepare"], ["prepare"], [up_to_date("prepare")]]


def test_stages_can_be_picked_and_what_is_missing_is_said(runner: Runner) -> None:
    runner("stages=[report]", code=1)
    assert "no model to report on; run the stage train first" in runner.said
    runner("stages=[evaluate]", code=1)
    assert "no test.jsonl to evaluate on" in runner.said
    assert runner("stages=[prepare]") == ["prepare"]
    assert runner("stages=[train]", "training.epochs=1") == ["train"]
    for name in ("test-v1.2 (a|b)", "test-v1.3"):
        shutil.copy(runner.run_dir / "data" / "test.jsonl", runner.run_dir / "data" / f"{name}.jsonl")
    assert runner("stages=[evaluate,report]", "training.epochs=1") == ["evaluate", "report"]
    page = (runner.run_dir / "report.md").read_text()
    assert "| [test-v1.2 (a&#124;b)](evaluation/test-v1.2%20%28a%7Cb%29/report.md) | 2 |" in page
    assert "| [test-v1.3](evaluation/test-v1.3/report.md) | 2 |" in page
    runner("stages=[trian]", code=2)
    assert "did you mean 'train'?" in runner.said


@pytest.mark.parametrize("given", [[], ["run_dir="]])
def test_a_forgotten_run_dir_is_asked_for(runner: Runner, given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(runner.recipe), f"corpus={runner.corpus}", *given]) == 2
    assert "run_dir is not set; give a folder for this run" in capsys.readouterr().err


def test_what_prepare_needs_is_said_in_the_words_of_asr_run(
    runner: Runner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(runner.recipe), f"run_dir={tmp_path / 'run'}"]) == 2
    assert "needs a corpus: give its folder with corpus=FOLDER" in capsys.readouterr().err
    runner("prepare.limt=3", code=2)
    assert "limt" in runner.said and "limit" in runner.said
    assert main(["run", str(runner.recipe.parent), "run_dir=x"]) == 2
    assert "is a folder; name one of its recipes" in capsys.readouterr().err


def test_the_test_set_is_decoded_as_decoding_says_and_again_when_a_file_it_names_changes(runner: Runner) -> None:
    lexicon = runner.corpus.parent / "lexicon.txt"
    lexicon.write_text("ab\n")
    words = ("training.epochs=1", "decoding=beam", f"decoding.lexicon={lexicon}")
    assert runner(*words) == ["prepare", "train", "evaluate", "report"]
    rows = (runner.run_dir / "evaluation" / "test" / "results.jsonl").read_text().splitlines()
    assert {word for row in rows for word in json.loads(row)["hypothesis"].split()} <= {"ab"}
    assert "decoded with `beam`" in (runner.run_dir / "report.md").read_text()
    lexicon.write_text("ba\n")
    assert runner.done(runner(*words))[0] == "evaluate"


def test_under_torchrun_only_the_training_runs_and_the_main_process_alone_writes_the_records(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asr.pipeline import stages

    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        assert runner(code=2) == []
        assert (
            "prepare, self-train, evaluate, report need one process" in runner.said and "stages=[train]" in runner.said
        )
    monkeypatch.setattr(stages, "train_composed", lambda *anything: None)
    assert runner("stages=[train]") == ["train"]
    assert not (runner.run_dir / "stages.json").exists(), "rank 1 leaves it to rank 0"
    monkeypatch.setenv("RANK", "0")
    assert runner("stages=[train]") == ["train"]
    assert (runner.run_dir / "stages.json").exists()
