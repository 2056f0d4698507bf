"""``asr probe family``: trainings side by side that stop and go on together, on one budget or not at all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.cli import main
from asr.config.compose import run_composed
from asr.config.typed import typed_config
from asr.errors import Interrupted, TrainingError
from asr.models import AcousticModel
from asr.probes import processes, trainings
from tests.tiny_run import ROOT, make_corpus, overrides, write_recipe

COPY = """
import shutil
from pathlib import Path

def prepare(corpus: Path, out: Path) -> str:
    out.mkdir(parents=True, exist_ok=True)
    for path in corpus.iterdir():
        shutil.copy(path, out)
    return "copied"
"""


WAIT = """
import pathlib, sys, time
while not pathlib.Path(sys.argv[1]).exists():
    time.sleep(0.01)
time.sleep(0.2)
sys.exit(int(sys.argv[2]))
"""


class Started:
    """In place of ``asr run``: a process that ends with a code; notes how many ran at a time.

    The first two end once both have started, a third one once the file ``last`` is there.
    """

    def __init__(self, codes: dict[str, int], folder: Path) -> None:
        self.codes, self.alive, self.most = codes, list[Any](), 0
        self.both, self.last = folder / "both", folder / "last"

    def __call__(self, asked: list[str], folder: Path) -> "subprocess.Popen[bytes]":
        folder.mkdir(parents=True)
        (folder / "log.txt").write_text(f"asr: error[training]: {folder.name} broke\n")
        ends = self.last if self.both.exists() else self.both
        process = subprocess.Popen([sys.executable, "-c", WAIT, str(ends), str(self.codes[asked[0]])])
        self.alive = [one for one in self.alive if one.poll() is None] + [process]
        self.most = max(self.most, len(self.alive))
        if len(self.alive) == 2:
            self.both.touch()
        return process


def test_trainings_run_side_by_side_and_those_that_fail_are_named_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = Started({"a": 0, "b": 1, "c": 0}, tmp_path)
    monkeypatch.setattr(processes, "start_training", started)
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if len(lines) == 2:
            started.last.touch()

    commands = {(name, 1): [name] for name in "abc"}
    with pytest.raises(TrainingError, match="b, seed 1: b-1 broke") as caught:
        processes.train_all(commands, {key: tmp_path / f"{key[0]}-1" for key in commands}, 2, say)
    assert len(lines) == 3 and "c, seed 1: done; 0 left" in lines
    assert started.most == 2 and "a-1" not in str(caught.value) and (tmp_path / "c-1").exists()


def test_a_training_that_starts_while_a_signal_comes_is_stopped_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    def start(asked: list[str], folder: Path) -> "subprocess.Popen[bytes]":
        os.kill(os.getpid(), signal.SIGTERM)
        return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])

    monkeypatch.setattr(processes, "start_training", start)
    commands = {(name, 1): [name] for name in "ab"}
    with pytest.raises(Interrupted) as caught:
        processes.train_all(commands, {key: tmp_path / key[0] for key in commands}, 1, lines.append)
    assert caught.value.exit_code == 143
    assert lines == ["a, seed 1: ended with -15; 1 left"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part in it is Linux's")
def test_trainings_end_with_the_process_that_started_them_however_it_was_killed(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexec sleep 300\n")
    (tmp_path / "python").chmod(0o755)
    code = (
        "import os, signal, sys; from pathlib import Path; from asr.probes import processes\n"
        "sys.executable = sys.argv[1]\n"
        "print(processes.start_training(['train'], Path(sys.argv[2])).pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    known = os.environ | {"PYTHONPATH": str(ROOT)}
    asked = [sys.executable, "-c", code, str(tmp_path / "python"), str(tmp_path / "run")]
    pid = int(subprocess.run(asked, env=known, stdout=subprocess.PIPE, check=False).stdout)
    waited_until = time.monotonic() + 60
    while is_alive(pid) and time.monotonic() < waited_until:
        time.sleep(0.1)
    alone = is_alive(pid)
    if alone:
        os.kill(pid, signal.SIGKILL)
    assert not alone, "the training goes on alone"


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a family of two trainings, of which the first is done; no other can be started."""
    corpus, recipes, out = make_corpus(tmp_path / "corpus"), tmp_path / "recipes", tmp_path / "out"
    write_recipe(recipes)
    (recipes / "prepare.py").write_text(COPY)
    own = ("data.dir", "run_dir", "seed", "training.threads", "data.workers")
    changes = [word for word in overrides(corpus, out) if not word.startswith(own)]
    asked = ["probe", "family", str(recipes), "--corpus", str(corpus), "--seeds", "1", "2", "--out", str(out)]
    asked += [f"--set={word}" for word in [*changes, "training.epochs=1"]]
    commands: list[list[str]] = []

    def keep(given: dict[Any, list[str]], *_: object) -> None:
        commands.extend(given.values())
        raise TrainingError("not here")

    monkeypatch.setattr(trainings, "train_all", keep)
    assert main(asked) == 1
    assert main([word if word != "stages=[train,evaluate]" else "stages=[train]" for word in commands[0]]) == 0
    return asked


