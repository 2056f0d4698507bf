"""How many more utterances or speakers would settle a comparison, and what difference a test set can show at all.

In: a ``Difference`` as measured. Out: a number of units of the same kind. The standard error of a difference shrinks
with the square root of the units; a two-sided test at level alpha finds a true difference D with the wanted power where
D is at least (z(1 - alpha/2) + z(power)) standard errors, 2.80 of them at 5 % and 80 %.

Limits: it takes the measured difference for the true one, which is the least that can be assumed and often too great;
further utterances must be of the same kind, and new speakers must speak as much as those measured.
"""

import math

from asr.scoring.significance import Difference

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
