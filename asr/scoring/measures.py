"""The one table of error measures: every report, page, table and comparison reads it.

In: ``ErrorCounts`` of a corpus, a group or an utterance. Out: the measures' values. To add a measure is to add a row
here (and its test): its key in JSON, CSV and ``--print line``, its label, the counts and the text that it is computed
from, its formula, the forms in which it is shown, and, where it is a quotient of sums, the interval that comes with it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from asr.scoring.counts import ErrorCounts

# fields of ScoreReport and UtteranceScore
CountsName = Literal["words", "characters", "raw_words", "raw_characters", "mixed", "punctuation", "capitals"]
# table: the terminal's; report: the tables of Markdown and HTML; line, csv, json: for programs; group: by speaker, ...
Form = Literal["table", "report", "line", "csv", "json", "group"]
_ALL: frozenset[Form] = frozenset({"table", "report", "line", "csv", "json", "group"})
_REPORTS: frozenset[Form] = frozenset({"report", "csv", "json"})
NO_RATE = "undefined (no reference)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One row of the table.

    ``quotient``: numerator and denominator out of an utterance's counts; both are sums over utterances, so that they
    can be resampled for an interval. A measure that is no quotient of sums has ``formula`` alone, and no interval.
    ``where_present``: tables leave it out of texts that have none of what it counts.
    """

    key: str
    label: str
    name: str
    counts: CountsName
    forms: frozenset[Form]
    quotient: Callable[[ErrorCounts], tuple[int, int]] | None = None
    formula: Callable[[ErrorCounts], float] | None = None
    where_present: bool = False

    @property
    def raw(self) -> bool:
        """Whether it is computed from the text as given (NFC, single spaces), not from the normalised text."""
        return self.counts in ("raw_words", "raw_characters", "punctuation", "capitals")

    def text(self, normalizer: str) -> str:
        """Which text it is computed from: the normaliser's label, or "raw"."""
        return "raw" if self.raw else normalizer

    def value(self, counts: ErrorCounts) -> float:
        """The measure as a fraction; NaN over an empty reference (jiwer has 0, 1, or a number of words there)."""
        if not counts.reference_length:
            return math.nan
        if self.quotient is not None:
            numerator, denominator = self.quotient(counts)
            return numerator / denominator
        assert self.formula is not None  # each row has one of the two
        return self.formula(counts)

    def percent(self, counts: ErrorCounts) -> float | None:
        """The value in percent, to four decimals; None over an empty reference."""
        value = self.value(counts)
        return None if math.isnan(value) else round(100 * value, 4)

    def shown(self, counts: ErrorCounts) -> str:
        """The value with two decimals, ``12.34%``; over an empty reference it says that there is none."""
        return f"{100 * self.value(counts):.2f}%" if counts.reference_length else NO_RATE


def _error_rate(counts: ErrorCounts) -> tuple[int, int]:
    return counts.errors, counts.reference_length


def _match_error_rate(counts: ErrorCounts) -> tuple[int, int]:
    return counts.errors, counts.reference_length + counts.insertions


def _information_lost(counts: ErrorCounts) -> float:
    if not counts.hypothesis_length:
        return 1.0
    return 1 - (counts.hits / counts.reference_length) * (counts.hits / counts.hypothesis_length)


def _row(key: str, name: str, counts: CountsName, forms: frozenset[Form], **how: Any) -> Measure:
    how = {"label": key.removeprefix("raw_").upper()} | how
    return Measure(key=key, name=name, counts=counts, forms=forms, **how)


def _where_present(key: str, label: str, name: str, counts: CountsName, quotient: Any = _error_rate) -> Measure:
    return _row(key, name, counts, _REPORTS, label=label, quotient=quotient, where_present=True)


# The first row is the headline: what verdicts, the gate and sorting go by. mer and wil are jiwer's
# (Morris, Maier & Green, Interspeech 2004); punctuation_er is that of LibriSpeech-PC and NeMo, errors over all marks of
# both sides; capitalization_er the share of the words right but for their case whose case is wrong.
MEASURES: tuple[Measure, ...] = (
    _row("wer", "word error rate", "words", _ALL, quotient=_error_rate),
    _row("cer", "character error rate", "characters", _ALL, quotient=_error_rate),
    _row("raw_wer", "word error rate", "raw_words", _REPORTS | {"table"}, quotient=_error_rate),
    _row("raw_cer", "character error rate", "raw_characters", _REPORTS | {"table"}, quotient=_error_rate),
    _row("mer", "match error rate", "words", _REPORTS, quotient=_match_error_rate),
    _row("wil", "word information lost", "words", _REPORTS, formula=_information_lost),
    _where_present(
        "mixed_er", "mixed ER", "error rate of characters of scripts without spaces and other words", "mixed"
    ),
    _where_present(
        "punctuation_er", "punctuation ER", "punctuation error rate", "punctuation", quotient=_match_error_rate
    ),
    _where_present("capitalization_er", "capitalisation ER", "capitalisation error rate", "capitals"),
)
WER, CER = MEASURES[:2]


def measures_in(form: Form, counted: Any = None) -> tuple[Measure, ...]:
    """The measures that a form shows, in order; without those that ``counted`` (a ScoreReport) has nothing for."""
    shown = (one for one in MEASURES if form in one.forms)
    return tuple(
        one
        for one in shown
        if counted is None or not one.where_present or getattr(counted, one.counts).reference_length
    )


def format_rate(counts: ErrorCounts) -> str:
    """The error rate (S+D+I)/N of any counts, as ``Measure.shown`` writes it."""
    return WER.shown(counts)


def percent(counts: ErrorCounts) -> float | None:
    """The error rate (S+D+I)/N of any counts in percent, as ``Measure.percent`` gives it."""
    return WER.percent(counts)


def count_columns(counts: ErrorCounts) -> dict[str, int]:
    """The counts that stand next to a measure in every table, by their column."""
    return {
        "S": counts.substitutions,
        "D": counts.deletions,
        "I": counts.insertions,
        "errors": counts.errors,
        "N": counts.reference_length,
    }


COUNT_COLUMNS = tuple(count_columns(ErrorCounts()))
