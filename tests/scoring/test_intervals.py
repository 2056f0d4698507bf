"""Bootstrap intervals equal scipy's, hold the truth as often as they say, and are absent where nothing can be said."""

import math
import time

import numpy as np
import pytest
from scipy import stats

from asr.scoring.intervals import Interval, bootstrap_interval, unit_table, why_no_interval, widened_tail


def utterances(count: int, seed: int = 0, speakers: int = 0) -> tuple[list[int], list[int], list[int]]:
    """Errors, lengths and speakers, of unequal difficulty."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 30, count)
    who = generator.integers(0, speakers, count) if speakers else np.arange(count)
    rates = generator.gamma(2, 0.05, count) * np.exp(generator.normal(0, 0.5, speakers or count))[who]
    return generator.binomial(lengths, np.minimum(rates, 0.9)).tolist(), lengths.tolist(), who.tolist()


def ratio(errors: np.ndarray, lengths: np.ndarray, axis: int) -> np.ndarray:
    found: np.ndarray = errors.sum(axis=axis) / lengths.sum(axis=axis)
    return found


@pytest.mark.parametrize("count", [12, 300])
def test_the_interval_is_that_of_scipys_percentile_bootstrap_at_hesterbergs_levels(count: int) -> None:
    errors, lengths, _ = utterances(count)
    # Hesterberg 2015: the normal tail at sqrt(n / (n - 1)) times the t quantile
    tail = stats.norm.cdf(-stats.t.ppf(0.975, count - 1) * math.sqrt(count / (count - 1)))
    oracle = stats.bootstrap(
        (np.array(errors), np.array(lengths)),
        ratio,
        paired=True,
        method="percentile",
        n_resamples=20_000,
        confidence_level=1 - 2 * tail,
        rng=np.random.default_rng(1),
    ).confidence_interval
    ours = bootstrap_interval(errors, lengths, draws=20_000)
    assert ours is not None
    width = oracle.high - oracle.low
    assert ours.low == pytest.approx(oracle.low, abs=0.05 * width)
    assert ours.high == pytest.approx(oracle.high, abs=0.05 * width)


def test_the_levels_widen_for_few_units_only() -> None:
    assert widened_tail(0.95, 10) == pytest.approx(0.0086, abs=1e-4)  # Phi(-2.262 * sqrt(10 / 9)) = Phi(-2.3845)
    assert widened_tail(0.95, 100_000) == pytest.approx(0.025, abs=1e-5)


def test_equal_lengths_give_the_binomial_interval() -> None:
    errors = [1] * 100 + [0] * 900
    interval = bootstrap_interval(errors, [1] * 1000)
    assert interval is not None
    half = 1.96 * math.sqrt(0.1 * 0.9 / 1000)
    assert (interval.low, interval.high) == pytest.approx((0.1 - half, 0.1 + half), abs=0.0015)


def test_two_utterances_by_hand_give_the_least_and_the_greatest_rate() -> None:
    interval = bootstrap_interval([0, 2], [4, 4])
    assert interval == Interval(low=0.0, high=0.5, level=0.95, draws=10_000, unit="utterances", count=2)
    assert not interval.reliable and str(interval) == "[0.0, 50.0]"


def test_the_same_seed_gives_the_same_interval_in_whatever_order_utterances_come() -> None:
    errors, lengths, _ = utterances(50)
    first = bootstrap_interval(errors, lengths, seed=3)
    assert first == bootstrap_interval(errors[::-1], lengths[::-1], seed=3)
    assert first != bootstrap_interval(errors, lengths, seed=4)


def test_speakers_are_drawn_whole() -> None:
    errors, lengths, speakers = utterances(60, speakers=8)
    sums = unit_table([errors, lengths], speakers)
    assert sums.sum(axis=0).tolist() == [sum(errors), sum(lengths)] and len(sums) == len(set(speakers))
    by_speaker = bootstrap_interval(errors, lengths, clusters=speakers)
    of_sums = bootstrap_interval(sums[:, 0].tolist(), sums[:, 1].tolist())
    assert by_speaker is not None and of_sums is not None
    assert (by_speaker.low, by_speaker.high) == (of_sums.low, of_sums.high)
    assert (by_speaker.unit, by_speaker.count, by_speaker.reliable) == ("speakers", 8, False)


@pytest.mark.parametrize(
    ("errors", "lengths", "clusters", "reason"),
    [
        ([], [], None, "no reference holds a word"),
        ([2, 1], [0, 0], None, "no reference holds a word"),
        ([1], [4], None, "one utterance alone"),
        ([1, 0], [4, 4], ["ann", "ann"], "one speaker alone"),
        ([0, 0, 0], [3, 4, 5], None, "up to 63 % of such utterances"),  # 1 - 0.05 ** (1 / 3) = 0.63
        ([1, 2], [4, 8], None, "all utterances have the same error rate"),
    ],
)
def test_there_is_no_interval_where_resampling_says_nothing(
    errors: list[int], lengths: list[int], clusters: list[str] | None, reason: str
) -> None:
    assert bootstrap_interval(errors, lengths, clusters=clusters) is None
    assert reason in str(why_no_interval(errors, lengths, clusters))


def test_draws_in_which_nothing_was_said_are_left_out() -> None:
    interval = bootstrap_interval([1, 0, 3], [2, 2, 0])
    assert interval is not None and 0 <= interval.low < interval.high < math.inf


def test_a_level_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        bootstrap_interval([1, 0], [2, 2], level=95)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "speakers"), [(30, 0), (200, 0), (150, 12)])
def test_the_interval_holds_the_true_rate_nearly_95_times_in_100(count: int, speakers: int) -> None:
    truth = _true_rate(speakers)
    held = 0
    for seed in range(400):
        errors, lengths, who = utterances(count, seed, speakers)
        interval = bootstrap_interval(errors, lengths, clusters=who if speakers else None, draws=1_000)
        held += interval is not None and interval.low <= truth <= interval.high
    assert 0.90 <= held / 400 <= 0.98  # 92 to 94: percentiles miss above where a few utterances are far worse


def _true_rate(speakers: int) -> float:
    """Of ``utterances`` without end: difficulties are independent of lengths, so the mean rate is that of one word."""
    generator = np.random.default_rng(99)
    rates = generator.gamma(2, 0.05, 2_000_000) * np.exp(generator.normal(0, 0.5, 2_000_000))
    return float(np.minimum(rates, 0.9).mean())


@pytest.mark.slow
def test_ten_thousand_utterances_take_seconds() -> None:
    errors, lengths, _ = utterances(10_000)
    start_s = time.process_time()  # of this process alone, however busy the machine is
    assert bootstrap_interval(errors, lengths) is not None
    assert time.process_time() - start_s < 10
