"""The error by group: by speaker, length, speaking rate, noise, and whatever else the manifest says of an utterance.

In: ``Results``. Out: ``Grouping`` objects, a row a group with its size and counts. One mechanism for all of them: a
``Property`` is the value of an utterance (None: not known), a ``Labeller`` the group of each value (fixed bins,
quantile bins, or the value itself) with the groups in order. Every utterance is in exactly one row of every grouping
(where its value is not known, in a row that says so), so that the rows add up to the corpus.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr.scoring.counts import ErrorCounts
from asr.scoring.report import UtteranceScore
from asr.scoring.results import Results

NOT_GIVEN = "(not known)"
OTHERS = "(others)"
FEW_VALUES = 12  # numbers with at most so many different values are names (grades, rooms), more are measures
MOST_GROUPS = 50
QUANTILES = 5

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Labels:
    """``of``: the label of each value, in the values' order; ``order``: the labels, each once, in the order of the
    rows.
    """

    of: tuple[str, ...]
    order: tuple[str, ...]


Labeller = Callable[[Sequence[Value]], Labels]


def by_edges(values: Sequence[Value], edges: Sequence[float], *, whole: bool = False) -> Labels:
    """Bins from each edge to before the next; the last is open, and so is the first below the second edge.

    ``whole``: the values are whole numbers, and a bin reads "2 to 4" instead of "2 to 5".
    """
    names = [_edge_name(edges, index, whole) for index in range(len(edges))]
    of = []
    for value in values:
        if isinstance(value, (int, float)) and not math.isnan(value):
            of.append(names[max(bisect_right(edges, value) - 1, 0)])
        else:
            of.append(NOT_GIVEN)
    return Labels(tuple(of), (*names, NOT_GIVEN))


def by_value(values: Sequence[Value], most: int | None = MOST_GROUPS) -> Labels:
    """A group a value; many different numbers into five bins of (nearly) as many utterances each.

    Of more than ``most`` values (None: no limit) the rarest go together. Values of which most utterances have one of
    their own are identifiers: they make no groups, and all is "not known".
    """
    given = [value for value in values if value is not None]
    different = len(set(given))
    if most is not None and different > FEW_VALUES:
        if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in given):
            return by_quantiles(values)
        if different > len(given) / 2:
            return Labels((NOT_GIVEN,) * len(values), (NOT_GIVEN,))
    of = [NOT_GIVEN if value is None else _name(value) for value in values]
    kept = {label for label, _ in Counter(label for label in of if label != NOT_GIVEN).most_common(most)}
    order = dict.fromkeys(_name(value) for value in sorted(given, key=_sort_key))  # True equals 1, not so by name
    return Labels(
        tuple(label if label in kept or label == NOT_GIVEN else OTHERS for label in of),
        (*(label for label in order if label in kept), OTHERS, NOT_GIVEN),
    )


def by_quantiles(values: Sequence[Value], count: int = QUANTILES) -> Labels:
    """Bins of as many utterances each, equal values together; a bin is named by its least and greatest value."""
    given = np.array([value for value in values if value is not None], dtype=np.float64)
    inner = np.unique(np.quantile(given, np.arange(1, count) / count, method="inverted_cdf"))
    bins = [None if value is None else int(np.searchsorted(inner, float(value), "left")) for value in values]
    members: dict[int, list[float]] = {}
    for value, index in zip(values, bins, strict=True):
        if index is not None and value is not None:
            members.setdefault(index, []).append(float(value))
    names = {index: _span(min(members[index]), max(members[index])) for index in sorted(members)}
    return Labels(tuple(NOT_GIVEN if index is None else names[index] for index in bins), (*names.values(), NOT_GIVEN))


def _edge_name(edges: Sequence[float], index: int, whole: bool) -> str:
    if index == len(edges) - 1:
        return f"{edges[index]:.10g} or more"
    if index == 0 and not whole:
        return f"under {edges[1]:.10g}"
    last = edges[index + 1] - 1 if whole else edges[index + 1]
    return _span(edges[index], last)


def _span(low: float, high: float) -> str:
    return _figure(low) if low == high else f"{_figure(low)} to {_figure(high)}"


def _name(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else _figure(value)


def _figure(value: int | float) -> str:
    """A whole number with all its digits: rounded, two dates and times, or long ids, would be one group."""
    return repr(value).removesuffix(".0") if value % 1 == 0 else f"{value:.10g}"


def _sort_key(value: str | int | float | bool) -> tuple[bool, float, str]:
    return (True, 0.0, value) if isinstance(value, str) else (False, float(value), "")


FEW_UTTERANCES = 10
FEW_WORDS = 100
_LENGTH_EDGES = (0, 1, 2, 5, 10, 20, 40)
_DURATION_EDGES_S = (0, 1, 2, 5, 10, 15, 20, 30, 60)
_RATE_EDGES = (0, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5)
_SNR_EDGES_DB = (-100, 0, 5, 10, 15, 20, 25, 30, 40)

Property = Callable[[UtteranceScore, Mapping[str, Any]], Value]


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The sums over the utterances of one group, on normalised text; ``members``: their places in the report."""

    label: str
    utterances: int
    words: ErrorCounts
    characters: ErrorCounts
    members: tuple[int, ...] = ()

    @property
    def small(self) -> bool:
        """Whether the group is too small for its rate to mean much: under 10 utterances or 100 reference words."""
        return self.utterances < FEW_UTTERANCES or self.words.reference_length < FEW_WORDS


