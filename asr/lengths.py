"""Valid lengths inside a padded batch: masks and exact reversal.

All lengths are int64 counts of frames, never fractions.
"""

from typing import Any

import torch
from torch import Tensor


def valid_mask(lengths: Tensor, frames: int) -> Tensor:
    """True where a frame is real: ``(batch,)`` lengths -> ``(batch, frames)`` bool."""
    return torch.arange(frames, device=lengths.device).unsqueeze(0) < lengths.unsqueeze(1)


def reversal_index(lengths: Tensor, frames: int) -> Tensor:
    """Where each frame comes from when every utterance is reversed inside its own length; padding stays in place.

    ``(batch,)`` lengths -> ``(batch, frames)`` int64. It is its own inverse.
    """
    time = torch.arange(frames, device=lengths.device).unsqueeze(0)
    mirrored = lengths.unsqueeze(1) - 1 - time
    return torch.where(mirrored >= 0, mirrored, time)


def reverse_frames(values: Tensor, reversal: Tensor) -> Tensor:
    """Every utterance reversed inside its own length.

    ``(batch, frames, size)`` and its ``reversal_index``, ``(batch, frames)`` -> ``(batch, frames, size)``.
    """
    reversed_: Tensor = _Reversal.apply(values, reversal)  # type: ignore[no-untyped-call]
    return reversed_


class _Reversal(torch.autograd.Function):
    """Whole frames copied, and copied back for the gradient: a reversal is its own inverse.

    ``gather`` computes the same element by element, and its gradient, which must allow for any index, adds.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, reversal: Tensor) -> Tensor:
        ctx.save_for_backward(reversal)
        batch, frames = reversal.shape
        first = torch.arange(batch, device=reversal.device).unsqueeze(1) * frames
        return values.flatten(0, 1).index_select(0, (reversal + first).flatten()).view(values.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (reversal,) = ctx.saved_tensors
        return reverse_frames(gradient, reversal), None
