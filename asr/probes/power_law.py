"""A power law through word error rates of trainings on more and more speech, and what it says about further speech.

In: for each training its minutes of speech, its size (trainings on equally long parts) and its errors on each utterance
of one test set. Out: a ``CurveFit``: WER(m) = a m**-b + c with intervals, and predictions, or a ``Withheld`` that says
why there is none.

Error rates fall with data by a power law until they reach a floor c that no amount of such data removes (Hestness et
al., arXiv:1712.00409; Rosenfeld et al., ICLR 2020). The fit minimises the squared differences of log WER, so that a
difference of a tenth of the WER counts the same everywhere. Near 100 % the law does not hold, because a model that has
learned nothing cannot be much worse: such sizes are left out. A floor is fitted where there are ``SIZES_FOR_FLOOR``
sizes or more, and trainings enough to see their scatter; otherwise c is 0, and the law may promise too much.

Intervals are from a bootstrap over test utterances and trainings together. Each draw takes as many utterances as there
are, with replacement, the same ones for all trainings; adds to each training's log WER a normal scatter of the size
that the trainings show around the fit; and fits again. The size of that scatter is itself drawn (by chi-square), so
that few trainings give wide intervals, as with Student's t. An interval at m minutes is for the WER of one training.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.scoring.intervals import resampled_sums, unit_table

DRAWS = 2000
LEVEL = 0.95
SATURATED = 0.9  # sizes with a mean WER from here on are not fitted
LEAST_SIZES = 3
SIZES_FOR_FLOOR = 4
LEAST_FREEDOM = 2  # trainings beyond the number of parameters
WIDEST = 4.0  # the upper end of a prediction's interval over the lower, at most
LARGEST_SHARE = 0.98  # of the floor in the WER at the middle of the sizes
STEEPEST = 4.0  # largest b, where there is a floor

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why there is no fit, or no prediction."""

    reason: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainings:
    """Trainings tested on the same utterances.

    ``minutes`` and ``sizes`` have an item for each training; trainings of the same size are on equally long parts.
    ``errors`` is ``(trainings, utterances)``, ``lengths`` the reference words ``(utterances,)``.
    """

    minutes: Sequence[float]
    sizes: Sequence[Hashable]
    errors: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def only(self, sizes: Sequence[Hashable]) -> "Trainings":
        """The trainings of these sizes."""
        kept = [index for index, size in enumerate(self.sizes) if size in sizes]
        return Trainings(
            minutes=[self.minutes[index] for index in kept],
            sizes=[self.sizes[index] for index in kept],
            errors=self.errors[kept],
            lengths=self.lengths,
        )

    def rates(self) -> dict[Hashable, float]:
        """The mean WER of each size, from the least minutes to the most."""
        ordered = sorted(range(len(self.sizes)), key=lambda index: self.minutes[index])
        total = int(self.lengths.sum())
        found: dict[Hashable, list[float]] = {}
        for index in ordered:
            found.setdefault(self.sizes[index], []).append(float(self.errors[index].sum()) / total)
        return {size: math.fsum(values) / len(values) for size, values in found.items()}


