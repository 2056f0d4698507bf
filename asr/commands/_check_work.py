"""The checks of `asr check` on one manifest and on several, with progress.

In: paths. Out: `Checked`: what was read, opened, heard and found; findings about several splits.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.data.check import Recordings, Sounds, check_manifest, check_splits, listen_all, probe_all
from asr.data.findings import Finding
from asr.data.manifest import read_manifest
from asr.data.utterance import Utterance
from asr.errors import UsageError
from asr.terminal import Progress

_SPLITS = ("train.jsonl", "dev.jsonl", "test.jsonl")


@dataclass(frozen=True, slots=True)
class Checked:
    """One manifest: ``name`` as it is called in findings across splits."""

    path: Path
    name: str
    utterances: Sequence[Utterance]
    recordings: Recordings
    sounds: Sounds
    findings: list[Finding]


def manifest_paths(given: Iterable[Path]) -> list[Path]:
    """The manifests that were named; of a folder train, dev and test, or all its .jsonl where it has none of these."""
    paths: list[Path] = []
    for path in given:
        if not path.is_dir():
            paths.append(path)
            continue
        found = [path / name for name in _SPLITS if (path / name).is_file()] or sorted(path.glob("*.jsonl"))
        if not found:
            raise UsageError(f"{path}: a folder without .jsonl files; write some with: asr prepare")
        paths += found
    return list(dict.fromkeys(paths))


def check_path(path: Path, taken: set[str], listen: int | None) -> Checked:
    """Read, open, hear and check one manifest. ``listen``: utterances to hear at most, None for all."""
    utterances = read_manifest(path)
    files = sorted({utterance.audio for utterance in utterances})
    with Progress(len(files), f"opening the recordings of {path.name}", "files") as progress:
        recordings = probe_all(files, on_file=progress.update)
    chosen = _spread(utterances, listen)
    sounds: Sounds = {}
    if chosen:
        total_s = sum(utterance.duration_s for utterance in chosen)
        with Progress(round(total_s), f"listening to {path.name}", "s of audio") as progress:
            sounds = listen_all(chosen, on_utterance=progress.update)
    name = path.stem if path.stem not in taken else str(path)
    return Checked(path, name, utterances, recordings, sounds, check_manifest(utterances, recordings, sounds))


def check_across(checked: Sequence[Checked]) -> list[Finding]:
    """The manifests held against each other."""
    return check_splits({one.name: one.utterances for one in checked}, {one.name: one.sounds for one in checked})


def about(name: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Those whose ids are of the split ``name``: its own, and those across splits that name it first."""
    for finding in findings:
        if not finding.kind.endswith("in two splits") or finding.where.startswith(f"{name}, "):
            yield finding


def _spread(utterances: Sequence[Utterance], most: int | None) -> list[Utterance]:
    """At most ``most`` utterances, evenly spread; the same ones each time."""
    if most is None or most >= len(utterances):
        return list(utterances)
    return [utterances[number * len(utterances) // most] for number in range(most)]
