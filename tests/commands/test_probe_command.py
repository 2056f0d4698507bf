"""``asr probe``: each experiment leaves a plot and figures that can be repeated; the family's trainings resume."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.cli import main
from asr.config.compose import run_composed
from asr.config.recipes import recipes_dir
from asr.config.typed import plain_config
from asr.errors import UsageError
from asr.models import AcousticModel, build_model_config
from asr.probes import processes
from asr.probes.family import family_row, read_reports, render_table
from asr.probes.trainings import chosen_members
from tests.forked import Forked
from tests.tiny_run import SETTINGS, make_corpus, overrides, write_recipe

FSDD = str(recipes_dir() / "fsdd")
FAMILIES = {"fsdd": (40, 11), "an4": (80, 29)}  # mels and about as many tokens as the corpus has


def test_an_experiment_leaves_a_plot_and_figures_with_all_that_repeats_them(tmp_path: Path) -> None:
    asked = ["probe", "gradients", "--members", "rnn", "--seeds", "4", "5", "--hidden-size", "8", "--distance", "6"]
    assert main([*asked, "--out", str(tmp_path), "--format", "svg"]) == 0
    found = json.loads((tmp_path / "gradients.json").read_text())
    assert found["seeds"] == [4, 5] and found["settings"]["hidden_size"] == 8
    assert found["command"].startswith("asr probe gradients --members rnn") and found["hardware"]
    assert found["versions"]["torch"] and found["commit"] and len(found["rows"][0]["size"]) == 7
    assert (tmp_path / "gradients.svg").read_text().startswith("<?xml")


def test_a_seed_that_is_named_twice_is_one_repetition(tmp_path: Path) -> None:
    asked = ["probe", "gradients", "--members", "rnn", "rnn", "--seeds", "4", "4", "--hidden-size", "8"]
    assert main([*asked, "--distance", "6", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "gradients.json").read_text())
    assert found["seeds"] == [4] and len(found["rows"]) == 1 and set(found["rows"][0]["low"]) == {None}


def test_time_takes_the_device_that_there_is(tmp_path: Path) -> None:
    asked = ["probe", "time", "--models", "gru", "--lengths-s", "0.1", "--batches", "1", "--rounds", "1"]
    assert main([*asked, "--hidden-size", "8", "--device", "auto", "--out", str(tmp_path)]) == 0
    chosen = "cuda:0" if torch.cuda.is_available() else "cpu"
    assert json.loads((tmp_path / "time.json").read_text())["settings"]["device"] == chosen


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["gradient"], "did you mean 'gradients'?"),
        (["gradients", "--members", "lstm", "--out", "x"], "unknown network 'lstm'; did you mean 'lstm-5'?"),
        (["gradients", "--model", "x", "--out", "x"], "--model needs --manifest"),
        (["time", "--models", "bilsm", "--out", "x"], "there is no 'bilsm' in conf/model; did you mean"),
        (["family", "nowhere", "--data", "x", "--out", "x"], "nowhere: has no recipes"),
        (["gates", "nowhere", "nothing.jsonl", "--out", "x"], "nothing.jsonl"),
        (["family", FSDD, "--data", "y", "--out", "x"], "y: no train.jsonl in it; prepare it"),
        (
            ["time", "--models", "gru", "--lengths-s", "0.001", "--out", "x"],
            "a length of 0.001 s is less than one frame",
        ),
        (["time", "--models", "gru", "--out", "file/x"], "file is a file, and a folder is needed there"),
        (["family", FSDD, "--data", "y", "--out", "file"], "file is a file, and a folder is needed there"),
        (
            ["family", FSDD, "--data", "y", "--out", "x", "--set", "seed=4"],
            "--set seed=4: each training sets this itself",
        ),
        (
            ["family", FSDD, "--data", "data", "--out", "x", "--set", "training.epoch=4", "--members", "gru"],
            "no key 'training.epoch'",
        ),
        (["family", FSDD, "--data", "y", "--out", "x", "--set=-m"], "--set -m: give KEY=VALUE"),
    ],
)
def test_what_cannot_be_done_gives_one_message(
    asked: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "data").mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / "data" / f"{split}.jsonl").touch()
    assert main(["probe", *asked]) in (1, 2)
    assert expected in capsys.readouterr().err and not (tmp_path / "x").exists()


@pytest.mark.parametrize("corpus", FAMILIES)
def test_the_recipes_of_a_family_have_about_as_many_weights(corpus: str) -> None:
    folder, (n_mels, vocab) = recipes_dir() / corpus, FAMILIES[corpus]
    sizes = {}
    for path in folder.glob("[!_]*.yaml"):
        values = model_of(path)
        with torch.device("meta"):
            model = AcousticModel(build_model_config(values), n_mels, vocab)
        sizes[path.stem] = sum(weight.numel() for weight in model.parameters())
    assert {"rnn", "gru", "lstm", "bilstm", "transformer"} <= sizes.keys()
    assert sizes == {name: pytest.approx(sizes["bilstm"], rel=0.05) for name in sizes}


def model_of(path: Path) -> dict[str, Any]:
    """The keys of ``model`` as Hydra composes them."""
    (values,) = run_composed(path, ["run_dir=x"], plain_config)
    model: dict[str, Any] = values["model"]
    return model


def test_an_unknown_member_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"has no bilsm\.yaml; did you mean 'bilstm'"):
        chosen_members(recipes_dir() / "fsdd", ["bilsm"])


def test_the_table_puts_the_best_first_and_shows_both_intervals() -> None:
    known = {"parameters": 7, "training_s_per_audio_hour": 61.4, "utterances": 300, "words": 300, "seeds": [1, 2]}
    known |= {"hardware": ["a machine"], "seed_low": 0.0, "seed_high": 9.9}
    rows = [
        {"member": "rnn", "wer": 4.0, "wers": [3.0, 5.0], "low": 2.5, "high": 6.0} | known,
        {"member": "gru", "wer": 1.0, "wers": [1.0, 1.0], "low": None, "high": None} | known,
    ]
    memory = [
        {"model": name, "mode": mode, "length_s": 1.0, "peak_mb": peak}
        for name in ("rnn", "gru")
        for mode, peak in (("forward", 2.2), ("forward_backward", 5.7))
    ]
    lines = render_table({"rows": rows, "memory": memory}).splitlines()
    assert lines[2] == "| gru | 7 | 61 | 2 / 6 | 1.00 | – | [0.00, 9.90] | 1.00, 1.00 |"
    assert lines[3] == "| rnn | 7 | 61 | 2 / 6 | 4.00 | [2.50, 6.00] | [0.00, 9.90] | 3.00, 5.00 |"


@pytest.mark.slow
def test_a_family_is_trained_once_and_its_table_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first training runs as ``python -m asr``, the others are forked: eight starts would take a minute."""
    for name in ("librosa", "matplotlib.pyplot", "torch._dynamo", "asr.training.start", "asr.recognition"):
        importlib.import_module(name)  # once, not in every fork
    start, started = processes.start_training, list[Path]()

    def start_first(arguments: list[str], folder: Path) -> Any:
        started.append(folder)
        return (
            start(arguments, folder)
            if len(started) == 1
            else Forked(lambda: main(arguments), tmp_path / "said" / folder.name)
        )

    monkeypatch.setattr(processes, "start_training", start_first)
    data, recipes = make_corpus(tmp_path / "data"), tmp_path / "recipes"
    changes = [word for word in overrides(data, tmp_path) if not word.startswith(("data.dir", "run_dir", "seed"))]
    changes = [word for word in changes if word != "training.threads=1" and not word.startswith("data.workers")]
    for name in ("bilstm", "gru"):
        write_recipe(recipes, name, f"defaults: [base, override model: {name}, _self_]\n")
    asked = ["probe", "family", str(recipes), "--data", str(data), "--seeds", "1", "2", "--jobs", "2"]
    asked += ["--lengths-s", "1", "--out", str(tmp_path / "out"), *(f"--set={word}" for word in changes)]
    assert main(asked) == 0
    weights = [tmp_path / "out" / "runs" / f"{name}-{seed}" / "model" for name in ("bilstm", "gru") for seed in (1, 2)]
    made = [(folder / "model.safetensors").stat().st_mtime_ns for folder in weights]
    found = json.loads((tmp_path / "out" / "family.json").read_text())
    assert {row["member"] for row in found["rows"]} == {"bilstm", "gru"} and found["seeds"] == [1, 2]
    assert (tmp_path / "out" / "family.png").exists() and "| gru |" in (tmp_path / "out" / "family.md").read_text()
    assert main(asked) == 0
    assert [(folder / "model.safetensors").stat().st_mtime_ns for folder in weights] == made
    runs = [weights[2].parent, weights[3].parent]
    row = family_row("gru", runs, read_reports(runs), [1, 2])
    assert (
        len(started) == 8 and row["parameters"] > 0 and row["utterances"] == 2 and SETTINGS["training"]["epochs"] == 3
    )
