"""Catching what a model's layers are given and give, while it runs, and reading it.

In: an acoustic model. Out: for each recurrent direction or attention layer its input and output; from these, traces
and maps. The hooks are gone when the work is done, whatever happens.

Where each head of an attention layer looks, recomputed from what the layer was given.

In: a ``SelfAttention`` with its input, bias and output. Out: an ``AttentionMap`` that says how far its own way to the
layer's output lies from the layer's, and what a head does in a few numbers.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from asr.errors import ModelError
from asr.inspection.traces import Trace, is_readable, read_trace
from asr.models import AcousticModel, RecurrentLayer
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


# Rounding alone gives 1e-6; a readable cell that computes something else is off by 1e-2 and more.
MOST_DEVIATION = 1e-4


@dataclass(frozen=True, slots=True)
class Part:
    """A module to be looked into: its ``layer`` from 1, and "forward", "backward" or "attention"."""

    module: nn.Module
    layer: int
    role: str


@dataclass(slots=True)
class Caught:
    """What went in and came out, by the part's place in ``parts``; and the model's ``log_probs`` ``(1, frames, V)``."""

    parts: list[Part]
    inputs: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)
    outputs: dict[int, Tensor] = field(default_factory=dict)
    log_probs: Tensor | None = None
    runs: int = 0


def find_parts(model: AcousticModel, layer: int | None = None) -> list[Part]:
    """The directions and attention layers of ``model``'s encoder, of one ``layer`` or of all.

    Raises ModelError for a layer that it has not, and for an encoder that cannot be looked into.
    """
    layers = list(getattr(model.encoder, "layers", []))
    if layer is not None and not 1 <= layer <= len(layers):
        raise ModelError(f"the model has no layer {layer}; its {model.config.name} has layers 1 to {len(layers)}")
    found = [
        Part(module, number, role)
        for number, one in enumerate(layers, start=1)
        if layer in (None, number)
        for role, module in _modules_of(one)
    ]
    if not found or not all(part.role == "attention" or is_readable(part.module) for part in found):
        raise ModelError(f"the encoder {model.config.name!r} cannot be looked into: no readable cell is known for it")
    return found


def _modules_of(layer: nn.Module) -> list[tuple[str, nn.Module]]:
    if isinstance(layer, RecurrentLayer):
        return list(zip(("forward", "backward"), layer.directions, strict=False))
    return [("attention", one) for one in layer.modules() if isinstance(one, SelfAttention)]


@contextlib.contextmanager
def catching(model: AcousticModel, parts: Sequence[Part]) -> Iterator[Caught]:
    """While inside, what ``parts`` compute is kept; for one run over one recording."""
    caught = Caught(list(parts))

    def keep_log_probs(module: nn.Module, given: Any, gave: Any) -> None:
        caught.log_probs, caught.runs = gave[0], caught.runs + 1

    handles = [model.register_forward_hook(keep_log_probs)]
    for place, part in enumerate(parts):
        handles.append(part.module.register_forward_hook(_keeper(caught, place)))
    try:
        yield caught
    finally:
        for handle in handles:
            handle.remove()


def _keeper(caught: Caught, place: int) -> Any:
    def keep(module: nn.Module, given: tuple[Tensor, ...], gave: Any) -> None:
        caught.inputs[place] = given
        caught.outputs[place] = gave[0] if isinstance(gave, tuple) else gave

    return keep


def read_caught(caught: Caught) -> tuple[list[Trace], list[AttentionMap]]:
    """Every trace and map. Raises ModelError where a readable cell computes something else than the model did."""
    traces: list[Trace] = []
    maps: list[AttentionMap] = []
    for place, part in enumerate(caught.parts):
        given, gave = caught.inputs[place], caught.outputs[place]
        if isinstance(part.module, SelfAttention):
            maps.append(read_attention(part.module, given[0], given[1], gave, part.layer))
        else:
            traces.append(read_trace(part.module, given[0], gave, part.layer, part.role))
    read: list[Trace | AttentionMap] = [*traces, *maps]
    for one in read:
        if not one.deviation <= MOST_DEVIATION:  # NaN too
            raise ModelError(
                f"{one.name}: the readable cell is off by {one.deviation:.2g} from what the model computed (at most "
                f"{MOST_DEVIATION:g} is rounding), so its gates would not be the model's; please report it"
            )
    return traces, maps
