"""A power law through error rates: known laws are found, its intervals hold what they say, doubt is said aloud."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from asr.probes.power_law import CurveFit, Estimate, Trainings, Withheld, fit_curve

MINUTES = (5.0, 10.0, 20.0, 40.0, 80.0)
WORDS = 1_000_000  # of each of two utterances: rates are exact to six digits, and resampling changes nothing


def exact(rates: Sequence[float], minutes: Sequence[float] = MINUTES, seeds: int = 2) -> Trainings:
    """Trainings with these error rates for every seed."""
    errors = [[round(rate * WORDS)] * 2 for rate in rates for _ in range(seeds)]
    places = [m for m in minutes for _ in range(seeds)]
    return Trainings(minutes=places, sizes=places, errors=np.array(errors), lengths=np.array([WORDS, WORDS]))


def fitted(trainings: Trainings) -> CurveFit:
    found = fit_curve(trainings, draws=200)
    assert isinstance(found, CurveFit), found
    return found


@pytest.mark.parametrize(("a", "b", "c"), [(1.2, 0.5, 0.0), (1.2, 0.5, 0.05), (2.0, 1.0, 0.1), (0.6, 0.25, 0.02)])
def test_a_law_without_noise_is_found(a: float, b: float, c: float) -> None:
    fit = fitted(exact([a * m**-b + c for m in MINUTES]))
    assert fit.c is not None
    assert (fit.a.value, fit.b.value) == pytest.approx((a, b), rel=0.01)
    assert fit.c.value == pytest.approx(c, abs=0.002)
    found = fit.predict(140)
    assert isinstance(found, Estimate) and found.value == pytest.approx(a * 140**-b + c, rel=0.005)


def test_three_sizes_have_no_floor_and_the_line_through_their_logarithms() -> None:
    fit = fitted(exact([0.4, 0.2, 0.1], (5, 10, 20)))
    assert fit.c is None
    assert (fit.b.value, fit.a.value) == pytest.approx((1.0, 2.0), rel=1e-4)  # 2 / m
    assert fit.at(40).value == pytest.approx(0.05, rel=1e-4)


def test_four_sizes_have_a_floor_if_there_are_trainings_enough_to_see_their_scatter() -> None:
    rates = [0.6, 0.4, 0.3, 0.25]  # 1 / m + 0.2 at m = 2.5, 5, 10, 20
    assert fitted(exact(rates, (2.5, 5, 10, 20), seeds=1)).c is None
    floor = fitted(exact(rates, (2.5, 5, 10, 20), seeds=2)).c
    assert floor is not None and floor.value == pytest.approx(0.2, abs=0.002)


def test_sizes_near_100_percent_are_left_out() -> None:
    fit = fitted(exact([1.0, 0.95, 0.4, 0.2, 0.1]))
    assert fit.left_out == [5.0, 10.0] and fit.sizes == [20.0, 40.0, 80.0]
    assert fit.b.value == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize(
    ("trainings", "reason"),
    [
        (exact([1.0, 1.0, 0.95, 0.92, 0.85]), "of 5 parts 4 are above. Train longer"),
        (exact([0.4, 0.2], (5, 10)), "and there are 2; give more --minutes"),
        (exact([0.4, 0.2, 0.1], (5, 10, 20), seeds=1), "3 trainings are too few"),
    ],
)
def test_where_there_is_no_fit_the_reason_is_given(trainings: Trainings, reason: str) -> None:
    found = fit_curve(trainings)
    assert isinstance(found, Withheld) and reason in found.reason


def noisy(rates: Sequence[float], scatter: float, words: int = 2000, minutes: Sequence[float] = MINUTES) -> Trainings:
    generator = np.random.default_rng(1)
    drawn = [rate * math.exp(scatter * generator.standard_normal()) for rate in rates for _ in range(3)]
    errors = generator.binomial(words // 100, np.clip(drawn, 0, 1)[:, None], size=(len(drawn), 100))
    places = [m for m in minutes for _ in range(3)]
    return Trainings(minutes=places, sizes=places, errors=errors, lengths=np.full(100, words // 100))


def test_a_prediction_reaches_as_far_as_the_parts_span() -> None:
    fit = fitted(exact([0.4, 0.2, 0.1], (5, 10, 20)))
    assert isinstance(fit.predict(80), Estimate)
    found = fit.predict(81)
    assert isinstance(found, Withheld) and "4.0 times the longest part" in found.reason


def test_no_prediction_where_the_wer_does_not_fall() -> None:
    found = fitted(noisy([0.3, 0.3, 0.3, 0.3, 0.3], 0.1)).predict(140)
    assert isinstance(found, Withheld) and "do not show that the WER falls" in found.reason


def test_no_prediction_where_its_interval_covers_everything() -> None:
    fit = fitted(noisy([0.5, 0.25, 0.12, 0.06, 0.03], 0.6))
    found = fit.predict(300)
    assert isinstance(found, Withheld) and "too wide to be of use" in found.reason


def test_no_errors_at_all_are_no_reason_to_fail() -> None:
    fit = fitted(noisy([0.1, 0.03, 0.01, 0.0, 0.0], 0.05, words=300))
    assert all(0 < fit.at(minutes).value < 0.5 for minutes in MINUTES)


@pytest.mark.parametrize(
    ("floor", "sizes", "simulations"),
    [
        (0.05, 5, 40),
        pytest.param(0.0, 5, 300, marks=pytest.mark.slow),
        pytest.param(0.05, 5, 300, marks=pytest.mark.slow),
        pytest.param(0.05, 4, 300, marks=pytest.mark.slow),
    ],
)
def test_the_interval_of_a_prediction_holds_nineteen_of_twenty_trainings(
    floor: float, sizes: int, simulations: int
) -> None:
    generator = np.random.default_rng(7)
    held = 0
    for number in range(simulations):
        lengths = generator.integers(3, 14, size=200)
        hard = np.exp(0.8 * generator.standard_normal(200) - 0.32)  # the utterances of this test set
        minutes = [m for m in MINUTES[:sizes] for _ in range(3)]
        one_more = minutes[-1] + 60
        rates = [(1.2 * m**-0.5 + floor) * math.exp(0.08 * generator.standard_normal()) for m in [*minutes, one_more]]
        errors = np.stack([generator.binomial(lengths, np.clip(rate * hard, 0, 1)) for rate in rates[:-1]])
        trainings = Trainings(minutes=minutes, sizes=minutes, errors=errors, lengths=lengths)
        fit = fit_curve(trainings, draws=300, seed=number)
        assert isinstance(fit, CurveFit)
        found = fit.at(one_more)
        held += found.low <= rates[-1] <= found.high
    share = held / simulations
    spread = math.sqrt(0.95 * 0.05 / simulations)
    assert 0.88 - 2 * spread < share <= 1.0, share
