"""Hypotheses for tests, from plain tuples."""

from collections.abc import Sequence

from asr.recognition.hypothesis import Hypothesis, Word


def spoken(*words: tuple[str, float, float], duration_s: float | None = None, confidence: float = 0.9) -> Hypothesis:
    """A hypothesis of ``(text, start_s, end_s)`` words."""
    end_s = duration_s if duration_s is not None else max((word[2] for word in words), default=1.0)
    made = tuple(Word(text, start_s, stop_s, confidence) for text, start_s, stop_s in words)
    return Hypothesis(
        text=" ".join(word[0] for word in words), score=-1.5, duration_s=end_s, words=made, confidence=confidence
    )


def evenly(texts: Sequence[str], word_s: float = 0.3, gap_s: float = 0.05, start_s: float = 0.0) -> Hypothesis:
    """Words of equal length, one after the other."""
    step_s = word_s + gap_s
    return spoken(*((text, start_s + i * step_s, start_s + i * step_s + word_s) for i, text in enumerate(texts)))
