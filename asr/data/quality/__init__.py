"""The form in which checks of data say what they found.

What can only be known of recordings and transcripts by hearing and comparing them; `asr.data.quality.checks` calls it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or looks wrong, with an utterance, a recording or a split.

    Attributes:
        severity: `error` (stops or spoils a training or a figure), `warning` (a person should look) or `note` (told,
            not blamed).
        kind: what it is, in a few words; findings of one kind are counted together.
        where: the utterance's id, or the splits, or empty for the manifest as a whole.
        message: the particulars.
        ids: utterances that a cleaned manifest would leave out for it; of the earlier split, where it is about two.
    """

    severity: Severity
    kind: str
    where: str
    message: str
    ids: tuple[str, ...] = ()


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors, then warnings, then notes; within each as they came."""
    return sorted(findings, key=lambda finding: get_args(Severity).index(finding.severity))


def utterance_finding(severity: Severity, kind: str, identifier: str, message: str) -> Finding:
    """What is wrong with one utterance."""
    return Finding(severity=severity, kind=kind, where=identifier, message=message, ids=(identifier,))
