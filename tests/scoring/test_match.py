"""Which hypothesis belongs to which reference: by id, by file name, by time; and what becomes of the rest."""

import itertools
from pathlib import Path

import pytest
from rapidfuzz.distance import Levenshtein

from asr.errors import ScoringError
from asr.scoring.formats import Segment, TimedWord
from asr.scoring.match import Missing, Reduce, assign_words, match
from asr.scoring.read import TextFile
from asr.scoring.report import score_texts
from asr.scoring.sclite import choose_readings
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
    return choose_readings({"a": reference}, {"a": hypothesis}, get_normalizer("basic")).references["a"]


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


def test_of_alternatives_on_both_sides_the_best_pair_counts() -> None:
    said, heard = "{ a / b c } x { d / @ }", "{ b / a c } { x / c x } d"
    readings = [
        [" ".join(one).replace("@", "").split() for one in itertools.product(*options)]
        for options in ((["a", "b c"], ["x"], ["d", "@"]), (["b", "a c"], ["x", "c x"], ["d"]))
    ]
    costs = {
        (" ".join(one), " ".join(other)): Levenshtein.distance(one, other, weights=(3, 3, 4))
        for one, other in itertools.product(*readings)
    }
    found = choose_readings({"a": said}, {"a": heard}, get_normalizer("none"))
    pair = found.references["a"], found.hypotheses["a"]
    assert costs[pair] == min(costs.values()) == 0
    assert found.marked == 1


STM = {"u1": Segment("r1", "1", 0.0, 2.0), "u2": Segment("r1", "1", 4.0, 6.0), "u3": Segment("r2", "1", 0.0, 9.0)}


def recordings(**words: list[tuple[str, float]]) -> TextFile:
    timed = {key: tuple(TimedWord(text, at, at + 0.5) for text, at in found) for key, found in words.items()}
    return TextFile(
        path=Path("x"),
        format="ctm",
        texts={key: " ".join(word.text for word in found) for key, found in timed.items()},
        words=timed,
    )


def references(segments: dict[str, Segment], speakers: dict[str, str] | None = None) -> TextFile:
    texts = dict.fromkeys(segments, "a b")
    return TextFile(path=Path("r"), format="stm", texts=texts, segments=segments, speakers=speakers or {})


def test_a_recording_without_word_times_belongs_to_its_one_segment() -> None:
    matched = match(references(STM), TextFile(path=Path("h"), format="kaldi", texts={"r2": "a b c"}), missing="skip")
    assert (matched.hypotheses, matched.how) == ({"u3": "a b c"}, "matched by recording")
    with pytest.raises(ScoringError, match=r"1 recordings have no word times.*'r1'"):
        match(references(STM), TextFile(path=Path("h"), format="kaldi", texts={"r1": "a b", "r2": "a b c"}))


def test_ids_and_recordings_match_in_any_case_on_request() -> None:
    matched = match(texts(U_1="a", u_2="b"), texts(u_1="a", U_2="b"), ignore_case=True)
    assert matched.hypotheses == {"U_1": "a", "u_2": "b"}
    heard = recordings(R1=[("a", 0.5)], r2=[("b", 1.0)])
    assert match(references(STM), heard, ignore_case=True).hypotheses == {"u1": "a", "u2": "", "u3": "b"}
    with pytest.raises(ScoringError, match="1 of 2 ids differ from another in case only"):
        match(texts(a="x", A="y"), texts(a="x"), ignore_case=True)


def test_channels_match_in_any_case() -> None:
    stm = references({"u1": Segment("r", "a", 0.0, 2.0), "u2": Segment("r", "b", 0.0, 2.0)})
    words = {key: tuple([TimedWord(text, 0.0, 1.0)]) for key, text in (("r-A", "x"), ("r-B", "y"))}
    heard = TextFile(
        path=Path("h"),
        format="ctm",
        texts={"r-A": "x", "r-B": "y"},
        segments={"r-A": Segment("r", "A", 0.0, 1.0), "r-B": Segment("r", "B", 0.0, 1.0)},
        words=words,
    )
    assert match(stm, heard).hypotheses == {"u1": "x", "u2": "y"}


def test_speakers_who_talk_at_once_are_warned_of() -> None:
    segments = {"u1": Segment("r", "1", 0.0, 3.0), "u2": Segment("r", "1", 2.0, 4.0), "u3": Segment("r", "1", 4.0, 5.0)}
    heard = recordings(r=[("a", 0.5)])
    matched = match(references(segments, {"u1": "ann", "u2": "bob", "u3": "ann"}), heard)
    assert [note for note in matched.notes() if note.startswith("1 of the segments begin while another speaker talks")]
    assert not match(references(segments, dict.fromkeys(segments, "ann")), heard).notes()


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [
        ("nothing", {"u1": "a", "u2": "b c d"}),
        ("references", {"u2": "a b c d"}),
        ("hypotheses", {"u1": "a", "u2": "b c"}),
        ("both", {"u2": "b c"}),
    ],
)
def test_either_side_is_cut_to_the_time_of_the_other(reduce: Reduce, expected: dict[str, str]) -> None:
    segments = {"u1": Segment("r1", "1", 0.0, 2.0), "u2": Segment("r1", "1", 4.0, 6.0)}
    heard = recordings(r1=[("a", 2.5), ("b", 3.6), ("c", 5.0), ("d", 6.5)])
    if reduce in ("nothing", "hypotheses"):  # with a word in the first segment, too
        heard = recordings(r1=[("a", 1.0), ("b", 3.6), ("c", 5.0), ("d", 6.5)])
    assert match(references(segments), heard, reduce=reduce).hypotheses == expected


def test_segments_with_borders_of_their_own_belong_to_conversations() -> None:
    other = TextFile(path=Path("h"), format="stm", texts={"x": "a"}, segments={"x": Segment("r1", "1", 0.0, 3.0)})
    with pytest.raises(
        ScoringError, match=r"are both segments of recordings, .*--conversation compares them by speaker"
    ):
        match(references(STM), other)
