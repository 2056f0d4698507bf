"""The speech gate's logistic regression over speech_signal.window_measures, in their order.

By benchmarks/fit_speech_gate.py (its ``fit``), on 3000 recordings of speech (training parts of LibriSpeech, AN4, FSDD,
speechocean762 and digits; also in noise and quiet) and 1110 sounds that are none.
"""

WEIGHTS: tuple[float, ...] = (
    5.1089, -2.6745, 0.5008, -2.6102, 5.3227, 2.0343, -1.5030, 0.2361, -0.8582, -0.0715,
    1.9982, 0.1547, 0.0661, 0.8878, -2.1040, 3.2721, 4.3857, 1.6319, 0.9262, -0.2824,
    1.7379, -0.8887, 1.1979, 1.0272, -0.0950, 0.4507, -0.0390, 0.3485, 1.2381, 0.7305,
)  # fmt: skip
BIAS = -1.5814
