"""A manifest without the utterances that checks found wrong.

In: utterances, findings, and the kinds of finding to act on. Out: what stays, and what went, kind by kind; nothing is
mended in place and the recordings are not touched.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asr.data.manifest import Utterance
from asr.data.quality import Finding
from asr.errors import UsageError

# Kinds that name utterances; True: left out by default, because nothing can be learned from them, or worse.
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
    "likely wrong transcript": True,  # there are none unless a share of suspects was asked for
}


@dataclass(frozen=True, slots=True)
class Mended:
    """``kept`` utterances in their order; ``removed``: ids by kind, each id under the first kind that named it."""

    kept: list[Utterance]
    removed: dict[str, list[str]]


def slug(kind: str) -> str:
    """The kind as it is typed: ``same-sound-twice``, ``offset-dc``."""
    return kind.lower().replace(" ", "-").replace("(", "").replace(")", "")


def choose_kinds(words: Iterable[str]) -> list[str]:
    """Kinds from what a person typed: slugs, ``default``, ``all``, and ``no-`` slugs that take one out again.

    Raises UsageError naming the choices.
    """
    slugs = {slug(kind): kind for kind in KINDS}
    chosen: dict[str, None] = {}
    for word in words:
        if word in ("default", "all"):
            chosen |= dict.fromkeys(kind for kind, usual in KINDS.items() if usual or word == "all")
        elif word in slugs:
            chosen[slugs[word]] = None
        elif word.removeprefix("no-") in slugs:
            chosen.pop(slugs[word.removeprefix("no-")], None)
        else:
            raise UsageError(f"--fix-kinds: {word!r} is unknown; choose of: default, all, {', '.join(slugs)}")
    return list(chosen)


def mend(utterances: Sequence[Utterance], findings: Iterable[Finding], kinds: Iterable[str]) -> Mended:
    """Leave out what findings of these kinds name; of the same sound under one text the first stays."""
    by_kind: dict[str, list[str]] = {kind: [] for kind in kinds}
    present = {utterance.id for utterance in utterances}
    gone: set[str] = set()
    for finding in findings:
        if finding.kind in by_kind:
            new = [one for one in dict.fromkeys(finding.ids) if one in present and one not in gone]
            by_kind[finding.kind] += new
            gone.update(new)
    kept = [utterance for utterance in utterances if utterance.id not in gone]
    return Mended(kept, {kind: ids for kind, ids in by_kind.items() if ids})
