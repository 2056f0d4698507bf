"""NIST's sentence segments: stretches of speech in which one system or the other errs, apart from each other.

In: the alignments of two systems with one reference. Out: the errors of both in each segment. Two errors, of
whichever system, belong to one segment unless at least two words that both systems got right lie between them (Gillick
& Cox, ICASSP 1989; ``sc_stats`` of NIST's sctk, ``MIN_NUM_GOOD`` 2): with that much right in between, errors are taken
as independent. Segments end at the end of an utterance.

The same alignments give the same segments and the same Z as ``sc_stats`` 1.3 does (a test compares them). sclite's own
alignments may differ from ours where there are several with the fewest errors, and Z with them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asr.scoring.align import AlignedPair

MIN_GOOD = 2


@dataclass(frozen=True, slots=True)
class SegmentErrors:
    """The errors of two systems in one segment; at least one of them is not 0."""

    first: int
    second: int


@dataclass(frozen=True, slots=True)
class WordOutcomes:
    """An utterance as one system heard it: which reference words are right, and the insertions before each.

    ``insertions`` has an item more than ``right``: those behind the last word.
    """

    right: tuple[bool, ...]
    insertions: tuple[int, ...]


def word_outcomes(pairs: Sequence[AlignedPair]) -> WordOutcomes:
    """What became of each reference word of an alignment."""
    right: list[bool] = []
    insertions = [0]
    for pair in pairs:
        if pair.operation == "insertion":
            insertions[-1] += 1
        else:
            right.append(pair.operation == "hit")
            insertions.append(0)
    return WordOutcomes(tuple(right), tuple(insertions))


def segment_errors(first: WordOutcomes, second: WordOutcomes, *, min_good: int = MIN_GOOD) -> list[SegmentErrors]:
    """The segments of one utterance, in order. Raises ValueError where the two have references of different lengths."""
    if len(first.right) != len(second.right):
        raise ValueError(f"the references have {len(first.right)} and {len(second.right)} words")
    segments: list[SegmentErrors] = []
    good, errors = 0, (0, 0)
    for event in _events(first, second):
        if any(event):
            good, errors = 0, (errors[0] + event[0], errors[1] + event[1])
        else:
            good += 1
        if good == min_good and any(errors):
            segments.append(SegmentErrors(*errors))
            errors = 0, 0
    return [*segments, SegmentErrors(*errors)] if any(errors) else segments


def _events(first: WordOutcomes, second: WordOutcomes) -> Iterator[tuple[int, int]]:
    """Errors of both at each place, in order; (0, 0) is a word that both got right."""
    words = [*zip(first.right, second.right, strict=True), None]
    for word, *inserted in zip(words, first.insertions, second.insertions, strict=True):
        if any(inserted):
            yield inserted[0], inserted[1]
        if word is not None:
            yield int(not word[0]), int(not word[1])
