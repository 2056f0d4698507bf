"""A comparison in sentences and rows, as a Markdown page (compare.md), and as JSON (compare.json).

In: a ``Comparison`` and the ``PairDifferences`` of its pairs. Out: who is better, how surely and what would settle it;
rows for terminal and page; both files in one folder, each written atomically. In compare.json rates are in percent and
differences in percentage points; a difference is the second system's rate minus the first's. The page shows what
differs between the first system and each other one. Names, words and ids are foreign text and are escaped as in
``markdown.py``.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from asr import __version__
from asr.files import write_json, write_text
from asr.scoring.compare import (
    MIN_SPEAKERS,
    Comparison,
    Pair,
)
from asr.scoring.counts import alignment_block
from asr.scoring.differences import GroupDifference, PairDifferences, UtteranceDifference, WordDifference
from asr.scoring.intervals import known_speakers, limits_of, rate_intervals, summarize_intervals
from asr.scoring.markdown import code_block, code_span, counted, escape, markdown_table
from asr.scoring.measures import COUNT_COLUMNS, WER, count_columns, format_rate, measures_in, percent
from asr.scoring.output import now
from asr.scoring.significance import Difference

SYSTEM_HEADER = ("system", WER.label, "95 % interval", "over speakers", *COUNT_COLUMNS)
TEST_HEADER = ("test", "p", "data", "remark")
_OUT_OF_REACH = 1_000_000

INTERVALS_MEAN = (
    "Differences are in percentage points of WER, with 95 % bootstrap intervals; each interval is its own, "
    "without correction for the number of comparisons."
)


def system_rows(comparison: Comparison) -> list[list[str]]:
    """A row a system under ``SYSTEM_HEADER``."""
    rows = []
    for system in comparison.systems:
        counts, found = system.report.words, rate_intervals(system.report, WER)
        intervals = [str(one or "–") for one in (found.utterances, found.speakers)]
        rows.append([system.name, WER.shown(counts), *intervals, *map(str, count_columns(counts).values())])
    return rows


class VerdictText(NamedTuple):
    """A sentence in parts, so that a page can emphasise the verdict: before, verdict, and after it."""

    before: str
    verdict: str
    after: str

    def __str__(self) -> str:
        return f"{self.before} {self.verdict} {self.after}"


def verdict_text(comparison: Comparison, pair: Pair) -> VerdictText:
    """``A is better than B (WER 8.44 against 9.90 %, difference 1.46 [0.4, 2.6], p = 0.008)``, or that it is not so."""
    names = f"{pair.first} and {pair.second}"
    if pair.deciding is None or pair.p_value is None:
        return VerdictText(names, "cannot be compared", f"({_why_not(comparison)})")
    if pair.same_words:
        reason = "(their texts are the same in every utterance)"
        return VerdictText(f"{names} are", "not distinguishable", reason)
    better, worse = (pair.second, pair.first) if pair.verdict == "second better" else (pair.first, pair.second)
    rates = [100 * comparison.rates[name].rate for name in (better, worse)]
    corrected = f" after Holm's correction for {len(comparison.pairs)} pairs" if len(comparison.pairs) > 1 else ""
    figures = (
        f"(WER {rates[0]:.2f} against {rates[1]:.2f} %, difference {pair.deciding}, "
        f"{_equals('p', pair.p_value)}{corrected})"
    )
    if pair.verdict == "not distinguishable":
        return VerdictText(f"{better} and {worse} are", "not distinguishable", figures)
    return VerdictText(better, "is better than", f"{worse} {figures}")


def verdict_sentence(comparison: Comparison, pair: Pair) -> str:
    """``verdict_text`` as a sentence without a full stop."""
    return str(verdict_text(comparison, pair))


def settling_sentence(comparison: Comparison, pair: Pair) -> str | None:
    """For a pair that is not distinguishable: what this set could have shown, and how much more would settle it."""
    if pair.verdict != "not distinguishable" or pair.deciding is None or not pair.detectable:
        return None
    shown = f"differences of {100 * pair.detectable:.2g} points or more"
    level = "5 %" if len(comparison.pairs) == 1 else f"5 % shared by {len(comparison.pairs)} pairs"
    sentence = f"A test set of this size detects {shown} (80 % power at {level})"
    if pair.more_units is None:
        return f"{sentence}; the measured difference is 0, so no number of further utterances can be given"
    if pair.more_units > _OUT_OF_REACH:
        return f"{sentence}; a difference as small as the measured one needs over a million more {pair.deciding.unit}"
    return (
        f"{sentence}; if the true difference is the measured one, about {_more(comparison, pair, pair.deciding)} "
        "would be needed to decide"
    )


def scope_sentence(comparison: Comparison) -> str | None:
    """What the verdicts hold for, where that is less than further speakers; and where references differ."""
    references = [[one.reference_normalized for one in system.report.utterances] for system in comparison.systems]
    different = sum(len(set(one)) > 1 for one in zip(*references, strict=True))
    readings = (
        f"In {counted(different, 'utterance')} the systems came nearest to different alternatives of the reference; "
        "words are not compared there."
    )
    return " ".join([*filter(None, [_unit_sentence(comparison)]), *([readings] if different else [])]) or None


def _unit_sentence(comparison: Comparison) -> str | None:
    deciding = next((pair.deciding for pair in comparison.pairs if pair.deciding is not None), None)
    if deciding is None or deciding.unit == "speakers":
        return None
    speakers = {utterance.speaker for utterance in comparison.utterances}
    if None in speakers:
        return (
            "The verdicts are based on resampled utterances, because not every speaker is known. With several "
            "speakers, the errors of one speaker are correlated, and the p-values are too small."
        )
    these = "this speaker" if len(speakers) == 1 else f"these {len(speakers)} speakers"
    return (
        f"The verdicts are based on resampled utterances, because there are fewer than {MIN_SPEAKERS} speakers: they "
        f"hold for further utterances of {these} only."
    )


def rows_of_tests(pair: Pair) -> list[list[str]]:
    """A row a test: name, p-value, data, remark. The deciding test comes first."""
    rows = []
    boots = sorted((pair.over_speakers, pair.over_utterances), key=lambda one: one is not pair.deciding)
    for one in boots:
        if one is not None:
            decides = "decides" if one is pair.deciding else ""
            data = f"difference {one} over {one.count:,} {one.unit}"
            rows.append([f"paired bootstrap over {one.unit}", p_text(one.p_value), data, decides])
    return rows + [[test.name, p_text(test.p_value), test.detail, test.note] for test in pair.tests]


def group_row(group: GroupDifference) -> list[str]:
    """Name, utterances, words, both rates, and the difference as second less first with its interval."""
    shown = "–" if group.difference is None else signed(group.difference)
    rates = (format_rate(group.first), format_rate(group.second))
    return [group.name, f"{group.utterances:,}", f"{group.first.reference_length:,}", *rates, shown]


def signed(difference: Difference) -> str:
    """``+1.46 [0.4, 2.6]`` in points, above 0 where the first system is better."""
    sign = "+" if difference.difference > 0 else "-" if difference.difference < 0 else ""
    low, high = 100 * difference.low, 100 * difference.high
    return f"{sign}{100 * abs(difference.difference):.2f} [{low:.1f}, {high:.1f}]"


def p_text(p_value: float | None) -> str:
    """Three decimals; ``<0.001`` below that, a dash where there is none."""
    if p_value is None or math.isnan(p_value):
        return "–"
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _more(comparison: Comparison, pair: Pair, deciding: Difference) -> str:
    more = pair.more_units or 0
    if deciding.unit == "utterances":
        return f"{rounded_up(more):,} more utterances of this kind"
    utterances = math.ceil(more * len(comparison.utterances) / deciding.count)
    return f"{counted(rounded_up(more), 'more speaker')} ({rounded_up(utterances):,} more utterances) of this kind"


def rounded_up(number: int) -> int:
    """To two figures: such a number is not known better."""
    step: int = 10 ** max(0, len(str(number)) - 2)
    return math.ceil(number / step) * step


def _why_not(comparison: Comparison) -> str:
    if len(comparison.utterances) < 2:
        return "one utterance alone cannot show how much utterances differ"
    return "no reference holds a word"


def _equals(name: str, value: float) -> str:
    return f"{name} < 0.001" if value < 0.001 else f"{name} = {p_text(value)}"


_SHOWN_WORDS = 25
_TITLES = {"length": "length of the reference"}


def render_comparison(
    comparison: Comparison, differences: Sequence[PairDifferences], facts: Mapping[str, str], *, most: int
) -> str:
    """The whole page. ``differences``: of each pair, in order; ``most``: utterances shown with both alignments."""
    names = [system.name for system in comparison.systems]
    head = [f"# {escape(' against '.join(names))}", "", *(f"- {escape(k)}: {escape(v)}" for k, v in facts.items())]
    sections = ["\n".join(head), _systems(comparison), _verdicts(comparison), _tests(comparison)]
    for pair, found in zip(comparison.pairs, differences, strict=True):
        if pair.first == names[0] and not pair.same_words:
            sections.append(_what_differs(comparison, pair, found, most))
    return "\n\n".join(sections) + "\n"


def group_header(pair: Pair, name: str) -> tuple[str, ...]:
    """The titles over ``group_row``."""
    return (name, "utterances", "words", pair.first, pair.second, "difference")


def _systems(comparison: Comparison) -> str:
    rows = [[escape(row[0]), *row[1:]] for row in system_rows(comparison)]
    return f"## Error rates\n\n{markdown_table(SYSTEM_HEADER, rows)}"


def _verdicts(comparison: Comparison) -> str:
    lines = []
    for pair in comparison.pairs:
        before, verdict, after = verdict_text(comparison, pair)
        more = settling_sentence(comparison, pair)
        sentence = f"- {escape(before)} **{verdict}** {escape(after)}."
        lines.append(sentence + (f" {escape(more)}." if more else ""))
    notes = [INTERVALS_MEAN, limits_of("Verdicts"), scope_sentence(comparison)]
    return "\n\n".join(["## Verdict", "\n".join(lines), *(escape(note) for note in notes if note)])


def _tests(comparison: Comparison) -> str:
    several = len(comparison.pairs) > 1
    parts = ["## Tests", "The probability p of a difference as great as this if the two were equally good, two-sided."]
    if several:
        parts[1] += " Without correction; the verdicts above are corrected."
    for pair in comparison.pairs:
        if several:
            parts.append(f"### {escape(pair.first)} and {escape(pair.second)}")
        rows = [[name, escape(detail), note, escape(p_value)] for name, p_value, detail, note in rows_of_tests(pair)]
        parts.append(markdown_table(tuple(TEST_HEADER[column] for column in (0, 2, 3, 1)), rows, left=3))
    return "\n\n".join(parts)


def _what_differs(comparison: Comparison, pair: Pair, differences: PairDifferences, most: int) -> str:
    parts = [f"## What differs: {escape(pair.first)} against {escape(pair.second)}", _words(pair, differences.words)]
    for name, groups in differences.groups.items():
        if name == "speaker" and not known_speakers(comparison.systems[0].report):
            continue
        title = _TITLES.get(name, name)
        titles = [escape(one) for one in group_header(pair, title)]
        rows = [[escape(first), *others] for first, *others in map(group_row, groups)]
        parts.append(
            f"### By {escape(title)}\n\n{markdown_table(titles, rows) if rows else 'Not known of any utterance.'}"
        )
    parts.append("Above 0 the first is better; intervals are over utterances. Of many groups some differ by chance.")
    parts.append(_utterances(comparison, pair, differences.utterances, most))
    return "\n\n".join(part for part in parts if part)


def _words(pair: Pair, found: Sequence[WordDifference]) -> str:
    if not found:
        return ""
    first, second = escape(pair.first), escape(pair.second)
    names = ("word", "in references", f"only {first} right", f"only {second} right", "both wrong", "inserted by each")
    rows = [
        (
            escape(one.word),
            *(f"{count:,}" for count in (one.count, one.first_only, one.second_only, one.both_missed)),
            f"{one.first_inserted:,} / {one.second_inserted:,}",
        )
        for one in found[:_SHOWN_WORDS]
    ]
    more = f"\n\n… and {counted(len(found) - len(rows), 'more word')}." if len(found) > len(rows) else ""
    return f"### By word\n\n{markdown_table(names, rows)}{more}"


def _utterances(comparison: Comparison, pair: Pair, found: Sequence[UtteranceDifference], most: int) -> str:
    if not found or most <= 0:
        return ""
    better, worse = sum(one.gain > 0 for one in found), sum(one.gain < 0 for one in found)
    alike = len(comparison.utterances) - len(found)
    text = (
        f"Fewer errors with {escape(pair.first)} in {better:,}, with {escape(pair.second)} in {worse:,}, "
        f"as many in {alike:,} of {counted(len(comparison.utterances), 'utterance')}."
    )
    entries = [_utterance(comparison, pair, one) for one in found[:most]]
    return "\n\n".join(["### Utterances that differ most", text, *entries])


def _utterance(comparison: Comparison, pair: Pair, one: UtteranceDifference) -> str:
    blocks = []
    for name, utterance in ((pair.first, one.first), (pair.second, one.second)):
        drawn = alignment_block(comparison.alignments[name][one.index])
        blocks.append(f"{escape(name)}: {counted(utterance.words.errors, 'error')}\n\n{code_block(drawn)}")
    speaker = "" if one.first.speaker is None else f", speaker {code_span(one.first.speaker)}"
    return "\n\n".join([f"#### {code_span(one.first.id)}{speaker}", *blocks])


PAGE, DATA = "compare.md", "compare.json"


def write_comparison(
    folder: Path,
    comparison: Comparison,
    differences: Sequence[PairDifferences],
    sources: Mapping[str, str],
    *,
    most: int = 10,
) -> Path:
    """Write both files and return the page. ``differences``: of each pair; ``sources``: each system's results file."""
    facts = {"Date": now(), "Normaliser": comparison.systems[0].report.normalizer}
    facts["Utterances"] = f"{len(comparison.utterances):,}"
    speakers = known_speakers(comparison.systems[0].report)
    if speakers:
        facts["Speakers"] = f"{len(set(speakers)):,}"
    facts |= {f"System {name}": source for name, source in sources.items()}
    page = render_comparison(comparison, differences, facts, most=most)
    write_json(folder / DATA, summarize_comparison(comparison, differences, sources) | {"date": facts["Date"]})
    write_text(folder / PAGE, page)
    return folder / PAGE


def summarize_comparison(
    comparison: Comparison, differences: Sequence[PairDifferences], sources: Mapping[str, str]
) -> dict[str, Any]:
    """The comparison as plain JSON values."""
    return {
        "asr_version": __version__,
        "normalizer": comparison.systems[0].report.normalizer,
        "utterances": len(comparison.utterances),
        "systems": [
            {
                "name": system.name,
                "results": sources.get(system.name),
                **{one.key: one.percent(getattr(system.report, one.counts)) for one in measures_in("json")},
                "intervals": summarize_intervals(system.report),
                "words": asdict(system.report.words),
            }
            for system in comparison.systems
        ],
        "pairs": [_pair(comparison, *both) for both in zip(comparison.pairs, differences, strict=True)],
    }


def _pair(comparison: Comparison, pair: Pair, differences: PairDifferences) -> dict[str, Any]:
    return {
        "first": pair.first,
        "second": pair.second,
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
        "by_word": [asdict(one) | {"gain": one.gain} for one in differences.words],
        "by": {name: [_group(group) for group in groups] for name, groups in differences.groups.items()},
        "by_utterance": [
            {"id": one.first.id, "gain": one.gain, "first": one.first.words.errors, "second": one.second.words.errors}
            for one in differences.utterances
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
