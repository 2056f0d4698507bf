"""When each word of an alignment was heard: the recogniser's word times laid onto the compared words.

In: what a line of results.jsonl says about its words, and the compared (normalised) hypothesis. Out: a time for each
compared word, or None. A normaliser may join, split or drop words; then only what is surely the same word gets a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rapidfuzz.distance import Levenshtein

from asr.pages.data import finite
from asr.text.normalize import normalize_basic


@dataclass(frozen=True, slots=True)
class WordTime:
    """From when to when a word was heard, in seconds of the utterance, and how sure the recogniser is (0 to 1)."""

    start_s: float
    end_s: float
    confidence: float | None


def lay_times(said: Any, compared: Sequence[str]) -> list[WordTime | None]:
    """A time for each word of ``compared``; ``said`` is the "words" of results.jsonl, whoever wrote them."""
    words = [(name, time) for one in (said if isinstance(said, list) else []) for name, time in [_read(one)] if time]
    if len(words) == len(compared):
        return [time for _, time in words]
    times: list[WordTime | None] = [None] * len(compared)
    names = [normalize_basic(name) for name, _ in words]
    for step in Levenshtein.opcodes(names, [normalize_basic(word) for word in compared]):
        if step.tag == "equal":
            for left, right in zip(
                range(step.src_start, step.src_end), range(step.dest_start, step.dest_end), strict=True
            ):
                times[right] = words[left][1]
    return times


def _read(word: Any) -> tuple[str, WordTime | None]:
    if not isinstance(word, dict):
        return "", None
    start_s, end_s = finite(word.get("start_s")), finite(word.get("end_s"))
    if start_s is None or end_s is None or not 0 <= start_s <= end_s:
        return "", None
    name = word.get("text", word.get("word"))
    return str(name or ""), WordTime(start_s, end_s, finite(word.get("confidence")))
