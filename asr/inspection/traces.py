"""What each unit of a recurrent layer did at each frame, computed by readable cells from the layer's own input.

In: one direction's module with the input that it was given and the output that it gave. Out: a ``Trace`` in the order
of the recording, which says how far the readable cell's output lies from the module's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from asr.inspection.own_cells import read_ligru, read_lnlstm, read_minlstm
from asr.models.cell import ElmanCell, GruCell, LstmCell
from asr.models.ligru import LiGruDirection
from asr.models.lnlstm import LnLstmDirection
from asr.models.minlstm import MinLstmDirection

Array = NDArray[np.float32]
GATES = ("forget_gate", "update_gate", "input_gate", "output_gate", "reset_gate")  # numbers in (0, 1): shut to open
_ORDER = ("cell_state", *GATES, "candidate", "hidden", "projected")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """One direction of one layer. ``layer`` from 1; ``direction`` "forward" or "backward"; ``kind`` of the cell.

    ``arrays``: ``(frames, units)`` each, by name: "cell_state", "forget_gate", "input_gate", "output_gate",
    "update_gate", "reset_gate", "candidate" as far as the cell has them, "hidden" (each unit's output) always, and
    "projected" ``(frames, projection_size)`` where the layer has a projection. Frame t is frame t of the recording for
    the backward direction too: its memory is of what comes *after* t. ``deviation``: the largest difference between
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

    @property
    def keep_gate(self) -> str | None:
        """The gate that says how much of a unit's state is kept; None where there is none (Elman)."""
        return next((name for name in ("forget_gate", "update_gate") if name in self.arrays), None)

    @property
    def gates(self) -> list[str]:
        """The names of its gates."""
        return [name for name in GATES if name in self.arrays]


def read_trace(module: nn.Module, inputs: Tensor, outputs: Tensor, layer: int, direction: str) -> Trace:
    """Run the readable cell over ``inputs`` ``(1, frames, input_size)`` and hold it against ``outputs``.

    Both are in the order in which the module heard them: the last frame first for the backward direction.
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
        arrays={name: _plain(value, backward) for name, value in ordered.items()},
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


def _plain(values: Tensor, backward: bool) -> Array:
    found: Array = values[0].float().cpu().numpy()
    return np.ascontiguousarray(found[::-1] if backward else found)
