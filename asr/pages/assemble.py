"""From scored results to the data of a report page: figures with intervals, groupings as bars, tables, a comparison.

In: a ``ReportSystem`` per results.jsonl. Out: ``PageData`` without audio; ``report_input`` adds clips and links. Tables
have the first rows; breakdown.json has all.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from asr.errors import ScoringError
from asr.pages.data import Bar, BarRow, Chart, Figure, PageData, ReportSystem, Table
from asr.scoring import ErrorCounts, UtteranceScore
from asr.scoring.breakdown import Breakdown, Grouping, break_down
from asr.scoring.compare import Comparison, SystemResults, compare
from asr.scoring.compare_output import scope_sentence, settling_sentence, verdict_sentence
from asr.scoring.intervals import DRAWS, LEVEL, Interval, bootstrap_interval, interval_notes
from asr.scoring.measures import WER, Measure, measures_in

SHOWN = 15


def error_tables(breakdown: Breakdown, system: str = "") -> list[Table]:
    """The tables that have rows; ``system`` is added to the titles on a page of several systems."""
    name = f" ({system})" if system else ""
    return [
        Table(f"{table.title}{name}", table.note, table.header, table.rows)
        for table in _tables(breakdown)
        if table.rows
    ]


def _tables(breakdown: Breakdown) -> Iterator[Table]:
    words = breakdown.words
    missed = [one for one in words.tokens if one.missed]
    yield Table(
        "Words most often missed",
        _more(len(missed)),
        ("word", "in reference", "correct", "recall"),
        [(one.token, f"{one.said:,}", f"{one.hits:,}", _share(one.recall)) for one in missed[:SHOWN]],
    )
    yield Table(
        "Words most often confused",
        _more(len(words.confusions)),
        ("reference", "recognised", "times"),
        [(one.reference, one.hypothesis, f"{one.count:,}") for one in words.confusions[:SHOWN]],
    )
    inserted = words.most_inserted()
    yield Table(
        "Words most often inserted",
        _more(len(inserted)),
        ("word", "inserted", "recognised"),
        [(one.token, f"{one.inserted:,}", f"{one.recognised:,}") for one in inserted[:SHOWN]],
    )
    yield Table(
        "Rare and unseen words",
        "By the number of occurrences in the training text.",
        ("times in training", "in reference", "correct", "recall"),
        [(one.label, f"{one.said:,}", f"{one.hits:,}", _share(one.recall)) for one in breakdown.training or ()],
    )


def _more(count: int) -> str:
    return f"The first {SHOWN} of {count:,}; breakdown.json next to the results has all." if count > SHOWN else ""


def _share(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f}%"


LETTERS = "ABCDEFGH"
_GROUP_DRAWS = 2_000  # enough for whiskers; there are many groups


def assemble(systems: Sequence[ReportSystem], *, title: str, draws: int = DRAWS) -> PageData:
    """The page of systems that were scored on the same references with the same normaliser; else ScoringError."""
    comparison = _compared(systems, draws)
    figures = [figure for system in systems for figure in _figures(system, draws)]
    breakdowns = [break_down(system.results) for system in systems]
    return PageData(
        title=title,
        interval=_interval_note(draws),
        systems=tuple(replace(one, letter=letter) for letter, one in zip(LETTERS, systems, strict=False)),
        figures=tuple(figures),
        charts=_charts(systems, breakdowns, draws),
        tables=tuple(
            table
            for system, breakdown in zip(systems, breakdowns, strict=True)
            for table in error_tables(breakdown, system.name if len(systems) > 1 else "")
        ),
        verdict=None if comparison is None else _verdict(comparison),
        notes=_notes(systems),
        fields={
            key: fields
            for key, extra in systems[0].results.extras.items()
            if isinstance(fields := extra.get("fields"), dict)
        },
    )


def _interval_note(draws: int) -> str:
    fewer = f" ({_GROUP_DRAWS:,} for a group's)" if draws > _GROUP_DRAWS else ""
    return f"{100 * LEVEL:g} % intervals: bootstrap over utterances, {draws:,} draws{fewer}"


def _interval(scores: Sequence[UtteranceScore], measure: Measure, draws: int) -> Interval | None:
    """The interval of a measure over ``scores``, None where there is none."""
    if measure.quotient is None:
        return None
    found = [measure.quotient(getattr(score, measure.counts)) for score in scores]
    return bootstrap_interval([one[0] for one in found], [one[1] for one in found], draws=draws)


def _figures(system: ReportSystem, draws: int) -> list[Figure]:
    report = system.results.report
    figures = []
    for measure in measures_in("report", report):
        counts: ErrorCounts = getattr(report, measure.counts)
        interval = _interval(report.utterances, measure, draws)
        bar = _bar(measure, counts, len(report.utterances), interval)
        figures.append(Figure(system.name, measure, measure.text(report.normalizer), bar, counts))
    return figures


def _bar(
    measure: Measure, counts: ErrorCounts, utterances: int, interval: Interval | None, *, small: bool = False
) -> Bar:
    return Bar(
        rate=measure.value(counts),
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        utterances=utterances,
        errors=counts.errors,
        reference_length=counts.reference_length,
        small=small,
    )


def _charts(systems: Sequence[ReportSystem], breakdowns: Sequence[Breakdown], draws: int) -> tuple[Chart, ...]:
    """The groupings of the first system, with the other systems' bars for groups of the same name."""
    found = [{grouping.name: grouping for grouping in breakdown.groupings} for breakdown in breakdowns]
    charts = []
    for name, first in found[0].items():
        columns = [_bars(system, one.get(name), draws) for system, one in zip(systems, found, strict=True)]
        labels = dict.fromkeys(label for column in columns for label in column)
        rows = [BarRow(label, tuple(column.get(label) for column in columns)) for label in labels]
        if len(rows) > 1:
            in_order = first.unit is not None or all(
                label[:1].isdigit() for label in labels
            )  # numbers keep their order
            charts.append(Chart(name, first.unit, tuple(rows if in_order else _worst_first(rows))))
    return tuple(charts)


