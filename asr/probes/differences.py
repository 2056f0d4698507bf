"""By how much trainings of two kinds differ in WER, where all were scored on the same utterances.

In: the reports of each kind's trainings. Out: a row for every pair: points of WER and three intervals, which answer
different questions: over utterances (other recordings of these speakers) and over speakers by the paired bootstrap, in
which one is drawn with all that every training heard in it; over seeds (another training of this kind) by Welch's t.
What is hard for both cancels: two kinds whose own intervals lie over each other may still differ.

A pair's p-value is the larger of those over utterances and over seeds: a difference has to hold for both.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from asr.errors import DataError
from asr.probes.record import welch
from asr.scoring.counts import ErrorCounts
from asr.scoring.intervals import FEW_UNITS
from asr.scoring.report import ScoreReport, UtteranceScore
from asr.scoring.significance import Difference, holm, paired_bootstrap

ALPHA = 0.05
Reports = Mapping[str, Sequence[ScoreReport]]


def difference_rows(reports: Reports) -> list[dict[str, Any]]:
    """A row for each pair of kinds, with ``p_corrected`` after Holm for so many pairs. Raises DataError."""
    rows = [difference_row(pair, reports[pair[0]], reports[pair[1]]) for pair in combinations(reports, 2)]
    known = [row for row in rows if row["p_value"] is not None]
    for row, p_value in zip(known, holm([row["p_value"] for row in known]), strict=True):
        row["p_corrected"] = p_value
    return rows


def difference_row(
    names: tuple[str, str], first: Sequence[ScoreReport], second: Sequence[ScoreReport]
) -> dict[str, Any]:
    """``points``: the WER of ``second`` less that of ``first``; an interval is None where there is none.

    Raises DataError where they are not the same number of trainings scored on the same utterances.
    """
    _require_comparable(names, first, second)
    pooled = _pooled(first), _pooled(second)
    errors = [[one.errors for one in counts] for counts in pooled]
    lengths = [one.reference_length for one in pooled[0]]
    speakers = [one.speaker for one in by_id(first[0])]
    rates = [[100 * one.words.rate for one in reports] for reports in (first, second)]
    over_utterances = paired_bootstrap(errors[0], errors[1], lengths)
    over_speakers = None if None in speakers else paired_bootstrap(errors[0], errors[1], lengths, clusters=speakers)
    over_seeds = welch(rates[1], rates[0])
    p_values = [one.p_value for one in (over_utterances, over_seeds) if one is not None and one.p_value is not None]
    return {
        "first": names[0],
        "second": names[1],
        "points": over_seeds.difference,
        "over_utterances": _ends(over_utterances),
        "over_speakers": _ends(over_speakers),
        "over_seeds": None if over_seeds.low is None else [over_seeds.low, over_seeds.high],
        "utterances": len(lengths),
        "speakers": None if None in speakers else len(set(speakers)),
        "seeds": len(first),
        "p_value": max(p_values) if len(p_values) == 2 else None,
    }


def _require_comparable(names: tuple[str, str], first: Sequence[ScoreReport], second: Sequence[ScoreReport]) -> None:
    if len(first) != len(second):
        raise DataError(f"{names[0]} has {len(first)} trainings and {names[1]} {len(second)}; compare as many of each")
    asked = [[(one.id, one.words.reference_length) for one in by_id(report)] for report in (*first, *second)]
    if any(one != asked[0] for one in asked):
        raise DataError(f"the trainings of {names[0]} and {names[1]} were not scored on the same utterances and texts")
    if not sum(length for _, length in asked[0]):
        raise DataError("the references hold no word, so no WER can be compared")


def _pooled(reports: Sequence[ScoreReport]) -> list[ErrorCounts]:
    """What is counted in each utterance, summed over trainings."""
    counts = [[one.words for one in by_id(report)] for report in reports]
    return [ErrorCounts.total(heard) for heard in zip(*counts, strict=True)]


def by_id(report: ScoreReport) -> list[UtteranceScore]:
    """The utterances in an order that trainings share, whatever was heard first."""
    return sorted(report.utterances, key=lambda one: one.id)


def _ends(found: Difference | None) -> list[float] | None:
    return None if found is None else [100 * found.low, 100 * found.high]


def render_differences(rows: Sequence[Mapping[str, Any]]) -> str:
    """One pair in full; of several, which differ."""
    if len(rows) == 1:
        return _sentence(rows[0])
    tested = [row for row in rows if row["p_value"] is not None]
    if not tested:
        return "Trainings of one seed, or all of one WER, do not show which of these differ; give more --seeds."
    worse = defaultdict(list)
    for row in tested:
        if row["p_corrected"] < ALPHA:
            better, other = (row["first"], row["second"]) if row["points"] > 0 else (row["second"], row["first"])
            worse[other].append(better)
    found = "; ".join(f"{name} errs more than {', '.join(sorted(others))}" for name, others in sorted(worse.items()))
    untested = [f"{row['first']} and {row['second']}" for row in rows if row["p_value"] is None]
    return (
        f"Held against each other on the same utterances ({len(tested)} pairs; p is the larger of the paired "
        f"bootstrap's over utterances and of Welch's t over seeds, after Holm's correction below {ALPHA:g}): "
        f"{found or 'no two can be told apart'}."
        + (f" Without spread over seeds, so not tested: {', '.join(untested)}." if untested else "")
    )


def _sentence(row: Mapping[str, Any]) -> str:
    sign = -1 if row["points"] < 0 else 1
    ends = []
    for unit in ("utterances", "speakers", "seeds"):
        found = row[f"over_{unit}"]
        if found is not None:
            low, high = sorted(sign * one for one in found)
            ends.append(f"[{low:.2f}, {high:.2f}] over {row[unit]} {unit}")
    points, than = sign * row["points"], "more" if sign > 0 else "less"
    said = f"{row['second']} has {points:.2f} points of WER {than} than {row['first']}"
    if not ends:
        return f"{said}; too little to say how surely."
    few = row["over_speakers"] is not None and row["speakers"] < FEW_UNITS
    rough = f" Fewer than {FEW_UNITS} speakers give a rough guess, and rather too narrow." if few else ""
    return f"{said}: {', '.join(ends)} (95 %; paired bootstrap, over seeds Welch's t).{rough}"
