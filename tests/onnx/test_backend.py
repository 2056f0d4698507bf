"""Recognition with an ONNX model in the place of torch's: the same texts; which one is used; `asr export`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from asr import load_model
from asr.cli import main
from asr.errors import ConfigError, ModelError
from asr.onnx.backend import choose_backend
from asr.recognition import Recognizer
from asr.shipped import weights_sha256
from tests.random_model import RATE, save_random_model

ROOT = Path(__file__).parents[2]


def save_model(folder: Path, seed: int = 4) -> Path:
    return save_random_model(folder, {"dev_wer": 0.5}, seed=seed, sharpness=4)


def make_waveform(seconds: float, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    level = np.repeat(generator.uniform(0, 0.5, int(seconds * 20) + 1), RATE // 20)[: int(seconds * RATE)]
    return (level * np.cumsum(generator.standard_normal(level.size)) / 50).clip(-1, 1).astype(np.float32)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    return save_model(tmp_path / "model")


def load(directory: Path, backend: str, device: str = "auto") -> Recognizer:
    return Recognizer.from_pretrained(directory, device, speech_gate=False, backend=backend)


def test_texts_times_and_confidence_are_those_of_torch(directory: Path) -> None:
    waveforms = [make_waveform(seconds, seed) for seed, seconds in enumerate((0.7, 2.4, 0.1, 1.3))]
    expected = load(directory, "torch").transcribe_waveforms(waveforms)
    recognizer = load(directory, "onnx")
    found = recognizer.transcribe_waveforms(waveforms)
    assert [one.text for one in found] == [one.text for one in expected] and len(expected[1].text) > 5
    for one, other in zip(found, expected, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-3)
        assert [(w.text, w.start_s, w.end_s) for w in one.words] == [(w.text, w.start_s, w.end_s) for w in other.words]
        assert one.confidence == pytest.approx(other.confidence, abs=1e-4)
    assert recognizer.backend == "onnx" and "onnx on cpu" in repr(recognizer)


def test_onnxruntime_neither_identifies_the_computer_nor_keeps_events_to_send(directory: Path, tmp_path: Path) -> None:
    """Unless it is told so, it writes a number of this computer and its events below ~/.cache, and sends them."""
    code = "import sys, asr; asr.load_model(sys.argv[1], 'cpu', backend='onnx')"
    known = {"PATH": os.defpath, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    (tmp_path / "home").mkdir()
    subprocess.run([sys.executable, "-c", code, str(directory)], env=known, check=True, timeout=240)
    assert [one for one in (tmp_path / "home").rglob("*") if "onnxruntime" in one.name] == []


def test_int8_is_near_and_not_the_same(directory: Path) -> None:
    (expected,), (found,) = (
        list(load(directory, backend).emissions([make_waveform(2.0, 3)])) for backend in ("torch", "onnx-int8")
    )
    assert not isinstance(expected, Exception) and not isinstance(found, Exception)
    error = np.abs(found.log_probs - expected.log_probs)
    assert error.max() > 1e-3 and error.mean() < 0.5


def test_auto_is_onnx_where_it_is_installed_and_the_device_is_the_cpu(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(directory, "auto").backend == load_model(directory).backend == "onnx"
    assert load(directory, "torch").backend == "torch"
    with monkeypatch.context() as patched:
        patched.setattr("asr.devices.choose_device", lambda name: torch.device("cuda"))
        assert choose_backend("auto", directory, "cuda") == "torch"
        assert choose_backend("auto", directory, "cpu") == "onnx"
        patched.setattr("asr.onnx.backend.GPU_DRIVERS", (str(directory),))
        assert choose_backend("auto", directory, "auto") == "torch"
        patched.setattr("asr.onnx.backend.find_spec", lambda name: None if name == "torch" else name)
        assert choose_backend("auto", directory, "auto") == "onnx"
    installed = ["onnxruntime"]
    monkeypatch.setattr("asr.onnx.backend.find_spec", lambda name: name if name in installed else None)
    assert load(directory, "auto").backend == "torch"  # nothing to make an export with
    assert main(["export", str(directory)]) == 0
    assert load(directory, "auto").backend == load_model(directory).backend == "onnx"
    installed.clear()
    assert load(directory, "auto", "cpu").backend == "torch"


@pytest.mark.parametrize(
    ("part", "values"),
    [("model", {"name": "conformer"}), ("model", {"projection_size": 4}), ("features", {"name": "kaldi"})],
)
def test_auto_is_torch_where_a_model_has_no_onnx_form_or_needs_torch(
    directory: Path, part: str, values: dict[str, Any]
) -> None:
    described = json.loads((directory / "config.json").read_text())
    described[part].update(values)
    if part == "features":
        del described[part]["log_floor"]
    (directory / "config.json").write_text(json.dumps(described))
    assert choose_backend("auto", directory, "cpu") == "torch"


def test_auto_falls_back_to_torch_and_hides_no_error(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise ModelError("not this one")

    with monkeypatch.context() as patched, caplog.at_level("DEBUG", "asr.onnx"):
        patched.setattr("asr.onnx.backend.exported", fail)
        assert load(directory, "auto").backend == "torch"
        assert "backend torch, because onnx failed: not this one" in caplog.text
        with pytest.raises(ModelError, match="not this one"):
            load(directory, "onnx")
        patched.setattr("asr.onnx.backend.find_spec", lambda name: None if name == "torch" else name)
        with pytest.raises(ModelError, match="not this one"):
            load(directory, "auto")
    weights = (directory / "model.safetensors").read_bytes()
    (directory / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(ModelError, match="damaged, its SHA-256"):
        load(directory, "auto")


@pytest.mark.parametrize(
    ("part", "values"),
    [("tokenizer", {"characters": list(" abcdefghi")}), ("features", {"n_mels": 15}), ("model", {"num_layers": 3})],
)
def test_what_does_not_fit_together_is_refused_when_it_is_loaded(
    directory: Path, part: str, values: dict[str, Any]
) -> None:
    described = json.loads((directory / "config.json").read_text())
    assert values.keys() <= described[part].keys()
    described[part].update(values)
    (directory / "config.json").write_text(json.dumps(described))
    for backend in ("auto", "torch", "onnx"):
        with pytest.raises(ModelError, match=r"do(es)? not fit|cannot be understood"):
            load(directory, backend)


def test_an_export_of_other_weights_or_a_damaged_one_is_refused(directory: Path, tmp_path: Path) -> None:
    other = save_model(tmp_path / "other", seed=5)
    assert main(["export", str(other), "--out", str(directory / "model.onnx")]) == 0
    for backend in ("auto", "onnx"):
        with pytest.raises(ModelError, match=r"model\.onnx: belongs to other weights .*; export it again, or delete"):
            load(directory, backend)
    whole = (directory / "model.onnx").read_bytes()
    (directory / "model.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"model\.onnx: onnxruntime cannot read it"):
        load(directory, "onnx")


def test_what_cannot_be_used_is_said(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="backend='tensorrt' is unknown; choices: auto, onnx, onnx-int8, torch"):
        load(directory, "tensorrt")
    with pytest.raises(ConfigError, match="backend onnx runs on the CPU, and the device is cuda:0; use device cpu"):
        choose_backend("onnx", directory, "cuda:0")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"need the package onnxruntime .* pip install 'asr-bilstm\[onnx\]'"):
        load(directory, "onnx")


def test_an_export_says_all_that_a_runtime_needs(directory: Path, tmp_path: Path) -> None:
    import onnxruntime

    for name, precision in (("onnx", "float32"), ("onnx-int8", "int8")):
        out = tmp_path / f"{name}.onnx"
        assert main(["export", str(directory), "--format", name, "--out", str(out)]) == 0
        session = onnxruntime.InferenceSession(out)
        assert [(one.name, one.shape) for one in session.get_inputs()] == [("x", ["N", "T", 16]), ("x_lens", ["N"])]
        assert [one.name for one in session.get_outputs()] == ["log_probs", "log_probs_len"]
        found: dict[str, Any] = dict(session.get_modelmeta().custom_metadata_map)
        assert json.loads(found["tokens"])[1:] == [*" abcdefgh"] and found["vocab_size"] == "10"
        assert (found["blank_id"], found["sample_rate"], found["subsampling_factor"]) == ("0", "8000", "2")
        assert float(found["frame_s"]) == 0.02 and json.loads(found["features"])["n_mels"] == 16
        assert json.loads(found["feature_mean"]) == [-6.0] * 16 and found["precision"] == precision
        assert found["weights_sha256"] == weights_sha256(directory) and json.loads(found["facts"])["dev_wer"] == 0.5


def test_the_shipped_model_is_never_changed(
    package: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, directory: Path
) -> None:
    starter = save_model(package / "_pretrained" / "english")
    before = sorted(path.name for path in starter.iterdir())
    assert main(["export", "english"]) == 2
    assert "never changed; give --out FILE.onnx" in capsys.readouterr().err
    assert main(["export", "english", "--out", str(tmp_path / "english.onnx")]) == 0
    assert sorted(path.name for path in starter.iterdir()) == before


def test_the_commands_take_a_backend_and_say_which_was_used(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = tmp_path / "a.wav"
    soundfile.write(audio, make_waveform(1.5, 1), RATE)
    texts = []
    for backend in ("torch", "onnx"):
        options = ["--no-speech-gate", "--format", "json", "--backend", backend]
        assert main(["transcribe", str(directory), str(audio), *options]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["settings"]["backend"] == backend
        texts.append(found["text"])
    assert texts[0] == texts[1]
    manifest = tmp_path / "test.jsonl"
    manifest.write_text(json.dumps({"id": "a", "audio": str(audio), "duration_s": 1.5, "text": texts[0]}) + "\n")
    out = tmp_path / "report"
    assert main(["evaluate", str(directory), str(manifest), "--out", str(out), "--backend", "onnx-int8"]) == 0
    assert json.loads((out / "summary.json").read_text())["backend"] == "onnx-int8"
    assert "on cpu with onnx-int8" in (out / "report.md").read_text()


HEAVY = ("torch", "torchaudio", "scipy", "librosa", "hydra", "matplotlib", "jiwer")
KEYS = ("word", "start_s", "end_s")


def test_transcription_with_onnx_needs_no_torch_and_gives_the_same(
    directory: Path, tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = tmp_path / "a.wav"
    soundfile.write(audio, make_waveform(3.1, 1) + 0.01, RATE, subtype="FLOAT")
    command = ["transcribe", str(directory), str(audio), "--format", "json", "--no-speech-gate", "--backend"]
    lines = [
        "import sys",
        f"sys.modules.update(dict.fromkeys({HEAVY!r}))",  # as if they were not installed
        "from asr.cli import main",
        f"codes = [main([*{command!r}, one]) for one in ('auto', 'onnx-int8')]",
        "sys.exit(any(codes) or 'numba' in sys.modules)",
    ]
    run = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(run, capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stderr
    found, rounded = map(json.loads, done.stdout.splitlines())
    assert main([*command, "torch"]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert (
        found["text"] == expected["text"]
        and len(expected["text"]) > 10
        and [one["settings"]["backend"] for one in (found, rounded)] == ["onnx", "onnx-int8"]
    )
    for one, other in zip(found["words"], expected["words"], strict=True):
        assert [one[key] for key in KEYS] == [other[key] for key in KEYS]
        assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-3)


def test_what_needs_torch_loads_it_beside_onnx(directory: Path) -> None:
    waveform, recognizer = make_waveform(1.2, 2), load(directory, "onnx")
    stream = recognizer.stream(look_ahead_s=10)
    texts = [event.text for event in [*stream.feed(waveform), *stream.finish()] if event.kind == "segment"]
    assert " ".join(texts) == load(directory, "torch").transcribe_waveforms([waveform])[0].text
    assert recognizer.model.vocab_size == 10 and recognizer.features.config.n_mels == 16


def test_the_recogniser_shown_in_the_docs_needs_no_torch_and_gives_the_same_text(
    directory: Path, tmp_path: Path, repository: Path
) -> None:
    page = (repository / "docs" / "how-to" / "export.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "recognise.py").write_text(script + '\nassert "torch" not in sys.modules\n', encoding="utf-8")
    assert main(["export", str(directory)]) == 0
    audio = tmp_path / "a.wav"
    soundfile.write(audio, make_waveform(3.07, 1) + 0.01, RATE, subtype="FLOAT")
    command = [sys.executable, "recognise.py", str(directory / "model.onnx"), str(audio)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    expected = load(directory, "torch").transcribe(audio).text
    assert " ".join(found.split()) == expected and len(expected) > 10
