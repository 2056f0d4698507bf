"""The bidirectional LSTM: padding, reversal, start. That it equals ``torch.nn.LSTM``: test_stacks_equal_torch.py."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from asr.lengths import reversal_index, reverse_frames, valid_mask
from asr.models import BiLstm, BiLstmConfig

LENGTHS = torch.tensor([9, 23, 1, 17, 23])
INPUT_SIZE, HIDDEN_SIZE = 12, 16


def test_what_lies_beyond_a_length_changes_neither_frames_nor_gradients() -> None:
    torch.manual_seed(1)
    ours = BiLstm(INPUT_SIZE, BiLstmConfig(num_layers=2, hidden_size=HIDDEN_SIZE, dropout=0.0))
    inputs = torch.randn(len(LENGTHS), 26, INPUT_SIZE)
    beyond = ~valid_mask(LENGTHS, 26).unsqueeze(2)

    def run(values: Tensor) -> tuple[Tensor, list[Tensor]]:
        outputs = ours(values, LENGTHS)
        return outputs, list(torch.autograd.grad(outputs.square().sum(), list(ours.parameters())))

    clean_out, clean_grads = run(inputs.masked_fill(beyond, 0.0))
    dirty_out, dirty_grads = run(inputs.masked_fill(beyond, 1e6))
    assert torch.equal(clean_out, dirty_out)
    for clean, dirty in zip(clean_grads, dirty_grads, strict=True):
        torch.testing.assert_close(clean, dirty, rtol=1e-5, atol=1e-6)
    assert not clean_out.masked_select(beyond).any()


def test_reversal_mirrors_each_utterance_and_leaves_its_padding() -> None:
    lengths = torch.tensor([3, 0, 5, 1])
    index = reversal_index(lengths, 5)
    assert index.tolist() == [[2, 1, 0, 3, 4], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [0, 1, 2, 3, 4]]
    values = torch.arange(20.0).view(4, 5, 1)
    assert torch.equal(reverse_frames(reverse_frames(values, index), index), values)
    assert torch.equal(reverse_frames(values, index), values.gather(1, index.unsqueeze(2).expand_as(values)))
    doubles = values.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda one: reverse_frames(one, index), doubles)
    assert torch.autograd.gradgradcheck(lambda one: reverse_frames(one, index), doubles)


def test_valid_mask_counts_frames() -> None:
    assert valid_mask(torch.tensor([2, 0, 3]), 3).tolist() == [[True, True, False], [False] * 3, [True] * 3]


@pytest.mark.parametrize(("num_layers", "projection_size"), list(itertools.product((1, 2), (None, 6))))
def test_initial_weights(num_layers: int, projection_size: int | None) -> None:
    """Forget bias as a sum of torch's two; orthogonal recurrence gate by gate; Xavier bounds for the rest."""
    config = BiLstmConfig(
        num_layers=num_layers, hidden_size=HIDDEN_SIZE, projection_size=projection_size, forget_bias=1.5, dropout=0.0
    )
    lstms: list[Any] = [part for part in BiLstm(INPUT_SIZE, config).modules() if isinstance(part, nn.LSTM)]
    for lstm in lstms:
        bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).view(4, HIDDEN_SIZE)  # input, forget, cell, output
        assert torch.equal(bias, torch.tensor([0.0, 1.5, 0.0, 0.0]).unsqueeze(1).expand(4, HIDDEN_SIZE))
        for gate in lstm.weight_hh_l0.split(HIDDEN_SIZE):  # (hidden, projection or hidden)
            torch.testing.assert_close(gate.T @ gate, torch.eye(gate.size(1)), rtol=0, atol=1e-5)
        for gate in lstm.weight_ih_l0.split(HIDDEN_SIZE):
            bound = (6 / (gate.size(0) + gate.size(1))) ** 0.5  # Glorot & Bengio 2010
            assert 0.8 * bound < gate.abs().max() <= bound
            assert gate.std().item() == pytest.approx(bound / 3**0.5, rel=0.2)