@dataclass(frozen=True, slots=True)
class Grouping:
    """All utterances grouped by one property; ``unit`` is that of the labels (s, words/s, dB), None where there is
    none.

    Rows are in the order of their values; utterances whose value is not known come last.
    """

    name: str
    unit: str | None
    rows: tuple[GroupRow, ...]


def all_groupings(results: Results) -> list[Grouping]:
    """Every grouping that the results know enough for; one whose value no utterance has is left out."""
    known: list[tuple[str, str | None, Property, Labeller]] = [
        ("speaker", None, lambda utterance, _: utterance.speaker, lambda values: by_value(values, most=None)),
        ("reference length", "words", _reference_length, lambda values: by_edges(values, _LENGTH_EDGES, whole=True)),
        (
            "duration",
            "s",
            lambda utterance, _: utterance.duration_s,
            lambda values: by_edges(values, _DURATION_EDGES_S),
        ),
        ("rate of speech", "words/s", rate_of_speech, lambda values: by_edges(values, _RATE_EDGES)),
        ("signal-to-noise ratio", "dB", _snr_db, lambda values: by_edges(values, _SNR_EDGES_DB)),
    ]
    groupings = [_grouping(results, *one) for one in known]
    groupings += [_grouping(results, name, None, _field(name), by_value) for name in _field_names(results)]
    return [grouping for grouping in groupings if grouping is not None]


def rate_of_speech(utterance: UtteranceScore, extras: Mapping[str, Any]) -> float | None:
    """Reference words a second of the spoken part; None where there are no reference words or no times.

    The spoken part is ``speech_s`` where it was measured (`asr evaluate`), else the whole recording.
    """
    spoken_s = number(extras.get("speech_s")) or utterance.duration_s
    words = utterance.words.reference_length
    return words / spoken_s if words and spoken_s else None


def number(value: Any) -> float | None:
    """``value`` where it is a number, else None: extras may be another tool's JSON."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _reference_length(utterance: UtteranceScore, _: Mapping[str, Any]) -> int:
    return utterance.words.reference_length


def _snr_db(_: UtteranceScore, extras: Mapping[str, Any]) -> float | None:
    return number(extras.get("snr_db"))


def _field(name: str) -> Property:
    def value(_: UtteranceScore, extras: Mapping[str, Any]) -> Value:
        found = _fields(extras).get(name)
        return found if isinstance(found, (str, int, float)) and found == found else None  # NaN is no value

    return value


def _fields(extras: Mapping[str, Any]) -> Mapping[str, Any]:
    fields = extras.get("fields")
    return fields if isinstance(fields, Mapping) else {}


def _field_names(results: Results) -> list[str]:
    return sorted({name for extras in results.extras.values() for name in _fields(extras)})


def _grouping(results: Results, name: str, unit: str | None, value: Property, labeller: Labeller) -> Grouping | None:
    """None where no utterance has a value, or every one another (an identifier: groups of one say nothing)."""
    utterances = results.report.utterances
    labels = labeller([value(utterance, results.extras.get(utterance.id, {})) for utterance in utterances])
    members: dict[str, list[int]] = {label: [] for label in labels.order}
    for place, label in enumerate(labels.of):
        members[label].append(place)
    rows = tuple(_row(label, utterances, places) for label, places in members.items() if places)
    return Grouping(name, unit, rows) if any(row.label != NOT_GIVEN for row in rows) else None


def _row(label: str, utterances: Sequence[UtteranceScore], members: Sequence[int]) -> GroupRow:
    words = ErrorCounts.total(utterances[place].words for place in members)
    characters = ErrorCounts.total(utterances[place].characters for place in members)
    return GroupRow(label, len(members), words, characters, tuple(members))
