"""Reports hold the corpus figures, by hand and by jiwer, and refuse sides that do not match."""

import jiwer
import pytest

from asr.errors import ScoringError
from asr.scoring.counts import ErrorCounts
from asr.scoring.report import score_texts, texts_by_id
from asr.text.normalize import NORMALIZERS

BASIC = NORMALIZERS["basic"]
NONE = NORMALIZERS["none"]
REFERENCES = {"u1": "Hello, World!", "u2": "one two three", "u3": ""}
HYPOTHESES = {"u3": "uh oh", "u2": "one too", "u1": "hello world"}


def test_normalised_and_raw_counts_stand_side_by_side() -> None:
    report = score_texts(REFERENCES, HYPOTHESES, normalizer=BASIC)
    assert report.normalizer == "basic v1"
    assert report.words == ErrorCounts(hits=3, substitutions=1, deletions=1, insertions=2)
    assert report.raw_words == ErrorCounts(hits=1, substitutions=3, deletions=1, insertions=2)
    assert [u.id for u in report.utterances] == ["u1", "u2", "u3"]
    assert report.utterances[0].hypothesis_normalized == "hello world"
    assert report.utterances[0].reference == "Hello, World!"


def test_corpus_rates_equal_jiwer_on_the_same_text() -> None:
    report = score_texts(REFERENCES, HYPOTHESES, normalizer=NONE)
    pairs = [(REFERENCES[key], HYPOTHESES[key]) for key in REFERENCES]
    references, hypotheses = map(list, zip(*pairs, strict=True))
    assert report.words.rate == pytest.approx(jiwer.wer(references, hypotheses))
    assert report.characters.rate == pytest.approx(jiwer.cer(references, hypotheses))


def test_composed_and_decomposed_text_are_equal_even_without_a_normaliser() -> None:
    report = score_texts({"u": "cafe\u0301"}, {"u": "caf\u00e9"}, normalizer=NONE)
    assert report.raw_words == report.words == ErrorCounts(hits=1)
    assert report.characters == ErrorCounts(hits=4)


def test_speakers_are_summed_apart_and_unknown_speakers_are_in_no_group() -> None:
    report = score_texts(REFERENCES, HYPOTHESES, normalizer=BASIC, speakers={"u1": "ann", "u2": "bob"})
    assert list(report.by_speaker) == ["ann", "bob"]
    assert report.by_speaker["ann"].words == ErrorCounts(hits=2)
    assert report.by_speaker["bob"].words == ErrorCounts(hits=1, substitutions=1, deletions=1)
    assert report.by_speaker["bob"].utterances == 1


def test_utterances_without_reference_words_are_known_and_their_insertions_count() -> None:
    report = score_texts(REFERENCES, HYPOTHESES, normalizer=BASIC)
    assert [u.id for u in report.without_reference_words] == ["u3"]
    assert report.words.insertions == 2


def test_a_reference_of_punctuation_has_no_words_once_normalised() -> None:
    report = score_texts({"u": "..."}, {"u": ""}, normalizer=BASIC)
    assert report.words == ErrorCounts()
    assert report.raw_words == ErrorCounts(deletions=1)
    assert len(report.without_reference_words) == 1


def test_worst_utterances_come_by_errors_then_rate_then_id() -> None:
    references = {"d": "a", "c": "a b", "b": "a b", "a": "a b c d", "right": "a"}
    hypotheses = {"d": "x", "c": "x b", "b": "x b", "a": "x y c d", "right": "a"}
    report = score_texts(references, hypotheses, normalizer=BASIC)
    assert [u.id for u in report.worst(10)] == ["a", "d", "b", "c"]
    assert [u.id for u in report.worst(1)] == ["a"]
    assert report.worst(0) == []


def test_audio_is_known_only_if_every_duration_is() -> None:
    texts = {"a": "x", "b": "y"}
    known = score_texts(texts, texts, normalizer=BASIC, durations_s={"a": 1.5, "b": 2.0})
    partly = score_texts(texts, texts, normalizer=BASIC, durations_s={"a": 1.5})
    assert known.audio_s == 3.5
    assert partly.audio_s is None


def test_ids_that_do_not_match_are_one_error_with_counts_ids_and_remedy() -> None:
    references = {f"r{n}": "x" for n in range(8)} | {"both": "x"}
    with pytest.raises(ScoringError) as caught:
        score_texts(references, {"both": "x", "extra": "y"}, normalizer=BASIC)
    message = str(caught.value)
    assert "9 references and 2 hypotheses" in message
    assert "8 without a hypothesis: 'r0', 'r1', 'r2', 'r3', 'r4', … (3 more)" in message
    assert "1 without a reference: 'extra'" in message
    assert "Give each reference id one hypothesis" in message
    assert "\n" not in message


def test_nothing_to_score_is_an_error_and_not_zero_percent() -> None:
    with pytest.raises(ScoringError, match="nothing to score"):
        score_texts({}, {}, normalizer=BASIC)


def test_duplicate_ids_are_one_error() -> None:
    assert texts_by_id([("a", "x"), ("b", "y")], "references") == {"a": "x", "b": "y"}
    with pytest.raises(ScoringError, match="3 references have only 2 different ids; given more than once: 'a'"):
        texts_by_id([("a", "x"), ("b", "y"), ("a", "z")], "references")
