"""What `asr report` reads: results, what summary.json tells of their making, and where the recordings lie.

In: paths and options. Out: systems for ``asr.pages.assemble``, and a page with clips or links of its recordings.

From an inspection to its page: the plain values that asr.pages draws.

In: options, the recogniser, what it heard and what was found. Out: the file.
"""

import argparse
import dataclasses
import math
import os
import random
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from asr.data.manifest import Utterance, read_manifest
from asr.errors import DataError, UsageError
from asr.files import write_text
from asr.inspection import Inspection
from asr.inspection import inspect as summary
from asr.pages.assemble import System
from asr.pages.clips import encode, picture_of, posteriors_of
from asr.pages.data import Clip, Link, PageData, Table
from asr.pages.microscope import AttentionPicture, HeardWord, LayerPicture, Microscope, render_microscope
from asr.recognition import Recognizer
from asr.scoring import Results, UtteranceScore, read_results
from asr.scoring.results import summary_beside

# What browsers play from a file; others (NIST sphere, ...) can be embedded, since that encodes anew.
_PLAYABLE = {".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".mp4", ".webm", ".aac"}


def load_systems(inputs: Sequence[Path], names: Sequence[str]) -> list[System]:
    """The results with their facts. Raises DataError where they cannot be read, UsageError for equal names."""
    paths = [path / "results.jsonl" if path.is_dir() else path for path in inputs]
    found = [(read_results(path), summary_beside(path)) for path in paths]
    chosen = list(names) + _default_names(paths, [summary for _, summary in found])[len(names) :]
    if len(set(chosen)) < len(chosen):
        raise UsageError(f"two systems have the same name ({', '.join(chosen)}); tell them apart with --name")
    return [System(name, results, _facts(summary)) for name, (results, summary) in zip(chosen, found, strict=True)]


def default_title(systems: Sequence[System]) -> str:
    """After the data, where they are known and the same."""
    data = {system.facts["Data"] for system in systems if "Data" in system.facts}
    (one,) = data if len(data) == 1 else (None,)
    return f"Word errors on {Path(one).name}" if one else "Word errors"


def with_sound(page: PageData, options: argparse.Namespace) -> PageData:
    """The page with the clips and links that the options ask for. Raises UsageError where no recording is known."""
    if options.audio == "none" and options.model is None:
        return page
    recordings = _recordings(page, options.manifest)
    if not recordings:
        if options.audio is not None or options.model is not None:
            raise UsageError("the results do not say where the recordings are; give their manifest: --manifest FILE")
        note = "No recordings are known, so there is no sound; asr report --manifest FILE adds it."
        return dataclasses.replace(page, notes=[*page.notes, note])
    from asr.pages.clips import make_clips

    wanted = choose_clips([system.results for system in page.systems], recordings, options.clips)
    how = options.audio or "embed"
    clips, notes = make_clips(
        [recordings[key] for key in wanted], audio=how == "embed", model=options.model, device=options.device
    )
    links = {}
    if how == "link":
        links = {key: _link(one, options.html.resolve().parent) for key, one in recordings.items()}
        notes += _unplayable(recordings.values())
    return dataclasses.replace(page, clips=clips, links=links, notes=[*page.notes, *notes])


def choose_clips(results: Sequence[Results], known: Mapping[str, Any], count: int) -> list[str]:
    """Ids of ``known``: the ``count`` worst (over all systems), then a quarter as many of the others at random."""
    errors: dict[str, tuple[int, float]] = {}
    for score in (score for one in results for score in one.report.utterances):
        errors[score.id] = max(errors.get(score.id, (0, 0.0)), _badness(score))
    ranked = sorted((key for key in errors if key in known), key=lambda key: (-errors[key][0], -errors[key][1], key))
    rest = ranked[count:]
    return ranked[:count] + random.Random(0).sample(rest, min(len(rest), math.ceil(count / 4)))


def _badness(score: UtteranceScore) -> tuple[int, float]:
    return score.words.errors, 0.0 if math.isnan(score.words.rate) else score.words.rate


def _facts(summary: Mapping[str, Any]) -> dict[str, str]:
    """What the page says about a system, in order."""
    decoding = summary.get("decoding")
    factor = summary.get("real_time_factor")
    facts = {
        "Model": summary.get("system"),
        "Data": summary.get("data"),
        "Decoding": _decoding(decoding) if isinstance(decoding, dict) else decoding,
        "Real-time factor": f"{factor:.4f} on {summary.get('device', 'an unknown device')}" if factor else None,
        "Date": summary.get("date"),
        "asr version": summary.get("asr_version"),
    }
    return {name: str(value) for name, value in facts.items() if value}


def _decoding(decoding: Mapping[str, Any]) -> str:
    return ", ".join([str(decoding.get("name", "")), *(f"{k} {v}" for k, v in decoding.items() if k != "name")])


def _default_names(paths: Sequence[Path], summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The system of summary.json, its last two parts where it is a path; else, or where equal, the results' folder."""
    named = [summary.get("system") for summary in summaries]
    names = ["/".join(Path(str(one)).parts[-2:]) if one else None for one in named]
    if None in names or len(set(names)) < len(names):
        return [str(path.parent if path.name == "results.jsonl" and path.parent.name else path) for path in paths]
    return [str(name) for name in names]


def _recordings(page: PageData, manifest: Path | None) -> dict[str, Utterance]:
    """By id, for the utterances of the page: of the manifest, else of the results, else of the data's manifest."""
    wanted = {score.id for score in page.systems[0].results.report.utterances}
    if manifest is not None:
        found = {one.id: one for one in read_manifest(manifest) if one.id in wanted}
        if not found:
            raise DataError(f"{manifest}: holds none of the utterances of the results; is it that of another set?")
        return found
    for system in page.systems:
        if own := _own_recordings(system.results):
            return own
    for system in page.systems:
        try:
            return {one.id: one for one in read_manifest(system.facts.get("Data", "")) if one.id in wanted}
        except DataError:
            continue
    return {}


def _own_recordings(results: Results) -> dict[str, Utterance]:
    found = {}
    for score in results.report.utterances:
        extra = results.extras.get(score.id, {})
        path, start_s = extra.get("audio"), extra.get("start_s", 0.0)
        good = isinstance(path, str) and isinstance(start_s, (int, float)) and score.duration_s is not None
        if good and os.path.isfile(str(path)):
            channel = extra.get("channel")
            found[score.id] = Utterance(
                id=score.id,
                audio=str(path),
                duration_s=score.duration_s or 0.0,
                text=score.reference,
                start_s=float(start_s),
                channel=channel if isinstance(channel, int) else None,
            )
    return found


def _link(recording: Utterance, folder: Path) -> Link:
    relative = os.path.relpath(os.path.realpath(recording.audio), folder)
    return Link(quote(relative.replace(os.sep, "/")), recording.start_s)


def _unplayable(recordings: Iterable[Utterance]) -> list[str]:
    kinds = {os.path.splitext(one.audio)[1].lower() for one in recordings} - _PLAYABLE
    return [f"Browsers do not play {', '.join(sorted(kinds))} files; --audio embed encodes them anew."] if kinds else []


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
        facts=_inspection_facts(options, found),
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


def _inspection_facts(options: argparse.Namespace, found: Inspection) -> dict[str, str]:
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
