"""Replacements in transcripts: what a rule finds, files of rules, and rules that are refused."""

import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.text.respelling import read_respelling

ACUTE = "\u0301"


@pytest.mark.parametrize(
    ("rules", "text", "expected"),
    [
        ({"ω": "ɔ", "ε": "ɛ"}, "Ωkω ε", "Ɔkɔ ɛ"),  # capitals, too
        ({"n": "m", "ng": "ŋ"}, "ngan NG", "ŋam Ŋ"),  # the longest
        ({"e": "ɛ"}, f"e é e{ACUTE} ẹ e\u0330", "ɛ é é ẹ e\u0330"),  # not a letter with another mark
        ({f"ω{ACUTE}": f"ɔ{ACUTE}"}, "lώ lω", f"lɔ{ACUTE} lω"),  # composed or not
        ({"U+0301": ""}, "áɔ\u0301ǘ Á", "aɔü A"),  # a tone mark off every letter, other marks stay
        ({"U+0300": "U+0301"}, "à ɔ\u0300", f"á ɔ{ACUTE}"),
        ({"[noise]": ""}, "a [noise] b", "a  b"),
        ({"क": "ख"}, "कि", "खि"),  # a vowel sign is no diacritic
        ({"ß": "s"}, "SS ß", "SS s"),
        ({"aa": "a"}, "aaaa", "a"),
        ({"x": None}, "axb", "ab"),
    ],
)  # fmt: skip
def test_what_a_rule_replaces(rules: dict[str, Any], text: str, expected: str) -> None:
    table = read_respelling(rules)
    assert table(text) == unicodedata.normalize("NFC", expected)
    assert table(table(text)) == table(text)


@given(st.text(alphabet="aenŋgωo\u0301\u0300 N", max_size=12))
def test_a_text_that_was_changed_stays_as_it_is(text: str) -> None:
    table = read_respelling({"ng": "ŋ", "U+0301": "", "ω": "o", "oo": "o"})
    once = table(text)
    assert table(once) == once and "ω" not in once and ACUTE not in unicodedata.normalize("NFD", once)


def test_a_file_has_arrows_tabs_and_comments_and_counts_what_it_did(tmp_path: Path) -> None:
    file = tmp_path / "table.txt"
    file.write_text(";; Mboshi\r\nω => ɔ ;; open o\n\nε\tɛ\n[x] =>\nU+0300 =>\n", encoding="utf-8-sig")
    table, found = read_respelling(str(file)), Counter[str]()
    assert [table(text, found) for text in ("ωΩε", "ω[x]")] == ["ɔƆɛ", "ɔ"]
    said = table.describe(found)
    assert said.startswith("Replacements (table.txt ") and said.endswith(
        "): ω → ɔ (3), ε → ɛ (1), [x] → nothing (1); not found: U+0300."
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a => b\nab\n", r"table.txt:2: is no rule; write OLD => NEW"),
        (b"=> b\n", "table.txt:1: is no rule"),
        (b"a => b\na => c\n", "table.txt:2: a has two replacements"),
        (b"a => b\nb => c\n", "a => b: another rule replaces that; write the final form"),
        (b"a => ba\n", "a => ba: another rule replaces that"),
        (b";; nothing\n", "contains no replacements"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "table.txt").write_bytes(content)
    with pytest.raises(AsrError, match=said):
        read_respelling(tmp_path / "table.txt")


@pytest.mark.parametrize(
    ("source", "said"), [(3, "must be a file, or a mapping"), ("none.txt", "cannot be read"), ({}, "no repl")]
)
def test_what_is_no_table_is_refused(source: Any, said: str) -> None:
    with pytest.raises(AsrError, match=said):
        read_respelling(source)