@dataclass(frozen=True, slots=True)
class CurveFit:
    """WER(m) = a m**-b + c, WER as a fraction, m in minutes; ``c`` is None where no floor was fitted.

    ``sizes`` are those that were fitted, ``left_out`` those near 100 %. ``scatter`` is the standard deviation of one
    training's log WER around the curve. ``least`` and ``most``: the range of minutes.
    """

    a: Estimate
    b: Estimate
    c: Estimate | None
    sizes: list[Hashable]
    left_out: list[Hashable]
    scatter: float
    least: float
    most: float
    middle: float
    parameters: Floats  # of the fit: (log WER at the middle, b, share of the floor there)
    drawn: Floats  # the same for each draw: (draws, 3)
    drawn_scatter: Floats  # what one more training adds to log WER: (draws,)

    def at(self, minutes: float) -> Estimate:
        """The WER of one training on so many minutes."""
        x = np.array([math.log(minutes / self.middle)])
        value = math.exp(_log_curve(self.parameters[None], x)[0, 0])
        return _estimate(value, np.exp(_log_curve(self.drawn, x)[:, 0] + self.drawn_scatter))

    def falls(self) -> bool:
        """Whether the curve surely falls from the least minutes to the most."""
        ends = np.log(np.array([self.least, self.most]) / self.middle)
        first, last = _log_curve(self.drawn, ends).T
        return bool(np.quantile(last - first, (1 + LEVEL) / 2) < -0.01)

    def predict(self, minutes: float) -> Estimate | Withheld:
        """The WER of a training on so many minutes, beyond those measured, where the fit supports it."""
        reach = self.most * self.most / self.least
        if minutes > reach * 1.001:
            return Withheld(
                f"{minutes:.4g} minutes are {minutes / self.most:.1f} times the longest part, and the fitted parts span"
                f" a factor of {self.most / self.least:.1f} only; with these parts predictions reach to {reach:.3g}"
                " minutes. Add shorter parts, or ask for less"
            )
        if not self.falls():
            return Withheld("the trainings do not show that the WER falls with more speech; add seeds or shorter parts")
        found = self.at(minutes)
        if found.high >= 1 or found.high > WIDEST * found.low:
            return Withheld(
                f"the interval is too wide to be of use ([{100 * found.low:.1f}, {100 * found.high:.1f}] %); add seeds,"
                " parts or test utterances"
            )
        return found


def fit_curve(trainings: Trainings, *, draws: int = DRAWS, seed: int = 0) -> CurveFit | Withheld:
    """Fit the law to the sizes whose mean WER is below ``SATURATED``. The same seed gives the same intervals."""
    rates = trainings.rates()
    sizes = [size for size, rate in rates.items() if rate < SATURATED]
    left_out = [size for size in rates if size not in sizes]
    if len(sizes) < LEAST_SIZES:
        return Withheld(_too_few(len(rates), len(left_out)))
    kept = trainings.only(sizes)
    with_floor = len(sizes) >= SIZES_FOR_FLOOR and len(kept.minutes) >= 3 + LEAST_FREEDOM
    freedom = len(kept.minutes) - (3 if with_floor else 2)
    if freedom < LEAST_FREEDOM:
        return Withheld(
            f"{len(kept.minutes)} trainings are too few to see how much they scatter around a curve; give more --seeds"
            " or --minutes"
        )
    middle = math.exp(math.fsum(map(math.log, kept.minutes)) / len(kept.minutes))
    x = np.log(np.array(kept.minutes) / middle)
    measured = _log_rates(kept.errors.sum(axis=1)[None], kept.lengths.sum()[None])
    parameters = _least_squares(measured, x, with_floor)
    left = measured - _log_curve(parameters, x)
    scatter = math.sqrt(float((left**2).sum()) / freedom)
    generator = np.random.default_rng(seed)
    resampled = _resampled(kept, draws, generator)
    sizes_drawn = scatter * np.sqrt(freedom / generator.chisquare(freedom, size=len(resampled)))
    resampled += sizes_drawn[:, None] * generator.standard_normal(resampled.shape)
    drawn = _least_squares(resampled, x, with_floor)
    (a, b, c), (all_a, all_b, all_c) = (_law(one, middle) for one in (parameters, drawn))
    return CurveFit(
        a=_estimate(float(a[0]), all_a),
        b=_estimate(float(b[0]), all_b),
        c=_estimate(float(c[0]), all_c) if with_floor else None,
        sizes=sizes,
        left_out=left_out,
        scatter=scatter,
        least=min(kept.minutes),
        most=max(kept.minutes),
        middle=middle,
        parameters=parameters[0],
        drawn=drawn,
        drawn_scatter=sizes_drawn * generator.standard_normal(len(resampled)),
    )


def _too_few(sizes: int, left_out: int) -> str:
    reason = f"a curve needs {LEAST_SIZES} parts with a WER below {SATURATED:.0%}"
    if left_out:
        return f"{reason}; of {sizes} parts {left_out} are above. Train longer (--min-steps), or on more speech"
    return f"{reason}, and there are {sizes}; give more --minutes"


