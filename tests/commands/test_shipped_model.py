"""The model that comes with the package: found by its name everywhere, never changed, and never taken for another."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from asr import load_model
from asr.cli import main
from asr.errors import ModelError
from asr.lm import read_lm
from asr.pretrained import from_pretrained, save_pretrained
from asr.recognition import Recognizer
from asr.recognition.calibration import Calibration, store_calibration
from asr.recognition.stored_decoding import store_decoding
from asr.shipped import model_directory
from asr.transcription.options import TranscribeOptions
from tests.inspection.made import make_waveform, save_model
from tests.transcribe_stub import Stub, recordings

INSTALLED = "this installation comes without the model 'english'; give a model directory of your own"


@pytest.fixture
def here(tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; nothing is shipped yet."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def starter(here: Path, package: Path) -> Path:
    """The shipped model."""
    return save_model(package / "_pretrained" / "english", "bilstm")


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def fake(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"sha256": {"model.safetensors": "abc"}}')
    return folder


# --- the name ---------------------------------------------------------------------------------------------------------


def test_the_name_is_the_shipped_model_and_a_path_is_itself(here: Path, package: Path) -> None:
    starter = fake(package / "_pretrained" / "english")
    assert model_directory("english") == model_directory(Path("english")) == starter
    assert model_directory("runs/english") == Path("runs/english") and model_directory(starter) == starter
    (here / "english").mkdir()
    assert model_directory("english") == starter, "a folder without a model does not count"
    for text in ("./english", "english/"):
        assert model_directory(text) == here / "english"


@pytest.mark.parametrize("own", ["english", "english/model"])
def test_a_model_of_that_name_here_is_never_taken_for_it(here: Path, package: Path, own: str) -> None:
    fake(here / own)
    assert model_directory("english") == Path("english"), "nothing is shipped: it can only be the folder"
    starter = fake(package / "_pretrained" / "english")
    with pytest.raises(ModelError) as caught:
        model_directory("english")
    assert str(caught.value).endswith(f"Give {starter} or ./{own}")


def test_an_installation_without_it_says_what_to_do(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recordings(here, a_wav="x")
    for words in (
        ["transcribe", "a.wav"],
        ["transcribe", "english", "a.wav"],
        ["evaluate", "english", "m", "--out", "o"],
    ):
        assert main(words) == 1
        said = capsys.readouterr().err
        assert INSTALLED in said and said.count("\n") == 1
    with pytest.raises(ModelError, match=INSTALLED):
        load_model("english")


# --- asr transcribe [MODEL] PATH... -----------------------------------------------------------------------------------


def transcribed(stub: Stub, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[Path, list[str]]:
    """The model and the recordings that `asr transcribe` uses."""
    used: list[Path] = []

    def build(options: TranscribeOptions) -> Stub:
        used.append(options.model)
        return stub

    monkeypatch.setattr("asr.transcription.job.build_recognizer", build)
    stub.asked.clear()
    assert main(["transcribe", *words]) == 0
    return used[0], stub.names


def test_a_first_word_that_is_no_model_is_a_recording(
    here: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub, starter = Stub(), fake(package / "_pretrained" / "english")
    own = fake(here / "mine" / "model")
    recordings(here, a_wav="one", b_wav="two", english="three")
    recordings(here / "folder", c_wav="four")
    for words, model, names in [
        (["a.wav"], starter, ["a.wav"]),
        (["a.wav", "b.wav"], starter, ["a.wav", "b.wav"]),
        (["folder", "a.wav"], starter, ["c.wav", "a.wav"]),
        (["./english"], starter, ["english"]),
        (["english", "a.wav"], starter, ["a.wav"]),
        (["english", "english"], starter, ["english"]),
        (["mine/model", "english"], Path("mine/model"), ["english"]),
        ([str(own), "a.wav", "b.wav"], own, ["a.wav", "b.wav"]),
    ]:
        assert transcribed(stub, monkeypatch, *words) == (model, names), words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs/typo/model", "a.wav"], "runs/typo/model: no such model directory or recording; check the path"),
        (
            ["mine", "a.wav"],
            "mine: a training run, whose model is mine/model; for recordings in this folder name a model",
        ),
        (["empty", "a.wav"], "empty: neither a model directory (no config.json) nor a folder with recordings (-r"),
        (["mine/model/config.json", "a.wav"], "not a recording; if it belongs to a model, give the model's folder"),
        (["a.wav", "mine/model"], "mine/model is a model; it goes first: asr transcribe mine/model FILE..."),
        (["a.wav", "english"], "english is a model; it goes first: asr transcribe english FILE..."),
        (["english", "mine/model"], "english and mine/model are models; give one"),
        (["mine/model"], "mine/model is a model, and no recordings are given: asr transcribe mine/model FILE..."),
        (["english"], "english is a model, and no recordings are given: asr transcribe english FILE..."),
    ],
)
def test_what_was_probably_meant_otherwise_is_refused(
    here: Path, package: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(package / "_pretrained" / "english")
    fake(here / "mine" / "model")
    (here / "empty").mkdir()
    recordings(here, a_wav="one")
    assert main(["transcribe", *words]) == 2
    said = capsys.readouterr()
    assert message in said.err and said.out == ""


def test_a_folder_of_that_name_is_named_where_recordings_are_missing(
    here: Path, package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(package / "_pretrained" / "english")
    recordings(here / "english", a_wav="one")
    assert main(["transcribe", "english"]) == 2
    assert "the recordings in the folder (or file) of that name are ./english" in capsys.readouterr().err


def test_an_absent_recording_is_a_failure_of_its_own(here: Path, package: Path, capsys: Any, stub: Stub) -> None:
    fake(package / "_pretrained" / "english")
    recordings(here, a_wav="one")
    assert main(["transcribe", "x.wav", "a.wav"]) == 1
    said = capsys.readouterr()
    assert "x.wav: no such file" in said.err and said.out == "a.wav\tone\n"


# --- with a true model ------------------------------------------------------------------------------------------------


def test_python_and_the_verbs_take_the_name(starter: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write("a.wav", make_waveform(), 8000)
    (here / "m.jsonl").write_text(json.dumps({"id": "a", "audio": "a.wav", "duration_s": 2.0, "text": "abc"}) + "\n")
    assert load_model("english", device="cpu").transcribe("a.wav") == load_model(starter, device="cpu").transcribe(
        "a.wav"
    )
    assert main(["evaluate", "english", "m.jsonl", "--out", "out", "--device", "cpu"]) == 0
    digest = json.loads((starter / "config.json").read_text())["sha256"]["model.safetensors"]
    assert json.loads(Path("out/summary.json").read_text())["model_sha256"] == digest
    assert main(["inspect", "english", "a.wav"]) == 0
    assert main(["check", "m.jsonl", "--model", "english", "--device", "cpu"]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err


def test_it_is_never_changed(starter: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "texts.txt").write_text("abc abd\n" * 5)
    assert main(["lm", "build", "texts.txt", "--order", "2", "--out", "lm.bin"]) == 0
    before, greedy = hashes(starter), Recognizer.from_pretrained("english").decoding
    for words in (["lm", "tune", "english", "dev.jsonl", "--lm", "lm.bin"], ["calibrate", "english", "dev.jsonl"]):
        assert main(words) == 1
        assert f"{starter}: the model that comes with this package is never changed" in capsys.readouterr().err
    with pytest.raises(ModelError, match="never changed"):
        store_decoding(starter, greedy, read_lm("lm.bin"), {})
    nothing = Calibration(evidence=[], mean=[], scale=[], weights=[], bias=0.0)
    with pytest.raises(ModelError, match="never changed"):
        store_calibration(starter, nothing)
    assert hashes(starter) == before


# --- float16 ----------------------------------------------------------------------------------------------------------


def test_weights_kept_in_float16_are_float32_in_use_and_nearly_the_same(starter: Path, here: Path) -> None:
    whole = from_pretrained(starter)
    save_pretrained(Path("half"), whole.features, whole.model, whole.tokenizer, whole.facts, dtype=torch.float16)
    half = from_pretrained(Path("half"))
    for exact, rounded in zip(whole.model.parameters(), half.model.parameters(), strict=True):
        assert rounded.dtype == torch.float32 and torch.equal(rounded, exact.half().float())
    for name, value in whole.features.state_dict().items():
        assert torch.equal(half.features.state_dict()[name], value), "the features are not rounded"
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (Path("half"), starter)]
    assert sizes[0] < 0.65 * sizes[1]
    texts = [Recognizer.from_pretrained(folder, device="cpu") for folder in ("half", starter)]
    emissions = [next(one.emissions([make_waveform()], workers=1)) for one in texts]
    np.testing.assert_allclose(emissions[0].log_probs, emissions[1].log_probs, atol=0.02)  # type: ignore[union-attr]