def _bars(system: ReportSystem, grouping: Grouping | None, draws: int) -> dict[str, Bar]:
    scores = system.results.report.utterances
    made = {}
    for row in grouping.rows if grouping else ():
        members = [scores[place] for place in row.members]
        interval = _interval(members, WER, min(draws, _GROUP_DRAWS))
        made[row.label] = _bar(WER, row.words, row.utterances, interval, small=row.small)
    return made


def _worst_first(rows: Sequence[BarRow]) -> list[BarRow]:
    def worst(row: BarRow) -> float:
        return max((bar.rate for bar in row.bars if bar and not math.isnan(bar.rate)), default=-1.0)

    return sorted(rows, key=lambda row: (-worst(row), row.label))


def _compared(systems: Sequence[ReportSystem], draws: int) -> Comparison | None:
    """All pairs of systems; None for one system. Raises ScoringError where they cannot be compared."""
    if len(systems) > len(LETTERS):
        raise ScoringError(f"{len(systems)} systems are too many for one page; give at most {len(LETTERS)}")
    if len(systems) < 2:
        return None
    first = systems[0]
    for other in systems[1:]:
        labels = first.results.report.normalizer, other.results.report.normalizer
        if labels[0] != labels[1]:
            raise ScoringError(
                f"{first.name} was scored with {labels[0]}, {other.name} with {labels[1]}: not comparable. Score one "
                "of them again (asr score RESULTS RESULTS --normalizer NAME --out DIR)"
            )
    return compare([SystemResults(one.name, one.results.report, one.results.extras) for one in systems], draws=draws)


def _verdict(comparison: Comparison) -> str:
    """Which system is better, pair by pair."""
    sentences: list[str] = []
    for pair in comparison.pairs:
        settling = settling_sentence(comparison, pair)
        sentences += [f"{verdict_sentence(comparison, pair)}.", *([f"{settling}."] if settling else [])]
    scope = scope_sentence(comparison)
    return " ".join([*sentences, *([scope] if scope else [])])


def _notes(systems: Sequence[ReportSystem]) -> list[str]:
    report = systems[0].results.report
    notes = []
    for one in systems:
        name = f"{one.name}: " if len(systems) > 1 else ""
        found = interval_notes(one.results.report, legend=False)  # the page has no brackets, and its own sentence
        notes += [f"{name}{note[0].upper()}{note[1:]}" for note in found]
    if silent := len(report.without_reference_words):
        notes.append(
            f"{silent:,} of {len(report.utterances):,} utterances have no reference word after normalisation; words "
            "recognised there count as insertions."
        )
    return notes
