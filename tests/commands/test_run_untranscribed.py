"""`asr run ... untranscribed=FOLDER`: rounds of pseudo-labels on a corpus of tones."""

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asr.cli import main
from asr.commands.console import ConsoleObserver
from asr.config.typed import SelfTrainingConfig
from asr.data.known_sound import KnownSound
from asr.data.manifest import Utterance, read_manifest
from asr.errors import DataError
from asr.files import read_json_object
from asr.pipeline import pseudo_labels, self_training
from asr.pipeline.comparison import earlier_model
from asr.pipeline.pseudo_labels import PseudoLabel, reasons_against
from asr.pipeline.untranscribed import cut_long, find_untranscribed
from asr.recognition import Hypothesis, Word, recognizer
from asr.shipped import weights_sha256
from asr.training.logs import RunLogs
from asr.training.records import StepRecord
from tests.random_model import save_random_model
from tests.tiny_run import SETTINGS, make_corpus, make_utterance

TRAINED = {"epochs": 1, "keep_last": 0, "select_by": "loss"}
STAGES = "stages=[train,self-train,evaluate,report]"


class Run:
    """`asr run` in one folder with a model that was trained before; ``pile`` has recordings without texts."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str] | None = None) -> None:
        self.recipe, self.data, self.run_dir = folder / "recipe" / "tiny.yaml", folder / "data", folder / "run"
        self.pile, self.rounds = folder / "pile", folder / "run" / "self-training"
        self.capsys = capsys

    def make(self) -> None:
        make_corpus(self.data, train=16, dev=5)
        generator = np.random.default_rng(5)
        self.pile.mkdir()
        for number, text in enumerate(("ab", "cab", "b", "ca", "bac", "c")):
            make_utterance(self.pile, f"new{number}", text, generator)
        self.recipe.parent.mkdir()
        start = save_random_model(
            self.run_dir.with_name("start"), letters="abc "
        )  # it writes much, and all of it wrong
        training = {**SETTINGS["training"], **TRAINED, "init_from": str(start)}
        settings = {**SETTINGS, "training": training, "optimizer": {"learning_rate": 1e-3}}
        self.recipe.write_text(json.dumps({"defaults": ["base", "_self_"], **settings}))
        assert main(["run", str(self.recipe), *self._words, "stages=[train]"]) == 0

    @property
    def _words(self) -> list[str]:
        return [f"data.dir={self.data}", f"run_dir={self.run_dir}"]

    def __call__(self, *words: str, code: int = 0, pile: Path | None = None) -> str:
        """What it said."""
        given = [f"untranscribed={pile or self.pile}", *([] if any("stages" in one for one in words) else [STAGES])]
        few = ["self_training.rounds=1", "self_training.epochs=3", "self_training.min_confidence=0", *words]
        assert self.capsys is not None
        self.capsys.readouterr()
        assert main(["run", str(self.recipe), *self._words, *given, *few]) == code
        return self.capsys.readouterr().err

    def table(self) -> list[dict[str, Any]]:
        rounds: list[dict[str, Any]] = read_json_object(self.rounds / "rounds.json")["rounds"]
        return rounds


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = Run(tmp_path_factory.mktemp("self-training"))
    made.make()
    shutil.copytree(made.run_dir, made.run_dir.with_name("as-trained"))
    return made


@pytest.fixture
def run(trained: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """As it was after the training."""
    monkeypatch.setattr(RunLogs, "draw", lambda self: None)
    monkeypatch.setattr(recognizer, "apply_gate", lambda log_probs, *rest: log_probs)  # tones are no speech
    monkeypatch.setattr(pseudo_labels, "MIN_AGREEMENT", 0.0)  # so little is learned
    monkeypatch.setattr(self_training, "RATE_FACTOR", 20.0)  # and so much is better
    shutil.rmtree(trained.run_dir)
    shutil.copytree(trained.run_dir.with_name("as-trained"), trained.run_dir)
    trained.capsys = capsys
    return trained


def test_confident_texts_are_trained_on_and_the_better_model_becomes_the_runs(run: Run) -> None:
    before = weights_sha256(run.run_dir / "model")
    said = run("self_training.keep=0.7")
    base, first = run.table()
    rows = read_manifest(run.rounds / "round-1" / "pseudo.jsonl")
    kept = [one for one in rows if not one.extra["left_out"]]
    assert sorted(Path(one.audio).name for one in rows) == [f"new{n}.wav" for n in range(6)]
    assert 0 < len(kept) < 6 and all(one.text for one in kept)
    assert sum(one.duration_s for one in kept) <= 0.7 * sum(one.duration_s for one in rows if one.text)
    least = min(float(one.extra["confidence"] or 0) for one in kept)
    dropped = [one for one in rows if str(one.extra["left_out"]).startswith("not among")]
    assert dropped and all(float(one.extra["confidence"] or 0) <= least for one in dropped)

    trained_on = read_manifest(run.rounds / "round-1" / "data" / "train.jsonl")
    transcribed = read_manifest(run.data / "train.jsonl")
    assert [(one.id, one.text) for one in trained_on] == [(one.id, one.text) for one in [*transcribed, *kept]]
    assert (first["utterances"], first["kept_utterances"], first["accepted"]) == (6, len(kept), True)
    assert first["kept_hours"] == pytest.approx(sum(one.duration_s for one in kept) / 3600, abs=1e-4)
    assert first["dev_loss"] < base["dev_loss"] and "accepted" in said

    after = weights_sha256(run.rounds / "round-1" / "model")
    assert weights_sha256(run.rounds / "round-0" / "model") == before != after
    summary = json.loads((run.run_dir / "evaluation" / "test" / "summary.json").read_text())
    assert weights_sha256(run.run_dir / "model") == after == summary["model_sha256"]
    assert "| accepted |" in (run.run_dir / "report.md").read_text()

    assert run("self_training.keep=0.7").count("up to date, skipped") == 4
    run("self_training.keep=0.7", "self_training.rounds=2", "stages=[train,self-train]")
    assert run.table()[:2] == [base, first] and len(run.table()) == 3, "the first round is not done again"
    run("self_training.keep=0.5", "stages=[self-train]")
    assert run.table()[0] == base, "other settings begin anew with the model of before the rounds"


def test_a_round_that_harms_is_refused_and_the_model_stays(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (run.run_dir / "model" / "model.safetensors").read_bytes()
    monkeypatch.setattr(self_training, "RATE_FACTOR", 1e5)
    said = run("self_training.rounds=3", "stages=[self-train]")
    assert "round 1" in said and "refused: dev is no better, so the earlier model stays" in said
    assert [one["accepted"] for one in run.table()] == [True, False], "it is the last"
    assert run.table()[1]["dev_loss"] > run.table()[0]["dev_loss"]
    assert (run.run_dir / "model" / "model.safetensors").read_bytes() == before
    made: Any = SimpleNamespace(previous=None, run_dir=run.run_dir)
    assert earlier_model(made) is None, "it would be compared with itself"


def test_texts_that_are_not_sure_are_not_trained_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pseudo_labels, "MIN_AGREEMENT", 1.1)
    said = run("stages=[self-train]")
    assert "no text is sure enough to train on (greedy decoding hears something else: " in said
    assert not (run.rounds / "round-1" / "model").exists() and not run.table()[1]["accepted"]


def test_stopped_in_labelling_and_in_training_it_ends_with_the_same_bits(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("stages=[self-train]")
    whole, table = weights_sha256(run.run_dir / "model"), run.table()
    shutil.rmtree(run.run_dir)
    shutil.copytree(run.run_dir.with_name("as-trained"), run.run_dir)

    label, asked = pseudo_labels._label, list[str]()

    def stopped(recognizer: Any, utterance: Utterance, emissions: Any) -> PseudoLabel:
        asked.append(utterance.id)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return label(recognizer, utterance, emissions)

    monkeypatch.setattr(pseudo_labels, "_label", stopped)
    run("stages=[self-train]", code=130)
    with (run.rounds / "round-1" / "labels.jsonl").open("a") as stream:
        stream.write('{"id": "new2')  # what a kill leaves
    step = ConsoleObserver.step

    def killed(self: ConsoleObserver, record: StepRecord) -> None:
        step(self, record)
        if record.step == 7 and len(asked) == 7:
            asked.append("stopped")
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(ConsoleObserver, "step", killed)
    run("stages=[self-train]", code=143)
    assert asked[:3] + asked[4:7] == [f"new{n}.wav" for n in (0, 1, 2, 3, 4, 5)], "two texts are not made again"
    assert "resuming from epoch" in run("stages=[self-train]")
    assert weights_sha256(run.run_dir / "model") == whole and run.table() == table


def test_what_cannot_be_used_is_said_before_anything_is_trained(run: Run, tmp_path: Path) -> None:
    assert f"untranscribed={tmp_path / 'absent'}: no such folder" in run(code=1, pile=tmp_path / "absent")
    (tmp_path / "notes.txt").write_text("no recording")
    said = run(code=1, pile=tmp_path)
    assert f"untranscribed={tmp_path}: no recordings" in said and "train" not in said.splitlines()
    run("self_training.keep=0", code=2)


def test_held_out_recordings_under_any_name_and_unreadable_ones_are_left_out(run: Run, tmp_path: Path) -> None:
    for name in ("train0", "dev1", "test0"):
        shutil.copy(run.data / f"{name}.wav", tmp_path / f"renamed-{name}.wav")
    (tmp_path / "broken.wav").write_bytes(b"RIFF and no more")
    shutil.copy(run.pile / "new0.wav", tmp_path / os.fsdecode(b"caf\xe9.wav"))
    shutil.copy(run.pile / "new0.wav", tmp_path / "a.wav")
    shutil.copy(run.pile / "new0.wav", tmp_path / "b.wav")
    (tmp_path / "renamed-test0.m4a").write_bytes(b"the same sound, encoded")
    splits = {name: read_manifest(run.data / f"{name}.jsonl") for name in ("train", "dev", "test")}
    found, left_out = find_untranscribed(tmp_path, KnownSound(splits))
    assert [one.id for one in found] == ["a.wav"] and 0.3 < found[0].duration_s < 0.5
    reasons = {Path(one.audio).name: one.reason for one in left_out}
    assert "broken.wav" in reasons.pop("broken.wav")
    assert reasons == {
        "b.wav": "the same sound twice",
        "caf\\udce9.wav": "its name is not UTF-8; rename it",
        "renamed-train0.wav": "transcribed already",
        "renamed-dev1.wav": "dev has sound of this recording",
        "renamed-test0.wav": "test has sound of this recording",
    }
    (tmp_path / "a.wav").unlink()
    (tmp_path / "b.wav").unlink()
    with pytest.raises(DataError, match="nothing of it can be used: 5 errors"):
        find_untranscribed(tmp_path, KnownSound(splits))


class Hears:
    """A recogniser that hears words of 1 s at these seconds."""

    def __init__(self, *starts_s: float) -> None:
        self.words = [Word(f"w{start_s:g}", start_s, start_s + 1, 0.5) for start_s in starts_s]

    def emissions(self, recordings: list[Any]) -> list[None]:
        return [None for _ in recordings]

    def decode(self, emissions: None) -> Hypothesis:
        return Hypothesis(text="", score=0.0, duration_s=40.0, words=tuple(self.words))


def test_long_recordings_are_cut_at_pauses_and_what_is_transcribed_of_them_is_left_out(tmp_path: Path) -> None:
    made = make_utterance(tmp_path, "long", "abc", np.random.default_rng(0), duration_s=40.0)
    known = KnownSound({"train": [replace(made, start_s=30.0, duration_s=5.0)]})
    (whole,), none = find_untranscribed(tmp_path, known)
    heard: Any = Hears(2.0, 3.1, 4.5, 7.0, *(10 + 1.2 * n for n in range(15)), 31.0)
    found, left_out = cut_long(heard, [whole], known, lambda done, total: None)
    spans = [(one.start_s, round(one.start_s + one.duration_s, 3)) for one in found]
    # pauses of more than 0.7 s cut, 0.2 s of them are taken along; 10.0 to 27.8 is longer than 15 s: cut in its middle
    assert spans[:2] == [(1.8, 5.7), (6.8, 8.2)] and spans[2][0] == 9.8 and spans[-1][1] == 28.0
    assert len(spans) == 4 and all(stop_s - start_s <= 15.4 for start_s, stop_s in spans)
    assert [(one.reason, one.start_s) for one in left_out] == [("transcribed already", 30.8)]
    assert len({one.id for one in found}) == 4 and not none


def test_the_most_confident_share_of_the_sound_is_kept() -> None:
    def label(name: str, confidence: float, text: str = "ab", agreement: float = 1.0) -> PseudoLabel:
        return PseudoLabel(id=name, text=text, confidence=confidence, agreement=agreement)

    labels = [label("a", 0.9), label("b", 0.5), label("c", 0.8), label("d", 0.1), label("e", 0.95, agreement=0.4),
              label("f", 1.0, text="")]  # fmt: skip
    durations_s = {"a": 4.0, "b": 2.0, "c": 1.0, "d": 3.0, "e": 2.0, "f": 9.0}  # 12 s are recognised
    options = SelfTrainingConfig(keep=0.5, min_confidence=0.2)
    reasons = reasons_against(labels, durations_s, options)
    assert [name for name, reason in reasons.items() if not reason] == ["a", "c"]  # 5 of 6 s; b would make it 7
    assert reasons["b"] == "not among the most confident 50% of the sound"
    assert reasons["d"] == "confidence below 0.2" and reasons["e"].startswith("greedy") and "nothing" in reasons["f"]
