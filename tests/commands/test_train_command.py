"""`asr train` as a person meets it: signals, kills, locks, sweeps, and going on."""

import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asr.cli import main
from asr.training.checkpoint import load_checkpoint
from benchmarks import kill_resume
from tests.forked import Forked
from tests.tiny_run import ROOT, make_corpus, overrides, start_asr, timeless_metrics, weights, write_recipe

LONG = {"training__epochs": 5000, "training__save_every_steps": 5}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    return str(write_recipe(tmp_path / "recipe"))


def fork_asr(arguments: list[str], folder: Path) -> Forked:
    return Forked(lambda: main(arguments), folder / "forked")


def wait_for(path: Path, process: object, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not path.exists() and process.poll() is None and time.monotonic() < end:  # type: ignore[attr-defined]
        time.sleep(0.01)
    assert path.exists()


@pytest.mark.parametrize(
    ("number", "code", "name", "start"),
    [(signal.SIGTERM, 143, "SIGTERM", start_asr), (signal.SIGINT, 130, "Ctrl-C", fork_asr)],
)
def test_a_signal_saves_ends_with_its_code_and_says_how_to_go_on(
    corpus: Path, tmp_path: Path, recipe: str, number: int, code: int, name: str,
    start: Callable[[list[str], Path], Any], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = tmp_path / "run"
    process = start(["train", recipe, *overrides(corpus, run, data__workers=1, **LONG)], tmp_path)
    wait_for(run / "checkpoints" / "last.ckpt", process)
    assert main(["train", recipe, *overrides(corpus, run, data__workers=0, **LONG)]) == 1  # a second run in the folder
    assert f"in use by process {process.pid}; wait for it" in capsys.readouterr().err
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    last = said.strip().splitlines()[-1]
    assert last.startswith(f"asr: error[interrupted]: stopped by {name} at epoch ")
    assert last.endswith(f"saved. Resume with the same command, or with: asr train {run}")
    step = load_checkpoint(run / "checkpoints" / "last.ckpt")["progress"]["step"]
    assert f"step {step};" in last
    assert "Traceback" not in said and "\x1b" not in said


@pytest.mark.slow
def test_killed_at_twenty_random_moments_the_checkpoint_loads_and_the_end_is_the_same_to_the_bit(
    tmp_path: Path,
) -> None:
    tally, _, equal = kill_resume.experiment(tmp_path, kills=20, epochs=40, seed=1)
    assert equal and tally.errors == [] and tally.kills >= 18


def test_a_run_goes_on_from_another_folder_and_is_then_already_finished(
    corpus: Path, tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(corpus)
    given = overrides(Path("data"), Path("run"))
    assert main(["train", recipe, *given]) == 0
    assert "epoch   3/3  loss" in capsys.readouterr().err
    before = weights(tmp_path / "run")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["train", "../run"]) == 0
    assert capsys.readouterr().err == (
        "../run: already finished, 3 epochs; to train on, raise the number: asr train ../run training.epochs=6\n"
    )
    assert before.keys() == weights(tmp_path / "run").keys()
    assert list(elsewhere.iterdir()) == []


def test_another_configuration_in_the_same_folder_is_refused_by_its_keys(
    corpus: Path, tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert main(["train", recipe, *overrides(corpus, run, training__epochs=1)]) == 0
    stored = (run / "config.yaml").read_text()
    assert main(["train", recipe, *overrides(corpus, run, training__epochs=2, seed=9)]) == 2
    said = capsys.readouterr().err
    assert "holds a run with another configuration (seed)" in said and f"asr train {run}" in said
    assert (run / "config.yaml").read_text() == stored
    assert main(["train", str(run), "seed=4"]) == 2
    assert "resumes with the configuration it began with; leave out: seed=4" in capsys.readouterr().err


def test_a_finished_run_goes_on_with_more_epochs_by_either_command(
    corpus: Path, tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"

    def epochs() -> list[int]:
        return [one["epoch"] for one in timeless_metrics(run) if one["kind"] == "epoch"]

    assert main(["train", recipe, *overrides(corpus, run, training__epochs=1)]) == 0
    assert main(["train", recipe, *overrides(corpus, run, training__epochs=2)]) == 0
    assert "resuming from epoch 2" in capsys.readouterr().err and epochs() == [1, 2]
    assert main(["train", str(run), "training.epochs=4", "training.patience=null"]) == 0
    assert epochs() == [1, 2, 3, 4]
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("epoch ")]
    assert [re.search(r" s, \d+ s left\b", line) is not None for line in lines] == [True, False]  # epochs 3 and 4
    stored = (run / "config.yaml").read_text()
    assert main(["train", str(run)]) == 0 and epochs() == [1, 2, 3, 4]  # it is what the run now has
    assert "already finished, 4 epochs" in capsys.readouterr().err and (run / "config.yaml").read_text() == stored
    for word, code, said in (
        ("model.hidden_size=9", 2, "leave out: model.hidden_size=9"),
        ("training.epochs", 2, "leave out: training.epochs"),
        ("training.epochs=0", 2, "training.epochs=0 must be at least 1"),
        ("training.epochs=[", 2, "training.epochs=[: cannot be read as key=value"),
        ("training.epochs=many", 2, "training.epochs"),
    ):
        assert main(["train", str(run), word]) == code
        assert said in capsys.readouterr().err
    assert (run / "config.yaml").read_text() == stored


def test_a_start_that_is_refused_for_its_data_leaves_the_run_as_it_was(
    corpus: Path, tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = tmp_path / "run", make_corpus(tmp_path / "other", seed=1)
    assert main(["train", recipe, *overrides(corpus, run, training__epochs=1)]) == 0
    stored = (run / "config.yaml").read_text()
    assert main(["train", recipe, *overrides(other, run, training__epochs=1)]) == 1
    assert "has changed since this run began" in capsys.readouterr().err
    assert (run / "config.yaml").read_text() == stored
    assert main(["train", str(run)]) == 0
    for words in ([str(run), f"data.dir={tmp_path}"], [recipe, *overrides(tmp_path, run, training__epochs=1)]):
        capsys.readouterr()
        assert main(["train", *words]) == 0 and "already finished" in capsys.readouterr().err
        assert (run / "config.yaml").read_text() == stored, "no data there: where it is stays known"


def test_too_few_file_descriptors_for_workers_end_with_what_to_do(corpus: Path, tmp_path: Path, recipe: str) -> None:
    """Few for a whole process, and not so few for one that has imported everything."""

    def few(limit: int) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

    def forked() -> int:
        few(40)
        return main(words)

    words = ["train", recipe, *overrides(corpus, tmp_path / "run", data__workers=4)]
    new = subprocess.Popen(
        [sys.executable, "-m", "asr", *words], cwd=ROOT, text=True, preexec_fn=lambda: few(24),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    for start in (lambda: new, lambda: Forked(forked, tmp_path / "said")):
        process: Any = start()
        _, said = process.communicate(timeout=120)
        assert process.returncode == 1 and said.count("asr: error[") == 1 and "Traceback" not in said
        assert "too many open files" in said and "raise the limit with `ulimit -n 4096`" in said


def test_a_sweep_trains_each_job_in_a_folder_of_its_own(
    corpus: Path, tmp_path: Path, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    given = [word for word in overrides(corpus, tmp_path / "sweep", training__epochs=1) if not word.startswith("seed=")]
    assert main(["train", recipe, "-m", *given, "seed=1,2", "augment.speeds=[1.0],[0.9,1.1]"]) == 0
    made = sorted(path.parent.parent.name for path in (tmp_path / "sweep").glob("*/model/config.json"))
    assert made == [f"seed={seed},augment.speeds=_{speeds}_" for seed in (1, 2) for speeds in ("0.9,1.1", "1.0")]
    assert list(here.iterdir()) == []


def test_cfg_job_prints_yaml_and_trains_nothing(
    tmp_path: Path, recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    assert main(["train", recipe, "model.hidden_size=7", f"run_dir={tmp_path / 'run'}", "--cfg", "job"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["hidden_size"] == 7 and printed["schedule"]["name"] == "cosine"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "usage: asr train"),
        (["nowhere.yaml"], 2, "no recipe at 'nowhere.yaml'"),
        (["."], 2, "neither a recipe (RECIPE.yaml) nor a run folder"),
        (["RECIPE"], 2, "run_dir is not set"),
        (["RECIPE", "run_dir=x"], 2, "data.dir is not set"),
        (["RECIPE", "run_dir=x", "data.dir=nowhere"], 1, "nowhere/train.jsonl: no such manifest"),
        (["RECIPE", "run_dir=x", "model.hiden_size=1"], 2, "did you mean 'model.hidden_size'?"),
    ],
)
def test_what_is_wrong_with_the_words_is_said(
    tmp_path: Path, recipe: str, words: list[str], code: int, message: str,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["train", *(recipe if word == "RECIPE" else word for word in words)]) == code
    assert message in capsys.readouterr().err


def test_a_disk_that_fills_up_ends_with_a_line_and_no_traceback(corpus: Path, tmp_path: Path, recipe: str) -> None:
    def limited() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        return main(["train", recipe, *overrides(corpus, tmp_path / "run")])

    process = Forked(limited, tmp_path / "said")
    _, said = process.communicate(120)
    assert process.returncode == 1
    assert "asr: error[" in said and "Traceback" not in said
    assert "last.ckpt: cannot be saved" in said or "File too large" in said


def test_cfg_job_prints_the_configuration_without_waiting_for_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; from asr.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["train", "recipes/an4/bilstm.yaml", "data.dir=d", "run_dir=r", "--cfg", "job"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=ROOT)
    assert "hidden_size" in done.stdout and "torch" in done.stderr, done.stderr


@pytest.mark.parametrize("words", [["run_dir=r"], []])
def test_cfg_job_checks_what_it_has_printed(
    tmp_path: Path, recipe: str, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", recipe, *words, "--cfg", "job"]) == 0
    assert main(["train", recipe, *words, "model.hidden_size=0", "--cfg", "job"]) == 2
    printed = capsys.readouterr()
    assert "hidden_size: 0" in printed.out and "model.hidden_size=0 must be at least 1" in printed.err
    assert not (tmp_path / "r").exists()


def test_own_config_groups_lie_beside_the_recipe_or_in_the_search_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands of README.md, "Your own groups"."""
    for folder, name, size in (("mine", "small", 7), ("shared", "tiny", 5), ("lab", "odd", 3)):
        (tmp_path / folder / "model").mkdir(parents=True)
        text = f"defaults: [bilstm, _self_]\nhidden_size: {size}\n"
        (tmp_path / folder / "model" / f"{name}.yaml").write_text(text)
    text = f"defaults: [base, _self_]\nhydra:\n  searchpath: ['file://{tmp_path / 'shared'}']\n"
    recipe = str(write_recipe(tmp_path / "mine", text=text))
    given = f"hydra.searchpath=[file://{tmp_path / 'lab'}]"
    for words, size in (
        (["model=small"], 7),
        (["model=tiny"], 5),
        (["model=odd", given], 3),
        (["model=tiny", given], 5),
    ):
        assert main(["train", recipe, "run_dir=r", *words, "--cfg", "job"]) == 0
        assert f"hidden_size: {size}\n" in capsys.readouterr().out
    assert main(["train", recipe, "run_dir=r", "model=odd", "--cfg", "job"]) == 2
    assert "there is no 'odd' in the group 'model'" in capsys.readouterr().err
