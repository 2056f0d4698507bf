"""Gates and states of a recurrent layer per frame, recomputed by readable cells, and facts about each unit.

In: one direction's module with its input and its output. Out: a ``Trace`` in the order of the recording, with the
largest difference between the readable cell's output and the module's; and ``UnitFacts``, an array per measure.

The classic cells (LSTM, GRU, Elman) are in asr/models/cell.py with their equations. Here are those of our own loops,
in the notation of that page (LN is layer normalisation):

    layer-normalised LSTM   all summed inputs are LN(W x[t]) + LN(U h[t-1]) + b; then f, i, g, c, o as in the LSTM, and
                            h[t] = o[t] · tanh(LN(c[t]))
    light GRU               z[t] = σ(LN(W_z x[t]) + U_z h[t-1]);  n[t] = relu(LN(W_n x[t]) + U_n h[t-1])
                            h[t] = z[t] · h[t-1] + (1 - z[t]) · n[t]
    minLSTM                 f' = σ(W_f x[t] + b_f), i' = σ(W_i x[t] + b_i): no h[t-1] in them
                            f[t] = f' / (f' + i'), i[t] = i' / (f' + i'), h[t] = f[t] · h[t-1] + i[t] · g[t]

Half-life: with its forget gate fixed at f, a state decays to one half after ln(1/2) / ln(f) frames. Two are given: for
the mean gate, and for the geometric mean, which is the effective one: the product of all gates of the recording shrinks
a state as the geometric mean does at each frame. It is never longer, and much shorter where the gate closes now and
then. Saturation (Karpathy, Johnson & Fei-Fei 2015, "Visualizing and Understanding Recurrent Networks"): the share of
frames in which a gate is above 0.9 (right: open) or below 0.1 (left: closed). Dead: the output stays within DEAD_RANGE
for nine tenths of the recording. All of this is about one recording: a unit may behave differently in another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from asr.models.cell import ElmanCell, GruCell, LstmCell
from asr.models.variants import LiGruDirection, LnLstmDirection, MinLstmDirection

Frames = dict[str, Tensor]


def read_lnlstm(direction: LnLstmDirection, inputs: Tensor) -> Frames:
    """Gates, candidate, cell state and output."""
    c = h = inputs.new_zeros(len(inputs), direction.hidden_size)
    steps: list[Frames] = []
    for x in inputs.unbind(1):
        summed = direction.input_norm(F.linear(x, direction.weight_ih)) + direction.bias
        summed = summed + direction.recurrent_norm(F.linear(h, direction.weight_hh))
        to_i, to_f, to_g, to_o = summed.chunk(4, dim=1)
        f, i, g, o = torch.sigmoid(to_f), torch.sigmoid(to_i), torch.tanh(to_g), torch.sigmoid(to_o)
        c = f * c + i * g
        h = o * torch.tanh(direction.cell_norm(c))
        steps.append(
            {"cell_state": c, "forget_gate": f, "input_gate": i, "output_gate": o, "candidate": g, "hidden": h}
        )
    return _stacked(steps)


def read_ligru(direction: LiGruDirection, inputs: Tensor) -> Frames:
    """Update gate, candidate and output."""
    h = inputs.new_zeros(len(inputs), direction.hidden_size)
    steps: list[Frames] = []
    for x in inputs.unbind(1):
        from_input = direction.input_norm(F.linear(x, direction.weight_ih))
        to_z, to_n = (from_input + direction.recurrent_norm(F.linear(h, direction.weight_hh))).chunk(2, dim=1)
        z, n = torch.sigmoid(to_z), torch.relu(to_n)
        h = z * h + (1 - z) * n
        steps.append({"update_gate": z, "candidate": n, "hidden": h})
    return _stacked(steps)


def read_minlstm(direction: MinLstmDirection, inputs: Tensor) -> Frames:
    """Forget and input gate (they sum to 1), candidate, and the state, which is the output."""
    to_f, to_i, to_g = direction.linear(inputs).chunk(3, dim=2)
    f, i = torch.sigmoid(to_f), torch.sigmoid(to_i)
    f, i = f / (f + i), i / (f + i)
    g = torch.where(to_g >= 0, to_g + 0.5, torch.sigmoid(to_g))
    h = torch.zeros_like(g[:, 0])
    hidden = []
    for t in range(inputs.size(1)):
        h = f[:, t] * h + i[:, t] * g[:, t]
        hidden.append(h)
    return {"forget_gate": f, "input_gate": i, "candidate": g, "hidden": torch.stack(hidden, dim=1)}


def _stacked(steps: list[Frames]) -> Frames:
    return {name: torch.stack([step[name] for step in steps], dim=1) for name in steps[0]}


Array = NDArray[np.float32]
GATES = ("forget_gate", "update_gate", "input_gate", "output_gate", "reset_gate")  # values in (0, 1): closed to open
_ORDER = ("cell_state", *GATES, "candidate", "hidden", "projected")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """One direction of one layer. ``layer`` from 1; ``direction`` "forward" or "backward"; ``kind`` of the cell.

    ``arrays``: ``(frames, units)`` each, by name: "cell_state", "forget_gate", "input_gate", "output_gate",
    "update_gate", "reset_gate", "candidate" as far as the cell has them, "hidden" (each unit's output) always, and
    "projected" ``(frames, projection_size)`` where the layer has a projection. Frame t is frame t of the recording for
    the backward direction too: its state depends on the frames *after* t. ``deviation``: the largest difference between
    the readable cell's output and the model's.
    """

    layer: int
    direction: str
    kind: str
    deviation: float
    arrays: Mapping[str, Array] = field(repr=False)

    @property
    def name(self) -> str:
        """Such as ``layer2_backward``."""
        return f"layer{self.layer}_{self.direction}"

    @property
    def hidden(self) -> Array:
        """Each unit's output, ``(frames, units)``."""
        return self.arrays["hidden"]

    def repeated(self, times: int, frames: int) -> "Trace":
        """The trace of a layer at a lower frame rate, each of its frames ``times`` times, cut to ``frames``."""
        arrays = {name: np.repeat(values, times, axis=0)[:frames] for name, values in self.arrays.items()}
        return replace(self, arrays=arrays)

    @property
    def keep_gate(self) -> str | None:
        """The gate that sets how much of a unit's state is kept; None if there is none (Elman)."""
        return next((name for name in ("forget_gate", "update_gate") if name in self.arrays), None)

    @property
    def gates(self) -> list[str]:
        """The names of its gates."""
        return [name for name in GATES if name in self.arrays]


def read_trace(module: nn.Module, inputs: Tensor, outputs: Tensor, layer: int, direction: str) -> Trace:
    """Run the readable cell over ``inputs`` ``(1, frames, input_size)`` and compare it with ``outputs``.

    Both are in the order in which the module got them: the last frame first for the backward direction.
    """
    kind, read = _reader(module)
    with torch.inference_mode():
        frames = read(module, inputs)
    computed = frames.get("projected", frames["hidden"])
    ordered = {name: frames[name] for name in _ORDER if name in frames}
    backward = direction == "backward"
    return Trace(
        layer=layer,
        direction=direction,
        kind=kind,
        deviation=float((computed - outputs).abs().max()),
        arrays={name: _in_order(value, backward) for name, value in ordered.items()},
    )


def is_readable(module: nn.Module) -> bool:
    """Whether there is a readable cell for this direction."""
    return type(module) in _READERS


def _reader(module: nn.Module) -> tuple[str, Callable[[Any, Tensor], dict[str, Tensor]]]:
    return _READERS[type(module)]


def _read_lstm(module: nn.LSTM, inputs: Tensor) -> dict[str, Tensor]:
    trace = LstmCell(module)(inputs)
    named = {one.name: getattr(trace, one.name) for one in fields(trace)}
    if module.proj_size:
        named["projected"] = named["hidden"]
        named["hidden"] = trace.output_gate * torch.tanh(trace.cell_state)
    return named


def _read_gru(module: nn.GRU, inputs: Tensor) -> dict[str, Tensor]:
    trace = GruCell(module)(inputs)
    return {one.name: getattr(trace, one.name) for one in fields(trace)}


def _read_elman(module: nn.RNN, inputs: Tensor) -> dict[str, Tensor]:
    return {"hidden": ElmanCell(module)(inputs).hidden}


_READERS: dict[type[nn.Module], tuple[str, Callable[[Any, Tensor], dict[str, Tensor]]]] = {
    nn.LSTM: ("lstm", _read_lstm),
    nn.GRU: ("gru", _read_gru),
    nn.RNN: ("rnn", _read_elman),
    LnLstmDirection: ("lnlstm", read_lnlstm),
    LiGruDirection: ("ligru", read_ligru),
    MinLstmDirection: ("minlstm", read_minlstm),
}


def _in_order(values: Tensor, backward: bool) -> Array:
    found: Array = values[0].float().cpu().numpy()
    return np.ascontiguousarray(found[::-1] if backward else found)


Array64 = NDArray[np.float64]
LEFT, RIGHT = 0.1, 0.9
DEAD_RANGE = 0.01  # outputs of LSTM and GRU lie in (-1, 1)
_SMALLEST = 1e-30  # of a gate, so that its logarithm is finite


@dataclass(frozen=True, slots=True, eq=False)
class UnitFacts:
    """Arrays ``(units,)``. ``half_life_s`` of the mean forget (GRU: update) gate, ``effective_half_life_s`` of the
    geometric mean; None for a cell without one; infinite where the gate never leaves 1.

    ``left`` and ``right``: by gate, the share of frames in which it is closed or open. ``dead``: see above.
    """

    half_life_s: Array64 | None
    effective_half_life_s: Array64 | None
    left: Mapping[str, Array64]
    right: Mapping[str, Array64]
    dead: NDArray[np.bool_]


def unit_facts(trace: Trace, frame_s: float) -> UnitFacts:
    """Facts of every unit of a direction; ``frame_s`` from one frame to the next."""
    gates = {name: trace.arrays[name].astype(np.float64) for name in trace.gates}
    kept = None if trace.keep_gate is None else gates[trace.keep_gate]
    low, high = np.percentile(trace.hidden, [5, 95], axis=0)
    return UnitFacts(
        half_life_s=None if kept is None else half_life_s(np.log(np.maximum(kept.mean(axis=0), _SMALLEST)), frame_s),
        effective_half_life_s=(
            None if kept is None else half_life_s(np.log(np.maximum(kept, _SMALLEST)).mean(axis=0), frame_s)
        ),
        left={name: (values < LEFT).mean(axis=0) for name, values in gates.items()},
        right={name: (values > RIGHT).mean(axis=0) for name, values in gates.items()},
        dead=(high - low) < DEAD_RANGE,
    )


def half_life_s(log_keep: Array64, frame_s: float) -> Array64:
    """Seconds until one half is left where each frame keeps ``exp(log_keep)``; infinite where nothing decays."""
    lost = -np.asarray(log_keep, np.float64)
    with np.errstate(divide="ignore"):
        return np.where(lost > 0, np.log(2) / np.maximum(lost, 0) * frame_s, np.inf)
