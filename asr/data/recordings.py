"""The recordings of utterances: an utterance's waveform, and the durations of many with every unreadable one listed.

In: utterances, some with a ``duration_s`` of 0 because the corpus does not give it. Out: waveforms, or the utterances
with the durations that the files' headers give. Opening a file waits for the disk, so it is done on a few threads of a
process on each core. Inside ``dropping_faulty`` the utterances of recordings that cannot be read are left out.
"""

import contextlib
import contextvars
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.audio import AudioInfo, load_audio, probe
from asr.audio.load import END_TOLERANCE_S
from asr.audio.shards import is_remote
from asr.cores import in_processes
from asr.data.manifest import Utterance
from asr.data.records import raise_problems
from asr.errors import AudioError, without_locals
from asr.terminal import Progress

Recordings = Mapping[str, AudioInfo | AudioError]  # what `probe_all` found, by path

MOST_DROPPED = 0.05  # of the recordings; more of them faulty is a copy that failed, or a wrong folder
_OPENED, _THREADS = 500, 4  # recordings that a process opens before it says so, and so many at a time
_left_out: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("left_out", default=None)


@contextlib.contextmanager
def dropping_faulty() -> Iterator[list[str]]:
    """Inside, ``with_durations`` leaves out the utterances of recordings that cannot be read, up to ``MOST_DROPPED`` of
    the recordings, and adds to the list why.
    """
    left_out: list[str] = []
    token = _left_out.set(left_out)
    try:
        yield left_out
    finally:
        _left_out.reset(token)


def load_utterance(utterance: Utterance, sample_rate: int) -> NDArray[np.float32]:
    """The utterance's own span of its recording: ``(samples,)`` float32 at ``sample_rate``. Raises AudioError."""
    return load_audio(
        utterance.audio,
        sample_rate=sample_rate,
        start_s=utterance.start_s,
        duration_s=utterance.duration_s,
        channel=utterance.channel,
    )


def probe_all(paths: Iterable[str], *, on_file: Callable[[], None] = lambda: None) -> Recordings:
    """Open each distinct recording: its `AudioInfo`, or the error that says why it cannot be in a manifest.

    ``on_file`` is called after each one.
    """
    distinct = list(dict.fromkeys(paths))

    def opened(block: slice) -> list[AudioInfo | AudioError]:
        names = distinct[block]
        with ThreadPoolExecutor(_THREADS) as pool:  # a task for each: one for each file takes half as long again
            parts = list(pool.map(lambda first: [_facts(name) for name in names[first::_THREADS]], range(_THREADS)))
        return [parts[place % _THREADS][place // _THREADS] for place in range(len(names))]

    remote = any(map(is_remote, distinct))  # connections to a server are not for a forked process
    blocks = [slice(start, start + _OPENED) for start in range(0, len(distinct), _OPENED)]
    parts: Iterable[Any] = map(opened, blocks) if remote else in_processes(opened, len(distinct), _OPENED)
    found: dict[str, AudioInfo | AudioError] = {}
    for path, result in zip(distinct, itertools.chain.from_iterable(parts), strict=True):
        found[path] = result
        on_file()
    return found


def with_durations(
    utterances: Iterable[Utterance], *, where: str = "The recordings", problems: Sequence[str] = ()
) -> list[Utterance]:
    """The same utterances, each ``duration_s`` of 0 replaced by the rest of its file after ``start_s``.

    Every recording is opened, even where its duration is given: wrong files are found here, not in the middle of a
    training.

    Args:
        utterances: durations in seconds; 0 means "to the end".
        where: the file or folder that the message names.
        problems: problems found before, reported in the same message.

    Raises:
        DataError: listing repeated ids, files that cannot be read, and utterances whose span or channel theirs lack.
    """
    everything = list(utterances)
    files = sorted({utterance.audio for utterance in everything})
    many = len(files) > _OPENED  # of fewer it takes no time
    with Progress(len(files), "opening recordings", "files") if many else contextlib.nullcontext() as progress:
        opened = probe_all(files, on_file=progress.update if progress else lambda: None)
    unreadable = {file: str(facts) for file, facts in opened.items() if isinstance(facts, AudioError)}
    dropped, hint = _faults(unreadable, len(files))
    found = [*problems, *_repeated_ids(everything)]
    found += [why for file, why in unreadable.items() if file not in dropped]
    filled = []
    for utterance in everything:
        if utterance.audio in dropped:
            continue
        facts = opened[utterance.audio]
        if isinstance(facts, AudioInfo):
            found += _misfits(utterance, facts)
            if utterance.duration_s == 0:
                utterance = dataclasses.replace(utterance, duration_s=round(facts.duration_s - utterance.start_s, 6))
        filled.append(utterance)
    raise_problems(where, found, hint)
    return filled


def _faults(unreadable: Mapping[str, str], files: int) -> tuple[set[str], str]:
    """Which of the recordings that cannot be read are left out, and what is said of the others."""
    left_out = _left_out.get()
    if not unreadable:
        return set(), ""
    if left_out is not None and len(unreadable) <= MOST_DROPPED * files:
        left_out += unreadable.values()
        return set(unreadable), ""
    share = f"{len(unreadable):,} of {files:,} recordings cannot be read"
    if left_out is None:
        return set(), f"{share}; faulty=drop leaves them out, up to {MOST_DROPPED:.0%} of all."
    return set(), f"{share}, more than the {MOST_DROPPED:.0%} that faulty=drop leaves out."


def _repeated_ids(utterances: Sequence[Utterance]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for utterance in utterances:
        if utterance.id in seen:
            yield f"id {utterance.id} is used twice: {seen[utterance.id]} and {utterance.audio}"
        seen[utterance.id] = utterance.audio


def _misfits(utterance: Utterance, facts: AudioInfo) -> list[str]:
    """What of the utterance its file does not have."""
    length_s, start_s, stop_s = facts.duration_s, utterance.start_s, utterance.start_s + utterance.duration_s
    if utterance.channel is not None and utterance.channel >= facts.channels:
        there = f"{utterance.audio} has {facts.channels}, counted from 0"
        return [f"{utterance.id}: channel {utterance.channel}, but {there}."]
    if length_s <= start_s:
        return [f"{utterance.id}: starts at {start_s} s, but {utterance.audio} ends before."]
    if stop_s > length_s + END_TOLERANCE_S:
        return [f"{utterance.id}: ends at {stop_s:.3f} s, but {utterance.audio} lasts {length_s:.3f} s."]
    return []


def duration_or_problem(path: str) -> float | str:
    """A recording's length in seconds, or why it cannot be in a manifest."""
    facts = _facts(path)
    return facts.duration_s if isinstance(facts, AudioInfo) else str(facts)


def _facts(path: str) -> AudioInfo | AudioError:
    try:
        path.encode()
        return probe(path)
    except UnicodeEncodeError:
        return AudioError(f"{path}: its name is not UTF-8, which a manifest's must be. Rename it.")
    except AudioError as error:
        return without_locals(error)
