"""Which tiers of an annotation file are the transcript.

In: the tiers, and what the user asked for. Out: the chosen tiers, or a message that lists all of them.
"""

import re
import unicodedata
from collections.abc import Sequence

from asr.data.annotation.records import AnnotationTier
from asr.errors import DataError
from asr.terminal import shorten

_KINDS = {"type": "kind", "participant": "participant"}
_LETTER = re.compile(r"[^\W\d_]")


def choose_tiers(tiers: Sequence[AnnotationTier], wanted: str | None) -> list[AnnotationTier]:
    """The tiers to read; none where the file has no such tier, or no text.

    Args:
        tiers: those of a file.
        wanted: names, ``type:NAME`` or ``participant:NAME`` between commas, ``*`` for any characters; white space at
            the ends and the form of Unicode do not count. None: the only tier with text; of an eaf, the tiers without
            a parent where all are of one type and hold words; of an stm, all.

    Raises:
        DataError: the choice is not clear; the message lists the tiers and completes "FILE: ".
    """
    filled = [tier for tier in tiers if tier.untimed or any(one.text for one in tier.annotations)]
    if wanted is not None:
        return [tier for tier in filled if any(_fits(tier, one.strip()) for one in wanted.split(","))]
    if len(filled) <= 1 or all(tier.recording is not None for tier in filled):
        return filled
    names = {tier.name for tier in filled}
    roots = [tier for tier in filled if tier.kind and tier.parent not in names]
    if len({tier.kind for tier in roots}) == 1 and all(map(_holds_words, roots)):
        return roots
    raise DataError(f"which tier is the transcript? Choose with tier=NAME, {_OTHERS}: {listed(tiers)}")


_OTHERS = "tier=type:NAME or tier=participant:NAME"


def listed(tiers: Sequence[AnnotationTier]) -> str:
    """The tiers with what they can be chosen by, their sizes and first texts."""
    return "; ".join(map(_described, tiers)) or "it has no tier"


def _fits(tier: AnnotationTier, wanted: str) -> bool:
    kind, colon, name = wanted.partition(":")
    value = getattr(tier, _KINDS[kind]) if colon and kind in _KINDS else tier.name
    pattern = _plain(name if colon and kind in _KINDS else wanted)
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), _plain(value)) is not None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _holds_words(tier: AnnotationTier) -> bool:
    """Not numbers of sentences, which many root tiers hold."""
    texts = [one.text for one in tier.annotations if one.text]
    return 2 * sum(_LETTER.search(text) is not None for text in texts) > len(texts)


def _described(tier: AnnotationTier) -> str:
    facts = [f"{what} {value}" for what, value in (("type", tier.kind), ("participant", tier.participant)) if value]
    count = len(tier.annotations) + len(tier.untimed)
    text = next((one.text for one in tier.annotations if one.text), None)
    example = "" if text is None else f", e.g. {shorten(text, 30)!r}"
    return f"{tier.name} ({', '.join([*facts, f'{count:,} annotations'])}{example})"
