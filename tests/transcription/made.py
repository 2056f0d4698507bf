"""Hypotheses for tests, from plain tuples."""

from collections.abc import Sequence

from asr.recognition.hypothesis import Hypothesis, Word, merged


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


def called() -> Hypothesis:
    """A call whose channels were split: the second begins to speak before the first ends, and once in its pause."""
    first = spoken(("hello", 0.1, 0.4), ("there", 0.5, 0.9), ("fine", 3.0, 3.4), ("thanks", 3.45, 4.0), duration_s=5.0)
    second = spoken(("hi", 0.7, 1.0), ("how", 1.6, 1.8), ("are", 1.8, 2.0), ("you", 2.0, 2.3), duration_s=5.0)
    return merged([first, second])
