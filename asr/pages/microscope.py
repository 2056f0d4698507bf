"""The page of `asr inspect`: sound, posteriors and words on one time axis, and under them what the units did.

In: ``Microscope``, plain values. Out: one HTML file. The tables and the explanations are HTML made here, readable
without a script; pictures are drawn by ``microscope_*.js`` from 8-bit arrays that are unpacked when they are looked at.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.pages.data import Clip, Table
from asr.pages.document import Document, element, render_document, text
from asr.pages.microscope_words import LABELS, explanations
from asr.pages.parts import fact_list, figure_of, header, note_list, section
from asr.pages.payload import clip_value
from asr.pages.quantised import quantised

Floats = NDArray[np.floating[Any]]
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