def test_a_family_that_has_begun_goes_on_with_the_same_words_alone(
    begun: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(begun) == 1 and "not here" in capsys.readouterr().err
    assert main([*begun, "--set=optimizer.learning_rate=0.02"]) == 2
    output = capsys.readouterr().err
    assert "1 of 2 trainings in" in output and "tiny, seed 1: optimizer.learning_rate); nothing was started" in output
    place = begun.index("--corpus")
    other = [*begun[:place], "--data", str(make_corpus(tmp_path / "other", seed=1)), *begun[place + 2 :]]
    assert main(other) == 2
    assert f"tiny, seed 1: the manifests in {tmp_path / 'other'}" in capsys.readouterr().err
    assert main([*begun, "--set=data.cache_mb=1"]) == 1  # bears on no result


def test_another_corpus_is_refused_where_a_training_has_begun_and_prepared_where_none_has(
    begun: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "out" / "data" / "train.jsonl"
    before = manifest.read_bytes()
    other = make_corpus(tmp_path / "other", seed=1)
    asked = [str(other) if word == str(tmp_path / "corpus") else word for word in begun]
    assert main(asked) == 2
    assert f"began on other data than {other} now gives" in capsys.readouterr().err
    assert manifest.read_bytes() == before
    (tmp_path / "out" / "runs" / "tiny-1" / "checkpoints" / "last.ckpt").unlink()
    assert main(asked) == 1 and "not here" in capsys.readouterr().err
    assert manifest.read_bytes() == (other / "train.jsonl").read_bytes() != before


def test_all_members_get_the_size_that_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_corpus(tmp_path / "data")
    asked = dict[Any, list[str]]()
    monkeypatch.setattr(trainings, "train_all", lambda commands, *_: asked.update(commands))
    recipes = ROOT / "recipes/fsdd"
    options = trainings.TrainingsOptions(
        recipes=recipes, data=tmp_path / "data", seeds=[1], out=tmp_path / "out", parameters=500_000
    )
    trainings.train_members(options, trainings.chosen_members(recipes, None), lambda line: None)
    assert len(asked) == 12
    for (member, _), command in asked.items():
        own = [word for word in command if "=" in word and not word.startswith(("run_dir", "data.dir", "stages"))]
        config = run_composed(recipes / f"{member}.yaml", [f"run_dir={tmp_path}", *own], typed_config)[0]
        with torch.device("meta"):
            model = AcousticModel(config.train.model, config.train.features.n_mels, 29)
        assert sum(weight.numel() for weight in model.parameters()) == pytest.approx(500_000, rel=0.05), member


@pytest.mark.parametrize(
    ("member", "change", "tokens"),
    [
        ("transformer", "model.heads=6", 29),
        ("bilstmp", "model.projection_size=120", 29),
        ("bilstm", "tokenizer={name: sentencepiece, vocab_size: 3000}", 3000),
    ],
)
def test_the_size_fits_what_else_was_asked_for(member: str, change: str, tokens: int, tmp_path: Path) -> None:
    recipes = ROOT / "recipes/fsdd"
    options = trainings.TrainingsOptions(recipes=recipes, out=tmp_path, changes=[change], parameters=1_500_000)
    words = [f"run_dir={tmp_path}", *trainings.member_config(options, member)[1]]
    config = run_composed(recipes / f"{member}.yaml", words, typed_config)[0]
    model = AcousticModel(config.train.model, config.train.features.n_mels, tokens)
    assert sum(weight.numel() for weight in model.parameters()) == pytest.approx(1_500_000, rel=0.05)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--parameters", "2000"], "--parameters 2000: "),
        (["--parameters", "1" + 30 * "0"], "at most 10,000,000,000"),
        (["--parameters", "300000", "--set", "++model={hidden_size: 3}"], "--set ++model={hidden_size: 3}: "),
        (["--parameters", "300000", "--set", "model.hidden_size=64"], "--set model.hidden_size=64: "),
    ],
)
def test_a_size_that_cannot_be_met_is_refused(
    words: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_corpus(tmp_path / "data")
    rest = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--members", "bilstm", *words]
    assert main(["probe", "family", str(ROOT / "recipes/fsdd"), *rest]) == 2
    assert expected in capsys.readouterr().err and not (tmp_path / "out").exists()
