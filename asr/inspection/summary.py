"""An inspection in a few aligned lines: the same tables on the terminal and on the page.

In: an ``Inspection``. Out: headers and rows of text.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.inspection.attention import head_facts
from asr.inspection.inspect import Inspection
from asr.inspection.signals import TOKEN

Rows = tuple[list[str], list[list[str]]]
_MOST_FOLLOWED = 6


def layer_rows(inspection: Inspection) -> Rows:
    """A row per layer and direction: medians over units, shares over units and frames, in percent open / shut."""
    if not inspection.traces:
        return [], []
    gates = inspection.traces[0].gates
    remembers = inspection.traces[0].keep_gate is not None
    header = ["layer", "direction", "units"]
    header += ["half-life", "effective"] if remembers else []
    header += [f"{gate.removesuffix('_gate')} open/shut" for gate in gates] + ["dead", "following"]
    rows = []
    for trace, units, tracking in zip(inspection.traces, inspection.units, inspection.tracking, strict=True):
        count = trace.hidden.shape[1]
        following = sum(bool(tracking.found(unit)) for unit in range(count))
        row = [str(trace.layer), trace.direction, str(count)]
        if units.half_life_s is not None and units.effective_half_life_s is not None:
            row += [seconds(np.median(units.half_life_s)), seconds(np.median(units.effective_half_life_s))]
        row += [f"{percent(units.right[gate])}/{percent(units.left[gate])} %" for gate in gates]
        rows.append([*row, str(int(units.dead.sum())), str(following)])
    return header, rows


def followed_rows(inspection: Inspection) -> Rows:
    """The units that follow something most closely, a few per layer and direction."""
    rows = []
    for trace, tracking, units in zip(inspection.traces, inspection.tracking, inspection.units, strict=True):
        for name, unit, r in tracking.best()[:_MOST_FOLLOWED]:
            bound = tracking.bound[tracking.signals.index(name)]
            memory = "" if units.half_life_s is None else seconds(units.half_life_s[unit])
            cells = [f"{trace.layer} {trace.direction}", signal_name(name), str(unit), signed(r), f"{bound:.2f}"]
            rows.append([*cells, memory])
    return ["layer", "follows", "unit", "r", "chance below", "half-life"], rows


def head_rows(inspection: Inspection) -> Rows:
    """A row per attention head."""
    rows = []
    for one in inspection.maps:
        for head, weights in enumerate(one.weights, start=1):
            facts = head_facts(weights, inspection.frame_s)
            shares = [f"{100 * share:.0f} %" for share in (facts.before, facts.itself, facts.after)]
            rows.append([str(one.layer), str(head), seconds(facts.distance_s), *shares, f"{facts.frames:.1f}"])
    return ["layer", "head", "looks away", "before", "itself", "after", "frames"], rows


def signal_name(name: str) -> str:
    """A signal as a person reads it: ``token ␣`` for that of a space."""
    return f"{TOKEN}␣" if name in (f"{TOKEN} ", f"{TOKEN}▁") else name


def seconds(value: float | np.floating[Any]) -> str:
    """``35 ms``, ``2.03 s``, ``∞``."""
    if not math.isfinite(value):
        return "∞"
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def percent(shares: NDArray[np.floating[Any]]) -> str:
    """The mean of shares, in percent without a sign."""
    return f"{100 * float(shares.mean()):.0f}"


def signed(r: float) -> str:
    """A correlation with its sign: ``+0.79``, ``−0.79``."""
    return f"{r:+.2f}".replace("-", "−")
