"""The page of `asr inspect`: sound, posteriors and words on one time axis, and under them what the units did.

In: ``Microscope``, plain values. Out: one HTML file. The tables and the explanations are HTML made here, readable
without a script; pictures are drawn by ``microscope_*.js`` from 8-bit arrays that are unpacked when they are looked at.

What the microscope's page calls things, and what it says of them.

In: which arrays and attention there are. Out: names and explanations for people who have not met a gate before.

Arrays in 8 bits for a page: small, and read back to within half a step.

In: ``(rows, frames)`` of floats. Out: a JSON value: base64 of a deflate stream, and the ranges, to which
``quantised.js`` is the other end. Each row is stored as differences from frame to frame (what PNG's "Sub" filter does),
because states move slowly; deflate then finds more. It is no PNG because a page cannot read a PNG's numbers without a
canvas, and browsers that guard against fingerprinting return other numbers from a canvas than were drawn.
"""

import base64
import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.pages.data import Clip, Table
from asr.pages.document import (
    Document,
    element,
    fact_list,
    figure_of,
    header,
    note_list,
    render_document,
    section,
    text,
)
from asr.pages.payload import clip_value

LABELS = {
    "cell_state": "cell state c",
    "forget_gate": "forget gate f",
    "update_gate": "update gate z",
    "input_gate": "input gate i",
    "output_gate": "output gate o",
    "reset_gate": "reset gate r",
    "candidate": "candidate",
    "hidden": "output h",
}
_MEANINGS = {
    "cell_state": "the conveyor belt: a number per unit that runs along time, from which things are taken off and onto "
    "which things are put",
    "forget_gate": "how much of the belt is kept from the frame before: 1 keeps all of it, 0 clears it",
    "update_gate": "forget and input gate in one: 1 keeps the state as it is, 0 writes the candidate over it",
    "input_gate": "how much of the new candidate is put onto the belt",
    "output_gate": "how much of the belt is shown to the outside, to the next layer and to the next frame's gates",
    "reset_gate": "how much of the last output enters the new candidate",
    "candidate": "what would be put onto the belt if the gate were wide open",
    "hidden": "what the unit says to the next layer, and to its own layer at the next frame",
}


def explanations(arrays: Collection[str], *, gates: bool, attention: bool) -> dict[str, str]:
    """By name, in the order in which one meets them; ``arrays`` are keys of ``LABELS``."""
    found = [(LABELS[name], f"{meaning}.") for name, meaning in _MEANINGS.items() if name in arrays]
    if gates:
        found += [
            (
                "half-life",
                "how long the belt takes to lose half of what is on it, with the unit's forget (GRU: update) gate held "
                "at its mean; effective: at its geometric mean, which counts the frames in which it forgets.",
            ),
            ("open, shut", "the share of frames in which a gate is above 0.9, below 0.1 (saturated right and left)."),
        ]
    if arrays:
        found += [
            ("dead", "the unit's output stays within 0.01 for nine tenths of this recording; it may wake in another."),
            (
                "follows",
                "correlation of the unit's state with what is heard or said, shown only above what shifted copies of "
                "it reach by chance.",
            ),
            ("backward", "reads the recording from its end: its memory at a frame is of what comes after it."),
        ]
    if attention:
        found.append(
            ("attention", "row by row, the frames (along time) from which each frame takes what it adds to itself.")
        )
    found.append(
        (
            "precision",
            "values here have 256 steps: gates 1/255 apart, states 1/127 of the unit's largest, of attention the "
            "square root in steps of 1/255; asr inspect --npz has them in full.",
        )
    )
    return dict(found)


Floats = NDArray[np.floating[Any]]
LEVELS = 255


def quantised(values: Floats, *, signed: bool = False, root: bool = False, every: int = 1) -> dict[str, Any]:
    """256 levels of values from 0 to 1 (their square root where ``root``: finer where they are small); or, ``signed``,
    of each row from minus to plus its own largest. With ``every`` above 1 only every so many of the levels is taken,
    and deflate finds more.

    ``data``; ``w`` frames, ``h`` rows; ``root``; ``bounds``, a row's largest, where signed: level 128 is 0.
    """
    packed: dict[str, Any] = {"h": len(values), "w": values.shape[1], "root": int(root)}
    if signed:
        bounds = np.maximum(np.abs(values).max(axis=1, initial=0.0), 1e-6)
        packed["bounds"] = [float(f"{bound:.5g}") for bound in bounds]
        scaled = 128 + 127 * values / bounds[:, None]
    else:
        scaled = LEVELS * (np.sqrt(np.maximum(values, 0)) if root else values)
    levels = np.clip(np.rint(scaled / every) * every, 0, LEVELS).astype(np.uint8)
    moved = np.diff(levels, axis=1, prepend=np.uint8(0))  # modulo 256
    return packed | {"data": base64.b64encode(zlib.compress(moved.tobytes(), 9)).decode("ascii")}


