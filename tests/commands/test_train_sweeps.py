"""Sweeps with Hydra's own plugins: optuna minimises dev WER, and what fails in submitit's processes is reported."""

import logging
import os
import re
from pathlib import Path

import pytest
import yaml

from asr.cli import main
from asr.pretrained import from_pretrained
from tests.tiny_run import ROOT, make_corpus, overrides, write_recipe

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="needs the extra [sweeps]")
pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="needs the extra [sweeps]")


@pytest.fixture(autouse=True)
def optuna_is_silent() -> None:
    """Its own handler would keep the standard error of whichever test came first."""
    logging.getLogger("optuna").handlers.clear()


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("corpus"))


def sweep(corpus: Path, folder: Path, *words: str) -> int:
    keys = {word.partition("=")[0] for word in words}
    given = [word for word in overrides(corpus, folder, training__epochs=1) if word.partition("=")[0] not in keys]
    return main(["train", str(write_recipe(folder.parent)), "-m", *given, *words])


def test_optuna_finds_the_rate_with_the_lowest_dev_figure(corpus: Path, tmp_path: Path) -> None:
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.sampler.seed=1"]
    words += ["training.select_by=loss", "training.epochs=2", "optimizer.learning_rate=choice(1e-9,0.01)"]
    assert sweep(corpus, tmp_path / "sweep", *words) == 0
    found = yaml.safe_load((tmp_path / "sweep" / "optimization_results.yaml").read_text())
    losses = {
        folder.name.partition("=")[2]: from_pretrained(folder / "model").facts["dev_loss"]
        for folder in (tmp_path / "sweep").glob("optimizer.learning_rate=*")
    }
    assert found["best_value"] == pytest.approx(min(losses.values()))
    assert float(found["best_params"]["optimizer.learning_rate"]) == float(min(losses, key=lambda one: losses[one]))


def test_a_job_that_fails_under_optuna_ends_the_sweep_with_its_own_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "seed=choice(1,2)"]
    assert sweep(tmp_path / "absent", tmp_path / "sweep", *words) == 1
    said = capsys.readouterr().err
    assert "absent/train.jsonl: no such manifest" in said and "Traceback" not in said and "internal error" not in said


def test_jobs_in_processes_of_their_own_train_and_one_that_fails_is_reported(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local = ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5", "hydra.launcher.cpus_per_task=1"]
    assert sweep(corpus, tmp_path / "good", *local, "seed=1,2") == 0
    assert {path.name for path in (tmp_path / "good").glob("seed=*") if (path / "model").is_dir()} == {
        "seed=1",
        "seed=2",
    }
    capsys.readouterr()
    assert sweep(corpus, tmp_path / "bad", *local, "model.hidden_size=8,0") == 2
    said = capsys.readouterr().err
    assert "model.hidden_size=0 must be at least 1" in said and "Traceback" not in said
    assert (tmp_path / "bad" / "model.hidden_size=8" / "model").is_dir()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs named as Slurm's: ``sbatch`` keeps the script in the file that is returned, and takes no job."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, line in (
        ("srun", "exit 1"),
        ("sbatch", f"cp $1 {folder}/script; echo sbatch: error: no such partition >&2; exit 1"),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder / "script"


def slurm_words(page: str) -> list[str]:
    """The launcher's words of the sweep on Slurm that the page shows."""
    (command,) = re.findall(r"^asr train (.*\n.*launcher=submitit_slurm(?:.*\\\n)*.*)", page, re.MULTILINE)
    return [word for word in command.replace("\\\n", " ").split() if re.match("hydra.launcher|seed", word)]


def test_a_sweep_on_slurm_submits_the_script_that_the_documentation_shows_and_a_refusal_is_reported(
    slurm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "how-to" / "hydra.md").read_text(encoding="utf-8")
    run = tmp_path / "seeds"
    assert sweep(tmp_path, run, *slurm_words(page)) == 1
    said = capsys.readouterr().err
    assert "no such partition" in said and "internal error" not in said and "Traceback" not in said
    shown = re.search(r"```slurm\n(#!/bin/bash\n\n# Parameters\n.*?)```", page, re.DOTALL)
    assert shown is not None
    made = re.sub(r"\S*/python\S*", "python", slurm.read_text().replace(str(run), "/shared/runs/seeds"))
    assert made.split() == shown[1].replace("\\\n", "").split()


def test_slurms_launcher_where_there_is_no_slurm_is_refused_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert sweep(tmp_path, tmp_path / "run", "hydra/launcher=submitit_slurm", "seed=1,2") == 2
    assert "hydra/launcher=submitit_slurm: no Slurm on this machine" in capsys.readouterr().err
