"""What a recogniser says about one recording."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """``text``; ``score``, the natural log-probability of the path that spelled it.

    ``duration_s`` of the audio heard.
    """

    text: str
    score: float
    duration_s: float
