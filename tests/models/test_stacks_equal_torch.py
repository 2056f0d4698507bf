"""Law 5: every stack of torch's own cells on a padded batch equals the ``torch.nn`` module on packed input, in outputs
and gradients.
"""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from asr.lengths import valid_mask
from asr.models import BiLstm, BiLstmConfig, Gru, GruConfig, Lstm, LstmConfig, RecurrentStack, Rnn, RnnConfig
from tests.models.family import layers_of

LENGTHS = torch.tensor([9, 23, 1, 17, 23])
INPUT_SIZE, SIZE = 12, 16
FORMS: dict[str, tuple[Any, type[RecurrentStack[Any]], Any, dict[str, Any]]] = {
    "rnn": (nn.RNN, Rnn, RnnConfig, {"num_layers": 3}),
    "rnn both ways": (nn.RNN, Rnn, RnnConfig, {"num_layers": 3, "bidirectional": True}),
    "gru": (nn.GRU, Gru, GruConfig, {"num_layers": 3}),
    "gru both ways": (nn.GRU, Gru, GruConfig, {"num_layers": 3, "bidirectional": True}),
    "lstm": (nn.LSTM, Lstm, LstmConfig, {"num_layers": 3}),
    "lstm both ways": (nn.LSTM, Lstm, LstmConfig, {"num_layers": 3, "bidirectional": True}),
    "bilstm": (nn.LSTM, BiLstm, BiLstmConfig, {"num_layers": 3}),
    "bilstm of one layer": (nn.LSTM, BiLstm, BiLstmConfig, {"num_layers": 1}),
    "bilstm, projected": (nn.LSTM, BiLstm, BiLstmConfig, {"num_layers": 3, "projection_size": 5}),
    "bilstm of one layer, projected": (nn.LSTM, BiLstm, BiLstmConfig, {"num_layers": 1, "projection_size": 5}),
}


def pair(form: str) -> tuple[RecurrentStack[Any], nn.RNNBase]:
    """Our stack, and torch's module of the same kind, sizes and directions."""
    torch.manual_seed(1)
    module, stack, config_class, options = FORMS[form]
    config = config_class(hidden_size=SIZE, dropout=0.0, **options)
    projection = {"proj_size": options["projection_size"]} if "projection_size" in options else {}
    reference = module(
        INPUT_SIZE, SIZE, config.num_layers, batch_first=True, bidirectional=config.directions == 2, **projection
    )
    return stack(INPUT_SIZE, config), reference


def run_packed(reference: nn.RNNBase, inputs: Tensor) -> Tensor:
    packed = pack_padded_sequence(inputs, LENGTHS, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(reference(packed)[0], batch_first=True, total_length=inputs.size(1))[0]


def gradients_by_torch_name(ours: RecurrentStack[Any]) -> dict[str, Tensor]:
    return {
        name.removesuffix("_l0") + f"_l{index}{suffix}": weight.grad
        for index, layer in enumerate(layers_of(ours))
        for direction, suffix in zip(layer.directions, ("", "_reverse"), strict=False)
        for name, weight in direction.named_parameters()
        if weight.grad is not None
    }


@pytest.mark.parametrize("form", FORMS)
def test_outputs_and_gradients_equal_packed_torch(form: str) -> None:
    ours, reference = pair(form)
    for index, layer in enumerate(layers_of(ours)):
        layer.load_torch(reference, index)
    inputs = torch.randn(
        len(LENGTHS), 26, INPUT_SIZE, generator=torch.Generator().manual_seed(2)
    )  # 3 frames too long for all
    ours_in, reference_in = inputs.clone().requires_grad_(), inputs.clone().requires_grad_()

    ours_out, reference_out = ours(ours_in, LENGTHS), run_packed(reference, reference_in)
    weights = torch.randn(ours_out.shape, generator=torch.Generator().manual_seed(3)) / 10
    (ours_out * weights).sum().backward()
    (reference_out * weights).sum().backward()

    torch.testing.assert_close(ours_out, reference_out, rtol=0, atol=1e-6)
    assert ours_in.grad is not None and reference_in.grad is not None
    torch.testing.assert_close(ours_in.grad, reference_in.grad, rtol=0, atol=1e-6)
    found = gradients_by_torch_name(ours)
    expected = {name: weight.grad for name, weight in reference.named_parameters()}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-5, msg=partial("{}: {}".format, name))


