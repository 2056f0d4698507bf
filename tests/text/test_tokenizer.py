"""Tokenizers: what is spelled is read back, the blank is id 0, and a damaged description is refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import ConfigError, DataError, ModelError, TextError
from asr.schema import build
from asr.text.basic import normalize_none
from asr.text.tokenizer import (
    BLANK_ID,
    CharacterTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    TokenizerConfig,
    UnitTokenizer,
    WordTokenizer,
    build_tokenizer,
    tokenizer_from_dict,
)

TEXTS = ["one two three", "it's a café", "你好"]
SENTENCES = [
    "the quick brown fox jumps over the lazy dog", "she sells sea shells by the sea shore", "it's a café by the sea",
    "how much wood would a woodchuck chuck", "peter piper picked a peck of pickled peppers",
    "the lazy dog sells peppers",
]  # fmt: skip


@pytest.fixture(scope="module")
def pieces() -> Tokenizer:
    pytest.importorskip("sentencepiece", reason="the sentencepiece extra is not installed")
    return build_tokenizer(TokenizerConfig(name="sentencepiece", vocab_size=60), SENTENCES)


def through_json(tokenizer: Tokenizer) -> Tokenizer:
    """As it travels in a model directory."""
    return tokenizer_from_dict(json.loads(json.dumps(tokenizer.to_dict())))


def test_the_blank_is_0_and_characters_are_sorted_by_code_point() -> None:
    tokenizer = CharacterTokenizer.from_texts(["b a", "é"])
    assert tokenizer.tokens == ("<blank>", " ", "a", "b", "é")
    assert tokenizer.vocab_size == 5 and BLANK_ID == 0
    assert tokenizer.encode("ab é") == [2, 3, 1, 4]


def test_order_and_repetition_of_the_texts_do_not_matter() -> None:
    assert CharacterTokenizer.from_texts(TEXTS).tokens == CharacterTokenizer.from_texts([*TEXTS[::-1], *TEXTS]).tokens


@given(st.data())
def test_what_is_spelled_in_characters_is_read_back(data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4))
    tokenizer = CharacterTokenizer.from_texts(texts)
    for text in texts:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text and all(0 < one < tokenizer.vocab_size for one in ids)
    assert through_json(tokenizer).tokens == tokenizer.tokens


def test_blanks_are_left_out_of_the_text() -> None:
    tokenizer = CharacterTokenizer.from_texts(["ab"])
    assert tokenizer.decode([0, 1, 0, 0, 2, 0]) == "ab" and tokenizer.decode([]) == ""


def test_characters_that_cannot_be_spelled_are_named() -> None:
    with pytest.raises(TextError) as caught:
        CharacterTokenizer.from_texts(["abc "]).encode("a cab, 4 b")
    message = str(caught.value)
    assert "',4'" in message and "'a cab, 4 b'" in message and "' abc'" in message and "\n" not in message


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_characters_at_all_are_refused(texts: list[str]) -> None:
    with pytest.raises(TextError, match="no characters"):
        CharacterTokenizer.from_texts(texts)


def units_of(texts: list[str], units: list[str] | str, graphemes: bool = False) -> UnitTokenizer:
    tokenizer = build_tokenizer(TokenizerConfig(units=units, graphemes=graphemes), texts)
    assert isinstance(tokenizer, UnitTokenizer)
    return tokenizer


def test_the_longest_unit_is_taken_and_units_that_do_not_occur_are_no_tokens() -> None:
    tokenizer = units_of(["nga sha", "shng'a n"], ["ng", "sh", "ng'", "mb", "n"])
    assert tokenizer.tokens == ("<blank>", " ", "'", "a", "g", "h", "n", "ng", "ng'", "s", "sh")
    assert [tokenizer.tokens[one] for one in tokenizer.encode("shng' nsgnga")] == [
        "sh", "ng'", " ", "n", "s", "g", "ng", "a"
    ]  # fmt: skip
    with pytest.raises(TextError, match=r"'m ŋ' of 'mŋa' are not in the vocabulary"):
        tokenizer.encode("mŋa")


def test_units_come_from_a_file_in_nfc(tmp_path: Path) -> None:
    (tmp_path / "units.txt").write_text("a\u0301a ng\nsh\tng\n", encoding="utf-8-sig")
    tokenizer = units_of(["áa áng"], str(tmp_path / "units.txt"))
    assert [tokenizer.tokens[one] for one in tokenizer.encode("áa áng")] == ["áa", " ", "á", "ng"]
    with pytest.raises(DataError, match=r"tokenizer\.units=.*none\.txt: No such file"):
        units_of(["a"], str(tmp_path / "none.txt"))


def test_a_letter_and_its_marks_are_one_token_where_asked() -> None:
    texts = ["kɔ\u0301 kɔ kɔ\u0301\u0330", "ke\u0301"]  # open o with a tone has no character of its own
    assert "\u0301" in units_of(texts, ["kɔ"]).tokens
    tokenizer = units_of(texts, [], graphemes=True)
    assert tokenizer.tokens == ("<blank>", " ", "e\u0301", "k", "ɔ", "ɔ\u0301", "ɔ\u0301\u0330")
    assert tokenizer.decode(tokenizer.encode("ke\u0301 kɔ\u0301")) == "ké kɔ\u0301", "the text is in NFC"
    with pytest.raises(TextError, match="'ɔ\u0300' of"):  # its parts are no tokens
        tokenizer.encode("kɔ\u0300")


def test_no_unit_ends_between_a_letter_and_its_mark() -> None:
    tokenizer = units_of(["ng ng\u0303"], ["ng"], graphemes=True)
    assert [tokenizer.tokens[one] for one in tokenizer.encode("ng ng\u0303")] == ["ng", " ", "n", "g\u0303"]


@given(st.data())
def test_what_is_spelled_in_units_is_read_back(data: st.DataObject) -> None:
    written = st.text(alphabet="ab\u0301\u0330ɔ ", min_size=1, max_size=12).map(normalize_none).filter(bool)
    texts = data.draw(st.lists(written, min_size=1, max_size=4))
    units = data.draw(st.lists(st.text(alphabet="abɔ\u0301", min_size=1, max_size=3), max_size=3))
    tokenizer = units_of(texts, units or ["ab"], data.draw(st.booleans()))
    again = through_json(tokenizer)
    for text in texts:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text and again.encode(text) == ids and 0 not in ids


def test_words_are_spelled_and_read_back() -> None:
    tokenizer = build_tokenizer(TokenizerConfig(name="words"), ["two one", "one  three"])
    assert isinstance(tokenizer, WordTokenizer)
    assert tokenizer.tokens == ("<blank>", "one", "three", "two")
    assert tokenizer.encode("two one three") == [3, 1, 2]
    assert tokenizer.decode([0, 3, 0, 1, 2]) == "two one three"
    assert through_json(tokenizer).tokens == tokenizer.tokens


def test_words_that_are_not_known_are_named() -> None:
    with pytest.raises(TextError, match=r"words 'four', 'nine' of 'one nine four'"):
        WordTokenizer.from_texts(["one two"]).encode("one nine four")
    with pytest.raises(TextError, match="no words"):
        WordTokenizer.from_texts([" "])


def test_pieces_spell_and_read_back(pieces: Tokenizer) -> None:
    for text in [*SENTENCES, "the sea dog", "café"]:
        ids = pieces.encode(text)
        assert pieces.decode(ids) == text
        assert all(0 < one < pieces.vocab_size for one in ids), "never the blank"
        assert pieces.decode([0, *[part for one in ids for part in (one, 0)]]) == text
    assert pieces.tokens[0] == "<blank>" and len(pieces.tokens) == pieces.vocab_size <= 60
    assert len(pieces.encode(SENTENCES[0])) < len(SENTENCES[0]), "pieces are longer than characters"


def test_pieces_survive_the_model_directory(pieces: Tokenizer) -> None:
    again = through_json(pieces)
    assert again.tokens == pieces.tokens
    assert again.encode(SENTENCES[1]) == pieces.encode(SENTENCES[1])


def test_pieces_refuse_what_they_cannot_spell(pieces: Tokenizer) -> None:
    with pytest.raises(TextError, match="'the 你 dog'"):
        pieces.encode("the 你 dog")


def test_pieces_cannot_be_learned_from_nothing() -> None:
    pytest.importorskip("sentencepiece", reason="the sentencepiece extra is not installed")
    with pytest.raises(TextError):
        SentencePieceTokenizer.from_texts([""], 60)


def test_without_the_extra_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentencepiece", None)
    with pytest.raises(ConfigError, match="pip install"):
        build_tokenizer(TokenizerConfig(name="sentencepiece"), SENTENCES)


def test_characters_are_the_default(tmp_path: Path) -> None:
    assert isinstance(build_tokenizer(TokenizerConfig(), TEXTS), CharacterTokenizer)


@pytest.mark.parametrize(
    "values",
    [
        {}, [], None, "characters", {"name": "runes"}, {"name": ["characters"]}, {"name": "characters"},
        {"name": "characters", "characters": []}, {"name": "characters", "characters": None},
        {"name": "characters", "characters": [1]}, {"name": "characters", "characters": ["a", "a"]},
        {"name": "characters", "characters": ["ab"]}, {"name": "characters", "characters": ["a", ["b"]]},
        {"name": "characters", "characters": [["a"]]}, {"name": "words"}, {"name": "words", "words": [1]},
        {"name": "units", "units": ["a b"], "graphemes": False}, {"name": "units", "units": [1], "graphemes": True},
        {"name": "units", "units": ["ab", "ab"], "graphemes": False}, {"name": "units", "units": ["ab"]},
        {"name": "words", "words": ["a b"]}, {"name": "words", "words": ["a", "a"]}, {"name": "words", "words": [""]},
    ],
)  # fmt: skip
def test_a_damaged_description_is_refused_in_one_line(values: Any) -> None:
    with pytest.raises(ModelError) as caught:
        tokenizer_from_dict(values)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("tokenizer: ")


@pytest.mark.parametrize("model", ["", "AAAA", "not base64!", 5, None])
def test_damaged_pieces_are_refused_in_one_line(model: Any) -> None:
    pytest.importorskip("sentencepiece", reason="the sentencepiece extra is not installed")
    with pytest.raises(ModelError) as caught:
        tokenizer_from_dict({"name": "sentencepiece", "model_base64": model})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"name": "runes"}, "tokenizer.name"),
        ({"vocab_size": 1}, "tokenizer.vocab_size"),
        ({"size": 3}, "tokenizer.size"),
        ({"units": ["a b"]}, "tokenizer.units"),
        ({"units": [1]}, "tokenizer.units"),
        ({"name": "words", "units": ["ng"]}, "tokenizer.units is for tokenizer.name=characters"),
        ({"name": "sentencepiece", "graphemes": True}, "tokenizer.graphemes"),
    ],
)
def test_a_wrong_setting_is_named_by_its_key(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        build(TokenizerConfig, values, "tokenizer")
