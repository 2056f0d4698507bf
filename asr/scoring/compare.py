"""Two or more systems on the same references: who is better, how surely, and what would settle it.

In: results of systems (``SystemResults``). Out: a ``Comparison``: every pair with its difference, its tests and a
verdict.

One test decides a verdict: the paired bootstrap of the WER (see ``significance.py`` for why that one), over speakers
where the speaker of every utterance is known and there are at least 6, else over utterances. Errors of a speaker are
correlated, and a system may suit one speaker and not another: with 15 utterances a speaker and a spread of 0.3 (log
standard deviation) two equally good systems come out "different at 5 %" in 26 % of trials where utterances are
resampled, and in 5 % where speakers are. Fewer than 6 speakers cannot show anything (2**(1 - 5) is 0.06): then the
verdict is about further utterances of these speakers, and says so. Several pairs are corrected after Holm.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from asr.errors import ScoringError
from asr.scoring.counts import AlignedPair, ErrorCounts, align_words
from asr.scoring.intervals import DRAWS
from asr.scoring.measures import format_rate
from asr.scoring.report import ScoreReport, UtteranceScore, build_report, first_ids
from asr.scoring.significance import (
    ALPHA,
    Difference,
    SegmentErrors,
    SignificanceTest,
    detectable_difference,
    holm,
    mapsswe,
    mcnemar,
    needed_units,
    paired_bootstrap,
    segment_errors,
    wilcoxon,
    word_outcomes,
)

MIN_SPEAKERS = 6

Verdict = Literal["first better", "second better", "not distinguishable"]


@dataclass(frozen=True, slots=True)
class SystemResults:
    """A system's results under the name it is reported by; ``extras``: further keys by utterance id."""

    name: str
    report: ScoreReport
    extras: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two systems compared. ``p_value`` is the deciding test's after correction; None where nothing can be compared.

    ``more_units`` of the deciding test's kind would settle a difference as great as measured; None where one is settled
    or none was measured. ``detectable`` is the least difference (a fraction) that this set would show.
    """

    first: str
    second: str
    over_utterances: Difference | None
    over_speakers: Difference | None
    tests: tuple[SignificanceTest, ...]
    same_words: bool
    p_value: float | None = None
    more_units: int | None = None
    detectable: float | None = None

    @property
    def deciding(self) -> Difference | None:
        """The difference that the verdict rests on."""
        enough = self.over_speakers is not None and self.over_speakers.count >= MIN_SPEAKERS
        return self.over_speakers if enough else self.over_utterances

    @property
    def verdict(self) -> Verdict:
        """Who makes fewer errors, if the deciding test says that it is not chance."""
        if self.deciding is None or self.p_value is None or self.p_value >= ALPHA:
            return "not distinguishable"
        return "first better" if self.deciding.difference > 0 else "second better"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All systems, in the order given, with their utterances in the first one's order, and all pairs of them.

    ``alignments``: by system, the aligned words of each utterance.
    """

    systems: tuple[SystemResults, ...]
    pairs: tuple[Pair, ...]
    alignments: Mapping[str, tuple[tuple[AlignedPair, ...], ...]]

    @property
    def utterances(self) -> tuple[UtteranceScore, ...]:
        """The first system's: ids, references and speakers are those of all."""
        return self.systems[0].report.utterances

    def __repr__(self) -> str:
        rates = ", ".join(f"{name} {format_rate(counts)}" for name, counts in self.rates.items())
        verdicts = "; ".join(f"{one.first} and {one.second}: {one.verdict}" for one in self.pairs)
        return f"Comparison(WER {rates}; {verdicts})"

    @property
    def rates(self) -> dict[str, ErrorCounts]:
        """The word errors of each system."""
        return {system.name: system.report.words for system in self.systems}


def compare(systems: Sequence[SystemResults], *, draws: int = DRAWS, seed: int = 0) -> Comparison:
    """Compare every pair of systems.

    Raises ScoringError for fewer than two, for a name given twice, and where ids, references, speakers or normalisers
    differ.
    """
    _require_comparable(systems)
    aligned = _same_order(systems)
    alignments = {
        system.name: tuple(
            tuple(align_words(u.reference_normalized, u.hypothesis_normalized)) for u in system.report.utterances
        )
        for system in aligned
    }
    pairs = [
        _pair(first, second, alignments[first.name], alignments[second.name], draws, seed)
        for first, second in itertools.combinations(aligned, 2)
    ]
    return Comparison(tuple(aligned), tuple(_corrected(pairs)), alignments)


