"""What a file of time-aligned annotation holds: tiers of annotations with times, and which recordings they are of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from asr.errors import DataError


@dataclass(frozen=True, slots=True)
class Annotation:
    """``text`` without white space at its ends, from ``start_s`` to ``end_s`` seconds of the recording.

    ``speaker`` where the format gives one for each annotation; else the tier's counts.

    Raises DataError where a time is infinite (a number of more than 308 digits) or no number.
    """

    start_s: float
    end_s: float
    text: str
    speaker: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_s) and math.isfinite(self.end_s)):
            raise DataError(f"has an annotation from {self.start_s} to {self.end_s} s: {self.text[:40]!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationTier:
    """A tier with its annotations in order of the file. ``kind``: its linguistic type; ``parent``: a tier's name.

    ``untimed``: texts without a time of their own or of a parent. ``recording`` and ``channel`` (from 0): where the
    file names them for the tier, as stm does.
    """

    name: str
    annotations: Sequence[Annotation]
    kind: str = ""
    participant: str = ""
    parent: str | None = None
    untimed: Sequence[str] = ()
    recording: str | None = None
    channel: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationFile:
    """The tiers of a file. ``media``: names of the recordings that it says it is of, the first one first."""

    tiers: Sequence[AnnotationTier]
    media: Sequence[str] = field(default=())
