"""The checks of one manifest and across several: what `asr check` runs.

In: paths of manifests, and how many utterances of each to decode. Out: `CheckResult`. What takes long reports to an
observer as it goes on, so that findings about the first manifest are seen before the last one is read.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from asr.audio import AudioInfo
from asr.cores import BLOCK, in_processes
from asr.data.manifest import Utterance, read_manifest
from asr.data.quality.findings import Finding, list_counts, worst_first
from asr.data.quality.recordings import recording_findings, timing_findings
from asr.data.quality.sound import Sounds, analyse_all, bandwidths, sound_findings, without_errors
from asr.data.quality.splits import check_splits
from asr.data.quality.texts import describe_character, text_checks
from asr.data.recordings import Recordings, probe_all
from asr.errors import AsrError, AudioError, UsageError
from asr.text.normalize import normalize_basic

_CHARACTERS_SHOWN, _BANDWIDTHS_SHOWN = 120, 5
_SPLITS = ("train.jsonl", "dev.jsonl", "test.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """``manifests``: files, or folders of them; several are taken for the splits of one corpus.

    ``decode``: utterances of each manifest whose sound is decoded and analysed, spread evenly; None: all, 0: none.
    """

    manifests: Sequence[Path]
    decode: int | None = 5_000


@dataclass(frozen=True, slots=True)
class CheckedManifest:
    """One manifest: ``name`` as in findings across splits, ``recordings`` and ``sounds`` as they were read."""

    path: Path
    name: str
    utterances: Sequence[Utterance]
    recordings: Recordings
    sounds: Sounds
    findings: list[Finding]


@dataclass(slots=True)
class CheckResult:
    """Manifests that were read, those that could not be (with the reason), and findings across manifests."""

    manifests: list[CheckedManifest] = field(default_factory=list)
    unreadable: dict[Path, AsrError] = field(default_factory=dict)
    across: list[Finding] = field(default_factory=list)

    @property
    def errors(self) -> int:
        """Findings that are errors, and manifests that could not be read."""
        findings = [*self.across, *(finding for one in self.manifests for finding in one.findings)]
        return len(self.unreadable) + sum(finding.severity == "error" for finding in findings)

    def findings_about(self, manifest: CheckedManifest) -> list[Finding]:
        """The manifest's own findings, and those across splits whose ``ids`` are its utterances."""
        across = (finding for finding in self.across if finding.splits and finding.splits[0] == manifest.name)
        return [*manifest.findings, *across]


class CheckObserver:
    """What `check_manifests` calls as it goes on; every method does nothing here."""

    def task(self, total: float, label: str, unit: str) -> AbstractContextManager[Callable[[float], None]]:
        """A task that takes long; the callable is told the units that were done since its last call."""
        return nullcontext(lambda count: None)

    def unreadable(self, path: Path, error: AsrError) -> None:
        """A manifest could not be read."""

    def checked(self, manifest: CheckedManifest) -> None:
        """A manifest was checked."""

    def compared(self, names: Sequence[str], findings: Sequence[Finding]) -> None:
        """Several manifests were compared."""


def check_manifests(options: CheckOptions, observer: CheckObserver | None = None) -> CheckResult:
    """Check each manifest, and several of them across.

    Raises:
        UsageError: a folder without manifests. Manifests that cannot be read are part of the result.
    """
    observer = observer or CheckObserver()
    result = CheckResult()
    for path in manifest_paths(options.manifests):
        try:
            manifest = _check_manifest(path, {other.name for other in result.manifests}, options.decode, observer)
        except AsrError as error:
            result.unreadable[path] = error
            observer.unreadable(path, error)
            continue
        result.manifests.append(manifest)
        observer.checked(manifest)
    if len(result.manifests) > 1:
        splits = {one.name: one.utterances for one in result.manifests}
        result.across = check_splits(splits, {one.name: one.sounds for one in result.manifests})
        observer.compared(list(splits), result.across)
    return result


def manifest_paths(given: Iterable[Path]) -> list[Path]:
    """The files among ``given``; of a folder train, dev, test and test-NAME, or all its .jsonl without the first three.

    Raises:
        UsageError: a folder without .jsonl files.
    """
    paths: list[Path] = []
    for path in given:
        if not path.is_dir():
            paths.append(path)
            continue
        found = [path / name for name in _SPLITS if (path / name).is_file()]
        found += sorted(path.glob("test-*.jsonl" if found else "*.jsonl"))
        if not found:
            raise UsageError(f"{path}: a folder without .jsonl files; write some with: asr prepare")
        paths += found
    return list(dict.fromkeys(paths))


