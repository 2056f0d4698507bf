"""How long each recording is, for many recordings at once, with every unreadable one named.

In: utterances whose ``duration_s`` is 0 because the corpus does not tell it. Out: the same with the duration that the
file's header gives. Opening a file waits for the disk, so it is done on a few threads (libsndfile releases the GIL).
"""

import dataclasses
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from asr.audio import probe
from asr.data.faults import raise_faults
from asr.data.utterance import Utterance
from asr.errors import AudioError


def with_durations(utterances: Iterable[Utterance], *, threads: int = 8) -> list[Utterance]:
    """The same utterances, each ``duration_s`` of 0 replaced by the rest of its file after ``start_s``.

    Raises:
        DataError: naming every file that cannot be read or ends before ``start_s``.
    """
    everything = list(utterances)
    unknown = sorted({u.audio for u in everything if u.duration_s == 0})
    with ThreadPoolExecutor(threads) as pool:
        found = dict(zip(unknown, pool.map(_duration_or_fault, unknown), strict=True))
    faults = [fault for fault in found.values() if isinstance(fault, str)]
    filled = []
    for utterance in everything:
        length_s = found.get(utterance.audio)
        if utterance.duration_s == 0 and isinstance(length_s, float):
            if length_s <= utterance.start_s:
                faults.append(f"{utterance.id}: starts at {utterance.start_s} s, but {utterance.audio} ends before.")
            utterance = dataclasses.replace(utterance, duration_s=round(length_s - utterance.start_s, 6))
        filled.append(utterance)
    raise_faults("The recordings", faults)
    return filled


def _duration_or_fault(path: str) -> float | str:
    try:
        return float(probe(Path(path)).duration_s)
    except AudioError as error:
        return str(error)
