"""recipes/english/ship.py: a trained model becomes the shipped one, and its card says what the evaluations say."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import asr.recognition.recognizer
from asr.cli import main
from asr.data.manifest import read_manifest, write_manifest
from asr.features import LogMel, LogMelConfig
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
from asr.pretrained import from_pretrained, save_pretrained
from asr.recognition import Recognizer
from asr.text.tokenizer import CharacterTokenizer
from recipes.english import card, ship
from tests.tiny_run import make_corpus


@pytest.fixture(scope="module", autouse=True)
def open_gate() -> Iterator[None]:
    """The recordings here are tones, from which the speech gate would rightly take every word."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asr.recognition.recognizer, "apply_gate", lambda log_probs, *_: log_probs)
        yield


@pytest.fixture(scope="module")
def trained(open_gate: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``data`` with a source and a gender, and ``run/model``."""
    folder = tmp_path_factory.mktemp("trained")
    make_corpus(folder / "data", train=6, dev=3, test=7)
    for manifest in (folder / "data").glob("*.jsonl"):
        rows = read_manifest(manifest)
        gender = [{"source": "vctk", "gender": "f" if number % 2 else "m"} for number in range(len(rows))]
        write_manifest(manifest, [replace(one, extra=extra) for one, extra in zip(rows, gender, strict=True)])
    torch.manual_seed(4)
    tokenizer = CharacterTokenizer.from_texts(["abc "])
    config = BiLstmConfig(
        num_layers=2, hidden_size=12, subsampling=SubsamplingConfig(factor=2, channels=4, output_size=16)
    )
    network = AcousticModel(config, 16, tokenizer.vocab_size, ["<blank>", "AH", "B"])
    with torch.no_grad():
        for weight in (network.head.weight, *network.encoder.parameters()):
            weight.mul_(6)  # so that it says something
    features = LogMel(LogMelConfig(sample_rate=8000, n_mels=16))
    features.set_normalisation(torch.full((16,), -6.0), torch.full((16,), 2.0))
    save_pretrained(folder / "run" / "model", features, network, tokenizer, {"command": "asr train x", "epoch": 3})
    rows = read_manifest(folder / "data" / "test.jsonl")
    model = Recognizer.from_pretrained(folder / "run" / "model", "cpu")
    right = {one.id: model.transcribe(one.audio).text or "zz" for one in rows[::2]}
    write_manifest(folder / "data" / "test.jsonl", [replace(one, text=right.get(one.id, "zz")) for one in rows])
    return folder


@pytest.fixture(scope="module")
def shipped(trained: Path) -> Path:
    pytest.importorskip("onnxruntime")
    words = [trained / "run" / "model", trained / "data", "--work", trained / "work", "--out", trained / "english"]
    assert ship.main([str(word) for word in words]) == 0
    return trained / "english"


def test_it_is_the_trained_model_rounded(trained: Path, shipped: Path) -> None:
    exact, rounded = from_pretrained(trained / "run" / "model"), from_pretrained(shipped)
    for name, value in exact.model.state_dict().items():
        assert rounded.model.state_dict()[name].equal(value.half().float() if value.is_floating_point() else value)
    assert (
        rounded.facts["float32_sha256"]
        == json.loads((trained / "run/model/config.json").read_text())["sha256"]["model.safetensors"]
    )
    assert Recognizer.from_pretrained(shipped).calibration is not None, "calibrated for the rounded weights"


def test_the_difference_of_rounding_is_that_of_both_heads(trained: Path, tmp_path: Path) -> None:
    changed = from_pretrained(trained / "run" / "model")
    assert changed.model.phone_head is not None
    with torch.no_grad():
        changed.model.phone_head.bias[1] += 1.0
    save_pretrained(tmp_path / "model", changed.features, changed.model, changed.tokenizer, {})
    found = ship.fp16_difference(trained / "run" / "model", tmp_path / "model", trained / "data" / "dev.jsonl")
    assert 0.1 < found["largest_nats"] <= 1.0 and found["changed_texts"] == 0


def test_a_dictionary_is_in_the_card_where_there_is_one() -> None:
    facts = {"name": "some.dict", "words": 1234, "sha256": "0123456789abcdef"}
    texts = card.read_texts(card.TEXTS)
    (*_, told) = card._data([], {"facts": {"pronunciations": facts}}, texts)
    assert "some.dict, 1,234 words (SHA-256 0123456789ab)" in told
    assert "by their sounds" not in card._data([], {}, texts)[-1]


def test_the_card_says_what_the_files_say(trained: Path, shipped: Path) -> None:
    values = json.loads((shipped / "card.json").read_text())
    text = (shipped / "README.md").read_text()
    assert text == card.render(values)
    summary = json.loads((trained / "work/evaluation/test/summary.json").read_text())
    (test,) = values["tests"]
    assert test["wer"] == summary["wer"] and f"| {summary['wer']:.2f} |" in text
    low, high = (summary["intervals"]["wer"]["utterances"][side] for side in ("low", "high"))
    assert f"[{low:.1f}, {high:.1f}]" in text
    backends = {one["name"]: one["backend"] for one in values["backends"]}
    assert backends == {"test-onnx": "onnx", "test-onnx-int8": "onnx-int8"} and "| test | greedy | onnx-int8 |" in text
    assert f"| test | greedy | onnx | {summary['wer']:.2f} | +0.00 |" in text
    for name in ("model.safetensors", "config.json", "calibration.json"):
        digest = hashlib.sha256((shipped / name).read_bytes()).hexdigest()
        assert values["files"][name] == digest and f"| `{name}` | {digest} |" in text
    digest = hashlib.sha256((trained / "data" / "train.jsonl").read_bytes()).hexdigest()
    assert f"| made from: train.jsonl | {digest} |" in text
    assert "gender f" in text and "VCTK" in text and "ODC-By 1.0" in text
    assert {one["group"]: one["utterances"] for one in test["groups"]} == {"gender f": 3, "gender m": 4}


def test_a_shipped_model_is_shipped_again_as_it_is(trained: Path, shipped: Path) -> None:
    again = trained / "again"
    words = [shipped, trained / "data", "--work", trained / "second", "--out", again, "--tests"]
    assert ship.main([str(word) for word in words]) == 0
    for name in ("model.safetensors", "calibration.json"):
        assert (again / name).read_bytes() == (shipped / name).read_bytes()
    old, new = (json.loads((folder / "card.json").read_text()) for folder in (shipped, again))
    assert new == {**old, "tests": [], "backends": []} and old["fp16"]["largest_nats"] > 0


def test_it_is_done_once_and_results_of_other_weights_are_refused(
    trained: Path, shipped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        str(word) for word in (trained / "run/model", trained / "data", "--work", trained / "work", "--out", shipped)
    ]
    monkeypatch.setattr(ship, "_asr", lambda *words: pytest.fail(f"again: {words}"))
    before = (shipped / "README.md").read_bytes()
    assert ship.main(words) == 0 and (shipped / "README.md").read_bytes() == before
    other = trained / "work" / "evaluation" / "other"
    model, test = str(trained / "run/model"), str(trained / "data/test.jsonl")
    assert main(["evaluate", model, test, "--out", str(other), "--device", "cpu"]) == 0
    assert ship.main(words) == 2
    assert f"{other}: was not evaluated with" in capsys.readouterr().err
    assert (shipped / "README.md").read_bytes() == before


def test_another_language_has_its_own_texts(trained: Path, shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {**json.loads(card.TEXTS.read_text()), "name": "deutsch", "sources": {"vctk": ["Hörbücher", "CC0"]}}
    given, out = trained / "texts.json", trained / "deutsch"
    words = [shipped, trained / "data", "--work", trained / "third", "--out", out, "--card-texts", given]
    given.write_text(json.dumps({**texts, "limits": ["- Nur Deutsch."]}))
    assert ship.main([str(word) for word in [*words, "--tests"]]) == 0
    told = (out / "README.md").read_text()
    assert told.startswith("# deutsch\n") and "| Hörbücher | CC0 |" in told and told.endswith("- Nur Deutsch.\n")
    given.write_text(json.dumps({"name": "deutsch"}))
    assert ship.main([str(word) for word in words]) == 2
    assert "texts.json: lacks held_out, history, language_model, limits" in capsys.readouterr().err


def test_what_is_too_large_is_refused(trained: Path, capsys: Any) -> None:
    words = [trained / "run/model", trained / "data", "--work", trained / "small", "--out", trained / "none"]
    words += ["--most-mb", "0.001"]
    assert ship.main([str(word) for word in words]) == 2
    assert "prune the language model more" in capsys.readouterr().err and not (trained / "none").exists()


def test_the_shipped_card_is_the_one_of_its_figures(repository: Path) -> None:
    folder = repository / "pretrained" / "english"
    if not (folder / "card.json").is_file():
        pytest.skip("this checkout has no model")
    assert (folder / "README.md").read_text() == card.render(json.loads((folder / "card.json").read_text()))
