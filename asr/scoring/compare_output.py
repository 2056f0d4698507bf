"""A comparison as files: compare.md for people, compare.json for programs and pages.

In: a ``Comparison`` and groupings. Out: both files in one folder, each written whole or not at all. In compare.json
rates are in percent and differences in percentage points; a difference is the second system's rate less the first's.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asr import __version__
from asr.files import write_json, write_text
from asr.scoring.compare import Comparison, Pair
from asr.scoring.compare_differences import (
    GroupDifference,
    Key,
    difference_by,
    length_of_reference,
    utterance_differences,
    word_differences,
)
from asr.scoring.compare_markdown import render_comparison
from asr.scoring.compare_text import settling_sentence, verdict_sentence
from asr.scoring.output import now
from asr.scoring.rate_intervals import known_speakers, summarize_intervals
from asr.scoring.results import percent
from asr.scoring.significance import Difference

PAGE, DATA = "compare.md", "compare.json"


def write_comparison(
    folder: Path, comparison: Comparison, keys: Mapping[str, Key], sources: Mapping[str, str], *, most: int = 10
) -> Path:
    """Write both files and return the page. ``sources``: where each system's results come from."""
    facts = {"Date": now(), "Normaliser": comparison.systems[0].report.normalizer}
    facts["Utterances"] = f"{len(comparison.utterances):,}"
    speakers = known_speakers(comparison.systems[0].report)
    if speakers:
        facts["Speakers"] = f"{len(set(speakers)):,}"
    facts |= {f"System {name}": source for name, source in sources.items()}
    page = render_comparison(comparison, keys, facts, most=most)
    write_json(folder / DATA, summarize_comparison(comparison, keys, sources) | {"date": facts["Date"]})
    write_text(folder / PAGE, page)
    return folder / PAGE


def summarize_comparison(comparison: Comparison, keys: Mapping[str, Key], sources: Mapping[str, str]) -> dict[str, Any]:
    """The comparison as plain JSON values."""
    return {
        "asr_version": __version__,
        "normalizer": comparison.systems[0].report.normalizer,
        "utterances": len(comparison.utterances),
        "systems": [
            {
                "name": system.name,
                "results": sources.get(system.name),
                "wer": percent(system.report.words),
                "cer": percent(system.report.characters),
                "intervals": summarize_intervals(system.report),
                "words": asdict(system.report.words),
            }
            for system in comparison.systems
        ],
        "pairs": [_pair(comparison, pair, keys) for pair in comparison.pairs],
    }


def _pair(comparison: Comparison, pair: Pair, keys: Mapping[str, Key]) -> dict[str, Any]:
    first, second = pair.first, pair.second
    groupings = {"length": length_of_reference, "speaker": lambda utterance: utterance.speaker} | dict(keys)
    return {
        "first": first,
        "second": second,
        "verdict": pair.verdict,
        "sentence": verdict_sentence(comparison, pair),
        "settling": settling_sentence(comparison, pair),
        "decided_by": None if pair.deciding is None else f"paired bootstrap over {pair.deciding.unit}",
        "p_value": pair.p_value,
        "more_units": pair.more_units,
        "detectable_points": None if pair.detectable is None else round(100 * pair.detectable, 4),
        "over_utterances": _difference(pair.over_utterances),
        "over_speakers": _difference(pair.over_speakers),
        "tests": [asdict(test) for test in pair.tests],
        "by_word": [asdict(one) | {"gain": one.gain} for one in word_differences(comparison, first, second)],
        "by": {
            name: [_group(group) for group in difference_by(comparison, first, second, key)]
            for name, key in groupings.items()
        },
        "by_utterance": [
            {"id": one.first.id, "gain": one.gain, "first": one.first.words.errors, "second": one.second.words.errors}
            for one in utterance_differences(comparison, first, second)
        ],
    }


def _group(group: GroupDifference) -> dict[str, Any]:
    return {
        "name": group.name,
        "utterances": group.utterances,
        "words": group.first.reference_length,
        "first_wer": percent(group.first),
        "second_wer": percent(group.second),
        "difference": _difference(group.difference),
    }


def _difference(one: Difference | None) -> dict[str, Any] | None:
    if one is None:
        return None
    points = {name: round(100 * getattr(one, name), 4) for name in ("difference", "low", "high", "standard_error")}
    return points | {"p_value": one.p_value, "unit": one.unit, "count": one.count}