def _pair(
    first: SystemResults,
    second: SystemResults,
    first_alignments: Sequence[Sequence[AlignedPair]],
    second_alignments: Sequence[Sequence[AlignedPair]],
    draws: int,
    seed: int,
) -> Pair:
    ones, twos = first.report.utterances, second.report.utterances
    # twice the errors over both lengths: readings of a reference with alternatives may differ in length
    errors = [2 * u.words.errors for u in ones], [2 * u.words.errors for u in twos]
    lengths = [u.words.reference_length + v.words.reference_length for u, v in zip(ones, twos, strict=True)]
    speakers = [u.speaker for u in ones]
    segments: list[SegmentErrors] = []
    for one, two, *pairs in zip(ones, twos, first_alignments, second_alignments, strict=True):
        if one.reference_normalized == two.reference_normalized:
            segments += segment_errors(*map(word_outcomes, pairs))
        elif one.words.errors or two.words.errors:  # readings of a reference with alternatives
            segments.append(SegmentErrors(one.words.errors, two.words.errors))
    tests = [mapsswe(segments), mcnemar(*([not count for count in side] for side in errors))]
    spoken = [pair for pair in zip(ones, twos, strict=True) if all(one.words.reference_length for one in pair)]
    rates = [[pair[side].words.rate for pair in spoken] for side in (0, 1)]
    tests.append(wilcoxon(rates[0], rates[1], "utterances"))
    known = None not in speakers
    if known and len(set(speakers)) > 1:
        tests.append(wilcoxon(*_speaker_rates(first.report, second.report), "speakers"))
    return Pair(
        first=first.name,
        second=second.name,
        over_utterances=paired_bootstrap(*errors, lengths, draws=draws, seed=seed),
        over_speakers=paired_bootstrap(*errors, lengths, clusters=speakers, draws=draws, seed=seed) if known else None,
        tests=tuple(tests),
        same_words=all(a.hypothesis_normalized == b.hypothesis_normalized for a, b in zip(ones, twos, strict=True)),
    )


def _speaker_rates(first: ScoreReport, second: ScoreReport) -> tuple[list[float], list[float]]:
    """Of the speakers who said something."""
    names = [name for name, group in first.by_speaker.items() if group.words.reference_length]
    return [first.by_speaker[name].words.rate for name in names], [second.by_speaker[name].words.rate for name in names]


def _corrected(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs with p-values after Holm, and with what would settle them at the strictest of Holm's levels."""
    decided = [pair for pair in pairs if pair.deciding is not None]
    adjusted = iter(holm([pair.deciding.p_value for pair in decided if pair.deciding is not None]))
    alpha = ALPHA / max(1, len(decided))
    return [pair if pair.deciding is None else _settled(pair, next(adjusted), alpha) for pair in pairs]


def _settled(pair: Pair, p_value: float, alpha: float) -> Pair:
    measured = pair.deciding
    assert measured is not None
    more = None
    if p_value >= ALPHA:
        needed = needed_units(measured, alpha=alpha)
        more = None if needed is None else max(1, max(needed, MIN_SPEAKERS) - measured.count)
    return replace(pair, p_value=p_value, more_units=more, detectable=detectable_difference(measured, alpha=alpha))


def _require_comparable(systems: Sequence[SystemResults]) -> None:
    if len(systems) < 2:
        raise ScoringError("a comparison needs two systems")
    names = [system.name for system in systems]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ScoringError(
            f"two systems are called {', '.join(map(repr, twice))}; give them different names: NAME=PATH"
        )
    labels = {system.name: system.report.normalizer for system in systems}
    if len(set(labels.values())) > 1:
        shown = ", ".join(f"{name} with {label}" for name, label in labels.items())
        raise ScoringError(f"the results were scored differently ({shown}); --normalizer NAME scores them all alike")
    for other in systems[1:]:
        _require_same_references(systems[0], other)


def _are_readings_of_one(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether two references are what the systems came nearest to among the alternatives of one marked reference."""
    marked = first.get("marked_reference")
    return marked is not None and marked == second.get("marked_reference")


def _require_same_references(first: SystemResults, other: SystemResults) -> None:
    ones, twos = ({u.id: u for u in system.report.utterances} for system in (first, other))
    for here, there, name, where in ((ones, twos, other.name, first.name), (twos, ones, first.name, other.name)):
        if absent := [key for key in here if key not in there]:
            raise ScoringError(
                f"{first.name} has {len(ones):,} utterances and {other.name} {len(twos):,}, not the same ones: {name} "
                f"lacks {len(absent):,} that {where} has ({first_ids(absent)}). Evaluate both on the same test set"
            )
    changed = [key for key, one in ones.items() if one.reference_normalized != twos[key].reference_normalized]
    changed = [key for key in changed if not _are_readings_of_one(first.extras.get(key, {}), other.extras.get(key, {}))]
    if changed:
        one, two = ones[changed[0]], twos[changed[0]]
        raise ScoringError(
            f"{first.name} and {other.name} have different references for {len(changed):,} of {len(ones):,} utterances "
            f"({first_ids(changed)}): {changed[0]!r} is {one.reference_normalized!r} and {two.reference_normalized!r}"
        )
    moved = [key for key, one in ones.items() if None not in (one.speaker, twos[key].speaker)]
    moved = [key for key in moved if ones[key].speaker != twos[key].speaker]
    if moved:
        raise ScoringError(
            f"{first.name} and {other.name} name different speakers for {len(moved):,} utterances ({first_ids(moved)})"
        )


def _same_order(systems: Sequence[SystemResults]) -> list[SystemResults]:
    """Each system's utterances in the first one's order, with the speaker that any of the systems knows."""
    order = [utterance.id for utterance in systems[0].report.utterances]
    by_id = [{u.id: u for u in system.report.utterances} for system in systems]
    speakers = {key: next((one[key].speaker for one in by_id if one[key].speaker is not None), None) for key in order}
    return [
        replace(
            system,
            report=build_report(
                (replace(utterances[key], speaker=speakers[key]) for key in order), system.report.normalizer
            ),
        )
        for system, utterances in zip(systems, by_id, strict=True)
    ]
