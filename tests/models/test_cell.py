"""The readable cells compute what torch's fused ones compute, and their gates are what the equations say."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from asr.models import BiLstm, BiLstmConfig, ElmanCell, GruCell, LstmCell
from tests.models.family import layers_of

CELLS: dict[str, tuple[Any, nn.RNNBase]] = {
    "lstm": (LstmCell, nn.LSTM(5, 7, batch_first=True)),
    "projected lstm": (LstmCell, nn.LSTM(5, 7, batch_first=True, proj_size=3)),
    "gru": (GruCell, nn.GRU(5, 7, batch_first=True)),
    "elman": (ElmanCell, nn.RNN(5, 7, batch_first=True)),
}


def inputs_of(frames: int = 40) -> Tensor:
    return torch.randn(3, frames, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("name", CELLS)
@torch.inference_mode()
def test_the_output_equals_torch(name: str, dtype: torch.dtype, tolerance: float) -> None:
    cell, module = CELLS[name]
    module = module.to(dtype)
    inputs = inputs_of().to(dtype)
    torch.testing.assert_close(cell(module)(inputs).hidden, module(inputs)[0], rtol=0, atol=tolerance)


@torch.inference_mode()
def test_the_last_cell_state_equals_torch() -> None:
    module = CELLS["lstm"][1].double()
    trace = LstmCell(module)(inputs_of())  # type: ignore[arg-type]
    torch.testing.assert_close(trace.cell_state[:, -1], module(inputs_of())[1][1][0], rtol=0, atol=1e-12)


@torch.inference_mode()
def test_gates_by_hand() -> None:
    """One unit, one input of 1, weights 0 but the biases: every number can be worked out on paper."""
    lstm = nn.LSTM(1, 1, batch_first=True).double()
    for name, weight in lstm.named_parameters():
        weight.zero_()
        if name == "bias_ih_l0":  # torch's order: input, forget, cell, output
            weight.copy_(torch.tensor([0.0, 1.0986122886681098, 0.5493061443340549, -1.0986122886681098]))
    trace = LstmCell(lstm)(torch.ones(1, 2, 1, dtype=torch.float64))
    # σ(0) = 1/2, σ(ln 3) = 3/4, tanh(ln 3 / 2) = 1/2, σ(-ln 3) = 1/4
    for gate, value in (("input", 0.5), ("forget", 0.75), ("output", 0.25)):
        assert getattr(trace, f"{gate}_gate").flatten().tolist() == pytest.approx([value, value])
    assert trace.candidate.flatten().tolist() == pytest.approx([0.5, 0.5])
    assert trace.cell_state.flatten().tolist() == pytest.approx([0.25, 0.75 * 0.25 + 0.25])
    assert trace.hidden[0, 0, 0].item() == pytest.approx(0.25 * 0.24491866240370913)  # tanh(1/4)


@torch.inference_mode()
def test_the_grus_update_gate_keeps_and_its_reset_gate_forgets() -> None:
    gru: Any = nn.GRU(1, 2, batch_first=True).double()
    for weight in gru.parameters():
        weight.normal_()
    inputs = torch.randn(1, 6, 1, dtype=torch.float64)
    gru.bias_ih_l0[2:4] = 100.0  # update gate open: the state stays the zero that it began with
    trace = GruCell(gru)(inputs)
    assert trace.update_gate.min() == 1.0 and not trace.hidden.any()
    gru.bias_ih_l0[2:4], gru.bias_ih_l0[:2] = -100.0, -100.0  # both shut: the candidate of the input alone
    alone = GruCell(gru)(inputs)
    expected = torch.tanh(inputs @ gru.weight_ih_l0[4:].T + gru.bias_ih_l0[4:])
    torch.testing.assert_close(alone.hidden, expected)


@torch.inference_mode()
def test_a_direction_of_the_stack_can_be_read() -> None:
    layer = layers_of(BiLstm(5, BiLstmConfig(num_layers=1, hidden_size=6)))[0]
    inputs = inputs_of().float()
    backward = LstmCell(layer.directions[1])(inputs.flip(1)).hidden.flip(1)
    both = layer(inputs, torch.arange(39, -1, -1).expand(3, 40))
    torch.testing.assert_close(both[..., :6], LstmCell(layer.directions[0])(inputs).hidden, rtol=0, atol=1e-6)
    torch.testing.assert_close(both[..., 6:], backward, rtol=0, atol=1e-6)


@torch.inference_mode()
def test_a_fixed_gate_is_that_in_every_frame() -> None:
    """Forget fixed at 1, the cell of 1997: the state is the sum of all that was let in."""
    trace = LstmCell(CELLS["lstm"][1].double(), {"forget_gate": 1.0})(inputs_of())  # type: ignore[arg-type]
    assert trace.forget_gate.eq(1.0).all()
    torch.testing.assert_close(trace.cell_state, (trace.input_gate * trace.candidate).cumsum(1))


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a torch\.nn\.LSTM of one layer and one direction"):
        LstmCell(nn.LSTM(5, 7, bidirectional=True))
    with pytest.raises(ValueError, match=r"expected a torch\.nn\.GRU"):
        GruCell(nn.LSTM(5, 7))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tanh, not relu"):
        ElmanCell(nn.RNN(5, 7, nonlinearity="relu"))
    with pytest.raises(ValueError, match="no gate 'forget'; it has forget_gate"):
        LstmCell(nn.LSTM(5, 7), {"forget": 1.0})
