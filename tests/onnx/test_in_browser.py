"""An exported model in onnxruntime-web, in headless Chromium: the log-probabilities are those of Python."""

import functools
import http.server
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from asr.audio import load_audio
from asr.pretrained import from_pretrained
from asr.shipped import find_starter
from benchmarks.browser import Browser, find_chromium
from tests.javascript.packages import FOLDER, npm_package

SENTENCE = Path(__file__).parents[2] / "recipes/english/sentence.ogg"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.mark.skipif(find_chromium() is None, reason="no chromium here (apt-get install chromium)")
def test_the_browsers_log_probabilities_are_those_of_python(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime, starter = npm_package("onnxruntime-web"), find_starter()
    if starter is None:
        pytest.skip("this checkout comes without the model")
    from asr.onnx.export import export_model

    (tmp_path / "model.onnx").write_bytes(export_model(starter))
    (tmp_path / "ort").symlink_to(runtime / "dist")
    (tmp_path / "index.html").write_bytes((FOLDER / "onnx.html").read_bytes())
    pretrained = from_pretrained(starter)
    waveform = torch.from_numpy(load_audio(SENTENCE, sample_rate=pretrained.features.config.sample_rate))[None]
    with torch.inference_mode():
        x, lengths = pretrained.features(waveform, torch.tensor([waveform.shape[1]]))
        expected, _ = pretrained.model(x, lengths)
    case = {"x": x.flatten().tolist(), "frames": x.shape[1], "mels": x.shape[2]}
    (tmp_path / "case.json").write_text(json.dumps(case))

    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with Browser(timeout_s=120) as browser:
                browser.open(f"http://127.0.0.1:{server.server_port}/index.html")
                found = np.array(browser.run("window.recognise()"))
        finally:
            server.shutdown()
    assert found.shape == expected[0].shape and found.shape[0] > 100
    assert np.abs(found - expected[0].numpy()).max() <= 1e-3
    assert np.ptp(found) > 5, "and they are no constant"
