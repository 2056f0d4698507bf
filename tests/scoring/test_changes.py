"""The words that normalisation made right or wrong, by hand."""

import pytest

from asr.scoring.changes import AlignedTexts, count_changes, normalization_changes
from asr.scoring.changes import NormalizationChange as Change
from asr.scoring.counts import word_alignments
from asr.scoring.report import score_texts
from asr.text.normalize import get_normalizer


def changes(reference: str, hypothesis: str, name: str = "english") -> list[Change]:
    normalizer = get_normalizer(name)
    texts = (reference, hypothesis), (normalizer(reference), normalizer(hypothesis))
    written, compared = (AlignedTexts(pair, word_alignments([pair[0]], [pair[1]])[0]) for pair in texts)
    return normalization_changes(written, compared, normalizer)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("HELLO world", "hello world", [Change("HELLO", "hello", True)]),
        ("It's Mr. Smith", "it is mister Smith", [Change("It's", "it is", True), Change("Mr.", "mister", True)]),
        ("uh the cat", "the cat", [Change("uh", "", True)]),
        ("the cat", "the uh cat", [Change("", "uh", True)]),
        ("the cat", "the dog", []),
        ("the cat", "the cat", []),
        # raw: one of two words is right; compared, 21 against 22, none
        ("twenty one dogs", "twenty two dogs", [Change("twenty", "twenty", False)]),
        ("twenty-one", "21", [Change("twenty-one", "21", True)]),
    ],
)
def test_changes_by_hand(reference: str, hypothesis: str, expected: list[Change]) -> None:
    assert changes(reference, hypothesis) == expected


def test_the_normaliser_none_changes_nothing() -> None:
    assert changes("Hello, World", "hello world", "none") == []


def test_a_report_counts_them_most_frequent_first() -> None:
    references = {"a": "The cat", "b": "The dog", "c": "A colour"}
    hypotheses = {"a": "the cat", "b": "the dog", "c": "a color"}
    report = score_texts(references, hypotheses, normalizer=get_normalizer("basic"))
    assert report.changes == ((Change("The", "the", True), 2), (Change("A", "a", True), 1))
    assert count_changes([]) == []
