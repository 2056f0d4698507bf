"""What kind of memory each unit is: how long it keeps, how often its gates are fully open or shut, whether it lives.

In: a ``Trace``. Out: ``UnitFacts``, an array a measure. All of it is about one recording: a unit that is dead or
saturated here may wake up elsewhere.

Half-life: with its forget gate held at f, a state is down to one half after ln(1/2) / ln(f) frames. Two are given: for
the mean gate, and for the geometric mean, which is what the gates of this recording did: the product of all of them
shrinks a state as the geometric mean would at each frame. The second is never longer; where the gate shuts now and
then (forgets on purpose) it is much shorter. Saturation (Karpathy, Johnson & Fei-Fei 2015, "Visualizing and
Understanding Recurrent Networks"): the share of frames in which a gate is above 0.9 (right: open) or below 0.1 (left:
shut). Dead: a unit whose output stays within DEAD_RANGE for nine tenths of the recording.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.inspection.traces import Trace

Array = NDArray[np.float64]
LEFT, RIGHT = 0.1, 0.9
DEAD_RANGE = 0.01  # outputs of LSTM and GRU lie in (-1, 1)
_SMALLEST = 1e-30  # of a gate, so that its logarithm is finite


@dataclass(frozen=True, slots=True, eq=False)
class UnitFacts:
    """Arrays ``(units,)``. ``half_life_s`` of the mean forget (GRU: update) gate, ``effective_half_life_s`` of the
    geometric mean; None for a cell without one; infinite where the gate never leaves 1.

    ``left`` and ``right``: by gate, the share of frames in which it is shut or open. ``dead`` see the module's text.
    """

    half_life_s: Array | None
    effective_half_life_s: Array | None
    left: Mapping[str, Array]
    right: Mapping[str, Array]
    dead: NDArray[np.bool_]


def unit_facts(trace: Trace, frame_s: float) -> UnitFacts:
    """Of every unit of a direction; ``frame_s`` from one frame to the next."""
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


def half_life_s(log_keep: Array, frame_s: float) -> Array:
    """Seconds until one half is left where each frame keeps ``exp(log_keep)``; infinite where nothing is lost."""
    lost = -np.asarray(log_keep, np.float64)
    with np.errstate(divide="ignore"):
        return np.where(lost > 0, np.log(2) / np.maximum(lost, 0) * frame_s, np.inf)
