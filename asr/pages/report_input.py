"""What `asr report` reads: results, what summary.json says of their making, and where the recordings are.

In: paths and options. Out: systems for ``asr.pages.assemble``, and a page with clips or links of its recordings.
"""

import dataclasses
import math
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from asr.audio import BROWSER_EXTENSIONS
from asr.data.manifest import Utterance, read_manifest
from asr.errors import DataError, UsageError
from asr.pages.clips import make_clips
from asr.pages.data import Link, PageData, ReportSystem
from asr.scoring import Results, UtteranceScore, read_results
from asr.scoring.results import summary_beside


def load_systems(inputs: Sequence[Path], names: Sequence[str]) -> list[ReportSystem]:
    """The results with their facts. Raises DataError where they cannot be read, UsageError for equal names."""
    paths = [path / "results.jsonl" if path.is_dir() else path for path in inputs]
    found = [(read_results(path), summary_beside(path)) for path in paths]
    chosen = list(names) + _default_names(paths, [summary for _, summary in found])[len(names) :]
    if len(set(chosen)) < len(chosen):
        raise UsageError(f"two systems have the same name ({', '.join(chosen)}); give them different names with --name")
    return [
        ReportSystem(name, results, _facts(summary)) for name, (results, summary) in zip(chosen, found, strict=True)
    ]


def default_title(systems: Sequence[ReportSystem]) -> str:
    """Names the data set if all systems have the same."""
    data = {system.facts["Data"] for system in systems if "Data" in system.facts}
    (one,) = data if len(data) == 1 else (None,)
    return f"Word errors on {Path(one).name}" if one else "Word errors"


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundOptions:
    """Which recordings a page has, and how.

    ``audio``: "embed", "link" or "none"; None embeds them where the recordings are known. ``manifest``: where they are,
    if the results do not say. ``clips``: how many of the worst utterances get sound and spectrogram, with a quarter as
    many others at random. ``model``: a model directory whose CTC posteriors are shown. ``folder``: that of the page.
    """

    folder: Path
    audio: str | None = None
    manifest: Path | None = None
    clips: int = 40
    model: Path | None = None
    device: str = "auto"


def with_sound(page: PageData, options: SoundOptions) -> PageData:
    """The page with the clips and links that the options ask for. Raises UsageError where no recording is known."""
    if options.audio == "none" and options.model is None:
        return page
    recordings = _recordings(page, options.manifest)
    if not recordings:
        if options.audio is not None or options.model is not None:
            raise UsageError("the results do not say where the recordings are; give their manifest: --manifest FILE")
        note = "The recordings are not known, so the page has no audio; asr report --manifest FILE adds it."
        return dataclasses.replace(page, notes=[*page.notes, note])
    wanted = choose_clips([system.results for system in page.systems], recordings, options.clips)
    how = options.audio or "embed"
    clips, notes = make_clips(
        [recordings[key] for key in wanted], audio=how == "embed", model=options.model, device=options.device
    )
    links = {}
    if how == "link":
        links = {key: _link(one, options.folder.resolve()) for key, one in recordings.items()}
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
    """The system of summary.json (the last two parts of a path); if one is missing or two are equal, the folders."""
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
            raise DataError(
                f"{manifest}: holds none of the utterances of the results. Give the manifest of the same data set"
            )
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
    kinds = {os.path.splitext(one.audio)[1].lower() for one in recordings} - BROWSER_EXTENSIONS
    return (
        [f"Browsers do not play {', '.join(sorted(kinds))} files; --audio embed encodes them as Ogg Opus."]
        if kinds
        else []
    )
