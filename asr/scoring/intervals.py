"""How far an error rate can be trusted: bootstrap intervals over utterances and over speakers.

In: errors and lengths of utterances, and who spoke them; or a ``ScoreReport``. Out: an ``Interval`` around the
corpus-level rate; ``RateIntervals`` of a report's measures, and the notes that say what they mean or why there is none.
A test set is a sample of all that could have been said; drawing as many utterances from it again and again, with
replacement, shows how much the rate varies from one such sample to another (Bisani & Ney, ICASSP 2004). The errors of
one speaker's utterances are correlated; drawing whole speakers takes that into account and shows what to expect of new
speakers.

Units with the same errors and the same length are alike, so a draw is a multinomial over the *kinds* of units that
there are: the same distribution as drawing indices with less work, and the order of utterances does not matter.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from asr.scoring.measures import WER, Measure, measures_in
from asr.scoring.report import ScoreReport

DRAWS = 10_000
LEVEL = 0.95
FEW_UNITS = 10  # fewer than this show too little of how much units differ; the interval comes out unreliable
_BLOCK_CELLS = 2_000_000  # of a block of draws, 8 bytes each

Unit = Literal["utterances", "speakers"]
Table = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An interval around a rate, as fractions; ``count`` units (utterances or speakers) were drawn ``draws`` times."""

    low: float
    high: float
    level: float
    draws: int
    unit: Unit
    count: int

    @property
    def reliable(self) -> bool:
        """Whether there are units enough for their spread to be known."""
        return self.count >= FEW_UNITS

    def __str__(self) -> str:
        """In percent, with the decimals that its width supports: ``[6.1, 11.0]``."""
        return bracketed(100 * self.low, 100 * self.high)


def bootstrap_interval(
    errors: Sequence[int],
    lengths: Sequence[int],
    *,
    clusters: Sequence[object] | None = None,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval | None:
    """The interval of sum(errors) / sum(lengths) under resampling of utterances, or of whole clusters (speakers).

    Percentile method. Where there are few units plain percentiles are too narrow, so their levels are widened as
    Hesterberg (The American Statistician 69, 2015, section 5.3.2) does: to those that a t distribution and the n-1
    divisor ask for. With 100 units or more that changes next to nothing.

    Args:
        errors: of each utterance.
        lengths: reference tokens of each utterance; 0 where nothing was said (its insertions count).
        clusters: who spoke each utterance; None resamples utterances.
        draws: bootstrap samples.
        level: share of samples that the interval holds, between 0 and 1.
        seed: of the generator; the same seed gives the same interval.

    Returns:
        The interval; None where there is none (``why_no_interval`` says why).
    """
    if not 0 < level < 1 or draws < 1:
        raise ValueError(f"level must lie between 0 and 1 and draws be at least 1, not {level} and {draws}")
    names = None if clusters is None else tuple(clusters)
    return _interval(tuple(errors), tuple(lengths), names, draws, level, seed)


def why_no_interval(
    errors: Sequence[int], lengths: Sequence[int], clusters: Sequence[object] | None = None
) -> str | None:
    """Why ``bootstrap_interval`` gives None for these, as the end of a sentence; None where it gives an interval."""
    units = unit_table([errors, lengths], clusters)
    noun = "utterance" if clusters is None else "speaker"
    if not units[:, 1].any():
        return "no reference holds a word"
    if len(units) < 2:
        return f"one {noun} alone cannot show how much {noun}s differ"
    if not units[:, 0].any():
        return (
            f"with no error there is nothing to resample (at 95 % confidence, up to "
            f"{100 * (1 - 0.05 ** (1 / len(units))):.2g} % of such {noun}s "
            f"have an error: none of {len(units):,} had one)"
        )
    if not residuals(units).any():
        return f"all {noun}s have the same error rate"
    return None


def unit_table(columns: Sequence[Sequence[int]], clusters: Sequence[object] | None) -> Table:
    """A row a unit: the columns' values of each utterance, or their sums over each cluster."""
    values = np.asarray(columns, dtype=np.int64).T.reshape(-1, len(columns))  # (utterances, columns)
    if clusters is None:
        return values
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} utterances but {len(clusters)} clusters")
    index: dict[object, int] = {}
    rows = [index.setdefault(cluster, len(index)) for cluster in clusters]
    sums = np.zeros((len(index), len(columns)), dtype=np.int64)
    np.add.at(sums, rows, values)
    return sums


