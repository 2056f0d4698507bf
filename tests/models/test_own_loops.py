"""The layer-normalised LSTM and the light GRU compute their papers' equations, written out here frame by frame."""

import pytest
import torch
from torch import Tensor

from asr.models import LiGru, LiGruConfig, LnLstm, LnLstmConfig
from asr.models.variants import RECURRENT_GAIN, LiGruDirection, LnLstmDirection
from tests.models.family import layers_of


def normal(values: Tensor) -> Tensor:
    """Zero mean and unit variance over the last axis, as torch's LayerNorm with its epsilon."""
    centred = values - values.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()


@torch.inference_mode()
def test_the_layer_normalised_lstm_is_ba_kiros_and_hintons() -> None:
    """Equations 20 to 22 with gains and biases other than their start."""
    torch.manual_seed(0)
    direction = LnLstmDirection(5, 4, forget_bias=1.0).double()
    for weight in direction.parameters():
        weight.normal_()
    inputs = torch.randn(3, 9, 5, dtype=torch.float64)
    h = c = torch.zeros(3, 4, dtype=torch.float64)
    expected = []
    for x in inputs.unbind(1):
        summed = (
            direction.recurrent_norm.weight * normal(h @ direction.weight_hh.T)
            + direction.input_norm.weight * normal(x @ direction.weight_ih.T)
            + direction.bias
        )
        i, f, g, o = summed[:, :4], summed[:, 4:8], summed[:, 8:12], summed[:, 12:]
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(direction.cell_norm.weight * normal(c) + direction.cell_norm.bias)
        expected.append(h)
    torch.testing.assert_close(direction(inputs), torch.stack(expected, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("recurrent_norm", [False, True])
@torch.inference_mode()
def test_the_light_gru_is_ravanellis(recurrent_norm: bool) -> None:
    torch.manual_seed(0)
    direction = LiGruDirection(5, LiGruConfig(hidden_size=4, recurrent_norm=recurrent_norm)).double()
    for weight in direction.parameters():
        weight.normal_(std=0.5)
    inputs = torch.randn(3, 9, 5, dtype=torch.float64)
    h, expected = torch.zeros(3, 4, dtype=torch.float64), []
    for x in inputs.unbind(1):
        w = direction.input_norm.weight * normal(x @ direction.weight_ih.T) + direction.input_norm.bias
        u = h @ direction.weight_hh.T
        if recurrent_norm:
            assert isinstance(direction.recurrent_norm.weight, Tensor)
            u = direction.recurrent_norm.weight * normal(u)
        z = torch.sigmoid(w[:, :4] + u[:, :4])
        h = z * h + (1 - z) * torch.relu(w[:, 4:] + u[:, 4:])
        expected.append(h)
    torch.testing.assert_close(direction(inputs), torch.stack(expected, 1), rtol=0, atol=1e-12)


def test_initial_weights() -> None:
    """torch's gate order: input, forget, cell, output; recurrent weights orthogonal gate by gate."""
    lstm = layers_of(LnLstm(6, LnLstmConfig(num_layers=1, hidden_size=8, forget_bias=2.0)))[0].directions[1]
    assert torch.equal(lstm.bias.view(4, 8), torch.tensor([0.0, 2.0, 0.0, 0.0]).unsqueeze(1).expand(4, 8))
    assert (lstm.recurrent_norm.weight == RECURRENT_GAIN).all() and (lstm.input_norm.weight == 1).all()
    gru = layers_of(LiGru(6, LiGruConfig(num_layers=1, hidden_size=8, update_bias=0.5)))[0].directions[1]
    assert torch.equal(gru.input_norm.bias.view(2, 8), torch.tensor([0.5, 0.0]).unsqueeze(1).expand(2, 8))
    for weight in (lstm.weight_hh, gru.weight_hh):
        for gate in weight.split(8):
            torch.testing.assert_close(gate.T @ gate, torch.eye(8), rtol=0, atol=1e-5)