@pytest.mark.parametrize("form", FORMS)
def test_weights_go_to_torch_and_back_to_the_bit(form: str) -> None:
    ours, reference = pair(form)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    for index, layer in enumerate(layers_of(ours)):
        layer.store_torch(reference, index)
    inputs = torch.randn(2, 7, INPUT_SIZE)
    torch.testing.assert_close(ours(inputs, torch.tensor([7, 7])), reference(inputs)[0], rtol=0, atol=1e-6)

    with torch.no_grad():
        for weight in ours.parameters():
            weight.zero_()
    for index, layer in enumerate(layers_of(ours)):
        layer.load_torch(reference, index)
    after = ours.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_plain_padding_would_differ() -> None:
    """The law can be broken: torch's own bidirectional LSTM without packing leaks padding into valid frames."""
    _, reference = pair("bilstm of one layer")
    inputs = torch.randn(len(LENGTHS), 26, INPUT_SIZE)
    valid = valid_mask(LENGTHS, 26)
    leaking = reference(inputs)[0][valid] - run_packed(reference, inputs)[valid]
    assert leaking.abs().max() > 1e-3


def test_weights_of_another_kind_are_refused() -> None:
    ours, _ = pair("gru")
    with pytest.raises(TypeError, match="cannot copy weights from LSTM to GRU"):
        layers_of(ours)[0].load_torch(nn.LSTM(INPUT_SIZE, SIZE))


def test_an_lstm_in_both_directions_is_the_bilstm() -> None:
    """Same names of weights, too: a model directory of one loads as the other."""
    one = Lstm(INPUT_SIZE, LstmConfig(num_layers=2, hidden_size=SIZE, bidirectional=True)).eval()
    other = BiLstm(INPUT_SIZE, BiLstmConfig(num_layers=2, hidden_size=SIZE)).eval()
    other.load_state_dict(one.state_dict())
    inputs = torch.randn(len(LENGTHS), 23, INPUT_SIZE)
    assert torch.equal(one(inputs, LENGTHS), other(inputs, LENGTHS))


def test_initial_biases_of_gru_and_rnn() -> None:
    """torch's GRU stacks reset, update and candidate; the update gate's two biases sum to ``update_bias``."""
    gru = layers_of(Gru(INPUT_SIZE, GruConfig(num_layers=1, hidden_size=SIZE, update_bias=1.5)))[0].directions[0]
    sums = (gru.bias_ih_l0 + gru.bias_hh_l0).view(3, SIZE)
    assert torch.equal(sums, torch.tensor([0.0, 1.5, 0.0]).unsqueeze(1).expand(3, SIZE))
    rnn = layers_of(Rnn(INPUT_SIZE, RnnConfig(num_layers=1, hidden_size=SIZE)))[0].directions[0]
    assert not rnn.bias_ih_l0.any() and not rnn.bias_hh_l0.any()
    torch.testing.assert_close(rnn.weight_hh_l0.T @ rnn.weight_hh_l0, torch.eye(SIZE), rtol=0, atol=1e-5)


def test_small_input_weights_leave_tanh_unsaturated_and_the_recurrence_orthogonal() -> None:
    stacks = []
    for gain in (1.0, 0.1):
        torch.manual_seed(3)
        stacks.append(Rnn(INPUT_SIZE, RnnConfig(num_layers=2, hidden_size=64, dropout=0.0, input_gain=gain)))
    for one, small in zip(*(layers_of(stack) for stack in stacks), strict=True):
        one, small = one.directions[0], small.directions[0]
        torch.testing.assert_close(small.weight_ih_l0, 0.1 * one.weight_ih_l0)
        assert torch.equal(small.weight_hh_l0, one.weight_hh_l0)
    inputs = torch.randn(8, 30, INPUT_SIZE, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        kept = [float((1 - stack(inputs, torch.full((8,), 30)).square()).mean()) for stack in stacks]
    assert kept[1] > 0.9 > 0.8 > kept[0]  # tanh's slope, which each step back multiplies by
