"""Two directions in two threads give what they give one after the other, to the bit, with and without gradients."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from asr.models import directions
from tests.models.family import make_batch, make_model

BOTH_WAYS = ["rnn both ways", "gru both ways", "lstm both ways, projected", "bilstm", "lnlstm", "ligru", "minlstm"]


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def step(form: str) -> tuple[Tensor, list[Tensor]]:
    model = make_model(form)
    log_probs = model(*make_batch(6, 40))[0]
    return log_probs.detach(), list(torch.autograd.grad(log_probs[..., 1].sum(), list(model.parameters())))


@pytest.mark.parametrize("form", BOTH_WAYS)
def test_two_threads_change_no_bit(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directions, "usable_cores", lambda: 2)
    out, gradients = step(form)
    monkeypatch.setattr(directions, "usable_cores", lambda: 1)
    serial_out, serial_gradients = step(form)
    assert torch.equal(out, serial_out)
    assert all(torch.equal(one, other) for one, other in zip(gradients, serial_gradients, strict=True))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_none_is_kept_and_no_bit_changes(mode: type, monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = make_model("bilstm"), make_batch(6, 40)
    with mode():
        monkeypatch.setattr(directions, "usable_cores", lambda: 2)
        threads = model(*batch)[0]
        monkeypatch.setattr(directions, "usable_cores", lambda: 1)
        assert torch.equal(threads, model(*batch)[0])
    assert threads.grad_fn is None and not threads.requires_grad


def test_an_error_in_either_direction_is_raised_and_the_next_call_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directions, "usable_cores", lambda: 2)

    def fail(inputs: Tensor) -> Tensor:
        raise ValueError("no")

    given = torch.randn(2, 3, 4, requires_grad=True)
    for both in ((fail, torch.tanh), (torch.tanh, fail)):
        with pytest.raises(ValueError, match="no"):
            directions.run_both(both, [[], []], given)
    first, second = directions.run_both((torch.tanh, torch.sigmoid), [[], []], given)
    (first.sum() + second.sum()).backward()
    expected = (1 - torch.tanh(given) ** 2) + torch.sigmoid(given) * (1 - torch.sigmoid(given))
    torch.testing.assert_close(given.grad, expected)


def test_frozen_weights_get_no_gradient_and_the_others_get_theirs() -> None:
    model = make_model("bilstm")
    lowest = {name: weight for name, weight in model.named_parameters() if ".layers.0." in name}
    frozen = {name for name in lowest if ".forward_lstm." in name}
    assert frozen and frozen < lowest.keys()
    for name in frozen:
        lowest[name].requires_grad_(False)
    log_probs = model(*make_batch(4, 30))[0]
    log_probs[..., 1].sum().backward()
    assert {name for name, weight in lowest.items() if weight.grad is None} == frozen
