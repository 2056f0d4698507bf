"""How long each recording is, for many recordings at once, with every unreadable one named.

In: utterances, some with a ``duration_s`` of 0 because the corpus does not tell it. Out: the same with the duration that
the file's header gives. Opening a file waits for the disk, so it is done on a few threads (libsndfile releases the GIL).
"""

import dataclasses
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from asr.audio import probe
from asr.audio.load import END_TOLERANCE_S
from asr.data.faults import raise_faults
from asr.data.utterance import Utterance
from asr.errors import AudioError


def with_durations(
    utterances: Iterable[Utterance], *, threads: int = 8, where: str = "The recordings", faults: Sequence[str] = ()
) -> list[Utterance]:
    """The same utterances, each ``duration_s`` of 0 replaced by the rest of its file after ``start_s``.

    Every recording is opened, also where its duration is given: a corpus whose files are not what it says is found
    here, and not in the middle of a training.

    Args:
        utterances: durations in seconds; 0 stands for "to the end".
        threads: recordings opened at a time.
        where: what the message is about.
        faults: what is known to be wrong already, to be told in the same message.

    Raises:
        DataError: naming every file that cannot be read, and every utterance that its file does not hold.
    """
    everything = list(utterances)
    files = sorted({u.audio for u in everything})
    with ThreadPoolExecutor(threads) as pool:
        found = dict(zip(files, pool.map(_duration_or_fault, files), strict=True))
    told = [*faults, *(fault for fault in found.values() if isinstance(fault, str))]
    filled = []
    for utterance in everything:
        length_s = found[utterance.audio]
        if isinstance(length_s, float):
            told += _span_faults(utterance, length_s)
            if utterance.duration_s == 0:
                utterance = dataclasses.replace(utterance, duration_s=round(length_s - utterance.start_s, 6))
        filled.append(utterance)
    raise_faults(where, told)
    return filled


def _span_faults(utterance: Utterance, length_s: float) -> list[str]:
    """What of the utterance lies outside its file of ``length_s`` seconds."""
    start_s, stop_s = utterance.start_s, utterance.start_s + utterance.duration_s
    if length_s <= start_s:
        return [f"{utterance.id}: starts at {start_s} s, but {utterance.audio} ends before."]
    if stop_s > length_s + END_TOLERANCE_S:
        return [f"{utterance.id}: ends at {stop_s:.3f} s, but {utterance.audio} lasts {length_s:.3f} s."]
    return []


def _duration_or_fault(path: str) -> float | str:
    try:
        return float(probe(Path(path)).duration_s)
    except AudioError as error:
        return str(error)