def _estimate(value: float, drawn: Floats) -> Estimate:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def _log_rates(errors: NDArray[np.int64], lengths: NDArray[np.int64]) -> Floats:
    """Log WER of each draw and training; no error counts as half a one. (draws, trainings), (draws,)"""
    found: Floats = np.log(np.maximum(errors, 0.5) / lengths[:, None])
    return found


def _resampled(trainings: Trainings, draws: int, generator: np.random.Generator) -> Floats:
    """Log WERs of draws of utterances, the same for all trainings: (draws, trainings)."""
    units = unit_table([*trainings.errors.tolist(), trainings.lengths.tolist()], None)
    sums = np.concatenate(list(resampled_sums(units, draws, generator)))
    sums = sums[sums[:, -1] > 0]
    return _log_rates(sums[:, :-1], sums[:, -1])


def _log_curve(parameters: Floats, x: Floats) -> Floats:
    """Log WER at ``x`` (log of minutes over the middle): (draws, 3), (points,) -> (draws, points)."""
    level, b, share = parameters.T[:, :, None]
    found: Floats = level + np.log((1 - share) * np.exp(-b * x) + share)
    return found


def _law(parameters: Floats, middle: float) -> tuple[Floats, Floats, Floats]:
    """a, b and c of each row."""
    level, b, share = parameters.T
    return np.exp(level) * (1 - share) * middle**b, b, np.exp(level) * share


def _least_squares(y: Floats, x: Floats, with_floor: bool) -> Floats:
    """The curve of each row of ``y`` (draws, trainings) at ``x`` (trainings,): (draws, 3).

    Without a floor a straight line in logs. With one, the best of a grid over b and the floor's share (the level is
    then a mean), improved by Levenberg-Marquardt for all rows at once, within 0 <= b and 0 <= c.
    """
    if not with_floor:
        centred = x - x.mean()
        slope = y @ centred / (centred @ centred)
        return np.stack([y.mean(axis=1) - slope * x.mean(), -slope, np.zeros(len(y))], axis=1)
    b, share = (one.ravel() for one in np.meshgrid(np.linspace(0, STEEPEST, 41), np.linspace(0, LARGEST_SHARE, 25)))
    curves = _log_curve(np.stack([np.zeros_like(b), b, share], axis=1), x)
    centred = curves - curves.mean(axis=1, keepdims=True)
    best = ((centred**2).sum(axis=1) - 2 * (y - y.mean(axis=1, keepdims=True)) @ centred.T).argmin(axis=1)
    level = (y - curves[best]).mean(axis=1)
    return _improved(np.stack([level, b[best], share[best]], axis=1), y, x)


def _improved(start: Floats, y: Floats, x: Floats, rounds: int = 60) -> Floats:
    lowest, highest = np.array([-np.inf, 0.0, 0.0]), np.array([np.inf, STEEPEST, LARGEST_SHARE])
    parameters, damping = start, np.full(len(y), 1e-2)
    loss = ((y - _log_curve(parameters, x)) ** 2).sum(axis=1)
    for _ in range(rounds):
        _, b, share = parameters.T[:, :, None]
        power = np.exp(-b * x)
        inside = (1 - share) * power + share
        slopes = np.stack([np.ones_like(power), -x * (1 - share) * power / inside, (1 - power) / inside], axis=2)
        left = y - _log_curve(parameters, x)
        normal = slopes.transpose(0, 2, 1) @ slopes + damping[:, None, None] * np.eye(3)
        step = np.linalg.solve(normal, slopes.transpose(0, 2, 1) @ left[:, :, None])[:, :, 0]
        tried = np.clip(parameters + step, lowest, highest)
        tried_loss = ((y - _log_curve(tried, x)) ** 2).sum(axis=1)
        better = tried_loss < loss
        parameters = np.where(better[:, None], tried, parameters)
        loss = np.where(better, tried_loss, loss)
        damping = np.clip(np.where(better, damping * 0.3, damping * 4), 1e-12, 1e6)
    return parameters
