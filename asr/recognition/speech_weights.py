"""The speech gate's logistic regression over the measures of speech_signal.window_measures, in their order.

Written by benchmarks/fit_speech_gate.py from 3600 recordings of speech and 1280 sounds that are none.
"""

WEIGHTS: tuple[float, ...] = (
    5.9919,
    -2.5414,
    1.8479,
    -1.9325,
    5.0034,
    0.6960,
    -1.7315,
    0.3091,
    -0.6099,
    -0.2682,
    2.1625,
    -1.9234,
    0.9794,
    0.8377,
    -0.3728,
    3.2481,
    3.8140,
    -2.6821,
    1.1647,
    -0.0609,
    1.2529,
    -0.3379,
    1.2452,
    1.0457,
    -0.1779,
    0.4325,
    0.1502,
    0.1745,
    0.9983,
    0.6560,
)
BIAS = -5.5900
