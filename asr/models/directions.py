"""The two directions of a recurrent layer at the same time, forward and backward: in two Python threads on the CPU, on
two streams on a GPU.

In: two functions of the same input, and their weights. Out: the same outputs and gradients as if they ran one after the
other, equal to the bit. A direction is a sequence of small matrix products, in which several torch threads (and most of
a GPU) mostly wait; two directions are two independent sequences.

On the CPU torch releases the interpreter's lock inside each operation, so two threads use two cores. The directions run
one after the other with one core or several torch threads, and while another layer is using the second thread
(recognition runs one worker a core). Autocast belongs to a thread, so the second one is given the caller's.

On a GPU one side stream for each device computes the second direction. It first waits for the present stream, which in
the end waits for it, in the forward and in the backward pass. The caching allocator orders the uses of a block only on
the stream that allocated it ("CUDA semantics" and ``Tensor.record_stream`` in torch's documentation), so what the side
stream reads from outside is held until the present stream has waited for it, and what it returns is recorded as used by
the present stream.
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from asr.cores import usable_cores

Direction = Callable[[Tensor], Tensor]
Together = Callable[[Sequence[Callable[[], Any]]], list[Any]]  # runs two calls at the same time


def run_both(directions: Sequence[Direction], weights: Sequence[Sequence[Tensor]], inputs: Tensor) -> list[Tensor]:
    """The output of each of two ``directions`` for ``inputs``, ``(batch, frames, size)`` each.

    ``weights``: the tensors of each direction that need gradients.
    """
    together = _choose(inputs)
    if together is None:
        return [direction(inputs) for direction in directions]
    if not torch.is_grad_enabled():
        return together([partial(_without_gradient, one, inputs) for one in directions])
    flat = [weight for one in weights for weight in one]
    sizes = [len(one) for one in weights]
    return list(_TwoDirections.apply(together, directions, sizes, inputs, *flat))  # type: ignore[no-untyped-call]


class _TwoDirections(torch.autograd.Function):
    """Each direction builds and differentiates a graph of its own, in its own thread or on its own stream."""

    @staticmethod
    def forward(
        ctx: Any,
        together: Together,
        directions: Sequence[Direction],
        sizes: Sequence[int],
        inputs: Tensor,
        *flat: Tensor,
    ) -> tuple[Tensor, ...]:
        def run(direction: Direction) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                own = inputs.detach().requires_grad_(ctx.needs_input_grad[3])
                return own, direction(own)

        ctx.together = together
        ctx.runs = together([partial(run, one) for one in directions])
        ctx.directions = directions  # what they refer to is read by the backward pass, too
        ctx.weights = [flat[: sizes[0]], flat[sizes[0] :]]
        return tuple(outputs.detach() for _, outputs in ctx.runs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        def differentiate(which: int) -> list[Tensor | None]:
            own, outputs = ctx.runs[which]
            wanted = [one for one in (own, *ctx.weights[which]) if one.requires_grad]
            found = iter(torch.autograd.grad(outputs, wanted, gradients[which], allow_unused=True))
            return [next(found) if one.requires_grad else None for one in (own, *ctx.weights[which])]

        first, second = ctx.together([partial(differentiate, which) for which in (0, 1)])
        ctx.runs = ctx.directions = None  # frees both graphs
        total = None if first[0] is None or second[0] is None else first[0] + second[0]
        return (None, None, None, total, *first[1:], *second[1:])


def _choose(inputs: Tensor) -> Together | None:
    """How two directions run at the same time on the device of ``inputs``; None: one after the other."""
    if inputs.device.type == "cuda" and use_two_streams:
        return partial(_on_two_streams, inputs.device)
    one_thread = inputs.device.type == "cpu" and torch.get_num_threads() == 1
    return _in_parallel if one_thread and usable_cores() > 1 else None


def _without_gradient(direction: Direction, inputs: Tensor) -> Tensor:
    """The modes of autograd belong to a thread, so they are set again here."""
    with torch.inference_mode(inputs.is_inference()), torch.no_grad():
        return direction(inputs)


def _on_two_streams(device: torch.device, calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """The results of two calls, the second on the side stream; the present stream waits for both.

    The wait comes before an error is raised, too: then ``calls`` and all that they refer to may be freed.
    """
    present, side = torch.cuda.current_stream(device), _side_stream(device)
    side.wait_stream(present)
    try:
        with torch.cuda.stream(side):
            second = calls[1]()
        first = calls[0]()
    finally:
        present.wait_stream(side)
    for one in second if isinstance(second, (list, tuple)) else [second]:
        if one is not None:
            one.record_stream(present)
    return [first, second]


def _in_parallel(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """The results of two calls, the second in the other thread if that is free; an error is raised once both ended."""
    if not _second_thread.acquire(blocking=False):
        return [call() for call in calls]
    try:
        kind, enabled = torch.get_autocast_dtype("cpu"), torch.is_autocast_enabled("cpu")
        other = _pool(os.getpid()).submit(_under_autocast, kind, enabled, calls[1])
        try:
            first = calls[0]()
        finally:
            error = other.exception()
        if error is not None:
            raise error
        return [first, other.result()]
    finally:
        _second_thread.release()


def _under_autocast(kind: torch.dtype, enabled: bool, call: Callable[[], Any]) -> Any:
    """``torch.autocast`` would at its end empty the cache of cast weights, which all threads share: the other direction
    would cast its weights a second time, and their gradients would be summed otherwise."""
    torch.set_autocast_dtype("cpu", kind)
    torch.set_autocast_enabled("cpu", enabled)
    return call()


use_two_streams = True  # benchmarks/gpu.py compares with one
_second_thread = threading.Lock()


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """``process``: a forked process does not have its parent's threads."""
    return ThreadPoolExecutor(1, thread_name_prefix="backward-direction")