def resampled_sums(units: Table, draws: int, generator: np.random.Generator) -> Iterator[Table]:
    """Draw ``len(units)`` rows with replacement, ``draws`` times: the columns' sums, in blocks ``(draws, columns)``."""
    kinds, counts = np.unique(units, axis=0, return_counts=True)
    shares = counts / counts.sum()
    rows = max(1, _BLOCK_CELLS // len(kinds))
    for start in range(0, draws, rows):
        drawn = generator.multinomial(len(units), shares, size=min(rows, draws - start))  # (draws, kinds)
        # as floats, because numpy multiplies whole numbers without BLAS; exact below 2**53
        yield np.rint(drawn.astype(np.float64) @ kinds.astype(np.float64)).astype(np.int64)


def residuals(units: Table) -> NDArray[np.float64]:
    """What each unit adds to the rate's error: errors less those that the common rate expects of its length."""
    errors, lengths = units[:, 0].astype(np.float64), units[:, 1].astype(np.float64)
    left: NDArray[np.float64] = errors * lengths.sum() - errors.sum() * lengths  # whole numbers: exact zeros
    left /= lengths.sum()
    return left


def widened_tail(level: float, count: int) -> float:
    """The share of draws to cut off at each end, for ``count`` units: smaller than (1 - level) / 2 (see above)."""
    from scipy.special import ndtr, stdtrit  # late: scipy takes a while to import

    quantile = stdtrit(count - 1, (1 + level) / 2) * math.sqrt(count / (count - 1))
    return float(ndtr(-quantile))


def bracketed(low: float, high: float) -> str:
    """``[6.1, 11.0]``; with two decimals where one would show less than two figures of the width."""
    places = 1 if high - low >= 1 else 2
    return f"[{low:.{places}f}, {high:.{places}f}]"


@functools.lru_cache(maxsize=256)  # the terminal, the page and summary.json show the same intervals
def _interval(
    errors: tuple[int, ...],
    lengths: tuple[int, ...],
    clusters: tuple[object, ...] | None,
    draws: int,
    level: float,
    seed: int,
) -> Interval | None:
    if why_no_interval(errors, lengths, clusters) is not None:
        return None
    units = unit_table([errors, lengths], clusters)
    sums = np.concatenate(list(resampled_sums(units, draws, np.random.default_rng(seed))))
    sums = sums[sums[:, 1] > 0]  # a draw of utterances in which nothing was said has no rate
    tail = widened_tail(level, len(units))
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [tail, 1 - tail])
    unit: Unit = "utterances" if clusters is None else "speakers"
    return Interval(low=float(low), high=float(high), level=level, draws=draws, unit=unit, count=len(units))


@dataclass(frozen=True, slots=True)
class RateIntervals:
    """The intervals of one measure; None where there is none."""

    utterances: Interval | None
    speakers: Interval | None


def rate_intervals(report: ScoreReport, measure: Measure) -> RateIntervals:
    """Intervals under resampling of utterances and, where every utterance's speaker is known, of speakers."""
    if measure.quotient is None:
        return RateIntervals(None, None)
    errors, lengths = _columns(report, measure)
    speakers = known_speakers(report)
    return RateIntervals(
        bootstrap_interval(errors, lengths),
        None if speakers is None else bootstrap_interval(errors, lengths, clusters=speakers),
    )


def known_speakers(report: ScoreReport) -> list[str] | None:
    """Who spoke each utterance; None unless that is known of all: who is unknown may be anyone."""
    speakers = [utterance.speaker for utterance in report.utterances if utterance.speaker is not None]
    return speakers if len(speakers) == len(report.utterances) else None


def limits_of(subject: str) -> str:
    """The sentence that says what intervals and verdicts (``subject``, in the plural) do not cover."""
    return (
        f"{subject} cover only the choice of recordings: they hold for more recordings of the same kind, but not for "
        "another microphone, topic or speaking style, and ignore errors in the references."
    )


def interval_notes(report: ScoreReport, *, legend: bool = True) -> list[str]:
    """What the intervals next to the rates mean, a sentence or two each; why there is none where there is none.

    ``legend``: whether the sentence that explains ``[low, high]`` is among them.
    """
    errors, lengths = _columns(report, WER)
    intervals = rate_intervals(report, WER)
    if intervals.utterances is None:
        reason = why_no_interval(errors, lengths)
        return [] if not any(lengths) else [f"no interval around the WER: {reason}"]
    count = f"{intervals.utterances.count:,} utterances"
    notes = []
    if legend:
        meaning = f"[low, high] are 95 % intervals from {DRAWS:,} bootstrap draws of the {count}"
        notes.append(f"{meaning}. {limits_of('They')}")
    if not intervals.utterances.reliable:
        notes.append(f"fewer than {FEW_UNITS} utterances: the intervals are rough and tend to be too narrow")
    return notes + _speaker_notes(report, intervals.speakers)


def summarize_intervals(report: ScoreReport) -> dict[str, Any]:
    """For summary.json: by measure and unit, in percent; null where there is no interval."""
    found = {one.key: rate_intervals(report, one) for one in measures_in("json", report) if one.quotient is not None}
    return {
        key: {"utterances": _summarized(intervals.utterances), "speakers": _summarized(intervals.speakers)}
        for key, intervals in found.items()
    }


def _speaker_notes(report: ScoreReport, interval: Interval | None) -> list[str]:
    speakers = known_speakers(report)
    if speakers is None:
        unknown = sum(utterance.speaker is None for utterance in report.utterances)
        verb = "utterance has" if unknown == 1 else "utterances have"
        return [f"no interval over speakers: {unknown:,} {verb} no speaker"] if report.by_speaker else []
    if interval is None:
        return [f"no interval over speakers: {why_no_interval(*_columns(report, WER), speakers)}"]
    note = f"resampled over the {interval.count:,} speakers, the WER's interval is {interval}; use it for new speakers"
    if not interval.reliable:
        note += f"; fewer than {FEW_UNITS} speakers, so it is rough and tends to be too narrow"
    return [note]


def _columns(report: ScoreReport, measure: Measure) -> tuple[list[int], list[int]]:
    """Numerator and denominator of a quotient, by utterance."""
    assert measure.quotient is not None
    found = [measure.quotient(getattr(utterance, measure.counts)) for utterance in report.utterances]
    return [numerator for numerator, _ in found], [denominator for _, denominator in found]


def _summarized(interval: Interval | None) -> dict[str, Any] | None:
    if interval is None:
        return None
    return {
        "low": round(100 * interval.low, 4),
        "high": round(100 * interval.high, 4),
        "level": interval.level,
        "draws": interval.draws,
        "count": interval.count,
        "reliable": interval.reliable,
    }
