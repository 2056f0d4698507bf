"""What is read from a model is what the model computed, for every member of the family."""

import numpy as np
import pytest
import torch
from torch import nn

from asr.errors import AudioError, ModelError
from asr.inspection import inspect_waveform
from asr.inspection.capture import capturing, find_parts, read_captured
from asr.inspection.traces import read_trace
from asr.lengths import reversal_index
from asr.models import LnLstm, LnLstmConfig
from asr.models.variants import LnLstmDirection
from tests.inspection.made import make_recognizer, make_waveform
from tests.models.family import FAMILY


@pytest.mark.parametrize("form", FAMILY)
def test_readable_cells_and_maps_give_what_the_model_gave(form: str) -> None:
    recognizer = make_recognizer(form)
    waveform = make_waveform()
    plain = recognizer.transcribe_waveforms([waveform])[0]
    found = inspect_waveform(recognizer, waveform)
    assert found.deviation <= 1e-5
    assert found.hypothesis == plain
    assert {len(trace.hidden) for trace in found.traces} <= {len(found.log_probs)}
    looked_at = [(one.layer, one.direction) for one in found.traces] + [(one.layer, "maps") for one in found.maps]
    if form in ("transformer", "conformer"):
        assert looked_at == [(1, "maps"), (2, "maps")]
        np.testing.assert_allclose(found.maps[0].weights.sum(axis=2), 1, atol=1e-5)
    else:
        both = getattr(recognizer.model.config, "bidirectional", True)
        ways = ("forward", "backward") if both else ("forward",)
        assert looked_at == [(layer, way) for layer in (1, 2) for way in ways]


@torch.inference_mode()
def test_arrays_are_in_the_order_of_the_recording_for_both_directions() -> None:
    """Compared with the layer run by hand: its output's halves, frame by frame."""
    recognizer = make_recognizer("bilstm")
    parts = find_parts(recognizer.model, 1)
    with capturing(recognizer.model, parts) as captured:
        recognizer.transcribe_waveforms([make_waveform()])
    traces, _ = read_captured(captured)
    inputs = captured.inputs[0][0]
    layer = recognizer.model.get_submodule("encoder.layers.0")
    whole = layer(inputs, reversal_index(torch.tensor([inputs.size(1)]), inputs.size(1)))[0]
    for trace, half in zip(traces, (whole[:, :16], whole[:, 16:]), strict=True):
        torch.testing.assert_close(torch.from_numpy(trace.hidden), half, rtol=0, atol=1e-6)


@torch.no_grad()
def test_gates_by_hand() -> None:
    """One unit whose weights are 0 but the biases: σ(ln 3) = 3/4, σ(0) = 1/2, tanh(ln 3 / 2) = 1/2."""
    lstm = nn.LSTM(1, 1, batch_first=True)
    for name, weight in lstm.named_parameters():
        weight.zero_()
        if name == "bias_ih_l0":  # torch's order: input, forget, cell, output
            weight.copy_(torch.tensor([0.0, 1.0986123, 0.5493061, -1.0986123]))
    inputs = torch.ones(1, 3, 1)
    for direction in ("forward", "backward"):
        trace = read_trace(lstm, inputs, lstm(inputs)[0], 1, direction)
        gates = {name: trace.arrays[name][0, 0] for name in trace.gates}
        assert gates == pytest.approx({"forget_gate": 0.75, "input_gate": 0.5, "output_gate": 0.25}, abs=1e-6)
        states = [0.25, 0.4375, 0.578125]  # c = 3/4 c + 1/4
        ordered = states if direction == "forward" else states[::-1]
        assert trace.arrays["cell_state"][:, 0].tolist() == pytest.approx(ordered, abs=1e-6)
        assert trace.keep_gate == "forget_gate" and trace.deviation < 1e-6


@torch.no_grad()
def test_the_layer_normalised_cells_gates_by_hand() -> None:
    """Two units, weights 0: LN(0) = 0, so the gates are those of the biases; LN of c is ±1 where the units differ."""
    encoder = LnLstm(1, LnLstmConfig(num_layers=1, hidden_size=2))
    direction = next(one for one in encoder.modules() if isinstance(one, LnLstmDirection))
    direction.weight_ih.zero_()
    direction.weight_hh.zero_()
    direction.bias.copy_(torch.tensor([0.0, 0.0, 1.0986123, 1.0986123, 0.5493061, -0.5493061, 0.0, 0.0]))
    inputs = torch.ones(1, 2, 1)
    trace = read_trace(direction, inputs, direction(inputs), 1, "forward")
    assert trace.arrays["forget_gate"].tolist() == [pytest.approx([0.75, 0.75])] * 2
    assert trace.arrays["cell_state"][1].tolist() == pytest.approx([0.4375, -0.4375])
    assert trace.hidden[1].tolist() == pytest.approx([0.5 * 0.7615942, -0.5 * 0.7615942], abs=1e-4)  # tanh(±1) / 2


def test_a_projected_layer_shows_each_units_output_and_what_the_projection_makes_of_it() -> None:
    """Sak et al. 2014: the units' outputs o tanh(c) go through the projection; it alone is handed on."""
    recognizer = make_recognizer("lstm both ways, projected")
    found = inspect_waveform(recognizer, make_waveform(), layer=1)
    for trace, direction in zip(found.traces, recognizer.model.encoder.layers[0].directions, strict=True):  # type: ignore[union-attr,index]
        arrays = trace.arrays
        np.testing.assert_allclose(trace.hidden, arrays["output_gate"] * np.tanh(arrays["cell_state"]), atol=1e-6)
        projection = direction.weight_hr_l0.detach().numpy()
        np.testing.assert_allclose(arrays["projected"], trace.hidden @ projection.T, atol=1e-5)
        assert arrays["projected"].shape[1] == 10 and trace.hidden.shape[1] == 16


def test_a_layer_that_computes_something_else_is_refused() -> None:
    recognizer = make_recognizer("bilstm")
    direction = recognizer.model.encoder.layers[1].directions[1]  # type: ignore[union-attr,index]
    handle = direction.register_forward_hook(lambda module, given, gave: (gave[0] + 2e-4, gave[1]))
    with pytest.raises(ModelError, match=r"layer2_backward: the recomputed output differs from the model.s by 0\.0002"):
        inspect_waveform(recognizer, make_waveform())
    handle.remove()
    assert inspect_waveform(recognizer, make_waveform()).deviation < 1e-5
    assert not direction._forward_hooks  # nothing is left in the model, after a failure neither


def test_one_layer_can_be_chosen_and_others_are_named() -> None:
    recognizer = make_recognizer("gru")
    assert [one.name for one in inspect_waveform(recognizer, make_waveform(), layer=2).traces] == ["layer2_forward"]
    with pytest.raises(ModelError, match="no layer 3; its gru has layers 1 to 2"):
        inspect_waveform(recognizer, make_waveform(), layer=3)


def test_a_recording_that_is_too_long_is_refused() -> None:
    with pytest.raises(AudioError, match=r"31\.0 s cannot be inspected: .* at most 30 s"):
        inspect_waveform(make_recognizer("gru"), make_waveform(31.0))
