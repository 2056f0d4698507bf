"""The drawn alignment, against drawings made by hand."""

import jiwer
from hypothesis import given
from hypothesis import strategies as st

from asr.scoring.counts import AlignedPair, align_words, alignment_block


def test_a_block_shows_substitution_deletion_and_insertion_in_columns() -> None:
    block = alignment_block(align_words("the cat sat on the mat", "the bat sat the mat today"))
    assert block.splitlines() == [
        "REF: the cat sat on the mat *****",
        "HYP: the bat sat ** the mat today",
        "OPS:     S       D          I",
    ]


def test_an_empty_hypothesis_is_drawn_as_deletions() -> None:
    assert alignment_block(align_words("one two", "")) == "REF: one two\nHYP: *** ***\nOPS: D   D"


def test_an_empty_reference_is_drawn_as_insertions() -> None:
    assert alignment_block(align_words("", "one")) == "REF: ***\nHYP: one\nOPS: I"


def test_nothing_against_nothing_is_three_empty_lines() -> None:
    assert alignment_block(align_words("", "")) == "REF:\nHYP:\nOPS:"


def test_long_alignments_are_folded_within_the_width() -> None:
    words = " ".join(["word"] * 20)
    lines = alignment_block(align_words(words, words), width=40).splitlines()
    assert max(map(len, lines)) <= 40
    assert sum(line.count("word") for line in lines if line.startswith("REF:")) == 20


def test_wide_and_combining_characters_keep_the_columns() -> None:
    block = alignment_block(align_words("\u4f60\u597d x", "hi x"))
    assert block == "REF: \u4f60\u597d x\nHYP: hi   x\nOPS: S"


def test_control_and_direction_characters_cannot_disturb_the_columns() -> None:
    block = alignment_block([AlignedPair("substitution", "a\nb", "a\u202eb")])
    assert block == "REF: a\ufffdb\nHYP: a\ufffdb\nOPS: S"


@given(*[st.lists(st.sampled_from("abcd"), max_size=8)] * 2)
def test_the_alignment_is_that_of_jiwer(reference: list[str], hypothesis: list[str]) -> None:
    found = [pair.operation for pair in align_words(" ".join(reference), " ".join(hypothesis))]
    kinds = {"equal": "hit", "substitute": "substitution", "delete": "deletion", "insert": "insertion"}
    chunks = jiwer.process_words(" ".join(reference), " ".join(hypothesis)).alignments[0]
    sizes = [max(c.ref_end_idx - c.ref_start_idx, c.hyp_end_idx - c.hyp_start_idx) for c in chunks]
    assert found == [kinds[c.type] for c, size in zip(chunks, sizes, strict=True) for _ in range(size)]
