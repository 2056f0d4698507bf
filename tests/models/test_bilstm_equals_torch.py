"""Law 5: the padded bidirectional LSTM equals ``torch.nn.LSTM`` on packed input, in outputs and gradients."""

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from asr.lengths import gather_frames, reversal_index, valid_mask
from asr.models import BiLstm, BiLstmConfig

LENGTHS = torch.tensor([9, 23, 1, 17, 23])
INPUT_SIZE, HIDDEN_SIZE = 12, 16


def pair(num_layers: int, projection_size: int | None) -> tuple[BiLstm, nn.LSTM]:
    """Our stack, and torch's of the same sizes with our weights."""
    torch.manual_seed(1)
    config = BiLstmConfig(num_layers=num_layers, hidden_size=HIDDEN_SIZE, projection_size=projection_size, dropout=0.0)
    ours = BiLstm(INPUT_SIZE, config)
    reference = nn.LSTM(
        INPUT_SIZE, HIDDEN_SIZE, num_layers, batch_first=True, bidirectional=True, proj_size=projection_size or 0
    )
    return ours, reference


def run_packed(lstm: nn.LSTM, inputs: Tensor, lengths: Tensor) -> Tensor:
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=inputs.size(1))[0]


def gradients_by_torch_name(ours: BiLstm) -> dict[str, Tensor]:
    return {
        name.removesuffix("_l0") + f"_l{index}{suffix}": weight.grad
        for index, layer in enumerate(ours.layers)
        for lstm, suffix in ((layer.forward_lstm, ""), (layer.backward_lstm, "_reverse"))
        for name, weight in lstm.named_parameters()
        if weight.grad is not None
    }


@pytest.mark.parametrize(("num_layers", "projection_size"), [(1, None), (3, None), (1, 5), (3, 5)])
def test_outputs_and_gradients_equal_packed_torch(num_layers: int, projection_size: int | None) -> None:
    ours, reference = pair(num_layers, projection_size)
    for index, layer in enumerate(ours.layers):
        layer.load_torch(reference, index)
    inputs = torch.randn(
        len(LENGTHS), 26, INPUT_SIZE, generator=torch.Generator().manual_seed(2)
    )  # 3 frames too long for all
    ours_in, reference_in = inputs.clone().requires_grad_(), inputs.clone().requires_grad_()

    ours_out, reference_out = ours(ours_in, LENGTHS), run_packed(reference, reference_in, LENGTHS)
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
        torch.testing.assert_close(
            found[name], gradient, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("projection_size", [None, 5])
def test_weights_go_to_torch_and_back_to_the_bit(projection_size: int | None) -> None:
    ours, reference = pair(3, projection_size)
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


def test_what_lies_beyond_a_length_changes_neither_frames_nor_gradients() -> None:
    ours, _ = pair(2, None)
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


def test_plain_padding_would_differ() -> None:
    """The law can be broken: torch's own bidirectional LSTM without packing leaks padding into valid frames."""
    _, reference = pair(1, None)
    inputs = torch.randn(len(LENGTHS), 26, INPUT_SIZE)
    valid = valid_mask(LENGTHS, 26)
    leaking = reference(inputs)[0][valid] - run_packed(reference, inputs, LENGTHS)[valid]
    assert leaking.abs().max() > 1e-3


def test_reversal_mirrors_each_utterance_and_leaves_its_padding() -> None:
    lengths = torch.tensor([3, 0, 5, 1])
    index = reversal_index(lengths, 5)
    assert index.tolist() == [[2, 1, 0, 3, 4], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [0, 1, 2, 3, 4]]
    values = torch.arange(20.0).view(4, 5, 1)
    assert torch.equal(gather_frames(gather_frames(values, index), index), values)


def test_valid_mask_counts_frames() -> None:
    assert valid_mask(torch.tensor([2, 0, 3]), 3).tolist() == [[True, True, False], [False] * 3, [True] * 3]


@pytest.mark.parametrize(("num_layers", "projection_size"), list(itertools.product((1, 2), (None, 6))))
def test_initial_weights(num_layers: int, projection_size: int | None) -> None:
    """Forget bias as a sum of torch's two; orthogonal recurrence gate by gate; Xavier bounds for the rest."""
    config = BiLstmConfig(
        num_layers=num_layers, hidden_size=HIDDEN_SIZE, projection_size=projection_size, forget_bias=1.5, dropout=0.0
    )
    for lstm in (part for part in BiLstm(INPUT_SIZE, config).modules() if isinstance(part, nn.LSTM)):
        bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).view(4, HIDDEN_SIZE)  # input, forget, cell, output
        assert torch.equal(bias, torch.tensor([0.0, 1.5, 0.0, 0.0]).unsqueeze(1).expand(4, HIDDEN_SIZE))
        for gate in lstm.weight_hh_l0.split(HIDDEN_SIZE):  # (hidden, projection or hidden)
            torch.testing.assert_close(gate.T @ gate, torch.eye(gate.size(1)), rtol=0, atol=1e-5)
        for gate in lstm.weight_ih_l0.split(HIDDEN_SIZE):
            bound = (6 / (gate.size(0) + gate.size(1))) ** 0.5  # Glorot & Bengio 2010
            assert 0.8 * bound < gate.abs().max() <= bound
            assert gate.std().item() == pytest.approx(bound / 3**0.5, rel=0.2)
