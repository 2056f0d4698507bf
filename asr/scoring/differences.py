"""What differs between two systems: words, groups of utterances, single utterances.

In: a ``Comparison`` and one of its pairs. Out: ``PairDifferences``, computed once for terminal, page and JSON; the
greatest difference first (groups: in the order of their values). A group is whatever a key function returns for an
utterance: its speaker, its length, any field of the results or of a manifest.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr.scoring.breakdown.groups import FEW_VALUES, by_quantiles
from asr.scoring.compare import Comparison, Pair
from asr.scoring.counts import ErrorCounts
from asr.scoring.report import UtteranceScore
from asr.scoring.significance import Difference, paired_bootstrap

_LENGTHS = (0, 1, 6, 11, 16, 21, 31)  # the least words of each bin
_GROUP_DRAWS = 2_000

Key = Callable[[UtteranceScore], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordDifference:
    """A word: how often it was said, how often one system alone was right, and how often each inserted it."""

    word: str
    count: int
    first_only: int
    second_only: int
    both_missed: int
    first_inserted: int
    second_inserted: int

    @property
    def gain(self) -> int:
        """Errors with this word that the first system avoids and the second makes."""
        return self.first_only - self.second_only + self.second_inserted - self.first_inserted


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDifference:
    """Some utterances: both systems' word errors, and the difference (over utterances) where there is one."""

    name: str
    utterances: int
    first: ErrorCounts
    second: ErrorCounts
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class UtteranceDifference:
    """An utterance with both systems' hypotheses; ``index`` is its place in the comparison."""

    index: int
    first: UtteranceScore
    second: UtteranceScore

    @property
    def gain(self) -> int:
        """Errors that the second system makes here beyond the first's."""
        return self.second.words.errors - self.first.words.errors


@dataclass(frozen=True, slots=True)
class PairDifferences:
    """What differs between two systems; ``groups``: by the name of the key."""

    words: tuple[WordDifference, ...]
    groups: Mapping[str, tuple[GroupDifference, ...]]
    utterances: tuple[UtteranceDifference, ...]


def pair_differences(comparison: Comparison, pair: Pair, keys: Mapping[str, Key]) -> PairDifferences:
    """All differences of a pair: by word, by utterance, by length and speaker, and by each of ``keys``."""
    names = pair.first, pair.second
    every: dict[str, Key] = {"length": length_of_reference, "speaker": lambda utterance: utterance.speaker, **keys}
    return PairDifferences(
        words=tuple(word_differences(comparison, *names)),
        groups={name: tuple(difference_by(comparison, *names, key)) for name, key in every.items()},
        utterances=tuple(utterance_differences(comparison, *names)),
    )


def word_differences(comparison: Comparison, first: str, second: str) -> list[WordDifference]:
    """Every word that the two treat differently, the most errors avoided or added first, then by word."""
    said, missed = Counter[str](), Counter[str]()
    alone: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    inserted: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for utterance in zip(comparison.alignments[first], comparison.alignments[second], strict=True):
        for counter, pairs in zip(inserted, utterance, strict=True):
            counter.update(pair.hypothesis for pair in pairs if pair.operation == "insertion" and pair.hypothesis)
        words = [[pair for pair in pairs if pair.reference is not None] for pairs in utterance]
        if len({tuple(pair.reference for pair in pairs) for pairs in words}) > 1:
            continue  # two readings of a reference with alternatives
        for one, two in zip(*words, strict=True):
            word, right = str(one.reference), (one.operation == "hit", two.operation == "hit")
            said[word] += 1
            missed[word] += right == (False, False)
            alone[0][word] += right == (True, False)
            alone[1][word] += right == (False, True)
    words_of_interest = sorted({*said, *inserted[0], *inserted[1]})
    found = [
        WordDifference(
            word=word,
            count=said[word],
            first_only=alone[0][word],
            second_only=alone[1][word],
            both_missed=missed[word],
            first_inserted=inserted[0][word],
            second_inserted=inserted[1][word],
        )
        for word in words_of_interest
    ]
    differing = [one for one in found if one.first_only or one.second_only or one.first_inserted != one.second_inserted]
    return sorted(differing, key=lambda one: (-abs(one.gain), -one.first_only - one.second_only, one.word))


