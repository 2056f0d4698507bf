"""Where each head of an attention layer looks, recomputed from what the layer was given.

In: a ``SelfAttention`` with its input, bias and output. Out: an ``AttentionMap`` that says how far its own way to the
layer's output lies from the layer's, and what a head does in a few numbers.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.models.transformer import SelfAttention

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttentionMap:
    """``weights`` ``(heads, queries, keys)``: what frame ``query`` takes of frame ``key``; each query's sum is 1.

    ``layer`` from 1. ``deviation``: the largest difference between the output that these weights give and the layer's.
    """

    layer: int
    deviation: float
    weights: Array = field(repr=False)

    @property
    def name(self) -> str:
        """Such as ``layer2_attention``."""
        return f"layer{self.layer}_attention"


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """Of one head, averaged over queries: how far from itself a frame looks (seconds, weighted), what share of it is
    before, at and after the frame, and over how many frames it spreads (e to the entropy).
    """

    distance_s: float
    before: float
    itself: float
    after: float
    frames: float


def read_attention(module: SelfAttention, hidden: Tensor, bias: Tensor, outputs: Tensor, layer: int) -> AttentionMap:
    """The maps of one layer for a recording, ``hidden`` ``(1, frames, size)``."""
    with torch.inference_mode():
        weights = module.weights(hidden, bias)
        value = module.project(hidden).chunk(3, dim=2)[2].unflatten(2, (module.heads, -1)).transpose(1, 2)
        computed = module.out((weights @ value).transpose(1, 2).flatten(2))
    return AttentionMap(
        layer=layer,
        deviation=float((computed - outputs).abs().max()),
        weights=np.ascontiguousarray(weights[0].float().cpu().numpy()),
    )


def head_facts(weights: Array, frame_s: float) -> HeadFacts:
    """``(queries, keys)`` of one head -> what it does."""
    frames = len(weights)
    offset = np.arange(frames) - np.arange(frames)[:, None]  # key minus query
    entropy = -(weights * np.log(np.maximum(weights, 1e-12))).sum(axis=1)
    return HeadFacts(
        distance_s=float((weights * np.abs(offset)).sum(axis=1).mean() * frame_s),
        before=float(weights[offset < 0].sum() / frames),
        itself=float(weights[offset == 0].sum() / frames),
        after=float(weights[offset > 0].sum() / frames),
        frames=float(np.exp(entropy).mean()),
    )
