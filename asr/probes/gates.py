"""What each gate of a trained LSTM is worth: held at a value in all frames, at test time, one gate at a time.

In: a trained model with LSTM layers, a manifest. Out: the word error rate of the model as it is, of the same model
computed by the readable cell (asr/models/cell.py) with nothing fixed, which must hear the same, and with one gate fixed
in all units, layers and directions. Nothing is trained again: this asks what the trained weights rest on, not what a
network without that gate could have learnt.

A forget gate at 1 is the cell of 1997, whose belt drops nothing; at 0 it remembers nothing but by its output.
"""

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from asr.errors import UsageError
from asr.models import AcousticModel, LstmCell, RecurrentLayer
from asr.probes.draw import draw_bars, new_figure, said_of, save_figure
from asr.probes.listening import Listener, Step, measure_changes

FIXED: dict[str, dict[str, float]] = {
    "readable cell, nothing fixed": {},
    "forget gate at 1": {"forget_gate": 1.0},
    "forget gate at 0": {"forget_gate": 0.0},
    "input gate at 1": {"input_gate": 1.0},
    "output gate at 1": {"output_gate": 1.0},
}


class ReadableDirection(nn.Module):
    """A direction that computes by the readable cell what its ``nn.LSTM`` computes, with some gates ``fixed``."""

    def __init__(self, lstm: nn.LSTM, fixed: Mapping[str, float]) -> None:
        super().__init__()
        self.cell = LstmCell(lstm, fixed)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(batch, frames, input_size)`` -> ``(batch, frames, size)``."""
        return self.cell(inputs).hidden


def with_fixed_gates(model: AcousticModel, fixed: Mapping[str, float]) -> AcousticModel:
    """A copy of ``model`` whose every LSTM direction is a ``ReadableDirection``.

    Raises UsageError where the model has no LSTM layer.
    """
    changed = copy.deepcopy(model)
    found = 0
    for layer in (one for one in changed.modules() if isinstance(one, RecurrentLayer)):
        for name in layer.names:
            direction = layer.get_submodule(name)
            if isinstance(direction, nn.LSTM):
                setattr(layer, name, ReadableDirection(direction, fixed))
                found += 1
    if not found:
        raise UsageError(
            f"the model's encoder is {model.config.name!r}: it has no LSTM layer whose gates could be held"
        )
    return changed


def measure_gates(listeners: Sequence[Listener], on_step: Step = lambda: None) -> dict[str, Any]:
    """A row for the models as they are and for each of ``FIXED``."""
    for listener in listeners:
        with_fixed_gates(listener.model, {})  # refuses before anything is heard
    changes = {label: partial(with_fixed_gates, fixed=fixed) for label, fixed in FIXED.items()}
    return {"rows": measure_changes(listeners, {"as trained": lambda model: model} | changes, on_step)}


def draw_gates(found: dict[str, Any], path: Path) -> None:
    """A bar for each row."""
    figure, (axes,) = new_figure(size=(8.0, 3.8))
    draw_bars(axes, [row["label"] for row in found["rows"]], found["rows"])
    axes.set(xlabel="WER %", title=f"One gate held at a value, at test time\n({said_of(found['rows'][0])})")
    save_figure(figure, path)
