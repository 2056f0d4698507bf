"""The result of recognition: text, words with times and confidence, n-best list."""

from dataclasses import dataclass, field

from asr.decoding.greedy import Alternative


@dataclass(frozen=True, slots=True)
class Word:
    """``text`` as it is in the hypothesis, from ``start_s`` to before ``end_s`` in seconds of the recording.

    ``confidence``: 0 to 1; the probability that the word is right where the model is calibrated (`asr calibrate`), else
    how sure the model is of the word's tokens.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """``text``; ``score``, the natural log-probability of the path that spelled it, or what ranked it (beam search).

    ``duration_s`` of the audio. ``words``: those of the text, in order, without overlap; empty where word times
    are switched off. ``confidence``: the expected share of right words, None where word times are off. ``n_best``: the
    best texts, this one first; empty where the decoder knows one only. ``evidence``: what each word's confidence was
    computed from, a row per word, see ``asr.recognition.calibration.EVIDENCE``.
    """

    text: str
    score: float
    duration_s: float
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    n_best: tuple[Alternative, ...] = ()
    evidence: tuple[tuple[float, ...], ...] = field(default=(), repr=False)
