"""The two directions of a recurrent layer in two Python threads, forward and backward.

In: two functions of the same input, and their weights. Out: the same outputs and gradients as if they ran one after the
other, equal to the bit. A direction is a sequence of small matrix products, in which several torch threads mostly wait
for each other; two directions are two independent sequences. torch releases the interpreter's lock inside each
operation, so two threads use two cores.

The directions run one after the other with one core, several torch threads, a GPU or autocast, and while another layer
is using the second thread (recognition runs one worker a core).
"""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from asr.devices import usable_cores

Direction = Callable[[Tensor], Tensor]


def run_both(directions: Sequence[Direction], weights: Sequence[Sequence[Tensor]], inputs: Tensor) -> list[Tensor]:
    """The output of each of two ``directions`` for ``inputs``, ``(batch, frames, size)`` each.

    ``weights``: the tensors of each direction that need gradients.
    """
    if not _can_use_threads(inputs):
        return [direction(inputs) for direction in directions]
    if not torch.is_grad_enabled():
        return _in_parallel([partial(_without_gradient, one, inputs) for one in directions])
    flat = [weight for one in weights for weight in one]
    return list(_TwoDirections.apply(directions, [len(one) for one in weights], inputs, *flat))  # type: ignore[no-untyped-call]


class _TwoDirections(torch.autograd.Function):
    """Each direction builds and differentiates a graph of its own in its own thread."""

    @staticmethod
    def forward(
        ctx: Any, directions: Sequence[Direction], sizes: Sequence[int], inputs: Tensor, *flat: Tensor
    ) -> tuple[Tensor, ...]:
        def run(direction: Direction) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                own = inputs.detach().requires_grad_(ctx.needs_input_grad[2])
                return own, direction(own)

        ctx.runs = _in_parallel([partial(run, one) for one in directions])
        ctx.weights = [flat[: sizes[0]], flat[sizes[0] :]]
        return tuple(outputs.detach() for _, outputs in ctx.runs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        def differentiate(which: int) -> list[Tensor | None]:
            own, outputs = ctx.runs[which]
            wanted = [one for one in (own, *ctx.weights[which]) if one.requires_grad]
            found = iter(torch.autograd.grad(outputs, wanted, gradients[which], allow_unused=True))
            return [next(found) if one.requires_grad else None for one in (own, *ctx.weights[which])]

        first, second = _in_parallel([partial(differentiate, which) for which in (0, 1)])
        ctx.runs = None  # frees both graphs
        total = None if first[0] is None or second[0] is None else first[0] + second[0]
        return (None, None, total, *first[1:], *second[1:])


def _can_use_threads(inputs: Tensor) -> bool:
    return (
        inputs.device.type == "cpu"
        and torch.get_num_threads() == 1
        and usable_cores() > 1
        and not torch.is_autocast_enabled("cpu")
    )


def _without_gradient(direction: Direction, inputs: Tensor) -> Tensor:
    """The modes of autograd belong to a thread, so they are set again here."""
    with torch.inference_mode(inputs.is_inference()), torch.no_grad():
        return direction(inputs)


def _in_parallel(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """The results of two calls, the second in the other thread if that is free; an error is raised once both ended."""
    if not _second_thread.acquire(blocking=False):
        return [call() for call in calls]
    try:
        other = _pool(os.getpid()).submit(calls[1])
        try:
            first = calls[0]()
        finally:
            error = other.exception()
        if error is not None:
            raise error
        return [first, other.result()]
    finally:
        _second_thread.release()


_second_thread = threading.Lock()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """``process``: a forked process does not have its parent's threads."""
    return ThreadPoolExecutor(1, thread_name_prefix="backward-direction")
