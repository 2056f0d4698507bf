"""Whether the difference of two systems on the same utterances is more than chance: four tests, and their power.

In: per utterance, the errors of both systems and the reference length, or the rates, or right and wrong. Out: a
``Difference`` with its interval and p-value, and a ``SignificanceTest`` of each other test; how many more utterances or
speakers would settle a comparison, and what difference a test set can show at all. A p-value is the probability of a
difference as great as this one if the two were equally good; all are two-sided.

**The paired bootstrap decides a verdict** (``compare.py``); the others are shown next to it. It is the only one of the
four about the WER itself and in its unit, with an interval that agrees with its p-value; it needs no normal errors, and
it can draw whole speakers. MAPSSWE takes the stretches of a speech as independent of each other, which errors of one
speaker are not, and its assumptions fail where segments are few. McNemar sees whether a sentence is right and not how
wrong it is. Wilcoxon counts a short utterance as much as a long one.

NIST's sentence segments, for MAPSSWE: two errors, of whichever system, belong to one segment unless at least two words
that both systems got right are between them (Gillick & Cox, ICASSP 1989; ``sc_stats`` of NIST's sctk, ``MIN_NUM_GOOD``
2); then errors are taken as independent. Segments end at the end of an utterance. The same alignments give the same
segments and the same Z as ``sc_stats`` 1.3 (a test compares them); sclite's own alignments may differ from ours where
several have the fewest errors, and Z with them.

Power: the standard error of a difference shrinks with the square root of the units; a two-sided test at level alpha
finds a true difference D with the wanted power where D is at least (z(1 - alpha/2) + z(power)) standard errors, 2.80 of
them at 5 % and 80 %. It takes the measured difference for the true one, which is the least that can be assumed and
often too great; further utterances must be of the same kind, and new speakers must speak as much as those measured.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.scoring.counts import AlignedPair
from asr.scoring.intervals import DRAWS, LEVEL, Unit, bracketed, resampled_sums, residuals, unit_table, widened_tail

MIN_GOOD = 2


@dataclass(frozen=True, slots=True)
class SegmentErrors:
    """The errors of two systems in one segment; at least one of them is not 0."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class WordOutcomes:
    """One system's hypothesis of an utterance: which reference words are right, and the insertions before each.

    ``insertions`` has an item more than ``right``: those behind the last word.
    """

    right: tuple[bool, ...]
    insertions: tuple[int, ...]


def word_outcomes(pairs: Sequence[AlignedPair]) -> WordOutcomes:
    """What became of each reference word of an alignment."""
    right: list[bool] = []
    insertions = [0]
    for pair in pairs:
        if pair.operation == "insertion":
            insertions[-1] += 1
        else:
            right.append(pair.operation == "hit")
            insertions.append(0)
    return WordOutcomes(tuple(right), tuple(insertions))


def segment_errors(first: WordOutcomes, second: WordOutcomes, *, min_good: int = MIN_GOOD) -> list[SegmentErrors]:
    """The segments of one utterance, in order. Raises ValueError where the two have references of different lengths."""
    if len(first.right) != len(second.right):
        raise ValueError(f"the references have {len(first.right)} and {len(second.right)} words")
    segments: list[SegmentErrors] = []
    good, errors = 0, (0, 0)
    for event in _events(first, second):
        if any(event):
            good, errors = 0, (errors[0] + event[0], errors[1] + event[1])
        else:
            good += 1
        if good == min_good and any(errors):
            segments.append(SegmentErrors(*errors))
            errors = 0, 0
    return [*segments, SegmentErrors(*errors)] if any(errors) else segments


def _events(first: WordOutcomes, second: WordOutcomes) -> Iterator[tuple[int, int]]:
    """Errors of both at each place, in order; (0, 0) is a word that both got right."""
    words = [*zip(first.right, second.right, strict=True), None]
    for word, *inserted in zip(words, first.insertions, second.insertions, strict=True):
        if any(inserted):
            yield inserted[0], inserted[1]
        if word is not None:
            yield int(not word[0]), int(not word[1])


