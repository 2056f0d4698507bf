"""From scored results to what a report page shows: figures with intervals, groupings as bars, systems side by side.

In: a ``System`` per results.jsonl. Out: ``PageData`` without sound; whoever has the recordings adds clips and links.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from asr.errors import ScoringError
from asr.pages.data import Bar, BarRow, Chart, Figure, PageData, SystemData
from asr.pages.standins import Grouping, GroupRow, Interval, all_groupings, bootstrap_interval
from asr.scoring import ErrorCounts, Results, UtteranceScore

LETTERS = "ABCDEFGH"
_FEWEST_FOR_INTERVAL = 2


@dataclass(frozen=True, slots=True)
class System:
    """A system's name, its results, and facts about it (model, decoding, date) by name."""

    name: str
    results: Results
    facts: Mapping[str, str] = field(default_factory=dict)


def assemble(systems: Sequence[System], *, title: str, draws: int = 10_000, seed: int = 0) -> PageData:
    """Raises ScoringError where the systems were not scored on the same references with the same normaliser."""
    _require_same(systems)
    figures = [figure for system in systems for figure in _figures(system, draws, seed)]
    return PageData(
        title=title,
        interval=f"95 % intervals: bootstrap over utterances, {draws:,} draws",
        systems=tuple(
            SystemData(letter, one.name, one.results, one.facts) for letter, one in zip(LETTERS, systems, strict=False)
        ),
        figures=tuple(figures),
        charts=_charts(systems, draws, seed),
        notes=_notes(systems),
        fields={
            key: fields
            for key, extra in systems[0].results.extras.items()
            if isinstance(fields := extra.get("fields"), dict)
        },
    )


def interval_of(scores: Sequence[UtteranceScore], kind: str, draws: int, seed: int) -> Interval | None:
    """The interval of a rate over ``scores``; ``kind`` is a field of counts.

    None where there is too little to draw from: a single utterance, no reference, no error (however often nothing is
    drawn, it stays nothing, and "0 to 0" would claim a certainty that is not there).
    """
    counts = [getattr(score, kind) for score in scores]
    lengths = [one.reference_length for one in counts]
    errors = [one.errors for one in counts]
    if len(scores) < _FEWEST_FOR_INTERVAL or not sum(lengths) or not sum(errors):
        return None
    return bootstrap_interval(errors, lengths, draws=draws, seed=seed)


def _figures(system: System, draws: int, seed: int) -> list[Figure]:
    report = system.results.report
    kinds = (
        ("WER", report.normalizer, "words"),
        ("CER", report.normalizer, "characters"),
        ("WER", "raw", "raw_words"),
        ("CER", "raw", "raw_characters"),
    )
    found = []
    for measure, text, kind in kinds:
        counts: ErrorCounts = getattr(report, kind)
        bar = _bar(counts, len(report.utterances), interval_of(report.utterances, kind, draws, seed))
        kinds_of_error = counts.substitutions, counts.deletions, counts.insertions
        found.append(Figure(system.name, measure, text, bar, *kinds_of_error))
    return found


def _bar(counts: ErrorCounts, utterances: int, interval: Interval | None) -> Bar:
    return Bar(
        rate=counts.rate,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        utterances=utterances,
        errors=counts.errors,
        reference_length=counts.reference_length,
    )


def _charts(systems: Sequence[System], draws: int, seed: int) -> tuple[Chart, ...]:
    """Groupings that the first system has, with the other systems' bars where their groups have the same names."""
    found = [{grouping.name: grouping for grouping in all_groupings(system.results)} for system in systems]
    charts = []
    for name, first in found[0].items():
        columns = [_bars(system, one.get(name), draws, seed) for system, one in zip(systems, found, strict=True)]
        labels = dict.fromkeys(label for column in columns for label in column)
        rows = [BarRow(label, tuple(column.get(label) for column in columns)) for label in labels]
        if len(rows) > 1:
            charts.append(Chart(name, first.unit, tuple(_worst_first(rows) if first.unit is None else rows)))
    return tuple(charts)


def _bars(system: System, grouping: Grouping | None, draws: int, seed: int) -> dict[str, Bar]:
    rows: Sequence[GroupRow] = grouping.rows if grouping else ()
    scores = system.results.report.utterances
    made = {}
    for row in rows:
        members = [scores[place] for place in getattr(row, "members", ())]
        made[row.label] = _bar(row.words, row.utterances, interval_of(members, "words", min(draws, 2_000), seed))
    return made


def _worst_first(rows: Sequence[BarRow]) -> list[BarRow]:
    def worst(row: BarRow) -> float:
        return max((bar.rate for bar in row.bars if bar and not math.isnan(bar.rate)), default=-1.0)

    return sorted(rows, key=lambda row: (-worst(row), row.label))


def _notes(systems: Sequence[System]) -> list[str]:
    notes = []
    report = systems[0].results.report
    if silent := len(report.without_reference_words):
        notes.append(
            f"{silent:,} of {len(report.utterances):,} utterances have no reference word once normalised; what was "
            "recognised there counts as insertions."
        )
    return notes


def _require_same(systems: Sequence[System]) -> None:
    first = systems[0]
    if len(systems) > len(LETTERS):
        raise ScoringError(f"{len(systems)} systems are too many for one page; give at most {len(LETTERS)}")
    references = {one.id: one.reference_normalized for one in first.results.report.utterances}
    for other in systems[1:]:
        labels = first.results.report.normalizer, other.results.report.normalizer
        if labels[0] != labels[1]:
            raise ScoringError(
                f"{first.name} was scored with {labels[0]}, {other.name} with {labels[1]}: not comparable. Score one "
                "of them again (asr score RESULTS RESULTS --normalizer NAME --out DIR)"
            )
        theirs = {one.id: one.reference_normalized for one in other.results.report.utterances}
        if different := sorted(references.keys() ^ theirs.keys()):
            raise ScoringError(
                f"{first.name} ({len(references)} utterances) and {other.name} ({len(theirs)}) do not hold the same "
                f"ids; {len(different)} are in one only, such as {different[0]!r}. Score both on the same set"
            )
        changed = [key for key, text in references.items() if theirs[key] != text]
        if changed:
            raise ScoringError(
                f"{first.name} and {other.name} differ in the reference of {len(changed)} utterances, such as "
                f"{changed[0]!r}: they were scored on different transcripts. Score both against the same file"
            )
