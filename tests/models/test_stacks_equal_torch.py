"""Law 5 for the rest: Elman, GRU and LSTM stacks, in one and both directions, equal packed ``torch.nn`` modules."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from asr.models import Gru, GruConfig, Lstm, LstmConfig, RecurrentStack, Rnn, RnnConfig

LENGTHS = torch.tensor([9, 23, 1, 17, 23])
INPUT_SIZE, SIZE, LAYERS = 12, 16, 3
KINDS: dict[str, tuple[Any, Any, type[nn.RNNBase]]] = {
    "rnn": (RnnConfig, Rnn, nn.RNN),
    "gru": (GruConfig, Gru, nn.GRU),
    "lstm": (LstmConfig, Lstm, nn.LSTM),
}


def pair(kind: str, bidirectional: bool) -> tuple[RecurrentStack[Any], nn.RNNBase]:
    torch.manual_seed(1)
    config, stack, reference = KINDS[kind]
    made = stack(INPUT_SIZE, config(num_layers=LAYERS, hidden_size=SIZE, bidirectional=bidirectional, dropout=0.0))
    return made, reference(INPUT_SIZE, SIZE, LAYERS, batch_first=True, bidirectional=bidirectional)


def run_packed(reference: nn.RNNBase, inputs: Tensor) -> Tensor:
    packed = pack_padded_sequence(inputs, LENGTHS, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(reference(packed)[0], batch_first=True, total_length=inputs.size(1))[0]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_gradients_equal_packed_torch(kind: str, bidirectional: bool) -> None:
    ours, reference = pair(kind, bidirectional)
    for index, layer in enumerate(ours.layers):
        layer.load_torch(reference, index)
    inputs = torch.randn(len(LENGTHS), 26, INPUT_SIZE)
    ours_in, reference_in = inputs.clone().requires_grad_(), inputs.clone().requires_grad_()
    ours_out, reference_out = ours(ours_in, LENGTHS), run_packed(reference, reference_in)
    torch.testing.assert_close(ours_out, reference_out, rtol=0, atol=1e-6)
    weights = torch.randn(ours_out.shape) / 10
    (ours_out * weights).sum().backward()
    (reference_out * weights).sum().backward()
    assert ours_in.grad is not None and reference_in.grad is not None
    torch.testing.assert_close(ours_in.grad, reference_in.grad, rtol=0, atol=1e-6)
    last = ours.layers[LAYERS - 1].directions[0].weight_hh_l0.grad
    torch.testing.assert_close(last, getattr(reference, f"weight_hh_l{LAYERS - 1}").grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_go_to_torch_and_back_to_the_bit(kind: str, bidirectional: bool) -> None:
    ours, reference = pair(kind, bidirectional)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    for index, layer in enumerate(ours.layers):
        layer.store_torch(reference, index)
    inputs = torch.randn(2, 7, INPUT_SIZE)
    torch.testing.assert_close(ours(inputs, torch.tensor([7, 7])), reference(inputs)[0], rtol=0, atol=1e-6)
    with torch.no_grad():
        for weight in ours.parameters():
            weight.zero_()
    for index, layer in enumerate(ours.layers):
        layer.load_torch(reference, index)
    after = ours.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_weights_of_another_kind_are_refused() -> None:
    ours, _ = pair("gru", False)
    with pytest.raises(TypeError, match="cannot copy weights from LSTM to GRU"):
        ours.layers[0].load_torch(nn.LSTM(INPUT_SIZE, SIZE))


def test_an_lstm_in_both_directions_is_the_bilstm() -> None:
    """Same names of weights, too: a model directory of one loads as the other."""
    from asr.models import BiLstm, BiLstmConfig

    one = Lstm(INPUT_SIZE, LstmConfig(num_layers=2, hidden_size=SIZE, bidirectional=True)).eval()
    other = BiLstm(INPUT_SIZE, BiLstmConfig(num_layers=2, hidden_size=SIZE)).eval()
    other.load_state_dict(one.state_dict())
    inputs = torch.randn(len(LENGTHS), 23, INPUT_SIZE)
    assert torch.equal(one(inputs, LENGTHS), other(inputs, LENGTHS))


def test_initial_biases_of_gru_and_rnn() -> None:
    """torch's GRU stacks reset, update and candidate; the update gate's two biases sum to ``update_bias``."""
    gru = Gru(INPUT_SIZE, GruConfig(num_layers=1, hidden_size=SIZE, update_bias=1.5)).layers[0].directions[0]
    sums = (gru.bias_ih_l0 + gru.bias_hh_l0).view(3, SIZE)
    assert torch.equal(sums, torch.tensor([0.0, 1.5, 0.0]).unsqueeze(1).expand(3, SIZE))
    rnn = Rnn(INPUT_SIZE, RnnConfig(num_layers=1, hidden_size=SIZE)).layers[0].directions[0]
    assert not rnn.bias_ih_l0.any() and not rnn.bias_hh_l0.any()
    torch.testing.assert_close(rnn.weight_hh_l0.T @ rnn.weight_hh_l0, torch.eye(SIZE), rtol=0, atol=1e-5)
