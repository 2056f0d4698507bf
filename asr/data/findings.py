"""The form in which checks of data say what they found."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or looks wrong, with an utterance, a recording or a split.

    Attributes:
        severity: `error` (stops or spoils a training or a figure) or `warning` (a person should look).
        kind: what it is, in a few words; findings of one kind are counted together.
        where: the utterance's id, or the splits, or empty for the manifest as a whole.
        message: the particulars.
    """

    severity: Severity
    kind: str
    where: str
    message: str
