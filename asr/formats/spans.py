"""Word times on the grid that files use, whole milliseconds: in order, never overlapping, never empty.

In: a hypothesis' words. Out: a `Span` for each. The recogniser gives such times already; rounding, and words from
elsewhere, may not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asr.errors import TranscriptError

if TYPE_CHECKING:
    from asr.recognition.hypothesis import Hypothesis, Word


@dataclass(frozen=True, slots=True)
class Span:
    """``text`` without white space at its ends, from ``start_ms`` to before ``end_ms``."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None


def word_spans(hypothesis: "Hypothesis", format_name: str) -> list[Span]:
    """The words with whole milliseconds. A word gives way to the next one's start, and keeps at least 1 ms.

    Raises:
        TranscriptError: the text has no word times, or a time is not a number.
    """
    words = [word for word in hypothesis.words if word.text.strip()]
    if hypothesis.text.strip() and not words:
        raise TranscriptError(
            f"{format_name} needs word times, and this transcript has none; ask for words, or for txt"
        )
    for word in words:
        if not (math.isfinite(word.start_s) and math.isfinite(word.end_s)):
            raise TranscriptError(f"the word {word.text!r} has no finite times: {word.start_s} to {word.end_s} s")
    spans: list[Span] = []
    for index, word in enumerate(words):
        start_ms = max(spans[-1].end_ms if spans else 0, round(word.start_s * 1000))
        end_ms = max(start_ms + 1, round(min(word.end_s, _next_start_s(words, index)) * 1000))
        spans.append(Span(_one_line(word.text), start_ms, end_ms, word.confidence))
    return spans


def duration_ms(hypothesis: "Hypothesis", spans: Sequence[Span]) -> int:
    """The recording's length in milliseconds, not less than the last word's end."""
    known_ms = round(hypothesis.duration_s * 1000) if math.isfinite(hypothesis.duration_s) else 0
    return max(known_ms, spans[-1].end_ms if spans else 0)


def _next_start_s(words: "Sequence[Word]", index: int) -> float:
    return words[index + 1].start_s if index + 1 < len(words) else math.inf


def _one_line(text: str) -> str:
    return " ".join(text.split())
