"""The error by group: who spoke, how long, how fast, how noisy, and whatever else the manifest tells of an utterance.

In: ``Results``. Out: ``Grouping`` objects, a row a group with its size and counts. One mechanism for all of them: a
``Property`` says what value an utterance has, ``bins`` which group that value falls into. Every utterance stands in
exactly one row of every grouping (where its value is not known, in a row that says so), so that the rows add up to the
corpus.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr.scoring.breakdown.bins import NOT_GIVEN, Labeller, Value, by_edges, by_value
from asr.scoring.counts import ErrorCounts
from asr.scoring.report import UtteranceScore
from asr.scoring.results import Results

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
    """All utterances parted by one property; ``unit`` is that of the labels (s, words/s, dB), None where there is none.

    Rows stand in the order of their values; utterances whose value is not known come last.
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
    """``value`` where it is a number, else None: extras are other people's JSON."""
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
