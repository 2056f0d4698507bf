"""Two directions in two threads, or on two streams, give what they give one after the other, to the bit."""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

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


def test_the_second_thread_has_the_autocast_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _ = step("bilstm")
    found = []
    for cores in (2, 1):
        monkeypatch.setattr(directions, "usable_cores", lambda cores=cores: cores)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found.append(step("bilstm"))
    assert torch.equal(found[0][0], found[1][0]) and not torch.equal(found[0][0], plain)
    assert all(torch.equal(one, other) for one, other in zip(found[0][1], found[1][1], strict=True))


def test_a_direction_that_ends_first_leaves_the_other_its_cast_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of a weight that is cast once is summed in bfloat16, of one that is cast twice in float32."""
    weight, given = torch.randn(16, 16, requires_grad=True), torch.randn(2, 3, 16, requires_grad=True)

    def slow(inputs: Tensor) -> Tensor:
        middle = inputs @ weight
        time.sleep(0.1)  # the other direction ends meanwhile
        return middle @ weight

    found = list[Tensor]()
    for cores in (2, 1):
        monkeypatch.setattr(directions, "usable_cores", lambda cores=cores: cores)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            first, second = directions.run_both((slow, torch.tanh), [[weight], []], given)
            found += torch.autograd.grad(first.sum() + second.sum(), weight)
    assert torch.equal(*found)


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


class Streams:
    """Stands for torch's streams: who waited for whom, on which stream each direction ran, what was recorded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        self.now = "present"
        self.recorded: list[int] = []
        device = torch.device("cuda", 0)
        monkeypatch.setattr(directions, "_choose", lambda inputs: partial(directions._on_two_streams, device))
        monkeypatch.setattr(directions, "_side_stream", lambda device: Stream("side", self))
        monkeypatch.setattr("torch.cuda.current_stream", lambda device: Stream(self.now, self))
        monkeypatch.setattr("torch.cuda.stream", self.inside)
        monkeypatch.setattr(Tensor, "record_stream", lambda one, stream: self.recorded.append(one.data_ptr()))

    @contextlib.contextmanager
    def inside(self, stream: "Stream") -> Iterator[None]:
        before, self.now = self.now, stream.name
        try:
            yield
        finally:
            self.now = before


class Stream:
    def __init__(self, name: str, streams: Streams) -> None:
        self.name, self.streams = name, streams

    def wait_stream(self, other: "Stream") -> None:
        self.streams.said.append(f"{self.name} waits for {other.name}")


@pytest.mark.parametrize("form", BOTH_WAYS)
def test_two_streams_compute_what_one_does(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directions, "usable_cores", lambda: 1)
    serial_out, serial_gradients = step(form)
    streams = Streams(monkeypatch)
    out, gradients = step(form)
    assert streams.said == ["side waits for present", "present waits for side"] * 4  # 2 layers, forward and backward
    assert torch.equal(out, serial_out)
    assert all(torch.equal(one, other) for one, other in zip(gradients, serial_gradients, strict=True))


def test_the_side_stream_is_waited_for_on_both_sides_and_what_it_returns_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams = Streams(monkeypatch)

    def seen(name: str) -> Callable[[Tensor], Tensor]:
        def run(values: Tensor) -> Tensor:
            streams.said.append(f"{name} on {streams.now}")
            return Seen.apply(values, lambda: streams.said.append(f"gradient of {name} on {streams.now}"))  # type: ignore[no-any-return,no-untyped-call]

        return run

    given = torch.randn(2, 3, requires_grad=True)
    first, second = directions.run_both((seen("first"), seen("second")), [[], []], given)
    before, after = "side waits for present", "present waits for side"
    assert streams.said == [before, "second on side", "first on present", after]
    assert second.data_ptr() in streams.recorded and first.data_ptr() not in streams.recorded
    streams.said.clear()
    (first.sum() + second.sum()).backward()
    assert streams.said == [before, "gradient of second on side", "gradient of first on present", after]


def test_the_side_stream_is_waited_for_after_an_error_too(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = Streams(monkeypatch)

    def fail(inputs: Tensor) -> Tensor:
        raise RuntimeError("CUDA out of memory")

    for both in ((fail, torch.tanh), (torch.tanh, fail)):
        streams.said.clear()
        with pytest.raises(RuntimeError, match="out of memory"):
            directions.run_both(both, [[], []], torch.randn(2, 3))
        assert streams.said == ["side waits for present", "present waits for side"]


class Seen(torch.autograd.Function):
    """The identity, which calls ``seen`` when its gradient is computed."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, seen: Callable[[], None]) -> Tensor:
        ctx.seen = seen
        return values * 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        ctx.seen()
        return gradient * 2, None
