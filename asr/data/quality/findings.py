"""What the checks of data report: findings of named kinds, and which kinds a cleaned manifest leaves out.

In: nothing; the checks of this package build these records. Out: records that `asr check` prints and that
`asr.data.quality.clean` acts on.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from asr.errors import UsageError

Severity = Literal["error", "warning", "note"]

# Kinds that name utterances; True: left out by default, because nothing (or something wrong) is learned from them.
KINDS: Mapping[str, bool] = {
    "unreadable audio": True,
    "sound that cannot be decoded": True,
    "span outside the recording": True,
    "no such channel": True,
    "same sound in two splits": True,
    "same sound twice": True,
    "same sound with two texts": True,
    "empty text": True,
    "no words": True,
    "too few frames for the text": True,
    "impossible speech rate": True,
    "silent": True,
    "strange speech rate": False,
    "mostly silence": False,
    "clipped": False,
    "offset (DC)": False,
    "narrow band": False,
    "very short": False,
    "very long": False,
    "rest of the recording unused": False,
    "odd characters": False,
    "text not in NFC": False,
    "id with spaces": False,
    "digits among spelled words": False,
    "case unlike the rest": False,
    "punctuation unlike the rest": False,
    "compatibility characters": False,
    "two alphabets in a word": False,
    "same text twice": False,
    "speakers in two splits": False,
    "ids in two splits": False,
    "sentences in two splits": False,
    "likely wrong transcript": True,  # there are none unless suspects were chosen
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or may be wrong, with an utterance, a recording or a split.

    Attributes:
        severity: `error` (stops or spoils a training or a figure), `warning` (to be looked at) or `note` (information).
        kind: what it is, in a few words; findings of one kind are counted together.
        where: the utterance's id, or the names of the splits, or empty for the manifest as a whole.
        message: the details.
        ids: utterances that a cleaned manifest would leave out for it.
        splits: where it is about two splits, their names; `ids` are then utterances of the first.
    """

    severity: Severity
    kind: str
    where: str
    message: str
    ids: tuple[str, ...] = ()
    splits: tuple[str, str] | None = None

    @property
    def slug(self) -> str:
        """The kind as it is typed: ``same-sound-twice``, ``offset-dc``."""
        return slug(self.kind)


def utterance_finding(severity: Severity, kind: str, identifier: str, message: str) -> Finding:
    """A finding about one utterance."""
    return Finding(severity=severity, kind=kind, where=identifier, message=message, ids=(identifier,))


def manifest_finding(severity: Severity, kind: str, message: str) -> Finding:
    """A finding about a manifest as a whole."""
    return Finding(severity=severity, kind=kind, where="", message=message)


def splits_finding(
    severity: Severity, kind: str, splits: tuple[str, str], message: str, ids: tuple[str, ...] = ()
) -> Finding:
    """A finding about two splits; `ids` are utterances of the first."""
    return Finding(severity=severity, kind=kind, where=", ".join(splits), message=message, ids=ids, splits=splits)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors, then warnings, then notes; within each in the order given."""
    return sorted(findings, key=lambda finding: get_args(Severity).index(finding.severity))


def slug(kind: str) -> str:
    """A kind as it is typed: ``same-sound-twice``, ``offset-dc``."""
    return kind.lower().replace(" ", "-").replace("(", "").replace(")", "")


def choose_kinds(names: Iterable[str]) -> list[str]:
    """Kinds by their slugs; ``default`` and ``all`` add many, ``no-`` before a slug removes one that was chosen before.

    Raises:
        UsageError: a name is unknown; the message lists the choices.
    """
    slugs = {slug(kind): kind for kind in KINDS}
    chosen: dict[str, None] = {}
    for name in names:
        if name in ("default", "all"):
            chosen |= dict.fromkeys(kind for kind, usual in KINDS.items() if usual or name == "all")
        elif name in slugs:
            chosen[slugs[name]] = None
        elif name.removeprefix("no-") in slugs:
            chosen.pop(slugs[name.removeprefix("no-")], None)
        else:
            raise UsageError(f"--fix-kinds: {name!r} is unknown; choose from: default, all, {', '.join(slugs)}")
    return list(chosen)


def list_counts(counts: Counter[str]) -> str:
    """`a (3), b (1)`."""
    return ", ".join(f"{value} ({count:,})" for value, count in counts.most_common())
