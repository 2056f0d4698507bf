"""How a transcript is judged: by what the model recognises, and by how unlikely the text is. Emissions are handmade."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from asr.data.manifest import Utterance
from asr.errors import AudioError
from asr.recognition.suspects import NATS_PER_EDIT, judge_transcript, most_suspicious, rank_suspects
from asr.recognition.windows import Emissions
from asr.text.tokenizer import CharacterTokenizer

TOKENIZER = CharacterTokenizer([" ", *"abcd"])


def said(text: str, sure: float = 0.9, frames: int = 0) -> Emissions:
    """Each character in a frame of its own, with probability ``sure``, and a blank after it."""
    path = [token for character in text for token in (*TOKENIZER.encode(character), 0)]
    path += [0] * (frames - len(path))
    rest = (1 - sure) / (TOKENIZER.vocab_size - 1)
    probabilities = np.full((len(path), TOKENIZER.vocab_size), rest, np.float32)
    probabilities[np.arange(len(path)), path] = sure
    return Emissions(np.log(probabilities), 0.04, 0.0, 0.04 * len(path))


def given(text: str, name: str = "u") -> Utterance:
    return Utterance(id=name, audio="/a.wav", duration_s=1.0, text=text)


def ranks(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Ids, the most suspicious first, of (recognised, given) pairs called 0, 1, ..."""
    utterances = [given(text, str(number)) for number, (_, text) in enumerate(pairs)]
    ranking = rank_suspects(utterances, [said(text) for text, _ in pairs], TOKENIZER)
    return [one.utterance.id for one in ranking.suspects]


def test_the_text_that_the_model_recognises_is_not_suspicious() -> None:
    suspect = judge_transcript(given("ab ba"), said("ab ba"), TOKENIZER)

    assert suspect.hypothesis == "ab ba" and suspect.edits == 0
    assert suspect.score < 0.05


def test_edits_and_nats_are_per_character_of_the_text_given() -> None:
    suspect = judge_transcript(given("b"), said("a"), TOKENIZER)

    # two frames, "a" and blank with 0.9, each other token with 0.02; the paths that spell b: b-, -b, bb
    p, q = 0.9, 0.02
    text = q * p + q * q + q * q
    assert suspect.edits == 1
    assert suspect.nats == pytest.approx(math.log(p * p) - math.log(text), rel=1e-4)
    assert suspect.score == pytest.approx(1 + suspect.nats / NATS_PER_EDIT)


def test_wrong_truncated_and_slightly_wrong_texts_come_before_right_ones() -> None:
    pairs = [("ab cd ab", "ab cd ab"), ("ab cd ab", "dc ba dc"), ("ab cd ab", "ab"), ("ab cd ab", "ab cd ad")]

    assert ranks(pairs)[-1] == "0" and ranks(pairs)[-2] == "3"


def test_what_cannot_be_spelled_comes_first_and_says_why() -> None:
    assert ranks([("ab", "ab"), ("ab", "a7"), ("ab", "cd")])[0] == "1"
    assert "7" in judge_transcript(given("a7"), said("ab"), TOKENIZER).note
    assert "frames" in judge_transcript(given("abcdabcd"), said("ab"), TOKENIZER).note
    assert judge_transcript(given(""), said("ab"), TOKENIZER).score == math.inf


def test_case_and_punctuation_that_the_model_never_saw_do_not_count() -> None:
    assert judge_transcript(given("Ab, BA!"), said("ab ba"), TOKENIZER).edits == 0


def test_the_model_s_own_doubt_counts_less() -> None:
    doubtful = judge_transcript(given("ab"), said("ac", sure=0.3), TOKENIZER)
    sure = judge_transcript(given("ab"), said("ac", sure=0.99), TOKENIZER)

    assert doubtful.edits == sure.edits and doubtful.score < sure.score


def test_recordings_that_cannot_be_recognised_are_listed_separately() -> None:
    ranking = rank_suspects([given("ab", "1"), given("ab", "2")], [AudioError("gone"), said("ab")], TOKENIZER)

    assert [one.utterance.id for one in ranking.suspects] == ["2"]
    assert [one.id for one, _ in ranking.failed] == ["1"]


def test_a_share_and_a_threshold_choose_from_the_head() -> None:
    utterances = [given("ab", str(number)) for number in range(10)]
    ranked = rank_suspects(utterances, [said("cd" if n == 7 else "ab") for n in range(10)], TOKENIZER).suspects

    assert [one.utterance.id for one in most_suspicious(ranked, share=0.1)] == ["7"]
    assert [one.utterance.id for one in most_suspicious(ranked, threshold=1.0)] == ["7"]
    assert len(most_suspicious(ranked, share=0.3)) == 3 and len(most_suspicious(ranked, share=0.3, threshold=1.0)) == 1
