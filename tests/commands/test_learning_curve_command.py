"""``asr learning-curve``: nested parts, one budget rule, the same test for all, results that can be repeated."""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from asr.cli import main
from asr.config.compose import run_composed
from asr.config.typed import RunConfig, typed_config
from asr.data.dataset import SpeechDataset
from asr.data.manifest import read_manifest, write_manifest
from asr.errors import TrainingError
from asr.files import write_json
from asr.probes import learning_curve
from asr.probes.curve_picture import draw_curves, render
from asr.probes.curve_results import summarize
from asr.probes.learning_curve import Part, Training, chosen_sizes
from asr.probes.processes import Key, Say
from asr.scoring.markdown import ReportHeader
from asr.scoring.output import write_report
from asr.scoring.report import ScoreReport, score_texts
from asr.text.normalize import get_normalizer
from asr.training.distributed import Processes
from asr.training.setup import with_enough_epochs
from asr.training.step import EpochSteps
from tests.tiny_run import make_corpus, overrides, settings, write_recipe

Capsys = pytest.CaptureFixture[str]
OWN = ("data.dir", "run_dir", "seed", "training.threads", "data.workers", "training.epochs")


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The command for two sizes and seeds of a corpus of 13 utterances, about 5 s."""
    corpus = make_corpus(tmp_path / "corpus")
    recipe = write_recipe(tmp_path / "recipes")
    changes = [word for word in overrides(corpus, tmp_path / "out") if not word.startswith(OWN)]
    given = ["learning-curve", str(recipe), f"data.dir={corpus}", *changes, "training.epochs=2"]
    return [*given, "--out", str(tmp_path / "out"), "--minutes", "0.02", "all", "--seeds", "1", "2"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[Key, list[str]]:
    """The trainings that would be started, in place of starting them."""
    asked = dict[Key, list[str]]()

    def keep(commands: Mapping[Key, list[str]], *_: object) -> None:
        asked.clear()
        asked.update(commands)
        raise TrainingError("not here")

    monkeypatch.setattr(learning_curve, "train_all", keep)
    return asked


def in_this_process(commands: Mapping[Key, list[str]], runs: Mapping[Key, Path], jobs: int, say: Say) -> None:
    for command in commands.values():
        assert main(command) == 0


def config_of(command: Sequence[str]) -> RunConfig:
    found: RunConfig = run_composed(Path(command[1]), list(command[2:]), typed_config)[0]
    return found


def test_parts_are_nested_and_dev_and_test_are_the_same(
    words: list[str], started: dict[Key, list[str]], tmp_path: Path
) -> None:
    assert main(words) == 1
    assert sorted(path.name for path in (tmp_path / "out" / "parts").iterdir()) == ["0.02-1", "0.02-2", "all"]
    whole = tmp_path / "corpus"
    for folder in (tmp_path / "out" / "parts").iterdir():
        for name in ("dev", "test"):
            assert read_manifest(folder / f"{name}.jsonl") == read_manifest(whole / f"{name}.jsonl")
        part, everything = (read_manifest(path / "train.jsonl") for path in (folder, whole))
        assert {one.id for one in part} <= {one.id for one in everything}
        assert (part == everything) == (folder.name == "all")
        assert folder.name == "all" or sum(one.duration_s for one in part) == pytest.approx(1.2, abs=0.26)
    assert list(started) == [
        (f"from scratch, {part}", seed) for seed in (1, 2) for part in ("0.02 min", "all")
    ]  # a whole curve first
    for (_, seed), command in started.items():
        config = config_of(command)
        assert config.train.seed == seed and config.stages == ["train", "evaluate"]
        assert config.train.data.cache_dir == str(whole)


def test_a_small_part_gets_at_least_the_asked_steps(words: list[str], started: dict[Key, list[str]]) -> None:
    assert main([*words, "--min-steps", "30"]) == 1
    small, whole = (config_of(command).train for command in list(started.values())[:2])
    steps = {id(one): len(read_manifest(f"{one.data.dir}/train.jsonl")) for one in (small, whole)}
    assert steps[id(small)] <= 4  # one batch an epoch
    assert small.training.epochs == 30
    assert small.schedule.warmup_epochs == pytest.approx(30 / 2 * 0.5)  # the tiny settings have 0.5 of 2 epochs
    assert small.training.evaluate_from_epoch == 29  # dev is evaluated twice, as in the recipe
    assert whole.training.epochs < 30


@pytest.mark.parametrize(
    "change", ["training.loss.consistency_weight=0.2", "training.least_steps=40", "training.processes=2"]
)
def test_steps_are_those_that_the_training_counts(
    change: str, words: list[str], started: dict[Key, list[str]], capsys: Capsys
) -> None:
    assert main([*words[:2], change, *words[2:]]) == 1
    total = 0
    for command in started.values():
        config = config_of(command).train
        utterances = read_manifest(f"{config.data.dir}/train.jsonl")
        data = SpeechDataset(utterances, [[]] * len(utterances), 8000, config.seed)
        processes = Processes(0, config.training.processes, torch.device("cpu"))
        steps = len(EpochSteps(data, config, processes).plan(1))
        total += with_enough_epochs(config.training, steps)[0].epochs * steps
    assert f"4 trainings of {total} steps" in capsys.readouterr().err


def test_a_test_set_without_texts_is_refused_before_any_training(
    words: list[str], started: dict[Key, list[str]], tmp_path: Path, capsys: Capsys
) -> None:
    test = tmp_path / "corpus" / "test.jsonl"
    write_manifest(test, [dataclasses.replace(one, text="") for one in read_manifest(test)])
    assert main(words) == 1 and not started
    assert "test.jsonl: no utterance has a text, so there is no WER" in capsys.readouterr().err


def test_stretched_settings_keep_the_shares_of_what_is_counted_in_epochs(tmp_path: Path) -> None:
    plain = settings(tmp_path, training__epochs=10, training__flat_start_epochs=2, schedule__warmup_epochs=1)
    same = learning_curve.stretched(plain, 10)
    assert same == plain
    longer = learning_curve.stretched(plain, 40)
    assert (longer.training.flat_start_epochs, longer.schedule.warmup_epochs) == (8, 4)
    plateau = settings(tmp_path, training__epochs=10, schedule__name="plateau", training__patience=3)
    longer = learning_curve.stretched(plateau, 25)
    assert (longer.training.patience, longer.schedule.plateau_patience) == (8, 3)
    assert longer.training.evaluate_from_epoch == 1


@pytest.mark.parametrize(
    ("minutes", "whole", "expected"),
    [
        ((), 16.0, ["1", "2", "4", "8", "all"]),
        ((), 17.3, ["1.1", "2.2", "4.3", "8.7", "all"]),
        ((5, 10, 20, 40, float("inf")), 17.0, ["5", "10", "all"]),
        ((10, 5, 20), 19.8, ["5", "10", "all"]),  # 20 is all of it, nearly
        ((5, 10), 19.8, ["5", "10"]),
    ],
)
def test_the_sizes(minutes: Sequence[float], whole: float, expected: list[str]) -> None:
    assert list(chosen_sizes(minutes, whole)[0]) == expected


def test_minutes_beyond_the_corpus_are_said_to_be_all_of_it() -> None:
    assert "holds 17 minutes of speech: 20 and 40 minutes are all of it" in chosen_sizes((5, 20, 40), 17.0)[1][0]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (["--minutes", "10", "all"], "the training set holds 0.0"),
        (["--minutes", "-1"], "must be more than 0 minutes"),
        (["--minutes", "5", "seed=1"], "put KEY=VALUE behind the recipe"),
        (["--lm", "absent.bin"], "--lm absent.bin: no such file"),
        (["--init", "absent"], "absent"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_training(
    changed: list[str], expected: str, words: list[str], started: dict[Key, list[str]], capsys: Capsys
) -> None:
    assert main([*words, *changed]) in (1, 2)
    assert re.search(expected, capsys.readouterr().err) and not started


@pytest.mark.parametrize("change", ["seed=3", "run_dir=x", "stages=[train]"])
def test_keys_that_each_training_sets_are_refused(change: str, words: list[str], capsys: Capsys) -> None:
    assert main([*words[:2], change, *words[2:]]) == 2
    assert f"{change}: each training sets this itself" in capsys.readouterr().err


@pytest.mark.slow
def test_from_trainings_to_results_with_a_language_model_and_again(
    words: list[str], tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning_curve, "train_all", in_this_process)
    assert main([*words, "--lm", "own"]) == 0
    out = capsys.readouterr().out
    assert "no fit: a curve needs 3 parts" in out and "| from scratch + language model | all |" in out
    found = json.loads((tmp_path / "out" / "learning-curve.json").read_text())
    assert len(found["trainings"]) == 8 and found["command"].startswith("asr learning-curve")
    for row in found["trainings"]:
        assert row["commit"] and row["hardware"] and row["command"].startswith("asr run")
        assert row["errors"] >= 0 and row["training_seconds"] > 0 and row["wer"] is not None
    assert (tmp_path / "out" / "learning-curve.png").read_bytes().startswith(b"\x89PNG")
    assert "learning-curve.png" in (tmp_path / "out" / "learning-curve.md").read_text()

    models = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("results.jsonl")}
    assert main([*words, "--lm", "own"]) == 0
    assert "train: up to date, skipped" in capsys.readouterr().err
    assert models == {path: path.stat().st_mtime_ns for path in models}

    capsys.readouterr()
    assert main([*words[:2], "scoring.normalizer=none", *words[2:], "--lm", "own"]) == 0
    for path in models:
        assert json.loads(path.read_text().splitlines()[0])["normalizer"] == "none v1"

    more = make_corpus(tmp_path / "more", train=20, seed=1)
    assert main([*words[:2], f"data.dir={more}", *words[3:]]) == 2
    assert "began with other data" in capsys.readouterr().err


REFERENCE = " ".join(["word"] * 100)


def scored(rate: float, utterances: int = 20) -> ScoreReport:
    """A test of so many utterances of 100 words each, with ``rate`` of them wrong."""
    wrong = round(100 * rate)
    names = [f"u{number}" for number in range(utterances)]
    hypothesis = " ".join(["wrong"] * wrong + ["word"] * (100 - wrong))
    return score_texts(
        dict.fromkeys(names, REFERENCE),
        dict.fromkeys(names, hypothesis),
        normalizer=get_normalizer("basic"),
        speakers={name: f"s{number % 4}" for number, name in enumerate(names)},
    )


def reports(rates: Mapping[float, float], tmp_path: Path) -> dict[tuple[str, Training], ScoreReport]:
    found = {}
    for minutes, rate in rates.items():
        for seed in (1, 2):
            part = Part(size=f"{minutes:g}", seed=seed, folder=tmp_path, minutes=minutes, utterances=())
            one = Training(
                series="from scratch", part=part, folder=tmp_path, settings=settings(tmp_path), steps=9, arguments=()
            )
            found["from scratch", one] = scored(rate)
    return found


def test_the_longest_part_is_predicted_from_the_others_and_compared(tmp_path: Path) -> None:
    found: dict[str, Any] = summarize(reports({5: 0.8, 10: 0.4, 20: 0.2, 40: 0.1}, tmp_path), [60])
    (curve,) = found["curves"]
    check = curve["check"]
    assert (check["measured"], check["predicted"][0]) == pytest.approx((10, 10), rel=1e-3)  # 4 / m
    twice, hour = curve["predictions"]
    assert (twice["minutes"], twice["wer"][0]) == (80, pytest.approx(5, rel=0.01))
    assert (hour["minutes"], hour["wer"][0]) == (100, pytest.approx(4, rel=0.01))
    text = render({**found, "notes": []})
    assert "predicted without the longest part (40.0 min): 10.00 % [10.00, 10.00], measured 10.00 %" in text
    assert re.search(r"with 60 more minutes \(100\.0 min in all\): 4\.0. % \[.*\], extrapolated", text)
    draw_curves(found, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 10_000


def test_a_longest_part_that_the_others_predict_wrongly_is_noted(tmp_path: Path) -> None:
    check = summarize(reports({5: 0.8, 10: 0.4, 20: 0.2, 40: 0.15}, tmp_path), [60])["curves"][0]["check"]
    assert (check["measured"], check["predicted"][0]) == pytest.approx((15, 10), rel=1e-3)  # 4 / m without it
    assert not check["within"]


def test_results_of_trainings_become_json_table_and_picture(
    words: list[str], tmp_path: Path, capsys: Capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish(commands: Mapping[Key, list[str]], runs: Mapping[Key, Path], *_: object) -> None:
        for (name, seed), folder in runs.items():
            rate = {"0.02 min": 0.6, "0.03 min": 0.5, "0.04 min": 0.4, "all": 0.3}[name.rpartition(", ")[2]]
            header = ReportHeader(title="", system="", data="", date="")
            write_report(folder / "evaluation" / "test", scored(rate + 0.01 * seed), header)
            write_json(folder / "model" / "config.json", {"facts": {"commit": "abc", "training_seconds": 2.5}})

    monkeypatch.setattr(learning_curve, "train_all", finish)
    place = words.index("--minutes")
    assert main([*words[: place + 2], "0.03", "0.04", *words[place + 2 :], "--more", "0.05"]) == 0
    out, files = capsys.readouterr().out, tmp_path / "out"
    found = json.loads((files / "learning-curve.json").read_text())
    assert len(found["trainings"]) == 8
    row = found["trainings"][0]
    assert (row["part"], row["seed"], row["errors"], row["words"], row["wer"]) == ("0.02", 1, 1220, 2000, 61.0)
    assert (row["commit"], row["training_seconds"]) == ("abc", 2.5)
    point = found["curves"][0]["points"][-1]
    assert (point["part"], point["wer"], point["wers"]) == ("all", 31.5, [31, 32])
    assert "| from scratch | all | 0.1 | – |" in out and "31.50" in out and "fit: WER = " in out
    assert (
        out == (files / "learning-curve.md").read_text().partition("\n\n![")[0] + "\n" + out[out.index("results: ") :]
    )
    assert (files / "learning-curve.png").stat().st_size > 10_000


def test_without_a_fit_there_is_a_table_a_picture_and_the_reason(tmp_path: Path) -> None:
    found = summarize(reports({5: 1.0, 10: 1.0, 20: 0.95}, tmp_path), [60])
    text = render({**found, "notes": []})
    assert "no fit: a curve needs 3 parts with a WER below 90%; of 3 parts 3 are above" in text
    assert "| from scratch | 20 min |" in text and "extrapolated" not in text
    draw_curves({**found, "curves": 12 * found["curves"]}, tmp_path / "curve.svg")  # more than there are colours
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")
