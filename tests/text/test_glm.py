"""Replacement files: what they change, how reports name them, and every error with its line."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from asr.errors import DataError
from asr.text.normalize import get_normalizer, with_replacements

RULES = """\
;; NIST's style
* name "test"
[CAN'T] => [CAN NOT] / [ ] __ [ ]  ;; a comment behind
UH => (%HESITATION)
NEW YORK CITY => NYC
NEW YORK => NY
[ST] => [SAINT] / [] __ [LOUIS]
colour\tcolor
grey gray
"""


Rules = Callable[[str], Path]


@pytest.fixture
def rules(tmp_path: Path) -> Rules:
    def write(text: str) -> Path:
        (tmp_path / "my.glm").write_text(text, encoding="utf-8")
        return tmp_path / "my.glm"

    return write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I can't!", "i can not"),
        ("Uh, yes", "yes"),
        ("new york city, New York", "nyc ny"),
        ("st louis main st", "saint louis main st"),
        ("the colour grey", "the color gray"),
        ("discolour", "discolour"),
    ],
)
def test_replacements_by_hand(rules: Rules, text: str, expected: str) -> None:
    normalizer = with_replacements(get_normalizer("basic"), rules(RULES))
    assert normalizer(text) == expected
    assert normalizer(expected) == expected


def test_the_label_names_the_file_and_the_beginning_of_its_sha256(rules: Rules) -> None:
    digest = hashlib.sha256(RULES.encode()).hexdigest()
    assert with_replacements(get_normalizer("basic"), rules(RULES)).label == f"basic v1 + my.glm {digest[:6]}"


def test_all_errors_come_at_once_with_their_lines(rules: Rules) -> None:
    path = rules("a => b\nthree words here\nx => { y / z }\n... => dots\nb => c\nq => r => s / t\n")
    with pytest.raises(DataError) as caught:
        with_replacements(get_normalizer("basic"), path)
    message = str(caught.value)
    for expected in (
        "my.glm:2: is not a rule",
        "my.glm:3: gives alternatives",
        "my.glm:4: replaces nothing: once normalised, '...' is empty",
        "my.glm:1: inserts 'b', which line 5 replaces: write the final form",
    ):
        assert expected in message


def test_a_rule_may_restate_itself(rules: Rules) -> None:
    assert with_replacements(get_normalizer("none"), rules("A B => A B\n"))("A B") == "A B"


def test_errors_of_one_kind_are_three_and_a_count(rules: Rules) -> None:
    path = rules("".join(f"three words {number}\n" for number in range(70)) + "x => { y }\n")
    with pytest.raises(DataError) as caught:
        with_replacements(get_normalizer("basic"), path)
    message = str(caught.value)
    assert message.count("is not a rule") == 3 and "… and 67 more like these" in message
    assert "my.glm:71: gives alternatives" in message
