"""From an inspection to its page: the plain values that asr.pages draws.

In: options, the recogniser, what it heard and what was found. Out: the file.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.commands._report_clips import encode, picture_of, posteriors_of
from asr.files import write_text
from asr.inspection import Inspection, summary
from asr.pages import Clip, Table
from asr.pages.microscope import AttentionPicture, HeardWord, LayerPicture, Microscope, render_microscope
from asr.recognition import Recognizer

Waveform = NDArray[np.float32]
MOST_BYTES = 5_000_000
COARSER = (2, 4, 8)  # of 256 levels every so many


def write_page(
    options: argparse.Namespace, recognizer: Recognizer, waveform: Waveform, found: Inspection, notes: Sequence[str]
) -> None:
    """Write ``options.html``, whole or not at all, and say its size."""
    page = Microscope(
        title=options.title or f"{options.audio.name} under the microscope",
        said=found.hypothesis.text,
        facts=_facts(options, found),
        notes=notes,
        clip=Clip(
            audio=encode(waveform, recognizer.sample_rate),
            picture=picture_of(waveform, recognizer.features),
            posteriors=posteriors_of(found.log_probs, found.tokens, found.first_s, found.frame_s),
        ),
        words=[HeardWord(one.text, one.start_s, one.end_s) for one in found.hypothesis.words],
        duration_s=found.duration_s,
        first_s=found.first_s,
        frame_s=found.frame_s,
        layers=_layers(found),
        attention=[AttentionPicture(name=f"layer {one.layer}", weights=one.weights) for one in found.maps],
        tables=_tables(found),
    )
    content, levels = _small_enough(page)
    note = f"; {levels}" if levels else ""
    write_text(options.html, content)
    print(f"{options.html}: {options.html.stat().st_size / 1e6:.2f} MB{note}", file=sys.stderr)


def _small_enough(page: Microscope) -> tuple[str, str]:
    """The page, its values as coarse as MOST_BYTES asks for and COARSER allows, and what is to be said of that."""
    content, levels = render_microscope(page), ""
    for every in COARSER:
        if len(content.encode()) <= MOST_BYTES:
            break
        levels = f"values in {256 // every} levels to keep the page small; --npz has them whole"
        notes = [*page.notes, f"The pictures hold {levels}."]
        content = render_microscope(dataclasses.replace(page, notes=notes), every)
    return content, levels


def _facts(options: argparse.Namespace, found: Inspection) -> dict[str, str]:
    end_s = options.start + found.duration_s
    return {
        "Model": str(options.model),
        "Encoder": found.kind,
        "Recording": f"{options.audio}, {options.start:.2f} to {end_s:.2f} s",
        "Frames": f"{found.frames} of {1000 * found.frame_s:g} ms",
        "Checked": f"readable cells within {found.deviation:.1g} of what the model computed (at most 0.0001 is let by)",
    }


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
                [(summary.signal_name(name), r) for name, r in tracking.found(unit)]
                for unit in range(trace.hidden.shape[1])
            ],
            shown_by_gate=trace.kind == "lstm",
        )
        for trace, units, tracking in zip(found.traces, found.units, found.tracking, strict=True)
    ]


def _tables(found: Inspection) -> list[Table]:
    named: list[tuple[str, str, Any]] = [
        ("Layers", "Medians over units; open / shut in percent of all frames.", summary.layer_rows(found)),
        ("Who follows what", "The unit that follows it most closely.", summary.followed_rows(found)),
        ("Attention heads", "Averages over frames.", summary.head_rows(found)),
    ]
    return [Table(title, note, header, rows) for title, note, (header, rows) in named]
