"""`asr run ... previous=RUN_DIR`: on a corpus that has grown, from the model of before, with the same test set."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.cli import main
from asr.config.typed import read_config
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.files import read_json_lines, read_json_object
from asr.pipeline.previous import keep_parts, with_previous
from asr.shipped import weights_sha256
from asr.training.logs import RunLogs
from tests.tiny_run import SETTINGS, make_corpus, make_utterance

PREPARE = """
from pathlib import Path
from asr.data.manifest import read_manifest
from asr.data.splits import Splits, write_splits

def prepare(corpus: Path, out: Path) -> str:
    parts = {split: read_manifest(corpus / f"{split}.jsonl") for split in ("train", "dev", "test")}
    return write_splits(out, Splits(**parts))
"""


def ids(path: Path) -> list[str]:
    return [one.id for one in read_manifest(path)]


def epochs_of(run: Path) -> int:
    """How many epochs were done."""
    return int(max(one["epoch"] for one in read_json_lines(run / "metrics.jsonl")))


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(RunLogs, "draw", lambda self: None)
    file = tmp_path / "recipe" / "tiny.yaml"
    file.parent.mkdir()
    (file.parent / "prepare.py").write_text(PREPARE)
    training = {**SETTINGS["training"], "epochs": 30, "least_steps": 40, "keep_last": 0}
    file.write_text(json.dumps({"defaults": ["base", "_self_"], **SETTINGS, "training": training}))
    return file


def test_a_grown_corpus_trains_on_with_the_test_set_of_before_and_says_whether_that_helped(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, first, second = make_corpus(tmp_path / "corpus"), tmp_path / "first", tmp_path / "second"
    assert main(["run", str(recipe), f"corpus={corpus}", f"run_dir={first}", "training.epochs=4"]) == 0
    assert epochs_of(first) == 4, "not the 40 steps that the recipe asks for"
    before = {name: (first / "data" / f"{name}.jsonl").read_text() for name in ("dev", "test")}

    train, test = read_manifest(corpus / "train.jsonl"), read_manifest(corpus / "test.jsonl")
    shutil.copy(corpus / "dev1.wav", corpus / "copy.wav")
    copied = replace(read_manifest(corpus / "dev.jsonl")[1], id="copy", audio=str(corpus / "copy.wav"))
    generator = np.random.default_rng(9)
    new = [make_utterance(corpus, f"new{n}", "ab", generator) for n in range(3)]
    new = [replace(one, extra={"seconds": 30.0, "by": "Ann"}) for one in new]
    corrected = replace(train[2], text="cab")
    write_manifest(corpus / "train.jsonl", [*train[1:2], corrected, *train[3:], *new, test[0], copied])
    write_manifest(corpus / "test.jsonl", test[1:])

    capsys.readouterr()
    words = ["run", str(recipe), f"corpus={corpus}", f"run_dir={second}", "training.epochs=1", f"previous={first}"]
    assert main(words) == 0 and epochs_of(second) == 1
    printed = capsys.readouterr()
    assert f"trains on from {first / 'model'}: 1 epochs, learning rate 0.005" in printed.err
    assert f"\nWith the data of {first}:\nsplit " in printed.out
    assert "3 utterances of train are new" in printed.out and "1 utterances of the earlier training" in printed.out
    assert "this model was trained on these utterances" in printed.err
    assert {name: (second / "data" / f"{name}.jsonl").read_text() for name in before} == before
    kept = {one.id: one.text for one in read_manifest(second / "data" / "train.jsonl")}
    assert set(kept) == {f"train{n}" for n in range(13)} | {"new0", "new1", "new2"}, (
        "neither test0 nor the copy of dev1"
    )
    assert kept["train2"] == "cab" and ids(second / "data" / "new.jsonl") == ["new0", "new1", "new2"]
    settings = read_config(second / "config.yaml").train
    assert settings.training.init_from == str(first / "model") and settings.optimizer.learning_rate == 0.005

    compared = read_json_object(second / "comparison" / "test" / "compare.json")
    wers = [read_json_object(run / "evaluation" / "test" / "summary.json")["wer"] for run in (first, second)]
    assert [one["wer"] for one in compared["systems"]] == wers and compared["utterances"] == 2
    sentences = read_json_object(second / "comparison" / "new" / "compare.json")["pairs"][0]["by_utterance"]
    assert {one["id"] for one in sentences} <= {"new0", "new1", "new2"}
    rows = read_json_lines(second / "history.jsonl")
    assert [row["run"] for row in rows] == [str(first), str(second)]
    assert [row["work_minutes"] for row in rows] == [None, 1.5] and [row["wer"] for row in rows] == wers
    assert rows[1]["model_sha256"] == weights_sha256(second / "model")
    page = (second / "report.md").read_text()
    assert "## Against the earlier model" in page and compared["pairs"][0]["sentence"] in page
    assert "| – |" in page and "| 1.5 |" in page and (second / "history.png").is_file()
    assert main(words) == 0
    assert capsys.readouterr().err.count("up to date, skipped") == 4

    write_manifest(second / "data" / "train.jsonl", [*train, copied])
    assert main([*words[:2], f"data.dir={second / 'data'}", f"run_dir={tmp_path / 'third'}", words[-1],
                 "stages=[train]"]) == 1  # fmt: skip
    assert "1 utterances are in the dev or test set of" in capsys.readouterr().err
    assert main([*words[:4], f"previous={tmp_path / 'none'}"]) == 2
    assert f"previous={tmp_path / 'none'}: not a training that is done" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "model", "features"),
    [
        ({}, ("lstm", 8, 0.2), (16, 0.0125)),
        ({"model.dropout": 0.3}, ("lstm", 8, 0.3), (16, 0.0125)),
        ({"model.subsampling.factor": 4, "features.n_mels": 20}, ("lstm", 8, 0.2), (20, 0.0125)),
        ({"model": "gru", "model.hidden_size": 9}, ("gru", 9, 0.5), (16, 0.0125)),
        ({"training.init_from": None}, ("gru", 256, 0.5), (40, 0.01)),
    ],
)
def test_what_is_given_of_a_model_changes_that_of_the_earlier_run(
    given: dict[str, Any], model: tuple[str, int, float], features: tuple[int, float], tmp_path: Path
) -> None:
    first = tmp_path / "first"
    (first / "model").mkdir(parents=True)
    (first / "model" / "config.json").write_text("{}")
    earlier = {"name": "lstm", "hidden_size": 8, "dropout": 0.2, "subsampling": {"factor": 2}}
    stored = {"features": {"n_mels": 16, "frame_shift_s": 0.0125}, "model": earlier, "data": {"dir": "d"}}
    (first / "config.yaml").write_text(json.dumps({"run_dir": str(first), **stored}))
    values: dict[str, Any] = {
        "previous": str(first), "run_dir": str(tmp_path / "second"),
        "model": {"name": "gru", "hidden_size": 256, "dropout": 0.5, "subsampling": {"factor": 2}},
        "features": {"n_mels": 40, "frame_shift_s": 0.01},
        "training": {"init_from": "auto", "epochs": 8, "least_steps": 30}, "optimizer": {"learning_rate": 0.5},
    }  # fmt: skip
    for key, value in given.items():
        group, *path = key.split(".")
        place = values[group]
        for name in path[:-1]:
            place = place[name]
        place[path[-1] if path else "name"] = value
    changed, said = with_previous(values, given.keys())
    made = changed["model"]
    assert (made["name"], made["hidden_size"], made["dropout"]) == model
    assert made["subsampling"]["factor"] == given.get("model.subsampling.factor", 2)
    assert (changed["features"]["n_mels"], changed["features"]["frame_shift_s"]) == features
    fresh = "training.init_from" in given
    assert (changed["training"]["epochs"], changed["optimizer"]["learning_rate"]) == ((8, 0.5) if fresh else (2, 0.25))
    assert changed["training"]["least_steps"] == (30 if fresh else 8), "a quarter of it"
    assert changed["training"]["init_from"] == (None if fresh else str(first / "model")) and str(first) in said


def test_speakers_and_recordings_that_were_held_out_stay_held_out(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    long = {name: make_utterance(tmp_path, name, "abc", generator, duration_s=6.0) for name in ("one", "two", "three")}

    def part(name: str, place: int, speaker: str) -> Utterance:
        return replace(long[name], id=f"{name}{place}", start_s=float(place), duration_s=1.0, speaker=speaker)

    data, run = tmp_path / "data", tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text(json.dumps({"run_dir": str(run), **SETTINGS, "data": {"dir": str(data)}}))
    for split, utterances in {
        "train": [part("one", 0, "Ann")], "dev": [part("two", 0, "Bob")], "test": [part("three", 0, "Cid")],
    }.items():  # fmt: skip
        write_manifest(data / f"{split}.jsonl", utterances)
    grown = tmp_path / "grown"
    new = [part("one", 2, "Ann"), part("one", 3, "Bob"), part("three", 2, "Ann"), part("two", 4, "Dan")]
    write_manifest(grown / "train.jsonl", [part("one", 0, "Ann"), replace(part("three", 0, "Cid"), text="cc"), *new])
    write_manifest(grown / "dev.jsonl", [part("two", 0, "Bob")])
    write_manifest(grown / "test-new.jsonl", [replace(part("one", 4, "Ann"), id="one0")])  # one id in two manifests
    said = keep_parts(run, grown)
    assert ids(grown / "train.jsonl") == ["one0", "one2", "one0-2"] and ids(grown / "new.jsonl") == ["one2", "one0"]
    assert not (grown / "test-new.jsonl").exists(), "it is trained on"
    assert [one.text for one in read_manifest(grown / "test.jsonl")] == ["abc"]
    assert "2 utterances of train are new" in said and "1 utterances of dev and test have another text now" in said
    assert (
        "2 new utterances are left out: their recording" in said and "1 new utterances are left out: their sp" in said
    )
