"""A beam that is wide enough, with its bounds off, gives what counting every path gives: texts, order and scores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr.decoding import BeamConfig
from asr.decoding.beam import BeamDecoder
from asr.decoding.phone_lexicon import PhoneLexicon
from asr.text.tokenizer import CharacterTokenizer, SentencePieceTokenizer, Tokenizer, UnitTokenizer, WordTokenizer
from tests.decoding import oracles
from tests.lm.plain_query import sentence_log_prob

WIDE: dict[str, Any] = {"beam_width": 4096, "blank_skip": 1.0, "token_min_log_prob": -1000.0, "n_best": 10_000}
LETTERS = CharacterTokenizer(" ab")


def check_equal(decoder: BeamDecoder, log_probs: np.ndarray, expected: list[tuple[str, float]]) -> None:
    decoded = decoder.decode(log_probs)
    assert [one.score for one in decoded.n_best] == pytest.approx([score for _, score in expected], abs=1e-4)
    assert dict((one.text, round(one.score, 3)) for one in decoded.n_best).keys() == dict(expected).keys()
    assert {one.text: one.score for one in decoded.n_best} == pytest.approx(dict(expected), abs=1e-4)
    assert (decoded.text, decoded.score) == (decoded.n_best[0].text, decoded.n_best[0].score)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("frames", "letters"), [(6, " ab"), (4, " abcd"), (1, " ab"), (9, "a")])
def test_without_a_model(frames: int, letters: str, seed: int) -> None:
    tokenizer = CharacterTokenizer(letters)
    log_probs = oracles.emissions(frames, tokenizer.vocab_size, seed)
    expected = oracles.every_text(log_probs, tokenizer.decode)
    check_equal(BeamDecoder(tokenizer, BeamConfig(**WIDE)), log_probs, expected)


@pytest.mark.parametrize("seed", range(4))
def test_with_a_word_model(tmp_path: Path, seed: int) -> None:
    model = oracles.arpa(tmp_path, oracles.WORD_ARPA)
    log_probs = oracles.emissions(6, 4, seed)
    weights: dict[str, Any] = {"lm_weight": 0.7, "word_score": 0.4, "unk_score": -1.5}
    expected = oracles.every_text(log_probs, LETTERS.decode, lambda text: oracles.word_worth(text, model, **weights))
    decoder = BeamDecoder(LETTERS, BeamConfig(**WIDE, **weights), model)
    check_equal(decoder, log_probs, expected)
    for one in decoder.decode(log_probs).n_best:
        unknown = sum(model.word_id(word) == model.unk for word in one.text.split())
        assert one.lm_score == pytest.approx(sentence_log_prob(model, one.text.split()) - 1.5 * unknown, abs=1e-4)
        assert one.score == pytest.approx(one.ctc_score + 0.7 * one.lm_score + 0.4 * len(one.text.split()), abs=1e-9)


@pytest.mark.parametrize("words", [None, ["ab", "bba"]])
def test_units_with_a_word_model_and_a_lexicon_spell_a_word_in_every_way(
    tmp_path: Path, words: list[str] | None
) -> None:
    model = oracles.arpa(tmp_path, oracles.WORD_ARPA)
    tokenizer = UnitTokenizer([" ", "a", "ab", "b"])
    weights: dict[str, Any] = {"lm_weight": 0.7, "word_score": 0.4, "unk_score": -1.5}

    def worth(text: str) -> float:
        is_allowed = words is None or set(text.split()) <= set(words)
        return oracles.word_worth(text, model, **weights) if is_allowed else -np.inf

    log_probs = oracles.emissions(5, tokenizer.vocab_size, 1)
    decoder = BeamDecoder(tokenizer, BeamConfig(**WIDE, **weights), model, words)
    check_equal(decoder, log_probs, oracles.every_text(log_probs, tokenizer.decode, worth))


def test_units_without_spaces_with_a_character_model(tmp_path: Path) -> None:
    model = oracles.arpa(tmp_path, oracles.CHARACTER_ARPA)
    tokenizer = UnitTokenizer(["a", "ab", "b"])
    log_probs = oracles.emissions(6, tokenizer.vocab_size, 2)
    expected = oracles.every_text(
        log_probs, tokenizer.decode, lambda text: oracles.character_worth(text, model, 0.8, -2.0)
    )
    check_equal(BeamDecoder(tokenizer, BeamConfig(**WIDE, lm_weight=0.8, unk_score=-2.0), model), log_probs, expected)


@pytest.mark.parametrize("seed", range(3))
def test_with_a_character_model_that_does_not_know_every_letter(tmp_path: Path, seed: int) -> None:
    model = oracles.arpa(tmp_path, oracles.CHARACTER_ARPA)
    assert model.unit == "character"
    tokenizer = CharacterTokenizer(" abc")
    log_probs = oracles.emissions(5, 5, seed)
    expected = oracles.every_text(
        log_probs, tokenizer.decode, lambda text: oracles.character_worth(text, model, 0.8, -2.0)
    )
    check_equal(BeamDecoder(tokenizer, BeamConfig(**WIDE, lm_weight=0.8, unk_score=-2.0), model), log_probs, expected)


@pytest.mark.parametrize("unit", ["word", "character", "none"])
def test_with_a_closed_lexicon(tmp_path: Path, unit: str) -> None:
    words = ["a", "ab", "bb"]
    texts = {"word": oracles.WORD_ARPA, "character": oracles.CHARACTER_ARPA}
    model = oracles.arpa(tmp_path, texts[unit]) if unit in texts else None

    def worth(text: str) -> float:
        if not set(text.split()) <= set(words):
            return -np.inf
        if model is None:
            return 0.3 * len(text.split())
        if unit == "word":
            return oracles.word_worth(text, model, 0.7, 0.3, -1.5)
        return oracles.character_worth(text, model, 0.7, -1.5) + 0.3 * len(text.split())

    config = BeamConfig(**WIDE, lm_weight=0.7, word_score=0.3, unk_score=-1.5)
    for seed in range(3):
        log_probs = oracles.emissions(6, 4, seed)
        check_equal(
            BeamDecoder(LETTERS, config, model, words), log_probs, oracles.every_text(log_probs, LETTERS.decode, worth)
        )


@pytest.mark.parametrize("words", [None, ["ab", "ba"]])
@pytest.mark.parametrize("boosts", [{}, {"ba b": 1.5}])
@pytest.mark.parametrize("with_model", [True, False])
def test_by_phones_through_a_pronouncing_dictionary(
    tmp_path: Path, with_model: bool, boosts: dict[str, float], words: list[str] | None
) -> None:
    """With words that sound alike, several pronunciations of one, and words that begin another or are unknown."""
    sounds = {"a": ["AH", "EY AH"], "ab": ["AH B"], "b": ["B"], "ba": ["AH", "B AH"], "bb": ["B B"]}
    model = oracles.arpa(tmp_path, oracles.WORD_ARPA) if with_model else None
    phones = ["<blank>", "AH", "B", "EY"]
    allowed = sounds if words is None else {*words, *(word for phrase in boosts for word in phrase.split())}

    def worth(text: str) -> float:
        if not set(text.split()) <= set(allowed):
            return -np.inf
        unknown = sum(word == "bb" for word in text.split())
        lm = 0.7 * (sentence_log_prob(model, text.split()) - 1.5 * unknown) if model else 0.0
        return lm + 0.3 * len(text.split()) + oracles.hotword_worth(text, boosts)

    config = BeamConfig(**WIDE, lm_weight=0.7, word_score=0.3, unk_score=-1.5)
    decoder = BeamDecoder(LETTERS, config, model, words, boosts, PhoneLexicon(phones, sounds))
    for seed in range(2):
        log_probs = oracles.emissions(6, 4, seed)
        expected = oracles.every_text_by_phones(log_probs, phones, sounds, worth)
        check_equal(decoder, log_probs, expected)
        decided = BeamDecoder(LETTERS, replace(config, n_best=1), model, words, boosts, PhoneLexicon(phones, sounds))
        best = decided.decode(log_probs).text  # the others are given up on the way
        assert best == expected[0][0] or model is None  # without one, "a" is as good as "ba", and the sums differ


@pytest.mark.parametrize("with_model", [True, False])
def test_with_hotwords_that_overlap_contain_each_other_and_are_unwanted(tmp_path: Path, with_model: bool) -> None:
    model = oracles.arpa(tmp_path, oracles.WORD_ARPA) if with_model else None
    boosts = {"a b": 2.0, "b a": 1.5, "b": 0.7, "aa": 3.0, "ab": -1.0}

    def worth(text: str) -> float:
        hot = oracles.hotword_worth(text, boosts)
        if model is None:
            return hot
        known = {word for phrase in boosts for word in phrase.split()}
        unknown = sum(model.word_id(word) == model.unk and word not in known for word in text.split())
        return hot + 0.5 * (sentence_log_prob(model, text.split()) - 2.0 * unknown)

    for seed in range(3):
        log_probs = oracles.emissions(6, 4, seed)
        decoder = BeamDecoder(LETTERS, BeamConfig(**WIDE, unk_score=-2.0), model, None, boosts)
        check_equal(decoder, log_probs, oracles.every_text(log_probs, LETTERS.decode, worth))


def test_with_a_words_tokenizer(tmp_path: Path) -> None:
    model = oracles.arpa(tmp_path, oracles.WORD_ARPA)
    tokenizer = WordTokenizer(["a", "ab", "ccc"])
    log_probs = oracles.emissions(5, 4, 1)
    boosts = {"ab ab": 1.0, "ccc": 2.0}

    def worth(text: str) -> float:
        unknown = 2.0 * text.split().count("ccc")  # a hotword: no unk_score
        return oracles.word_worth(text, model, 0.5, 0.2, -2.0) + 0.5 * unknown + oracles.hotword_worth(text, boosts)

    decoder = BeamDecoder(tokenizer, BeamConfig(**WIDE, word_score=0.2, unk_score=-2.0), model, None, boosts)
    check_equal(decoder, log_probs, oracles.every_text(log_probs, tokenizer.decode, worth))


@pytest.mark.parametrize("unit", ["word", "character"])
def test_with_pieces_that_spell_one_word_in_several_ways(tmp_path: Path, unit: str) -> None:
    pytest.importorskip("sentencepiece")
    pieces = SentencePieceTokenizer.from_texts(["a ab ba b aab", "ab ab ba a", "b b a ba"] * 30, 9)
    kept = [1 + index for index, piece in enumerate(pieces.tokens[1:]) if piece != "<unk>"][:5]
    tokenizer = Subset(pieces, kept)
    model = oracles.arpa(tmp_path, oracles.WORD_ARPA if unit == "word" else oracles.CHARACTER_ARPA)
    log_probs = oracles.emissions(5, tokenizer.vocab_size, 3)

    def worth(text: str) -> float:
        if unit == "word":
            return oracles.word_worth(text, model, 0.7, 0.4, -1.5)
        return oracles.character_worth(text, model, 0.7, -1.5) + 0.4 * len(text.split())

    config = BeamConfig(**WIDE, lm_weight=0.7, word_score=0.4, unk_score=-1.5)
    expected = oracles.every_text(log_probs, tokenizer.decode, worth)
    labellings = oracles.every_labelling(log_probs)
    assert len(expected) < len(labellings) * 0.9, "or else nothing is spelled in two ways"
    check_equal(BeamDecoder(tokenizer, config, model), log_probs, expected)


class Subset:
    """Some pieces of a tokenizer, so that all paths over them can be counted."""

    def __init__(self, tokenizer: Tokenizer, kept: list[int]) -> None:
        self._tokenizer, self._kept = tokenizer, [0, *kept]
        self.tokens = tuple(tokenizer.tokens[index] for index in self._kept)
        self.vocab_size = len(self._kept)

    def encode(self, text: str) -> list[int]:
        raise NotImplementedError

    def decode(self, ids: Any) -> str:
        return self._tokenizer.decode([self._kept[index] for index in ids])

    def to_dict(self) -> dict[str, Any]:
        return self._tokenizer.to_dict()
