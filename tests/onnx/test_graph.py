"""The ONNX graph computes what the torch model computes: every member that has a form, mixed lengths, real speech."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from asr.audio import load_audio
from asr.errors import ModelError
from asr.lengths import valid_mask
from asr.models import AcousticModel
from asr.pretrained import from_pretrained
from asr.shipped import find_starter
from tests.models.family import FAMILY, make_batch, make_model

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from asr.onnx.backend import OnnxModel
from asr.onnx.graph import acoustic_graph, quantised

OTHERS = ("lnlstm", "ligru", "minlstm", "transformer", "conformer", "projected")
EXPRESSIBLE = [form for form in FAMILY if not any(name in form for name in OTHERS)]


def sharpened(form: str, factor: int = 2) -> AcousticModel:
    """Log-probabilities of a fresh model are all alike; these are not."""
    model = make_model(form, factor=factor)
    with torch.no_grad():
        model.head.weight.mul_(8)
    return model


def graph_of(model: AcousticModel, *, int8: bool = False) -> Any:
    weights = {name: value.numpy() for name, value in model.state_dict().items()}
    return acoustic_graph(asdict(model.config), weights, model.n_mels, int8=int8)


def as_onnx(model: AcousticModel, *, int8: bool = False) -> Callable[[torch.Tensor, torch.Tensor], list[torch.Tensor]]:
    found = OnnxModel(graph_of(model, int8=int8).SerializeToString(), "exported")
    return lambda log_mel, lengths: [torch.from_numpy(one) for one in found(log_mel.numpy(), lengths.numpy())]


@pytest.mark.parametrize("form", EXPRESSIBLE)
@pytest.mark.parametrize("factor", [1, 3, 4])
def test_the_graph_equals_the_model(form: str, factor: int) -> None:
    model = sharpened(form, factor)
    exported = as_onnx(model)
    for size, longest in ((16, 90), (1, 41), (3, 8)):  # one graph, any batch and time
        log_mel, lengths = make_batch(size, longest)
        with torch.inference_mode():
            expected, expected_lengths = model(log_mel, lengths)
        found, found_lengths = exported(log_mel, lengths)
        assert found.shape == expected.shape
        assert torch.equal(found_lengths, expected_lengths)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert float(expected.std()) > 0.2, "or else all log-probabilities would be alike"


@pytest.mark.parametrize("int8", [False, True])
def test_an_utterance_of_no_frames_and_any_padding_change_nothing(int8: bool) -> None:
    exported = as_onnx(sharpened("bilstm"), int8=int8)
    log_mel, lengths = make_batch(6, 50)
    lengths[2] = 0
    log_mel[2] = 0.0
    together, frames = exported(log_mel, lengths)
    longer, _ = exported(torch.nn.functional.pad(log_mel, (0, 0, 0, 33)), lengths)
    assert frames[2] == 0
    for row, valid in enumerate(frames.tolist()):
        torch.testing.assert_close(longer[row, :valid], together[row, :valid], atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", [form for form in FAMILY if form not in EXPRESSIBLE])
def test_what_has_no_onnx_form_is_refused(form: str) -> None:
    with pytest.raises(ModelError, match=f"model={FAMILY[form]['name']}.* has no ONNX form here: bilstm, lstm, gru"):
        graph_of(make_model(form))


def test_int8_is_for_lstms() -> None:
    with pytest.raises(ModelError, match="model=gru: int8 is for bilstm and lstm; use backend onnx"):
        graph_of(make_model("gru"), int8=True)


def test_settings_that_do_not_fit_the_weights_are_refused() -> None:
    model = make_model("bilstm")
    settings, weights = asdict(model.config), {name: value.numpy() for name, value in model.state_dict().items()}
    with pytest.raises(
        ModelError, match=r"no encoder\.layers\.2\.forward_lstm\.weight_[ih]h_l0, .* do not fit together"
    ):
        acoustic_graph({**settings, "num_layers": 3}, weights, model.n_mels)
    with pytest.raises(ModelError, match=r"do not ask for the weight encoder\.layers\.1\.backward_lstm\.bias_hh_l0"):
        acoustic_graph({**settings, "num_layers": 1}, weights, model.n_mels)


def test_each_row_of_a_weight_has_its_own_scale() -> None:
    weight = np.array([[0.5, -1.0, 0.25], [0.0, 0.0, 0.0], [2.54, 0.02, -0.031]], np.float32)
    rounded, scale = quantised(weight)
    expected = [[64, -127, 32], [0, 0, 0], [127, 1, -2]]  # 63.5 rounds to even
    np.testing.assert_array_equal(rounded.astype(int) - 128, expected)
    np.testing.assert_allclose(scale[[0, 2]], [1 / 127, 0.02], rtol=1e-6)


def speech(corpora: Path, count: int) -> tuple[AcousticModel, torch.Tensor, torch.Tensor]:
    """The shipped model, and its features of recordings of AN4 of mixed lengths."""
    starter = find_starter()
    paths = sorted((corpora / "an4" / "wav").rglob("*.opus"))[:: 1000 // count]
    if starter is None or len(paths) < 2:
        pytest.skip("no shipped model, or no recordings of AN4")
    pretrained = from_pretrained(starter)
    waveforms = [torch.from_numpy(load_audio(path, sample_rate=16000)) for path in paths]
    samples = torch.tensor([len(one) for one in waveforms])
    assert int(samples.max()) > 1.5 * int(samples.min())
    with torch.inference_mode():
        log_mel, lengths = pretrained.features(pad_sequence(waveforms, batch_first=True), samples)
    return pretrained.model, log_mel, lengths


def test_on_real_speech_the_trained_model_and_its_export_agree(corpora: Path) -> None:
    model, log_mel, lengths = speech(corpora, 5)
    with torch.inference_mode():
        expected, frames = model(log_mel, lengths)
    real = valid_mask(frames, expected.size(1))
    found, *_ = as_onnx(model)(log_mel, lengths)
    assert float((found - expected)[real].abs().max()) < 1e-4
    rounded, *_ = as_onnx(model, int8=True)(log_mel, lengths)
    error = (rounded - expected)[real].abs()
    assert 0.001 < float(error.mean()) < 0.05 and float(error.max()) < 1.0
    assert float((rounded.argmax(2) == expected.argmax(2))[real].float().mean()) > 0.99


def test_of_several_layers_the_first_stays_float32() -> None:
    kinds = [
        [
            node.op_type
            for node in graph_of(make_model("bilstm", num_layers=layers), int8=True).graph.node
            if "LSTM" in node.op_type
        ]
        for layers in (1, 3)
    ]
    assert kinds == [["DynamicQuantizeLSTM"] * 2, ["LSTM"] * 2 + ["DynamicQuantizeLSTM"] * 4]
