"""Everything that is known of where the errors are, computed once, and as JSON.

In: ``Results`` and, where there is one, how often the training text holds each word. Out: a ``Breakdown``; pages and
tables are views of it. What the results do not know enough for is None.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from asr.scoring.align import align_tokens
from asr.scoring.breakdown.belief import Belief, believe
from asr.scoring.breakdown.groups import Grouping, GroupRow, all_groupings
from asr.scoring.breakdown.oracle import Oracle, oracle
from asr.scoring.breakdown.places import Places, find_places
from asr.scoring.breakdown.tokens import (
    TokenBreakdown,
    TokenErrors,
    TrainingBin,
    break_down_tokens,
    by_training_count,
)
from asr.scoring.results import Results, percent

_ALIGNMENT = "fewest errors on normalised text; where several have the fewest, rapidfuzz's, as jiwer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """Where the errors are; ``training``: by how often training saw a word."""

    groupings: tuple[Grouping, ...]
    words: TokenBreakdown
    characters: TokenBreakdown
    places: Places
    training: tuple[TrainingBin, ...] | None
    oracle: Oracle | None
    belief: Belief | None


def break_down(results: Results, training_counts: Mapping[str, int] | None = None) -> Breakdown:
    """Compute all parts; ``training_counts``: normalised words of the training text and how often each stands there."""
    utterances = results.report.utterances
    texts = [(one.reference_normalized.split(), one.hypothesis_normalized.split()) for one in utterances]
    alignments = [align_tokens(reference, hypothesis) for reference, hypothesis in texts]
    words = break_down_tokens(alignments)
    extras = [results.extras.get(one.id, {}) for one in utterances]
    return Breakdown(
        groupings=tuple(all_groupings(results)),
        words=words,
        characters=break_down_tokens(align_tokens(" ".join(left), " ".join(right)) for left, right in texts),
        places=find_places(list(zip(alignments, extras, strict=True))),
        training=None if training_counts is None else by_training_count(words, training_counts),
        oracle=oracle(results),
        belief=believe(results),
    )


def breakdown_json(breakdown: Breakdown) -> dict[str, Any]:
    """All of it as JSON values, rates in percent; what is not known is null."""
    return {
        "alignment": _ALIGNMENT,
        "groupings": [
            {"name": one.name, "unit": one.unit, "rows": [_group(row) for row in one.rows]}
            for one in breakdown.groupings
        ],
        "words": _tokens(breakdown.words),
        "characters": _tokens(breakdown.characters),
        "places": asdict(breakdown.places),
        "training": None
        if breakdown.training is None
        else [asdict(one) | {"recall": _percent(one.recall)} for one in breakdown.training],
        "oracle": None if breakdown.oracle is None else _oracle(breakdown.oracle),
        "confidence": None if breakdown.belief is None else _belief(breakdown.belief),
    }


def _group(row: GroupRow) -> dict[str, Any]:
    return asdict(row) | {"small": row.small, "wer": percent(row.words), "cer": percent(row.characters)}


def _tokens(tokens: TokenBreakdown) -> dict[str, Any]:
    return {"tokens": [_token(one) for one in tokens.tokens], "confusions": [asdict(one) for one in tokens.confusions]}


def _token(one: TokenErrors) -> dict[str, Any]:
    derived = {"said": one.said, "recognised": one.recognised}
    return asdict(one) | derived | {"recall": _percent(one.recall), "precision": _percent(one.precision)}


def _oracle(found: Oracle) -> dict[str, Any]:
    by_depth = [{"depth": n, "wer": percent(counts), "words": asdict(counts)} for n, counts in found.by_depth]
    return asdict(found) | {"by_depth": by_depth}


def _belief(found: Belief) -> dict[str, Any]:
    names = ("confidence", "right", "words")
    bins = [dict(zip(names, (round(row[0], 6), round(row[1], 6), row[2]), strict=True)) for row in found.bins]
    figures = {name: _finite(value) for name, value in asdict(found).items() if name != "bins"}
    return figures | {"bins": bins}


def _percent(share: float) -> float | None:
    return None if math.isnan(share) else round(100 * share, 4)


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
