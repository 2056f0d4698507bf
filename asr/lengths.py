"""Valid lengths inside a padded batch.

Masks and exact reversal. All lengths are int64 counts of frames, never fractions.
"""

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


def gather_frames(values: Tensor, index: Tensor) -> Tensor:
    """Frames picked per utterance: ``(batch, frames, size)`` by ``(batch, frames)`` -> ``(batch, frames, size)``."""
    return values.gather(1, index.unsqueeze(2).expand(-1, -1, values.size(2)))
