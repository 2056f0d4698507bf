"""Counts equal jiwer's on any pair, and the empty cases come out as counting by hand gives them."""

import math

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.scoring.counts import (
    ErrorCounts,
    Operation,
    align_words,
    count_character_errors,
    count_errors,
    count_word_errors,
)

# Few words, so that random pairs share many; long enough for jiwer and ours to have choices between alignments.
WORDS = st.lists(st.sampled_from(["a", "b", "c", "the", "caf\u00e9", "\u4f60\u597d", "it's"]), max_size=14)
HARD_WORDS = [
    *("caf\u00e9", "cafe\u0301", "cafe", "\ufb01n", "fin", "stra\u00dfe", "strasse", "well-known", "well", "known"),
    *(
        "wellknown",
        "\u0645\u0631\u062d\u0628\u0627",
        "\u0915\u094d\u092f\u093e",
        "\U0001f600",
        "THE",
        "the",
        "3.5",
        "@",
        "{",
        "(uh)",
    ),
]
TEXTS = WORDS.map(" ".join)


def as_counts(output: jiwer.WordOutput | jiwer.CharacterOutput) -> ErrorCounts:
    return ErrorCounts(output.hits, output.substitutions, output.deletions, output.insertions)


@settings(max_examples=400, deadline=None)
@given(reference=TEXTS, hypothesis=TEXTS)
def test_word_and_character_counts_equal_jiwer(reference: str, hypothesis: str) -> None:
    assert count_word_errors(reference, hypothesis) == as_counts(jiwer.process_words(reference, hypothesis))
    assert count_character_errors(reference, hypothesis) == as_counts(jiwer.process_characters(reference, hypothesis))


@settings(max_examples=150, deadline=None)
@given(
    reference=st.lists(st.sampled_from(HARD_WORDS), max_size=60).map(" ".join),
    hypothesis=st.lists(st.sampled_from(HARD_WORDS), max_size=60).map(" ".join),
)
def test_unicode_forms_hyphens_and_compounds_are_counted_as_jiwer_counts_them(reference: str, hypothesis: str) -> None:
    assert count_word_errors(reference, hypothesis) == as_counts(jiwer.process_words(reference, hypothesis))
    assert count_character_errors(reference, hypothesis) == as_counts(jiwer.process_characters(reference, hypothesis))


@settings(max_examples=100, deadline=None)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_a_corpus_total_equals_jiwer_over_the_lists(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = [r for r, _ in pairs], [h for _, h in pairs]
    total = ErrorCounts.total(count_word_errors(r, h) for r, h in pairs)
    assert total == as_counts(jiwer.process_words(references, hypotheses))
    if any(references):
        assert total.rate == pytest.approx(jiwer.wer(references, hypotheses), abs=1e-12)


@settings(max_examples=200, deadline=None)
@given(reference=TEXTS, hypothesis=TEXTS)
def test_the_alignment_holds_every_word_once_and_the_counted_operations(reference: str, hypothesis: str) -> None:
    pairs = align_words(reference, hypothesis)
    assert [p.reference for p in pairs if p.reference is not None] == reference.split()
    assert [p.hypothesis for p in pairs if p.hypothesis is not None] == hypothesis.split()
    operations = [p.operation for p in pairs]
    kinds: tuple[Operation, ...] = ("hit", "substitution", "deletion", "insertion")
    assert ErrorCounts(*(operations.count(kind) for kind in kinds)) == count_word_errors(reference, hypothesis)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("", "a b", ErrorCounts(insertions=2)),
        ("a b", "", ErrorCounts(deletions=2)),
        ("", "", ErrorCounts()),
        ("a b c d", "a x c", ErrorCounts(hits=2, substitutions=1, deletions=1)),
        ("a  b\t", " a b", ErrorCounts(hits=2)),
    ],
)
def test_words_by_hand(reference: str, hypothesis: str, expected: ErrorCounts) -> None:
    assert count_word_errors(reference, hypothesis) == expected


def test_characters_count_the_space_between_words() -> None:
    assert count_character_errors("a b", "ab") == ErrorCounts(hits=2, deletions=1)


def test_tokens_are_compared_whole() -> None:
    assert count_errors(["new york"], ["new", "york"]) == ErrorCounts(substitutions=1, insertions=1)


def test_the_corpus_rate_is_errors_over_all_words_not_a_mean_of_rates() -> None:
    total = ErrorCounts.total([ErrorCounts(hits=9, deletions=1), ErrorCounts(substitutions=2)])
    assert (total.errors, total.reference_length, total.hypothesis_length) == (3, 12, 11)
    assert total.rate == 0.25  # the mean of 10% and 100% would be 55%


def test_there_is_no_rate_over_an_empty_reference() -> None:
    assert math.isnan(ErrorCounts(insertions=2).rate)
    assert math.isnan(ErrorCounts().rate)


def test_a_rate_can_exceed_one() -> None:
    assert count_word_errors("a", "b c d").rate == 3.0
