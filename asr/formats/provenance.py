"""Where a transcript comes from: what the formats say about it beside the words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """``audio``: the recording's path or name; ``channel``: which one was heard, from 0, None for the mix of all.

    ``model``: its directory; ``model_sha256``: of its weights; ``settings``: what else decided on the text.
    """

    audio: str = ""
    channel: int | None = None
    model: str = ""
    model_sha256: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
