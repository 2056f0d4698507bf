"""What is wrong with the data, beyond what `read_manifest` refuses: every recording opened, every text looked at.

In: utterances of one manifest, or of several splits, and what `listen_all` heard of them. Out: `Finding`s, errors
first: an error will stop or spoil a training (unreadable audio, a span outside its file, the same sound in two
splits), a warning is for a person to judge, a note is told and not blamed.

Do text and time fit? Too much text for the frames, and speech faster or slower than people speak.

In: utterances. Out: findings. A transcript that belongs to another recording often shows here, without any model.

The checks of `asr check` on one manifest and on several, with progress.

In: paths. Out: `Checked`: what was read, opened, heard and found; findings about several splits.
"""

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from asr.audio import AudioInfo, probe
from asr.audio.load import END_TOLERANCE_S
from asr.data.manifest import Utterance, read_manifest
from asr.data.quality import Finding, utterance_finding, worst_first
from asr.data.quality.sound import Sounds, listen_all, sound_findings
from asr.data.quality.splits import check_splits
from asr.data.quality.texts import repeated_findings, style_findings, text_findings
from asr.errors import AudioError, UsageError
from asr.terminal import Progress
from asr.text.normalize import normalize_basic

FRAME_S = 0.04  # what models of this project make of 10 ms and four-fold subsampling, their default
# Speech rates are compared by their logarithms: a factor of 3 from the median, and 5 robust standard deviations.
_RATE_FACTOR = 3.0
_RATE_DEVIATIONS = 5.0
_RATE_NEEDS_UTTERANCES = 20
# Auctioneers reach about 25 letters a second; below one letter in 4 s of a long recording hardly anything is said.
_FASTEST = 35.0
_SLOWEST = 0.25
_SLOWEST_FROM_S = 8.0


def frames_findings(utterances: Sequence[Utterance], frame_s: float = FRAME_S) -> Iterator[Finding]:
    """Texts that CTC cannot spell in the frames of their recording: a frame a character, one more between equals."""
    for utterance in utterances:
        text = normalize_basic(utterance.text)
        needed = len(text) + sum(one == other for one, other in itertools.pairwise(text))
        frames = math.floor(utterance.duration_s / frame_s) + 1
        if needed > frames:
            message = f"{len(text)} characters need {needed} frames; {utterance.duration_s:.2f} s have {frames}"
            message += f" of {1000 * frame_s:.0f} ms: training refuses it"
            yield utterance_finding("warning", "too few frames for the text", utterance.id, message)


