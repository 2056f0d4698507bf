"""From an inspection to its page: the plain values that ``asr.pages.gate_viewer`` draws.

In: an ``Inspection`` with the recogniser and the waveform it was made of. Out: a ``GateViewerPage``, and its HTML at a
precision that keeps the file below MOST_BYTES.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.audio.encode import encode_clip
from asr.inspection import Inspection
from asr.inspection.inspect import followed_rows, head_rows, layer_rows, signal_name
from asr.pages.clips import picture_of, posteriors_of
from asr.pages.data import Clip, Table
from asr.pages.gate_viewer import AttentionPicture, GateViewerPage, LayerPicture, TimedWord, render_gate_viewer
from asr.recognition import Recognizer

MOST_BYTES = 5_000_000
COARSER = (2, 4, 8)  # use only every so many of the 256 levels


def gate_viewer_page(
    found: Inspection,
    recognizer: Recognizer,
    waveform: NDArray[np.float32],
    *,
    model: Path,
    audio: Path,
    start_s: float,
    title: str | None = None,
    notes: Sequence[str] = (),
) -> GateViewerPage:
    """The page of ``found``; ``waveform`` ``(samples,)`` is the part of ``audio`` from ``start_s`` on."""
    return GateViewerPage(
        title=title or f"{audio.name}: {'attention' if found.maps else 'gates and states'}",
        text=found.hypothesis.text,
        facts={
            "Model": str(model),
            "Encoder": found.kind,
            "Recording": f"{audio}, {start_s:.2f} to {start_s + found.duration_s:.2f} s",
            "Frames": f"{found.frames} of {1000 * found.frame_s:g} ms",
            "Check": f"gates recomputed, within {found.deviation:.1g} of the model's output (limit 0.0001)",
        },
        notes=notes,
        clip=Clip(
            audio=encode_clip(waveform, recognizer.sample_rate),
            picture=picture_of(waveform, recognizer.features),
            posteriors=posteriors_of(found.log_probs, found.tokens, found.first_s, found.frame_s),
        ),
        words=[TimedWord(one.text, one.start_s, one.end_s) for one in found.hypothesis.words],
        duration_s=found.duration_s,
        first_s=found.first_s,
        frame_s=found.frame_s,
        layers=_layers(found),
        attention=[AttentionPicture(name=f"layer {one.layer}", weights=one.weights) for one in found.maps],
        tables=_tables(found),
    )


def render_small_enough(page: GateViewerPage) -> tuple[str, str]:
    """The HTML, with values as coarse as MOST_BYTES requires and COARSER allows, and a note on that (or "")."""
    content, note = render_gate_viewer(page), ""
    for every in COARSER:
        if len(content.encode()) <= MOST_BYTES:
            break
        note = f"values in {256 // every} levels to keep the page small; --npz has full precision"
        notes = [*page.notes, f"The images hold {note}."]
        content = render_gate_viewer(dataclasses.replace(page, notes=notes), every)
    return content, note


def _layers(found: Inspection) -> list[LayerPicture]:
    return [
        LayerPicture(
            name=f"layer {trace.layer}, {trace.direction}",
            arrays=trace.arrays,
            keep=trace.keep_gate,
            half_life_s=units.half_life_s,
            effective_half_life_s=units.effective_half_life_s,
            left=units.left,
            right=units.right,
            dead=units.dead.tolist(),
            follows=[
                [(signal_name(name), r) for name, r in tracking.found(unit)] for unit in range(trace.hidden.shape[1])
            ],
            output_from_cell=trace.kind == "lstm",
        )
        for trace, units, tracking in zip(found.traces, found.units, found.tracking, strict=True)
    ]


def _tables(found: Inspection) -> list[Table]:
    named = [
        ("Layers", "Medians over units; open / closed in percent of all frames.", layer_rows(found)),
        ("Units that follow a signal", "For each signal, the unit with the highest correlation.", followed_rows(found)),
        ("Attention heads", "Averages over frames.", head_rows(found)),
    ]
    return [Table(title, note, header, rows) for title, note, (header, rows) in named]
