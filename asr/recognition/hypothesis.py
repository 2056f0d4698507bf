"""The result of recognition: text, words with times and confidence, n-best list."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from asr.decoding.greedy import Alternative

_SHOWN = 200  # characters of a text


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

    def __repr__(self) -> str:
        return f"Word({self.text!r}, {self.start_s:.2f} to {self.end_s:.2f} s, confidence={self.confidence:.2f})"


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
    evidence: tuple[tuple[float, ...], ...] = ()

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        """Short: a text may have thousands of words."""
        text = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}…"
        sure = "" if self.confidence is None else f", confidence={self.confidence:.2f}"
        return f"Hypothesis({text!r}, {len(self.words)} timed words{sure}, duration_s={self.duration_s:.2f})"


def joined(parts: Sequence[tuple[float, Hypothesis]]) -> Hypothesis:
    """Consecutive parts of one recording, each with the second at which it begins, as its hypothesis."""
    if len(parts) == 1:
        return parts[0][1]
    hypotheses = [hypothesis for _, hypothesis in parts]
    words = tuple(
        replace(word, start_s=round(word.start_s + start_s, 6), end_s=round(word.end_s + start_s, 6))
        for start_s, hypothesis in parts
        for word in hypothesis.words
    )
    sure = [(one.confidence, len(one.words)) for one in hypotheses if one.confidence is not None]
    confidence = min((one for one, _ in sure), default=None)  # without a word: of the least sure silence
    if words:
        confidence = sum(one * count for one, count in sure) / len(words)
    return Hypothesis(
        text=" ".join(one.text for one in hypotheses if one.text),
        score=sum(one.score for one in hypotheses),
        duration_s=parts[-1][0] + hypotheses[-1].duration_s,
        words=words,
        confidence=confidence,
        evidence=tuple(row for one in hypotheses for row in one.evidence),
    )