def difference_by(comparison: Comparison, first: str, second: str, key: Key) -> list[GroupDifference]:
    """The difference in each group that ``key`` makes; an utterance for which it returns None is in no group.

    Numbers of many values are cut into quarters of the utterances; other values are groups as they are, numbers in
    order and words by the alphabet.
    """
    reports = {system.name: system.report.utterances for system in comparison.systems}
    members = group_indices([key(utterance) for utterance in comparison.utterances])
    return [
        _group(name, [reports[first][index] for index in indices], [reports[second][index] for index in indices])
        for name, indices in members.items()
    ]


def length_of_reference(utterance: UtteranceScore) -> str:
    """A key: how many words were said, in bins; the names sort in order."""
    words = utterance.words.reference_length
    at = max(index for index, least in enumerate(_LENGTHS) if least <= words)
    if at + 1 == len(_LENGTHS):
        return f"{_LENGTHS[at]} or more words"
    last = _LENGTHS[at + 1] - 1
    return f"{_LENGTHS[at]:2}–{last} words" if last > _LENGTHS[at] else f"{last:2} words"


def utterance_differences(comparison: Comparison, first: str, second: str) -> list[UtteranceDifference]:
    """The utterances in which one system makes more errors than the other, the greatest difference first."""
    reports = {system.name: system.report.utterances for system in comparison.systems}
    pairs = zip(reports[first], reports[second], strict=True)
    found = [UtteranceDifference(index, one, two) for index, (one, two) in enumerate(pairs)]
    return sorted((one for one in found if one.gain), key=lambda one: (-abs(one.gain), one.first.id))


def field_key(extras: Iterable[Mapping[str, Mapping[str, Any]]], name: str) -> Key:
    """A key that reads a field of an utterance, or of the first of ``extras`` (fields by id) that has it."""
    sources = list(extras)

    def key(utterance: UtteranceScore) -> Any:
        for source in sources:
            known = source.get(utterance.id, {})
            fields = known.get("fields")  # what `asr evaluate` keeps of a manifest
            value = known.get(name, fields.get(name) if isinstance(fields, Mapping) else None)
            if isinstance(value, (str, int, float)):
                return value
        return getattr(utterance, name, None) if name in ("speaker", "duration_s") else None

    return key


def group_indices(values: Sequence[Any]) -> dict[str, list[int]]:
    """Which positions hold which value, under the value's name, in order; None and numbers that are not finite are
    skipped.
    """
    known = [(index, value) for index, value in enumerate(values) if value is not None]
    numbers = [(index, value) for index, value in known if isinstance(value, (int, float)) and math.isfinite(value)]
    numeric = bool(known) and len(numbers) == len(known) and not any(isinstance(value, bool) for _, value in known)
    groups: dict[Any, list[int]] = {}
    if numeric and len({value for _, value in numbers}) > FEW_VALUES:
        labels = by_quantiles([value for _, value in numbers], 4)
        for (index, _), label in zip(numbers, labels.of, strict=True):
            groups.setdefault(label, []).append(index)
        return {label: groups[label] for label in labels.order if label in groups}
    for index, value in known:
        groups.setdefault(value if numeric else str(value), []).append(index)
    return {str(value): groups[value] for value in sorted(groups)}


def _group(name: str, firsts: Sequence[UtteranceScore], seconds: Sequence[UtteranceScore]) -> GroupDifference:
    return GroupDifference(
        name=name.strip(),
        utterances=len(firsts),
        first=ErrorCounts.total(one.words for one in firsts),
        second=ErrorCounts.total(one.words for one in seconds),
        difference=paired_bootstrap(
            [one.words.errors for one in firsts],
            [one.words.errors for one in seconds],
            [one.words.reference_length for one in firsts],
            draws=_GROUP_DRAWS,
        ),
    )
