"""Which hypothesis belongs to which reference: by id, by file name, by time; and what becomes of the rest."""

import itertools
from pathlib import Path

import pytest
from rapidfuzz.distance import Levenshtein

from asr.errors import ScoringError
from asr.scoring.formats import Segment, TimedWord
from asr.scoring.match import Missing, assign_words, match
from asr.scoring.read import TextFile
from asr.scoring.report import score_texts
from asr.scoring.sclite import choose_alternatives
from asr.text.normalize import get_normalizer


def texts(format_name: str = "kaldi", **given: str) -> TextFile:
    return TextFile(path=Path("x"), format=format_name, texts=given)


def test_a_missing_hypothesis_is_an_error_by_default() -> None:
    matched = match(texts(a="x", b="y"), texts(a="x"))
    with pytest.raises(ScoringError, match="1 without a hypothesis: 'b'"):
        score_texts(matched.references, matched.hypotheses, normalizer=get_normalizer("none"))


@pytest.mark.parametrize(("treatment", "errors", "words"), [("as-deletions", 2, 4), ("skip", 0, 2)])
def test_missing_hypotheses_are_treated_as_asked_and_reported(treatment: Missing, errors: int, words: int) -> None:
    matched = match(texts(a="x y", b="y z"), texts(a="x y"), missing=treatment)
    report = score_texts(matched.references, matched.hypotheses, normalizer=get_normalizer("none"))
    assert (report.words.errors, report.words.reference_length) == (errors, words)
    assert matched.notes()[0].startswith("no hypothesis for 1 of 2 references: ")
    assert matched.figures()["missing_hypotheses"] == {"count": 1, "treatment": treatment, "ids": ["b"]}


def test_extra_hypotheses_are_an_error_unless_skipped() -> None:
    matched = match(texts(a="x"), texts(a="x", c="z"))
    with pytest.raises(ScoringError, match="1 without a reference: 'c'"):
        score_texts(matched.references, matched.hypotheses, normalizer=get_normalizer("none"))
    matched = match(texts(a="x"), texts(a="x", c="z"), extra="skip")
    assert (matched.hypotheses, matched.extra) == ({"a": "x"}, ["c"])
    assert matched.notes() == ["no reference for 1 of the hypotheses: they are not scored"]


def test_ids_that_are_paths_match_by_the_files_name() -> None:
    given = TextFile(path=Path("x"), format="jsonl", texts={"/data/a.wav": "x", "/data/b.v2.flac": "y"})
    matched = match(TextFile(path=Path("x"), format="kaldi", texts={"a": "x", "b.v2": "y"}), given)
    assert (matched.hypotheses, matched.how) == ({"a": "x", "b.v2": "y"}, "matched by file name")


def test_names_that_come_twice_match_nothing() -> None:
    given = TextFile(path=Path("x"), format="jsonl", texts={"/one/a.wav": "x", "/two/a.wav": "y"})
    assert match(texts(a="x"), given).hypotheses == given.texts


def test_a_word_goes_to_the_first_segment_that_ends_after_its_middle() -> None:
    # as sclite does it: see tests/scoring/test_sclite.py
    words = [TimedWord(f"{m}", m - 0.125, m + 0.125) for m in (0.25, 1.75, 2.0, 3.0, 5.5, 8.5)]
    segments = {"one": Segment("r", "1", 0.5, 2.0), "two": Segment("r", "1", 5.0, 6.0)}
    dealt, outside = assign_words(words, segments)
    found = {key: " ".join(word.text for word in inside) for key, inside in dealt.items()}
    assert (found, outside) == ({"one": "0.25 1.75", "two": "2.0 3.0 5.5 8.5"}, 4)


def test_transcripts_of_recordings_are_dealt_out_to_a_manifests_segments() -> None:
    references = TextFile(
        path=Path("x"),
        format="jsonl",
        texts={"u1": "a", "u2": "b"},
        segments={"u1": Segment("/audio/r.wav", None, 0.0, 1.0), "u2": Segment("/audio/r.wav", None, 1.0, 2.0)},
    )
    words = (TimedWord("a", 0.2, 0.5), TimedWord("b", 1.2, 1.5))
    matched = match(references, TextFile(path=Path("x"), format="whisper", texts={"r": "a b"}, words={"r": words}))
    assert matched.hypotheses == {"u1": "a", "u2": "b"}
    untimed = TextFile(path=Path("x"), format="whisper", texts={"r": "a b"})
    with pytest.raises(ScoringError, match=r"1 recordings have no word times.*'r'\. whisper writes them with"):
        match(references, untimed)


def choose(reference: str, hypothesis: str) -> str:
    return choose_alternatives({"a": reference}, {"a": hypothesis}, get_normalizer("basic"))[0]["a"]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("{ i am / i'm } here", "I'M here", "i'm here"),
        ("{ i am / i'm } here", "i am here", "i am here"),
        ("{ uh / @ } yes", "yes", "yes"),
        ("(uh) yes", "yes", "yes"),
        ("(uh) yes", "uh yes", "uh yes"),
        ("a {b/c} d", "a c d", "a c d"),
        ("a { b / { c d / e } } f", "a c d f", "a c d f"),
        ("either/or", "either or", "either/or"),
        ("{ a / b } x", "", "a x"),
        ("plain words", "other", "plain words"),
    ],
)
def test_of_alternatives_the_one_with_the_fewest_errors_counts(reference: str, hypothesis: str, expected: str) -> None:
    assert choose(reference, hypothesis) == expected


def test_the_choice_is_the_best_of_all_combinations() -> None:
    options = [["a", "b c"], ["d", ""], ["a b", "e", "c"], ["f", "a"]]
    marked = " x ".join("{ " + " / ".join(option or "@" for option in one) + " }" for one in options)
    for heard in ("a x d x e x f", "b c x x c x a", "x x x", "b x a b x f", "c c c d e f a b"):
        every = [" x ".join(one).split() for one in itertools.product(*options)]
        costs = [Levenshtein.distance(said, heard.split(), weights=(3, 3, 4)) for said in every]
        found = choose(marked, heard).split()
        assert Levenshtein.distance(found, heard.split(), weights=(3, 3, 4)) == min(costs)
