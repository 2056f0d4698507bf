"""The page of `asr inspect`: audio, posteriors and words on one time axis, with the units' gates and states below.

In: a ``GateViewerPage`` of plain values. Out: one HTML file. Tables and explanations are HTML and can be read without
a script; ``gate_viewer_*.js`` draws the images from 8-bit arrays that it unpacks when they are shown.

Arrays are stored in 8 bits (``quantised``, read by ``quantised.js``): base64 of a deflate stream of differences from
frame to frame (PNG's "Sub" filter). States change slowly, so the differences compress well. PNG itself would not do: a
page can read its pixels only through a canvas, and browsers that block fingerprinting return altered values from there.
"""

import base64
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.files import finite
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
    "cell_state": "the unit's memory: one number, carried from frame to frame; gates remove from it and add to it",
    "forget_gate": "the share of the previous frame's cell state that is kept: 1 keeps all of it, 0 clears it",
    "update_gate": "forget and input gate in one: 1 keeps the state as it is, 0 replaces it with the candidate",
    "input_gate": "the share of the candidate that is added to the cell state",
    "output_gate": "the share of the cell state that is output, to the next layer and to the next frame's gates",
    "reset_gate": "the share of the last output that enters the new candidate",
    "candidate": "what is added to the cell state if the input gate is fully open",
    "hidden": "the unit's output to the next layer, and to its own layer at the next frame",
}


def explanations(arrays: Collection[str], *, gates: bool, attention: bool) -> dict[str, str]:
    """Explanations by name, for readers who do not know these terms; ``arrays`` are keys of ``LABELS``."""
    found = [(LABELS[name], f"{meaning}.") for name, meaning in _MEANINGS.items() if name in arrays]
    if gates:
        found += [
            (
                "half-life",
                "the time in which the state decays to one half, with the unit's forget (GRU: update) gate fixed at "
                "its mean; effective: at its geometric mean, which weights the frames in which it forgets.",
            ),
            ("open, closed", "the share of frames in which a gate is above 0.9, below 0.1 (right and left saturated)."),
        ]
    if arrays:
        found += [
            ("dead", "the unit's output stays within 0.01 for 90 % of this recording; it may be active in another."),
            (
                "follows",
                "correlation of the unit's state with a property of the audio or of the model's output; shown only "
                "above the bound that shifted copies of the signal reach by chance.",
            ),
            ("backward", "reads the recording from its end: its state at a frame depends on the frames after it."),
        ]
    if attention:
        found.append(("attention", "each row is a query frame, the columns (time) are the frames that it attends to."))
    found.append(
        (
            "precision",
            "values on this page have 256 levels: gates in steps of 1/255, states in steps of 1/127 of the unit's "
            "largest, attention in steps of 1/255 of its square root; asr inspect --npz has full precision.",
        )
    )
    return dict(found)


Floats = NDArray[np.floating[Any]]
LEVELS = 255


def quantised(values: Floats, *, signed: bool = False, root: bool = False, every: int = 1) -> dict[str, Any]:
    """``(rows, frames)`` in 256 levels, as JSON values.

    Values from 0 to 1 as they are, or as their square root (``root``: finer steps where they are small); with
    ``signed`` each row from minus to plus its own largest. ``every`` above 1 uses only every so many of the levels,
    which compresses better.

    Returns ``data``; ``w`` frames, ``h`` rows; ``root``; where signed, ``bounds``: each row's largest (level 128 is 0).
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
    "report_clip.js", "quantised.js", "gate_viewer_data.js", "gate_viewer_draw.js", "gate_viewer_table.js",
    "gate_viewer_main.js",
)  # fmt: skip
SHOWN_FIRST = ("cell_state", "forget_gate", "input_gate", "output_gate", "update_gate", "reset_gate")


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A recognised word and its time, in seconds of the recording."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPicture:
    """One direction of a layer: ``arrays`` ``(frames, units)`` by name (those of LABELS are shown), and unit facts.

    ``keep``: the gate that keeps the state, None without one. ``left``, ``right``: by gate, each unit's share of frames
    below 0.1 and above 0.9. ``follows``: for each unit (signal, r) above the bound, strongest first.
    ``output_from_cell``: the output is the output gate times tanh of the cell state, so the page computes it.
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
    output_from_cell: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionPicture:
    """The attention of a layer: ``weights`` ``(heads, queries, keys)``."""

    name: str
    weights: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class GateViewerPage:
    """Everything on the page. Frame t is centred on ``first_s + t * frame_s`` seconds; ``text``: the hypothesis."""

    title: str
    text: str
    facts: Mapping[str, str]
    notes: Sequence[str]
    clip: Clip
    words: Sequence[TimedWord]
    duration_s: float
    first_s: float
    frame_s: float
    layers: Sequence[LayerPicture]
    attention: Sequence[AttentionPicture]
    tables: Sequence[Table] = field(default=())


def render_gate_viewer(page: GateViewerPage, every: int = 1) -> str:
    """The whole HTML file; ``every`` as in ``quantised``: above 1 for a smaller file."""
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
    body = element("div", _top(page), _images(page), _explanations(page), _tables(page), id="main", class_="page")
    return render_document(
        Document(
            title=page.title,
            body=body,
            styles=("report.css", "gate_viewer.css"),
            scripts=_SCRIPTS,
            data={"scope": read, "clip-0": clip_value(page.clip)},
            late=late,
        )
    )


def _layer(layer: LayerPicture, place: int, late: dict[str, Any], every: int) -> dict[str, Any]:
    arrays = []
    for name, values in layer.arrays.items():
        if name in LABELS:
            if name != "hidden" or not layer.output_from_cell:
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
        "half": _seconds(layer.half_life_s),
        "effective": _seconds(layer.effective_half_life_s),
        "shares": shares,
        "dead": [int(one) for one in layer.dead],
        "follows": [[[name, round(r, 3)] for name, r in one[:4]] for one in layer.follows],
    }


def _attention(one: AttentionPicture, place: int, late: dict[str, Any], every: int) -> dict[str, Any]:
    for head, weights in enumerate(one.weights):
        late[f"map-{place}-{head}"] = quantised(weights, root=True, every=every)
    return {"name": one.name, "heads": len(one.weights)}


def _seconds(values: Floats | None) -> list[float | None] | None:
    return None if values is None else [finite(float(one), 4) for one in values]


def _top(page: GateViewerPage) -> str:
    recognised = element("p", element("bdi", text(page.text or "(no words recognised)")), class_="verdict")
    return header(page.title) + recognised + note_list(page.notes) + fact_list(page.facts)


def _images(page: GateViewerPage) -> str:
    return section(
        "images",
        "Gates and states over time" if page.layers else "Attention over time",
        element("p", text("The images need JavaScript; the tables below do not."), class_="dim", id="waiting"),
        element("div", id="gate-viewer"),
        element("p", id="trouble", class_="dim", role="status"),
    )


def _explanations(page: GateViewerPage) -> str:
    arrays = {name for layer in page.layers for name in layer.arrays}
    explained = explanations(arrays, gates=any(layer.keep for layer in page.layers), attention=bool(page.attention))
    return section("terms", "Terms", fact_list(explained, class_="terms"))


def _tables(page: GateViewerPage) -> str:
    figures = [figure_of(one, wide=True) for one in page.tables if one.rows]
    return section("figures", "Figures", *figures) if figures else ""
