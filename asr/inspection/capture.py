"""Captures the inputs and outputs of a model's layers while it runs, and reads gates and attention maps from them.

In: an acoustic model. Out: for each recurrent direction or attention layer its input and output; from these, traces
(``asr.inspection.traces``) and attention maps, which are recomputed from the layer's input and compared with its
output. The hooks are removed at the end, whatever happens.
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
    """``weights`` ``(heads, queries, keys)``: the attention of frame ``query`` to frame ``key``; each query's sum is 1.

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
    """One head, averaged over queries.

    ``distance_s``: attention-weighted distance from the query frame. ``before``, ``itself``, ``after``: the shares of
    attention before, at and after it. ``frames``: over how many frames it spreads (e to the entropy).
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
    """Facts of one head; ``weights`` ``(queries, keys)``."""
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
    """A module to capture: its ``layer`` from 1, and its ``role``: "forward", "backward" or "attention"."""

    module: nn.Module
    layer: int
    role: str


@dataclass(slots=True)
class Captured:
    """Inputs and outputs by index in ``parts``; ``log_probs`` ``(1, frames, vocab)`` of the model; how often it ran."""

    parts: list[Part]
    inputs: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)
    outputs: dict[int, Tensor] = field(default_factory=dict)
    log_probs: Tensor | None = None
    runs: int = 0


def find_parts(model: AcousticModel, layer: int | None = None) -> list[Part]:
    """The directions and attention layers of ``model``'s encoder, of one ``layer`` or of all.

    Raises ModelError for a layer that it does not have, and for an encoder without readable cells.
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
        raise ModelError(f"the encoder {model.config.name!r} cannot be inspected: its gates cannot be recomputed")
    return found


def _modules_of(layer: nn.Module) -> list[tuple[str, nn.Module]]:
    if isinstance(layer, RecurrentLayer):
        return list(zip(("forward", "backward"), layer.directions, strict=False))
    return [("attention", one) for one in layer.modules() if isinstance(one, SelfAttention)]


@contextlib.contextmanager
def capturing(model: AcousticModel, parts: Sequence[Part]) -> Iterator[Captured]:
    """Within the context, inputs and outputs of ``parts`` are stored; for one run over one recording."""
    captured = Captured(list(parts))

    def store_log_probs(module: nn.Module, given: Any, gave: Any) -> None:
        tokens = gave[0][..., : model.vocab_size]  # those of phones may follow
        captured.log_probs, captured.runs = tokens, captured.runs + 1

    handles = [model.register_forward_hook(store_log_probs)]
    for place, part in enumerate(parts):
        handles.append(part.module.register_forward_hook(_storing(captured, place)))
    try:
        yield captured
    finally:
        for handle in handles:
            handle.remove()


def _storing(captured: Captured, place: int) -> Any:
    def store(module: nn.Module, given: tuple[Tensor, ...], gave: Any) -> None:
        captured.inputs[place] = given
        captured.outputs[place] = gave[0] if isinstance(gave, tuple) else gave

    return store


def read_captured(captured: Captured) -> tuple[list[Trace], list[AttentionMap]]:
    """All traces and maps. Raises ModelError where a readable cell and the model differ."""
    traces: list[Trace] = []
    maps: list[AttentionMap] = []
    for place, part in enumerate(captured.parts):
        given, gave = captured.inputs[place], captured.outputs[place]
        if isinstance(part.module, SelfAttention):
            maps.append(read_attention(part.module, given[0], given[1], gave, part.layer))
        else:
            traces.append(read_trace(part.module, given[0], gave, part.layer, part.role))
    read: list[Trace | AttentionMap] = [*traces, *maps]
    for one in read:
        if not one.deviation <= MOST_DEVIATION:  # NaN too
            raise ModelError(
                f"{one.name}: the recomputed output differs from the model's by {one.deviation:.2g} (more than "
                "rounding, "
                f"{MOST_DEVIATION:g}), so the gates would not be the model's; please report this"
            )
    return traces, maps