_SCRIPTS = (
    "report_clip.js", "quantised.js", "microscope_data.js", "microscope_draw.js", "microscope_table.js",
    "microscope_main.js",
)  # fmt: skip
SHOWN_FIRST = ("cell_state", "forget_gate", "input_gate", "output_gate", "update_gate", "reset_gate")


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word with its place in seconds of the recording."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPicture:
    """A direction: ``arrays`` ``(frames, units)`` by name (those of LABELS are shown); a number a unit in the rest.

    ``keep``: the name of the gate that keeps, None without one. ``left``, ``right``: by gate, shares of frames below
    0.1 and above 0.9. ``follows``: for each unit (signal, r), the strongest first, findings only. ``shown_by_gate``:
    the output is the output gate times tanh of the cell state, so that the page can compute it.
    """

    name: str
    arrays: Mapping[str, Floats]
    keep: str | None
    half_life_s: Floats | None
    effective_half_life_s: Floats | None
    left: Mapping[str, Floats]
    right: Mapping[str, Floats]
    dead: Sequence[bool]
    follows: Sequence[Sequence[tuple[str, float]]]
    shown_by_gate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionPicture:
    """A layer's heads: ``weights`` ``(heads, queries, keys)``."""

    name: str
    weights: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Microscope:
    """Everything on the page. Frame t is centred on ``first_s + t * frame_s``; ``facts`` by name, in order."""

    title: str
    said: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    clip: Clip
    words: Sequence[HeardWord]
    duration_s: float
    first_s: float
    frame_s: float
    layers: Sequence[LayerPicture]
    attention: Sequence[AttentionPicture]
    tables: Sequence[Table] = field(default=())


def render_microscope(page: Microscope, every: int = 1) -> str:
    """The whole file; ``every``: of ``quantised``, above 1 for a smaller one."""
    late: dict[str, Any] = {}
    layers = [_layer(layer, place, late, every) for place, layer in enumerate(page.layers)]
    attention = [_attention(one, place, late, every) for place, one in enumerate(page.attention)]
    read = {
        "duration": round(page.duration_s, 4),
        "first": round(page.first_s, 5),
        "step": round(page.frame_s, 6),
        "words": [{"text": one.text, "start": round(one.start_s, 3), "end": round(one.end_s, 3)} for one in page.words],
        "labels": LABELS,
        "layers": layers,
        "attention": attention,
    }
    body = element("div", _top(page), _picture(), _explanations(page), _tables(page), id="main", class_="page")
    return render_document(
        Document(
            title=page.title,
            body=body,
            styles=("report.css", "microscope.css"),
            scripts=_SCRIPTS,
            data={"scope": read, "clip-0": clip_value(page.clip)},
            late=late,
        )
    )


def _layer(layer: LayerPicture, place: int, late: dict[str, Any], every: int) -> dict[str, Any]:
    arrays = []
    for name, values in layer.arrays.items():
        if name in LABELS:
            if name != "hidden" or not layer.shown_by_gate:
                late[f"array-{place}-{name}"] = quantised(values.T, signed=not name.endswith("_gate"), every=every)
            arrays.append(name)
    shares = {
        name: [[round(float(one), 3) for one in side[name]] for side in (layer.right, layer.left)]
        for name in layer.right
    }
    return {
        "name": layer.name,
        "arrays": arrays,
        "first": [name for name in SHOWN_FIRST if name in arrays] or ["hidden"],
        "keep": layer.keep,
        "half": _finite(layer.half_life_s),
        "effective": _finite(layer.effective_half_life_s),
        "shares": shares,
        "dead": [int(one) for one in layer.dead],
        "follows": [[[name, round(r, 3)] for name, r in one[:4]] for one in layer.follows],
    }


def _attention(one: AttentionPicture, place: int, late: dict[str, Any], every: int) -> dict[str, Any]:
    for head, weights in enumerate(one.weights):
        late[f"map-{place}-{head}"] = quantised(weights, root=True, every=every)
    return {"name": one.name, "heads": len(one.weights)}


def _finite(values: Floats | None) -> list[float | None] | None:
    """Seconds; None where infinite."""
    if values is None:
        return None
    return [round(float(one), 4) if math.isfinite(one) else None for one in values]


def _top(page: Microscope) -> str:
    said = element("p", element("bdi", text(page.said or "(no words were heard)")), class_="verdict")
    return header(page.title) + said + note_list(page.notes) + fact_list(page.facts)


def _picture() -> str:
    return section(
        "picture",
        "Under the microscope",
        element("p", text("The pictures need JavaScript; the tables below do not."), class_="dim", id="waiting"),
        element("div", id="microscope"),
        element("p", id="trouble", class_="dim", role="status"),
    )


def _explanations(page: Microscope) -> str:
    arrays = {name for layer in page.layers for name in layer.arrays}
    told = explanations(arrays, gates=any(layer.keep for layer in page.layers), attention=bool(page.attention))
    return section("seen", "What one sees", fact_list(told, class_="seen"))


def _tables(page: Microscope) -> str:
    figures = [figure_of(one, wide=True) for one in page.tables if one.rows]
    return section("figures", "In figures", *figures) if figures else ""
