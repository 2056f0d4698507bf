"""Words whose outcome the normaliser changed: wrong as written but right as compared, or the other way round.

In: an utterance's texts, raw and normalised. Out: ``NormalizationChange``s, counted over the corpus. They are what the
raw and the normalised error rate differ by, so that a reader can judge whether the normaliser hides errors. Each word
is normalised alone and looked up in the normalised text; where the whole text came out otherwise (twenty one is 21),
the stretch that differs is taken as a whole.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from rapidfuzz.distance import Levenshtein

from asr.scoring.counts import AlignedPair, AlignedSpan, aligned_pairs

_SUMMARIZED = 200


@dataclass(frozen=True, slots=True)
class NormalizationChange:
    """Words of the reference and of the hypothesis (either may be empty), as written.

    ``corrected``: wrong as written, right as compared; else introduced: right as written, wrong as compared.
    """

    reference: str
    hypothesis: str
    corrected: bool

    @property
    def outcome(self) -> str:
        """``corrected`` or ``introduced``: what normalisation did to the error."""
        return "corrected" if self.corrected else "introduced"


class AlignedTexts(NamedTuple):
    """Reference and hypothesis of an utterance, and the alignment of their words."""

    texts: tuple[str, str]
    spans: Sequence[AlignedSpan]


def normalization_changes(
    raw: AlignedTexts, normalized: AlignedTexts, normalizer: Callable[[str], str]
) -> list[NormalizationChange]:
    """The changes of one utterance, given as written and as compared."""
    if raw.texts == normalized.texts:
        return []
    pairs = aligned_pairs(raw.spans)
    wrong = _wrong_words(aligned_pairs(normalized.spans))
    still = [
        _wrong_after(side, whole, bad, normalizer)
        for side, whole, bad in zip(raw.texts, normalized.texts, wrong, strict=True)
    ]
    changed: list[tuple[AlignedPair, bool | None]] = []
    i = j = 0
    for pair in pairs:
        now_wrong = (pair.reference is not None and still[0][i]) or (pair.hypothesis is not None and still[1][j])
        was_wrong = pair.operation != "hit"
        changed.append((pair, was_wrong if was_wrong != now_wrong else None))
        i += pair.reference is not None
        j += pair.hypothesis is not None
    runs = groupby(changed, key=lambda item: item[1])
    return [
        change
        for corrected, run in runs
        if corrected is not None
        for change in _changed_words(run, corrected, normalizer)
    ]


def count_changes(changes: Iterable[NormalizationChange]) -> list[tuple[NormalizationChange, int]]:
    """Most frequent first, then introduced errors, then by alphabet."""
    counts = Counter(changes)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0].corrected, item[0].reference, item[0].hypothesis))


def summarize_changes(changes: Sequence[tuple[NormalizationChange, int]] | None) -> dict[str, Any] | None:
    """For summary.json: how many words changed, and the most frequent ones; None where it is not known."""
    if changes is None:
        return None
    return {
        "corrected": sum(count for change, count in changes if change.corrected),
        "introduced": sum(count for change, count in changes if not change.corrected),
        "words": [
            {
                "reference": change.reference,
                "hypothesis": change.hypothesis,
                "outcome": change.outcome,
                "times": count,
            }
            for change, count in changes[:_SUMMARIZED]
        ],
    }


def _changed_words(
    run: Iterable[tuple[AlignedPair, bool | None]], corrected: bool, normalizer: Callable[[str], str]
) -> list[NormalizationChange]:
    """Word by word; but where words were joined or split (It's, it is), the stretch as a whole."""
    out: list[NormalizationChange] = []
    for equal, group in groupby((pair for pair, _ in run), key=lambda pair: _is_equal(pair, normalizer)):
        members = list(group)
        out += [_change([pair], corrected) for pair in members] if equal else [_change(members, corrected)]
    return out


def _is_equal(pair: AlignedPair, normalizer: Callable[[str], str]) -> bool:
    """Whether both sides are the same words once normalised, each alone."""
    return pair.operation == "hit" or normalizer(pair.reference or "") == normalizer(pair.hypothesis or "")


def _change(pairs: Sequence[AlignedPair], corrected: bool) -> NormalizationChange:
    reference = " ".join(pair.reference for pair in pairs if pair.reference is not None)
    hypothesis = " ".join(pair.hypothesis for pair in pairs if pair.hypothesis is not None)
    return NormalizationChange(reference, hypothesis, corrected)


def _wrong_words(pairs: Sequence[AlignedPair]) -> tuple[list[bool], list[bool]]:
    """For each word of both normalised texts whether it is part of an error."""
    reference = [pair.operation != "hit" for pair in pairs if pair.reference is not None]
    hypothesis = [pair.operation != "hit" for pair in pairs if pair.hypothesis is not None]
    return reference, hypothesis


def _wrong_after(raw: str, normalized: str, wrong: Sequence[bool], normalizer: Callable[[str], str]) -> list[bool]:
    """For each raw word whether any word it was normalised to is wrong; False where nothing is left of it."""
    pieces: list[str] = []
    owners: list[int] = []
    words = raw.split()
    for index, word in enumerate(words):
        own = normalizer(word).split()
        pieces += own
        owners += [index] * len(own)
    whole = normalized.split()
    steps = Levenshtein.opcodes(pieces, whole)
    bad = [False] * len(words)
    for kind, run in groupby(steps, key=lambda step: step.tag == "equal"):
        members = list(run)
        for step in members if kind else []:
            for offset in range(step.src_end - step.src_start):
                bad[owners[step.src_start + offset]] |= wrong[step.dest_start + offset]
        if not kind:
            first, last = members[0], members[-1]
            for owner in owners[first.src_start : last.src_end]:
                bad[owner] |= any(wrong[first.dest_start : last.dest_end])
    return bad