_COUNTABLE = 20  # draws: fewer estimate a share no better than a normal distribution does


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """By how much the second system's rate exceeds the first's, and how surely; above 0 the first is better.

    All are fractions. ``standard_error`` is that of the difference, by linearisation; ``count`` units were drawn.
    """

    difference: float
    low: float
    high: float
    p_value: float
    standard_error: float
    unit: Unit
    count: int

    def __str__(self) -> str:
        """In percentage points: ``1.5 [0.4, 2.6]``; always from the better system's side."""
        sign = -1 if self.difference < 0 else 1
        low, high = sorted((100 * sign * self.low, 100 * sign * self.high))
        return f"{100 * abs(self.difference):.2f} {bracketed(low, high)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignificanceTest:
    """A test next to the verdict. ``p_value`` is None where the test says nothing; ``note`` then says why."""

    name: str
    p_value: float | None
    statistic: float | None = None
    detail: str = ""
    note: str = ""


def paired_bootstrap(
    first_errors: Sequence[int],
    second_errors: Sequence[int],
    lengths: Sequence[int],
    *,
    clusters: Sequence[object] | None = None,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> Difference | None:
    """The difference of two rates, with the interval and the p-value that resampling utterances or clusters gives.

    Both systems' errors are drawn together, so that what is hard for both cancels (Bisani & Ney, ICASSP 2004). The
    interval is ``bootstrap_interval``'s, and the p-value is its inversion: 1 - level of the widest interval that
    leaves 0 out. It is never below 2**(1 - units), all that so many units can show if every one favours one system.

    Returns None for fewer than two units and where no reference holds a token.
    """
    differences = [second - first for first, second in zip(first_errors, second_errors, strict=True)]
    units = unit_table([differences, lengths], clusters)  # errors of the difference, and length
    unit: Unit = "utterances" if clusters is None else "speakers"
    total, length = int(units[:, 0].sum()), int(units[:, 1].sum())
    if len(units) < 2 or not length:
        return None
    if not units[:, 0].any():
        return Difference(
            difference=0.0, low=0.0, high=0.0, p_value=1.0, standard_error=0.0, unit=unit, count=len(units)
        )
    sums = np.concatenate(list(resampled_sums(units, draws, np.random.default_rng(seed))))
    sums = sums[sums[:, 1] > 0]
    drawn = sums[:, 0] / sums[:, 1]
    tail = widened_tail(level, len(units))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return Difference(
        difference=total / length,
        low=float(low),
        high=float(high),
        p_value=_inverted(_share_beyond_0(drawn), len(units)),
        standard_error=math.sqrt(float((residuals(units) ** 2).sum()) * len(units) / (len(units) - 1)) / length,
        unit=unit,
        count=len(units),
    )


def mapsswe(segments: Sequence[SegmentErrors]) -> SignificanceTest:
    """NIST's matched-pairs test on sentence segments (Gillick & Cox, ICASSP 1989), as ``sc_stats -t mapsswe`` has it.

    Z is the mean difference of errors a segment over its standard error, read from the normal distribution.
    """
    name = "MAPSSWE"
    differences = np.asarray([segment.second - segment.first for segment in segments], dtype=np.float64)
    detail = f"{len(segments):,} segments"
    if not differences.any():
        return SignificanceTest(name=name, p_value=1.0, statistic=0.0, detail=detail, note="no segment differs")
    deviation = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if deviation == 0:
        return SignificanceTest(
            name=name, p_value=None, detail=detail, note="all segments differ by the same amount: no variance"
        )
    z = float(differences.mean()) / (deviation / math.sqrt(len(differences)))
    note = "fewer than 50 segments: the normal approximation is rough" if len(segments) < 50 else ""
    return SignificanceTest(name=name, p_value=math.erfc(abs(z) / math.sqrt(2)), statistic=z, detail=detail, note=note)


def mcnemar(first_right: Sequence[bool], second_right: Sequence[bool]) -> SignificanceTest:
    """McNemar's test on utterances wholly right or not, by the exact binomial distribution."""
    from scipy.stats import binomtest

    pairs = list(zip(first_right, second_right, strict=True))
    first_only, second_only = pairs.count((True, False)), pairs.count((False, True))
    name, detail = "McNemar", f"{first_only:,} utterances right only in the first, {second_only:,} only in the second"
    if not first_only + second_only:
        return SignificanceTest(name=name, p_value=1.0, detail=detail, note="the same utterances are right in both")
    result = binomtest(min(first_only, second_only), first_only + second_only)
    return SignificanceTest(name=name, p_value=float(result.pvalue), detail=detail)


def wilcoxon(first_rates: Sequence[float], second_rates: Sequence[float], unit: Unit) -> SignificanceTest:
    """Wilcoxon's signed-rank test on the rates of utterances or speakers; units that are alike in both are left out."""
    from scipy.stats import wilcoxon as signed_rank

    # rates such as 1/3 - 1/3 are exact zeros; rounding makes equal differences of other rates equal ranks
    differences = np.round(np.asarray(second_rates, dtype=np.float64) - np.asarray(first_rates, dtype=np.float64), 12)
    changed = differences[differences != 0]
    name, detail = f"Wilcoxon over {unit}", f"{len(changed):,} of {len(differences):,} {unit} differ"
    if not len(changed):
        return SignificanceTest(name=name, p_value=1.0, detail=detail, note=f"no {unit} differ")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns of ties in small samples and then uses the normal distribution
        result = signed_rank(changed)
    note = f"fewer than 6 {unit} that differ: too few for significance" if len(changed) < 6 else ""
    return SignificanceTest(
        name=name, p_value=float(result.pvalue), statistic=float(result.statistic), detail=detail, note=note
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction for many comparisons (Scandinavian Journal of Statistics 6, 1979): adjusted, in their order."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def _share_beyond_0(drawn: NDArray[np.float64]) -> float:
    """The share of draws on the other side of 0, at most a half.

    Where too few are there to be counted it is read from the normal distribution that the draws follow, lest the
    number of draws set a bound to how sure one can be; but never above what would have been counted, as a few skewed
    units would have it.
    """
    from scipy.special import ndtr

    beyond = int(min((drawn <= 0).sum(), (drawn >= 0).sum()))
    if beyond >= _COUNTABLE:
        return min(0.5, beyond / len(drawn))
    deviation = float(drawn.std())
    if not deviation:
        return 0.0
    return min(float(ndtr(-abs(drawn.mean()) / deviation)), _COUNTABLE / len(drawn))


def _inverted(share: float, units: int) -> float:
    """The p-value for a share of draws on the other side of 0: what ``widened_tail`` does, backwards."""
    from scipy.special import ndtri, stdtr

    t = float(ndtri(share)) * math.sqrt((units - 1) / units)
    return min(1.0, max(2 * float(stdtr(units - 1, t)), 2.0 ** (1 - units)))


POWER = 0.8
ALPHA = 0.05


def needed_units(measured: Difference, *, power: float = POWER, alpha: float = ALPHA) -> int | None:
    """How many units in all show the measured difference with this power; None where no difference was measured."""
    if measured.difference == 0:
        return None
    errors = _standard_errors(power, alpha) * measured.standard_error / abs(measured.difference)
    return max(2, math.ceil(measured.count * errors**2))


def detectable_difference(measured: Difference, *, power: float = POWER, alpha: float = ALPHA) -> float:
    """The least true difference (a fraction) that as many units as were measured show with this power."""
    return _standard_errors(power, alpha) * measured.standard_error


def _standard_errors(power: float, alpha: float) -> float:
    if not (0 < power < 1 and 0 < alpha < 1):
        raise ValueError(f"power and alpha must lie between 0 and 1, not {power} and {alpha}")
    from scipy.special import ndtri

    return float(ndtri(1 - alpha / 2) + ndtri(power))
