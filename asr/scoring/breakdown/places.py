"""Where in an utterance words are made up and lost: at its edges, beside a pause, or in running speech.

In: word alignments and, where the recogniser told them, word times. Out: ``Places``. Insertions at edges and pauses
come from noise and breath; deletions at edges, from recordings cut too close.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr.scoring.align import AlignedSpan
from asr.scoring.breakdown.groups import number

PAUSE_S = 0.3  # without a recognised word, on either side of an inserted one


@dataclass(frozen=True, slots=True)
class Places:
    """Counts of insertions that add up to all, and of deletions likewise.

    ``inserted_where_nothing_was_said``: the reference is empty; ``..._beside_pause``: at least 0.3 s from the word
    before or after, known for ``utterances_with_times`` of the utterances only.
    """

    inserted_where_nothing_was_said: int = 0
    inserted_at_start: int = 0
    inserted_at_end: int = 0
    inserted_beside_pause: int = 0
    inserted_in_speech: int = 0
    deleted_where_nothing_was_recognised: int = 0
    deleted_at_start: int = 0
    deleted_at_end: int = 0
    deleted_in_speech: int = 0
    utterances_with_times: int = 0


def find_places(utterances: Sequence[tuple[Sequence[AlignedSpan], Mapping[str, Any]]]) -> Places:
    """Sum over utterances, each given by its word alignment and its extras."""
    totals = dict.fromkeys(Places.__dataclass_fields__, 0)
    for spans, extras in utterances:
        times = word_times(extras, sum(len(span.hypothesis) for span in spans))
        totals["utterances_with_times"] += times is not None
        position = 0
        for index, span in enumerate(spans):
            if span.operation == "insertion":
                for offset in range(len(span.hypothesis)):
                    totals[f"inserted_{_inserted_place(spans, index, times, position + offset)}"] += 1
            elif span.operation == "deletion":
                totals[f"deleted_{_edge(spans, index, 'where_nothing_was_recognised')}"] += len(span.reference)
            position += len(span.hypothesis)
    return Places(**totals)


def word_times(extras: Mapping[str, Any], words: int) -> list[tuple[float, float]] | None:
    """Start and end of each word of the hypothesis as compared; None unless the recogniser's words are as many."""
    told = extras.get("words")
    if not isinstance(told, list) or not told or len(told) != words:
        return None
    times = [
        (number(word.get("start_s")), number(word.get("end_s"))) if isinstance(word, Mapping) else (None, None)
        for word in told
    ]
    known = [(start, end) for start, end in times if start is not None and end is not None]
    return known if len(known) == words else None


def _inserted_place(
    spans: Sequence[AlignedSpan], index: int, times: list[tuple[float, float]] | None, position: int
) -> str:
    place = _edge(spans, index, "where_nothing_was_said")
    if place != "in_speech" or times is None:
        return place
    around = times[max(position - 1, 0) : position + 2]
    gaps_s = [after[0] - before[1] for before, after in itertools.pairwise(around)]
    return "beside_pause" if max(gaps_s, default=0.0) >= PAUSE_S else place


def _edge(spans: Sequence[AlignedSpan], index: int, alone: str) -> str:
    if len(spans) == 1:
        return alone
    return "at_start" if index == 0 else "at_end" if index == len(spans) - 1 else "in_speech"
