"""The English normaliser: what each rule makes the same, and what it leaves alone, by hand."""

import random

import pytest

from asr.text.english import normalize_english
from asr.text.english.spelling import american

SAME = [
    ("It's twenty-five dollars and fifty cents.", "it is $25.50"),
    ("two point five million dollars", "$2.5 million"),
    ("one dollar", "$1"),
    ("fifty per cent", "50%"),
    ("three point one four", "3.14"),
    ("one hundred and five thousand three hundred and one", "105,301"),
    ("a hundred and one", "101"),
    ("nineteen hundred", "1900"),
    ("in nineteen eighty-four", "In 1984"),
    ("nineteen oh five", "1905"),
    ("twenty twenty four", "2024"),
    ("the nineteen nineties", "the 1990's"),
    ("the eighties", "the '80s"),
    ("the twenty-first century", "the 21st century"),
    ("eleventh twelfth thirteenth fortieth hundred", "11th 12th 13th 40th hundred"),
    ("first second third", "1st 2nd 3rd"),
    ("no one", "no 1"),
    ("one two three", "1 2 3"),
    ("I can't, won't and shan't", "i cannot will not and shall not"),
    ("he's been", "he has been"),
    ("he's here", "he is here"),
    ("he'd gone", "he had gone"),
    ("he'd go", "he would go"),
    ("you're we'll they've I'm", "you are we will they have i am"),
    ("Mr. Smith and Dr. Brown", "mister smith and doctor brown"),
    ("uh I um see, hmm", "I see"),
    ("[laughter] yes <noise>", "yes"),
    ("The colour of the organisation's theatre", "the color of the organization's theater"),
    ("a well-known e-mail at 5 p.m. in the U.S.", "a well known email at 5 pm in the us"),
    ("na\u00efve caf\u00e9", "naive cafe"),
    ("R&B", "r and b"),
]

DIFFERENT = [
    ("the dog's tail", "the dog is tail"),  # a noun's 's may be a possessive
    ("one two three", "123"),  # digits said one by one are words of their own
    ("fifteen twenty", "1520"),  # no year
    ("(so he said) yes", "yes"),  # parentheses are read out
    ("towards", "toward"),  # another word, not another spelling
    ("of wise men", "of wize men"),
    ("can", "can not"),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_these_are_the_same(first: str, second: str) -> None:
    assert normalize_english(first) == normalize_english(second)


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
def test_these_are_not(first: str, second: str) -> None:
    assert normalize_english(first) != normalize_english(second)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's twenty-five.", "it is 25"),
        ("$2.50", "2 dollars 50 cents"),
        ("nineteen ninety", "1990"),
        ("one two three", "one 2 3"),
        ("fifteen twenty minutes", "15 20 minutes"),
        ("one hundred two hundred", "100 200"),
        ("twenty second", "22nd"),
        ("a thousand million", "1000000000"),
        ("Peter's realised", "peter's realized"),
        ("uh", ""),
    ],
)
def test_forms_by_hand(text: str, expected: str) -> None:
    assert normalize_english(text) == expected


STAY = """
advertise advise arise compromise disguise enterprise exercise four glamorous hour likewise mayonnaise noise
our otherwise paradise pour precise premise promise raise revise rise sunrise supervise surprise tour
trellises your
"""


@pytest.mark.parametrize(
    "word",
    STAY.split(),
)
def test_words_that_only_look_british_stay(word: str) -> None:
    assert american(word) == word


PIECES = """
one two ten eleven nineteen twenty thirty hundred thousand million a and point oh zero first fifth twentieth
twenties 5 20 1990 3.5 1,000 $5 $2.50 50% dollars cents it's he'd been john's won't uh mr. st. colour e-mail
co-operate U.S. p.m. - ' . [ ] < > ( ) café 1 1st 2nd 0 .5 5. i'd've & per cent £1 cannot 's can 't
"""


def test_normalising_twice_changes_nothing_whatever_the_neighbours() -> None:
    rng = random.Random(7)
    pieces = PIECES.split()
    for _ in range(2_000):
        text = rng.choice((" ", " ", "")).join(rng.choice(pieces) for _ in range(rng.randint(1, 8)))
        once = normalize_english(text)
        assert normalize_english(once) == once, text
