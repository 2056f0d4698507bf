"""The words whose verdict the normaliser changed: wrong as written but right as compared, or the other way round.

In: an utterance's texts, raw and normalised. Out: changes, counted over the corpus. They say what the difference
between the raw and the normalised figure consists of, so that a reader can judge whether it hides errors. Words are
followed through the normaliser by normalising each alone; where the whole text came out otherwise (twenty one is 21),
the stretch that differs is followed as a whole.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rapidfuzz.distance import Levenshtein

from asr.scoring.align import AlignedPair, align_words

SHOWN_CHANGES = 30  # in a page
_SUMMARIZED = 200


@dataclass(frozen=True, slots=True)
class Change:
    """Words of the reference and of the hypothesis (either may be empty), as written; ``forgiven``: now right."""

    reference: str
    hypothesis: str
    forgiven: bool


def verdict_changes(
    raw: tuple[str, str], normalized: tuple[str, str], normalizer: Callable[[str], str]
) -> list[Change]:
    """The changes of one utterance; ``raw`` and ``normalized`` are (reference, hypothesis)."""
    if raw == normalized:
        return []
    pairs = align_words(*raw)
    wrong = _wrong_words(align_words(*normalized), normalized)
    still = [_followed(side, whole, bad, normalizer) for side, whole, bad in zip(raw, normalized, wrong, strict=True)]
    changed: list[tuple[AlignedPair, bool | None]] = []
    i = j = 0
    for pair in pairs:
        now_wrong = (pair.reference is not None and still[0][i]) or (pair.hypothesis is not None and still[1][j])
        was_wrong = pair.operation != "hit"
        changed.append((pair, was_wrong if was_wrong != now_wrong else None))
        i += pair.reference is not None
        j += pair.hypothesis is not None
    runs = groupby(changed, key=lambda item: item[1])
    return [change for forgiven, run in runs if forgiven is not None for change in _changes(run, forgiven, normalizer)]


def count_changes(changes: Iterable[Change]) -> list[tuple[Change, int]]:
    """Most frequent first, then those that became wrong, then by alphabet."""
    counts = Counter(changes)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0].forgiven, item[0].reference, item[0].hypothesis))


def summarize_changes(changes: Sequence[tuple[Change, int]] | None) -> dict[str, Any] | None:
    """For summary.json: how many verdicts changed, and the most frequent words; None where it is not known."""
    if changes is None:
        return None
    return {
        "wrong_now_right": sum(count for change, count in changes if change.forgiven),
        "right_now_wrong": sum(count for change, count in changes if not change.forgiven),
        "words": [
            {
                "reference": change.reference,
                "hypothesis": change.hypothesis,
                "verdict": "wrong, now right" if change.forgiven else "right, now wrong",
                "times": count,
            }
            for change, count in changes[:_SUMMARIZED]
        ],
    }


def _changes(
    run: Iterable[tuple[AlignedPair, bool | None]], forgiven: bool, normalizer: Callable[[str], str]
) -> list[Change]:
    """Word by word; but where words were joined or parted (It's, it is), the stretch as a whole."""
    out: list[Change] = []
    for settled, group in groupby((pair for pair, _ in run), key=lambda pair: _is_settled(pair, normalizer)):
        members = list(group)
        out += [_change([pair], forgiven) for pair in members] if settled else [_change(members, forgiven)]
    return out


def _is_settled(pair: AlignedPair, normalizer: Callable[[str], str]) -> bool:
    """Whether the pair explains itself: the same words once normalised, each alone."""
    return pair.operation == "hit" or normalizer(pair.reference or "") == normalizer(pair.hypothesis or "")


def _change(pairs: Sequence[AlignedPair], forgiven: bool) -> Change:
    reference = " ".join(pair.reference for pair in pairs if pair.reference is not None)
    hypothesis = " ".join(pair.hypothesis for pair in pairs if pair.hypothesis is not None)
    return Change(reference, hypothesis, forgiven)


def _wrong_words(pairs: Sequence[AlignedPair], texts: tuple[str, str]) -> tuple[list[bool], list[bool]]:
    """For each word of both normalised texts whether it is part of an error."""
    reference = [pair.operation != "hit" for pair in pairs if pair.reference is not None]
    hypothesis = [pair.operation != "hit" for pair in pairs if pair.hypothesis is not None]
    return reference, hypothesis


def _followed(raw: str, normalized: str, wrong: Sequence[bool], normalizer: Callable[[str], str]) -> list[bool]:
    """For each raw word whether any of what became of it is wrong; a word of which nothing is left is not."""
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
