"""`asr inspect`: a table, a page, arrays; and one clear message for what cannot be inspected."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr import cli
from asr.pages import inspection_input
from tests.inspection.made import RATE, make_waveform, save_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "bilstm", "bilstm")


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "tones.wav"
    soundfile.write(path, make_waveform(3.0), RATE)
    return path


def test_table_page_and_arrays(model: Path, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html, npz = tmp_path / "p.html", tmp_path / "a.npz"
    words = ["inspect", str(model), str(audio), "--html", str(html), "--npz", str(npz), "--start", "0.5"]
    assert cli.main([*words, "--duration", "2"]) == 0
    output = capsys.readouterr().out
    assert re.search(r"^ +1 +forward +16 +\d+ ms", output, re.M) and "bilstm, 2.00 s in 101 frames of 20 ms" in output
    page = html.read_text(encoding="utf-8")
    assert "layer 2, backward" in page and "carried from frame to frame" in page and "0.50 to 2.50 s" in page
    with np.load(npz) as arrays:
        f, i, g, c, o, h = (
            arrays[f"layer2_backward_{name}"]
            for name in ("forget_gate", "input_gate", "candidate", "cell_state", "output_gate", "hidden")
        )
        assert c.shape == (101, 16) == (len(arrays["times_s"]), 16)
        # the cell state's equation, backwards in time: c[t] = f[t] c[t+1] + i[t] g[t]
        np.testing.assert_allclose(c[:-1], f[:-1] * c[1:] + i[:-1] * g[:-1], atol=1e-6)
        np.testing.assert_allclose(h, o * np.tanh(c), atol=1e-6)
        assert arrays["log_probs"].shape == (101, len(arrays["tokens"]))
        assert arrays["layer1_forward_correlation"].shape == (16, len(arrays["signals"]))


def test_a_page_that_would_be_too_large_has_coarser_values_and_says_so(
    model: Path, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "p.html"
    words = ["inspect", str(model), str(audio), "--html", str(html)]
    assert cli.main(words) == 0
    whole = html.stat().st_size
    assert "levels" not in capsys.readouterr().err and "images hold" not in html.read_text(encoding="utf-8")
    monkeypatch.setattr(inspection_input, "MOST_BYTES", whole - 1)
    assert cli.main(words) == 0
    assert (
        "values in 128 levels to keep the page small; --npz" in capsys.readouterr().err and html.stat().st_size < whole
    )
    assert "The images hold values in 128 levels" in html.read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["transformer", "gru", "rnn both ways"])
def test_every_kind_of_encoder_has_its_table(
    form: str, audio: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html = tmp_path / "p.html"
    assert cli.main(["inspect", str(save_model(tmp_path / "m", form)), str(audio), "--html", str(html)]) == 0
    output = capsys.readouterr().out
    expected = {"transformer": "distance", "gru": "update open/closed", "rnn both ways": "dead"}[form]
    assert expected in output and html.stat().st_size > 10_000


def test_of_a_long_recording_the_first_30_seconds_are_inspected_with_a_note(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, make_waveform(34.0), RATE)
    assert cli.main(["inspect", str(model), str(path), "--layer", "1", "--start", "2"]) == 0
    output = capsys.readouterr()
    assert "of the 32.0 s from there, the first 30 s" in output.err and "30.00 s in 1501 frames" in output.out


def test_a_recording_of_one_frame_has_arrays_without_signals(model: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "click.wav", make_waveform(0.01), RATE)
    words = ["inspect", str(model), str(tmp_path / "click.wav"), "--npz", str(tmp_path / "a.npz")]
    assert cli.main([*words, "--html", str(tmp_path / "p.html")]) == 0
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["signal_values"].shape == (1, 0) and arrays["signals"].shape == (0,)
        assert arrays["layer1_forward_cell_state"].shape == (1, 16)


@pytest.mark.parametrize("option", ["--html", "--npz"])
def test_no_file_of_the_model_is_overwritten(
    option: str, model: Path, audio: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (model / "config.json").read_bytes()
    assert cli.main(["inspect", str(model), str(audio), option, str(model / "config.json")]) == 2
    assert "is a file of the model" in capsys.readouterr().err and (model / "config.json").read_bytes() == before


def test_the_names_of_the_arrays_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", "--arrays"]) == 0
    assert "layerN_DIRECTION_forget_gate" in capsys.readouterr().out