def check_utterances(
    utterances: Sequence[Utterance], recordings: Recordings | None = None, sounds: Sounds | None = None
) -> list[Finding]:
    """Run all checks of one manifest.

    Args:
        utterances: as `read_manifest` gives them.
        recordings: what `probe_all` found for them; None opens them here.
        sounds: what `analyse_all` measured; None: sound is not checked.

    Returns:
        Errors first, then warnings, then notes; within each, kind by kind in the manifest's order.
    """
    found = probe_all(utterance.audio for utterance in utterances) if recordings is None else recordings
    unopened = {one.id for one in utterances if isinstance(found[one.audio], AudioError)}
    analysed = {identifier: sound for identifier, sound in (sounds or {}).items() if identifier not in unopened}
    parts = in_processes(lambda part: [normalize_basic(one.text) for one in utterances[part]], len(utterances))
    plain = list(itertools.chain.from_iterable(parts))
    checks: list[Callable[[], Iterator[Finding]]] = [
        partial(recording_findings, utterances, found),
        partial(timing_findings, utterances, plain),
        *text_checks(utterances, plain),
        partial(sound_findings, utterances, analysed),
    ]
    at_once = 1 if len(utterances) > BLOCK else len(checks)  # then each check is for a process
    reports = in_processes(lambda some: [one for check in checks[some] for one in check()], len(checks), at_once)
    return worst_first(itertools.chain.from_iterable(reports))


def summarize(manifest: CheckedManifest) -> list[tuple[str, str]]:
    """What is in a manifest: name and value of each line of a summary."""
    utterances = manifest.utterances
    lengths_s = sorted(utterance.duration_s for utterance in utterances)
    infos = [info for info in manifest.recordings.values() if isinstance(info, AudioInfo)]
    speakers = {utterance.speaker for utterance in utterances} - {None}
    unnamed = sum(utterance.speaker is None for utterance in utterances)

    def words_and_characters(block: slice) -> tuple[int, set[str]]:
        texts = [utterance.text for utterance in utterances[block]]
        return sum(len(text.split()) for text in texts), set("".join(texts))

    parts = list(in_processes(words_and_characters, len(utterances)))
    words, characters = sum(part[0] for part in parts), sorted(set[str]().union(*(part[1] for part in parts)))
    shown = " ".join("space" if c == " " else describe_character(c) for c in characters[:_CHARACTERS_SHOWN])
    audio = Counter(f"{info.format} {info.subtype} {info.sample_rate} Hz {info.channels} ch" for info in infos)
    return [
        ("utterances", f"{len(utterances):,} in {len(manifest.recordings):,} recordings"),
        (
            "length",
            f"{sum(lengths_s) / 3600:.2f} h; {lengths_s[0]:.2f} to {lengths_s[-1]:.2f} s, "
            f"median {lengths_s[len(lengths_s) // 2]:.2f} s",
        ),
        ("speakers", f"{len(speakers):,}" + (f"; unknown for {unnamed:,} utterances" if unnamed else "")),
        ("words", f"{words:,}"),
        ("characters", f"{len(characters)}: {shown}" + (" ..." if len(characters) > _CHARACTERS_SHOWN else "")),
        ("audio", (next(iter(audio)) if len(audio) == 1 else list_counts(audio)) or "none readable"),
        ("decoded", _describe_decoded(manifest.sounds)),
    ]


def _describe_decoded(sounds: Sounds) -> str:
    if not sounds:
        return "nothing (--decode none)"
    frequencies = bandwidths(without_errors(sounds)).most_common()
    shown = ", ".join(f"{hz:,.0f} Hz ({count:,})" for hz, count in frequencies[:_BANDWIDTHS_SHOWN])
    more = ", ..." if len(frequencies) > _BANDWIDTHS_SHOWN else ""
    return f"{len(sounds):,} utterances; sound up to {shown}{more}"


def _check_manifest(path: Path, taken: set[str], decode: int | None, observer: CheckObserver) -> CheckedManifest:
    utterances = list(read_manifest(path))  # which is gone through a dozen times
    files = sorted({utterance.audio for utterance in utterances})
    with observer.task(len(files), f"opening the recordings of {path.name}", "files") as advance:
        recordings = probe_all(files, on_file=lambda: advance(1))
    chosen = list(_spread(utterances, decode))
    sounds: Sounds = {}
    if chosen:
        total_s = sum(utterance.duration_s for utterance in chosen)
        with observer.task(round(total_s), f"decoding {path.name}", "s of audio") as advance:
            sounds = analyse_all(chosen, on_utterance=advance)
    name = path.stem if path.stem not in taken else str(path)
    findings = check_utterances(utterances, recordings, sounds)
    return CheckedManifest(path, name, utterances, recordings, sounds, findings)


def _spread(utterances: Sequence[Utterance], most: int | None) -> Iterator[Utterance]:
    """At most ``most`` utterances, evenly spread; the same ones each time."""
    if most is None or most >= len(utterances):
        yield from utterances
    else:
        yield from (utterances[number * len(utterances) // most] for number in range(most))
