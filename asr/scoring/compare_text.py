"""A comparison in plain words and short rows, for terminal and page.

In: a ``Comparison``. Out: sentences (who is better, how surely, what would settle it) and rows of text.
"""

import math

from asr.scoring.compare import MIN_SPEAKERS, Comparison, Pair
from asr.scoring.compare_differences import GroupDifference
from asr.scoring.counts import ErrorCounts
from asr.scoring.markdown import counted, format_rate
from asr.scoring.rate_intervals import rate_intervals
from asr.scoring.significance import Difference

SYSTEM_HEADER = ("system", "WER", "95 % interval", "over speakers", "S", "D", "I", "errors", "N")
_OUT_OF_REACH = 1_000_000

INTERVALS_MEAN = (
    "Differences are in percentage points of WER, with 95 % bootstrap intervals; every interval stands for itself, "
    "without correction for the number of comparisons."
)


def system_rows(comparison: Comparison) -> list[list[str]]:
    """A row a system under ``SYSTEM_HEADER``."""
    rows = []
    for system in comparison.systems:
        counts, found = system.report.words, rate_intervals(system.report, "words")
        intervals = [str(one or "–") for one in (found.utterances, found.speakers)]
        rows.append([system.name, format_rate(counts), *intervals, *map(str, _kinds(counts))])
    return rows


def verdict_sentence(comparison: Comparison, pair: Pair) -> str:
    """``A is better than B (WER 8.44 against 9.90 %, difference 1.46 [0.4, 2.6], p = 0.008)``, or that it is not so."""
    first, second = (comparison.rates[name] for name in (pair.first, pair.second))
    if pair.deciding is None or pair.p_value is None:
        return f"{pair.first} and {pair.second} cannot be compared: {_why_not(comparison)}"
    if pair.same_words:
        return f"{pair.first} and {pair.second} are not distinguishable: they wrote the same words in every utterance"
    if pair.verdict == "second better":
        better, worse, rates = pair.second, pair.first, (second, first)
    else:
        better, worse, rates = pair.first, pair.second, (first, second)
    corrected = f" after Holm's correction for {len(comparison.pairs)} pairs" if len(comparison.pairs) > 1 else ""
    figures = (
        f"WER {100 * rates[0].rate:.2f} against {100 * rates[1].rate:.2f} %, difference {pair.deciding}, "
        f"{_equals('p', pair.p_value)}{corrected}"
    )
    if pair.verdict == "not distinguishable":
        return f"{better} and {worse} are not distinguishable ({figures})"
    return f"{better} is better than {worse} ({figures})"


def settling_sentence(comparison: Comparison, pair: Pair) -> str | None:
    """For a pair that is not distinguishable: what this set could have shown, and how much more would settle it."""
    if pair.verdict != "not distinguishable" or pair.deciding is None or not pair.detectable:
        return None
    shown = f"differences of {100 * pair.detectable:.2g} points or more"
    level = "5 %" if len(comparison.pairs) == 1 else f"5 % shared by {len(comparison.pairs)} pairs"
    sentence = f"A set like this shows {shown} (80 % power at {level})"
    if pair.more_units is None:
        return f"{sentence}; none was measured, so no number of further utterances can be named"
    if pair.more_units > _OUT_OF_REACH:
        return f"{sentence}; to settle one as small as measured would take over a million more {pair.deciding.unit}"
    return (
        f"{sentence}; if the difference is as measured, about {_more(comparison, pair, pair.deciding)} would settle it"
    )


def scope_sentence(comparison: Comparison) -> str | None:
    """What the verdicts hold for, where that is less than further speakers."""
    deciding = next((pair.deciding for pair in comparison.pairs if pair.deciding is not None), None)
    if deciding is None or deciding.unit == "speakers":
        return None
    speakers = {utterance.speaker for utterance in comparison.utterances}
    if None in speakers:
        return (
            "The verdicts rest on resampled utterances, because not every speaker is known. Where there are several, "
            "errors of each go together, and the p-values come out too small."
        )
    return (
        f"The verdicts rest on resampled utterances, because there are fewer than {MIN_SPEAKERS} speakers: they hold "
        f"for further utterances of {'this speaker' if len(speakers) == 1 else f'these {len(speakers)} speakers'} only."
    )


def rows_of_tests(pair: Pair) -> list[list[str]]:
    """A row a test: name, p-value, what it saw, remark. The deciding test comes first."""
    rows = []
    boots = sorted((pair.over_speakers, pair.over_utterances), key=lambda one: one is not pair.deciding)
    for one in boots:
        if one is not None:
            decides = "decides" if one is pair.deciding else ""
            seen = f"difference {one} over {one.count:,} {one.unit}"
            rows.append([f"paired bootstrap over {one.unit}", p_text(one.p_value), seen, decides])
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
    """Three decimals; ``<0.001`` below that, a dash for none."""
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
    """To two figures: nobody knows more of such a number."""
    step: int = 10 ** max(0, len(str(number)) - 2)
    return math.ceil(number / step) * step


def _why_not(comparison: Comparison) -> str:
    if len(comparison.utterances) < 2:
        return "one utterance alone says nothing of how utterances differ"
    return "no reference holds a word"


def _equals(name: str, value: float) -> str:
    text = p_text(value)
    return f"{name} < {text[1:]}" if text.startswith("<") else f"{name} = {text}"


def _kinds(counts: ErrorCounts) -> tuple[int, ...]:
    return counts.substitutions, counts.deletions, counts.insertions, counts.errors, counts.reference_length
