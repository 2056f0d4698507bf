"""`asr calibrate`: what it stores, says and refuses, on a small random model whose words are sometimes right."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

import asr.recognition.recognizer
from asr.cli import main
from asr.data.manifest import Utterance, write_manifest
from asr.recognition import Recognizer
from asr.recognition.reliability import CalibrationReport
from tests.random_model import save_random_model

RATE = 8000


@pytest.fixture(scope="module", autouse=True)
def open_gate() -> Iterator[None]:
    """The recordings here are noise, from which the speech gate would rightly take every word."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asr.recognition.recognizer, "apply_gate", lambda log_probs, *_: log_probs)
        yield


@pytest.fixture(scope="module")
def made(open_gate: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model directory, and a manifest whose references are the model's own texts with every fourth word changed."""
    folder = tmp_path_factory.mktemp("calibrate")
    save_random_model(folder / "model", letters="abc ")
    recognizer = Recognizer.from_pretrained(folder / "model", "cpu", words=False)
    utterances = []
    for number in range(8):
        generator = np.random.default_rng(number)
        level = np.repeat(generator.uniform(0, 0.5, 40), 400)
        path = folder / f"{number}.wav"
        sound = (level * np.cumsum(generator.standard_normal(level.size)) / 50).clip(-1, 1)
        soundfile.write(path, sound.astype(np.float32), RATE, subtype="FLOAT")
        words = recognizer.transcribe(path).text.split()
        text = " ".join("zz" if index % 4 == number % 4 else word for index, word in enumerate(words))
        utterances.append(
            Utterance(id=str(number), audio=str(path), duration_s=2.0, text=text or "zz", speaker=f"s{number % 4}")
        )
    write_manifest(folder / "dev.jsonl", utterances)
    return folder / "model", folder / "dev.jsonl"


def test_it_fits_stores_tells_and_draws(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, manifest = made
    before = Recognizer.from_pretrained(model, "cpu").transcribe(manifest.parent / "0.wav")
    assert main(["calibrate", str(model), str(manifest), "--out", str(tmp_path / "plot.png"), "--device", "cpu"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    facts = json.loads((model / "calibration.json").read_text())["facts"]
    assert 0 < facts["wrong_words"] < facts["words"]
    assert f"{facts['words']:,} recognised words of {manifest}, {facts['wrong_words']} of them wrong" in out
    assert f"before {facts['ece_before']:.2%} {facts['brier_before']:.4f}" in out
    assert f"after, on speakers held out {facts['ece_after']:.2%} {facts['brier_after']:.4f}" in out
    assert (tmp_path / "plot.png").stat().st_size > 10_000
    after = Recognizer.from_pretrained(model, "cpu").transcribe(manifest.parent / "0.wav")
    assert after.text == before.text and after.confidence != before.confidence


def test_a_calibration_that_no_longer_fits_does_not_stand_in_its_own_way(made: tuple[Path, Path]) -> None:
    model, manifest = made
    (model / "calibration.json").write_text("{")
    assert main(["transcribe", str(model), str(manifest.parent / "0.wav"), "--device", "cpu"]) == 1
    assert main(["calibrate", str(model), str(manifest), "--device", "cpu"]) == 0
    assert main(["transcribe", str(model), str(manifest.parent / "0.wav"), "--device", "cpu"]) == 0
    assert (model / "calibration.png").is_file()


def test_a_dev_set_in_which_nothing_is_recognised_is_refused(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(4), RATE)
    write_manifest(
        tmp_path / "dev.jsonl", [Utterance(id="a", audio=str(tmp_path / "silence.wav"), duration_s=4 / RATE, text="a")]
    )
    assert main(["calibrate", str(made[0]), str(tmp_path / "dev.jsonl"), "--device", "cpu"]) == 1
    assert "recognised no word" in capsys.readouterr().err


def test_a_plot_that_cannot_be_written_is_refused_before_the_work(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = made[1].read_bytes()
    for plot, message in (
        (tmp_path, "is a folder; give a file"),
        (made[1] / "a.png", "a folder is needed there"),
        (made[1], "the plot is a PNG"),
    ):
        assert main(["calibrate", *map(str, made), "--out", str(plot), "--device", "cpu"]) == 2
        assert message in capsys.readouterr().err
    assert made[1].read_bytes() == content


def test_segments_of_one_recording_are_never_apart_in_cross_validation(
    made: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, manifest = made
    whole = Utterance(id="", audio=str(manifest.parent / "0.wav"), duration_s=1.0, text="zz")
    write_manifest(tmp_path / "dev.jsonl", [replace(whole, id="a"), replace(whole, id="b", start_s=1.0)])
    assert main(["calibrate", str(model), str(tmp_path / "dev.jsonl"), "--device", "cpu"]) == 0
    assert "after, on the words that it was fitted to" in capsys.readouterr().out


def test_few_errors_and_a_worse_brier_score_are_noted() -> None:
    good = CalibrationReport(
        words=100, wrong_words=20, how="", ece_before=0.1, ece_after=0.1, ece_of_chance=0.0, brier_before=0.1,
        brier_after=0.1, manifest="dev.jsonl", normalizer="basic",
    )  # fmt: skip
    assert good.notes() == []
    assert ["19 wrong words" in note for note in replace(good, wrong_words=19).notes()] == [True]
    assert ["got worse" in note for note in replace(good, brier_after=0.11).notes()] == [True]
