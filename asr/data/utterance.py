"""One utterance: where its sound lies, what was said, and by whom. Nothing here reads a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A piece of a recording with its transcript: one line of a manifest.

    ``audio`` is an absolute path once read from a manifest; ``start_s`` and ``duration_s`` are seconds into that file.
    ``extra`` holds any further manifest fields (age, room, ...), kept so that reports can group by them.
    """

    id: str
    audio: str
    duration_s: float
    text: str
    start_s: float = 0.0
    speaker: str | None = None
    channel: int | None = None
    extra: Mapping[str, Scalar] = field(default_factory=dict)