def rate_findings(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    """Utterances with far more or fewer characters a second than the rest, or than anyone speaks."""
    rates = {
        position: len(text) / utterance.duration_s
        for position, utterance in enumerate(utterances)
        if (text := "".join(utterance.text.split()))
    }
    for position, rate in rates.items():
        slow = rate < _SLOWEST and utterances[position].duration_s > _SLOWEST_FROM_S
        if rate > _FASTEST or slow:
            message = f"{rate:.2f} characters a second; nobody speaks so {'slowly' if slow else 'fast'}"
            yield utterance_finding("warning", "impossible speech rate", utterances[position].id, message)
    if len(rates) < _RATE_NEEDS_UTTERANCES:
        return
    logs = {position: math.log(rate) for position, rate in rates.items()}
    middle = statistics.median(logs.values())
    deviation = 1.4826 * statistics.median(abs(value - middle) for value in logs.values())  # of a normal distribution
    limit = max(math.log(_RATE_FACTOR), _RATE_DEVIATIONS * deviation)
    for position, value in logs.items():
        if abs(value - middle) > limit:
            message = f"{math.exp(value):.1f} characters a second; the median is {math.exp(middle):.1f}"
            yield utterance_finding("warning", "strange speech rate", utterances[position].id, message)


Recordings = Mapping[str, AudioInfo | AudioError]

_SHORT_S = 0.1
_LONG_S = 60.0
# A lone utterance that leaves more than this of its recording unused was probably meant to be all of it.
_UNUSED_S = 0.5


def check_manifest(
    utterances: Sequence[Utterance], recordings: Recordings | None = None, sounds: Sounds | None = None
) -> list[Finding]:
    """Look at every recording and every text of one manifest.

    Args:
        utterances: as `read_manifest` gives them.
        recordings: what `probe_all` found for them; None opens them here.
        sounds: what `listen_all` heard of those that were listened to; None: nothing is said about sound.

    Returns:
        Errors first, then warnings, then notes; within each, kind by kind in the manifest's order.
    """
    found = probe_all(utterance.audio for utterance in utterances) if recordings is None else recordings
    findings = [
        *_audio_findings(utterances, found),
        *_length_findings(utterances),
        *frames_findings(utterances),
        *rate_findings(utterances),
        *_twice_findings(utterances),
        *text_findings(utterances),
        *style_findings(utterances),
        *repeated_findings(utterances),
        *sound_findings(utterances, _not_said_before(found, utterances, sounds or {})),
    ]
    return worst_first(findings)


def _not_said_before(recordings: Recordings, utterances: Sequence[Utterance], sounds: Sounds) -> Sounds:
    """Without the utterances of recordings that could not even be opened."""
    known = {one.id for one in utterances if isinstance(recordings[one.audio], AudioError)}
    return {identifier: sound for identifier, sound in sounds.items() if identifier not in known}


def probe_all(paths: Iterable[str], *, threads: int = 4, on_file: Callable[[], None] = lambda: None) -> Recordings:
    """The facts of each distinct recording, or the error that says why there are none.

    Args:
        paths: recordings; repeated ones are opened once.
        threads: recordings opened at a time, since opening waits for the disk.
        on_file: called after each one.
    """

    def facts(path: str) -> AudioInfo | AudioError:
        try:
            return probe(path)
        except AudioError as error:
            return error

    distinct = list(dict.fromkeys(paths))
    found: dict[str, AudioInfo | AudioError] = {}
    with ThreadPoolExecutor(threads) as pool:
        for path, result in zip(distinct, pool.map(facts, distinct), strict=True):
            found[path] = result
            on_file()
    return found


def _audio_findings(utterances: Sequence[Utterance], recordings: Recordings) -> Iterator[Finding]:
    """Recordings that cannot be read (each said once), and spans and channels that their files do not have."""
    uses: dict[str, list[str]] = defaultdict(list)
    for utterance in utterances:
        uses[utterance.audio].append(utterance.id)
    said: set[str] = set()
    for utterance in utterances:
        info = recordings[utterance.audio]
        if isinstance(info, AudioError):
            if utterance.audio not in said:
                said.add(utterance.audio)
                yield Finding(
                    severity="error",
                    kind="unreadable audio",
                    where=utterance.id,
                    message=str(info),
                    ids=tuple(uses[utterance.audio]),
                )
            continue
        stop_s = utterance.start_s + utterance.duration_s
        if utterance.start_s >= info.duration_s or stop_s > info.duration_s + END_TOLERANCE_S:
            span = f"{utterance.start_s:.3f} to {stop_s:.3f} s"
            message = f"{span} of {utterance.audio}, which lasts {info.duration_s:.3f} s"
            yield utterance_finding("error", "span outside the recording", utterance.id, message)
        elif len(uses[utterance.audio]) == 1 and utterance.start_s == 0 and info.duration_s - stop_s > _UNUSED_S:
            message = f"the first {stop_s:.2f} s of {info.duration_s:.2f} s in {utterance.audio}, used nowhere else"
            yield utterance_finding("warning", "rest of the recording unused", utterance.id, message)
        if utterance.channel is not None and utterance.channel >= info.channels:
            message = f"channel {utterance.channel} of {utterance.audio}, which has {info.channels}, counted from 0"
            yield utterance_finding("error", "no such channel", utterance.id, message)


def _length_findings(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    for utterance in utterances:
        if utterance.duration_s < _SHORT_S:
            yield utterance_finding("warning", "very short", utterance.id, f"{utterance.duration_s:.3f} s")
        elif utterance.duration_s > _LONG_S:
            message = f"{utterance.duration_s:.1f} s; pieces of up to 30 s train faster and with less memory"
            yield utterance_finding("warning", "very long", utterance.id, message)


def _twice_findings(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    """The same stretch of the same recording in two lines."""
    groups: dict[tuple[str, int, int, int | None], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        start_ms, duration_ms = round(1000 * utterance.start_s), round(1000 * utterance.duration_s)
        groups[utterance.audio, start_ms, duration_ms, utterance.channel].append(utterance)
    for first, *others in groups.values():
        for other in others:
            if other.text == first.text:
                yield utterance_finding("warning", "same sound twice", other.id, f"the same stretch as {first.id}")
            else:
                message = f"the same stretch as {first.id}, which has another text"
                yield Finding(
                    severity="warning",
                    kind="same sound with two texts",
                    where=other.id,
                    message=message,
                    ids=(first.id, other.id),
                )


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
