"""What each normaliser makes the same, by hand-made cases."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ConfigError
from asr.text.basic import split_unspaced
from asr.text.normalize import NORMALIZERS, get_normalizer

# Any text, and text made of what rules trip over: joiners, loose accents, apostrophes, one-to-many folds.
LETTERS = "aeA1 =\u0130\u00df\u03c2\ufb01\u0149\u1fb7"
MARKS = "'-\u2019\u2010\u00b4\u00a8\u0301\u0308\u0345\u0338\u200b\u200c\ufe0f\u20e3"
TEXTS = st.text() | st.text(st.sampled_from(LETTERS + MARKS))

BASIC_CASES = [
    ("Hello, World!", "hello world"),
    ("hello,world", "hello world"),
    ("  tab\tnew\nline\u00a0nbsp  ", "tab new line nbsp"),
    ("It's", "it's"),
    ("it\u2019s it\u02bcs it`s it\u00b4s it\uff07s", "it's it's it's it's it's"),
    ("\u2018quoted\u2019 \u201cquoted\u201d 'quoted' \u00abquoted\u00bb", "quoted quoted quoted quoted"),
    ("'tis the dogs' rock 'n' roll", "tis the dogs rock n roll"),
    ("rock'n'roll", "rock'n'roll"),
    ("well-known well\u2010known well\u2011known", "well-known well-known well-known"),
    ("yes--no yes\u2014no 1990\u20132000 - x", "yes no yes no 1990 2000 x"),
    ("-5 \u22125 5-", "5 5 5"),
    ("Stra\u00dfe STRASSE", "strasse strasse"),
    ("\u039f\u0394\u039f\u03a3 \u03bf\u03b4\u03cc\u03c2", "\u03bf\u03b4\u03bf\u03c3 \u03bf\u03b4\u03cc\u03c3"),
    ("cafe\u0301 caf\u00e9", "caf\u00e9 caf\u00e9"),
    ("\uff21\uff22\uff23 \uff11\uff12 \ufb01n", "abc 12 fin"),
    ("3.5 1,000 50% $7", "3 5 1 000 50 7"),
    ("great \U0001f600 job \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f", "great job"),
    ("thumbs\U0001f44d\U0001f3fdup 1\ufe0f\u20e3", "thumbs up 1"),
    ("co\u00adoperate \ufeffbom \u200fmark", "cooperate bom mark"),
    ("one\u200btwo", "one two"),
    ("e\u200c\u0301", "\u00e9"),
    ("snake_case a/b a&b", "snake case a b a b"),
    ("\u0915\u094d\u092f\u093e-\u0915\u094d\u092f\u093e?", "\u0915\u094d\u092f\u093e-\u0915\u094d\u092f\u093e"),
    ("\u4f60\u597d\u3002\u4e16\u754c\uff01", "\u4f60\u597d \u4e16\u754c"),
    ("\u00bfQu\u00e9?", "qu\u00e9"),
    ("col\u00b7lecci\u00f3 \u00b7 punt", "col\u00b7lecci\u00f3 punt"),
    ("\u00a8 alone", "alone"),
    ("... - ' \u2026 !", ""),
    ("", ""),
]


@pytest.mark.parametrize(("text", "expected"), BASIC_CASES)
def test_basic_by_hand(text: str, expected: str) -> None:
    assert get_normalizer("basic")(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Keep  Case,\tand-marks!\r\n", "Keep Case, and-marks!"),
        ("cafe\u0301", "caf\u00e9"),
        ("\ufb01n", "\ufb01n"),  # compatibility forms are spelling: left alone
        (" \u00a0 ", ""),
    ],
)
def test_none_composes_and_collapses_only(text: str, expected: str) -> None:
    assert get_normalizer("none")(text) == expected


# by hand from the languages' own rules; "" is any language
LETTERS_CASES = [
    ("de", "Die Straße, GROẞ!", "die straße groß"),
    ("", "Die Straße", "die straße"),
    ("el", "Ο ΘΕΟΣ, σοφός.", "ο θεος σοφός"),
    ("tr", "IŞIK İstanbul", "ışık istanbul"),
    ("az", "BAKI", "bakı"),
    ("de", "BAKI", "baki"),
    ("fr", "L’été… c`est «ça»", "l'été c'est ça"),
    ("uk", "П\u02bcять", "п'ять"),
    ("ca", "Col·lecció", "col·lecció"),
    ("", "x² ½ ª", "x² ½ ª"),  # spelling, not form
    ("", "\ufb01n \uff21\uff22\uff01", "fin ab"),  # presentation forms
    ("fa", "می\u200cخواهم \u200cکه", "می\u200cخواهم که"),
    ("", "ߊ\u200cἀ", "ߊἀ"),
    ("ml", "അവന്\u200d\u0d31 a\u200db", "അവന്\u200d\u0d31 ab"),
    ("ar", "كـــتاب", "كتاب"),
    ("hi", "क्या?", "क्या"),
    ("zh", "你 好，世界 ok 吗", "你好世界 ok 吗"),
    ("", "你 好，世界", "你 好 世界"),
    ("ja", "ｶﾞ ツ、です。", "ガツです"),
    ("th", "สวัสดี ครับ", "สวัสดีครับ"),
    ("en", "Don't -- stop: well-known 'tis", "don't stop well-known tis"),
    ("", " ... ", ""),
]


@pytest.mark.parametrize(("language", "text", "expected"), LETTERS_CASES)
def test_letters_by_hand(language: str, text: str, expected: str) -> None:
    normalize = get_normalizer(f"letters-{language}" if language else "letters")
    assert normalize(text) == expected and normalize(expected) == expected


def test_letters_of_an_unknown_kind_of_language_are_refused_and_the_label_has_it() -> None:
    assert get_normalizer("letters-de").label == "letters-de v1"
    for name in ("letters-", "letters-german", "basic-de", "letters-DE"):
        with pytest.raises(
            ConfigError, match="is unknown; choose one of: none, basic, english, letters, letters-LANGUAGE"
        ):
            get_normalizer(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("你好 ok", "你 好 ok"), ("ok你a", "ok 你 a"), ("กำลังดี", "กำ ลั ง ดี"), ("straße a", "straße a"), ("ガ", "ガ")],
)
def test_scripts_without_spaces_are_split_by_character_with_its_marks(text: str, expected: str) -> None:
    assert split_unspaced(text) == expected and split_unspaced(expected) == expected


@pytest.mark.parametrize("name", NORMALIZERS)
@settings(max_examples=300, deadline=None)
@given(text=TEXTS)
def test_normalising_twice_changes_nothing_and_words_are_separated_by_single_spaces(name: str, text: str) -> None:
    once = NORMALIZERS[name](text)
    assert NORMALIZERS[name](once) == once
    assert once == " ".join(once.split())
    assert unicodedata.is_normalized("NFC", once)


@pytest.mark.parametrize("name", NORMALIZERS)
@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_composed_and_decomposed_text_are_the_same(name: str, text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    composed = unicodedata.normalize("NFC", text)
    assert NORMALIZERS[name](decomposed) == NORMALIZERS[name](composed)


def test_labels_carry_the_version() -> None:
    assert get_normalizer("basic").label == "basic v1"
    assert get_normalizer("none").label == "none v1"


def test_an_unknown_name_is_answered_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"'bsic'.*none, basic"):
        get_normalizer("bsic")
