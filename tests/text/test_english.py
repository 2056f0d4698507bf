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
    ("one two three", "123"),
    ("ten a m", "10 a.m."),
    ("ten a m", "10:00 a.m."),
    ("two thirty p m", "2:30 p.m."),
    ("ten thirty", "10:30"),
    ("nine one one", "9 1 1"),
    ("-$5", "minus five dollars"),
    ("negative five", "-5"),
    ("five plus three", "5 + 3"),
    ("one point oh five", "1.05"),
    ("oh no two oh no", "oh no 2 oh no"),
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
    ("fifteen twenty", "1520"),  # no year
    ("(so he said) yes", "yes"),  # parentheses are read out
    ("towards", "toward"),  # another word, not another spelling
    ("of wise men", "of wize men"),
    ("can", "can not"),
]

# tests/test_normalizer.py of openai-whisper 20250625 (MIT): what is said, and what it is the same as.
PUBLISHED = [
    ("two", "2"),
    ("thirty one", "31"),
    ("five twenty four", "524"),
    ("nineteen ninety nine", "1999"),
    ("twenty nineteen", "2019"),
    ("two point five million", "2500000"),
    ("four point two billions", "4200000000s"),
    ("200 thousand", "200000"),
    ("200 thousand dollars", "$200000"),
    ("$20 million", "$20000000"),
    ("€52.4 million", "€52400000"),
    ("£77 thousands", "£77000s"),
    ("two double o eight", "2008"),
    ("three thousand twenty nine", "3029"),
    ("forty three thousand two hundred sixty", "43260"),
    ("forty three thousand two hundred and sixty", "43260"),
    ("nineteen fifties", "1950s"),
    ("thirty first", "31st"),
    ("thirty three thousand and three hundred and thirty third", "33333rd"),
    ("three billion", "3000000000"),
    ("millions", "1000000s"),
    ("july third twenty twenty", "july 3rd 2020"),
    ("august twenty sixth twenty twenty one", "august 26th 2021"),
    ("3 14", "3 14"),
    ("3.14", "3.14"),
    ("3 point 2", "3.2"),
    ("3 point 14", "3.14"),
    ("fourteen point 4", "14.4"),
    ("two point two five dollars", "$2.25"),
    ("two hundred million dollars", "$200000000"),
    ("$20.1 million", "$20100000"),
    ("ninety percent", "90%"),
    ("seventy six per cent", "76%"),
    ("double oh seven", "007"),
    ("double zero seven", "007"),
    ("nine one one", "911"),
    ("nine double one", "911"),
    ("one triple oh one", "10001"),
    ("two thousandth", "2000th"),
    ("thirty two thousandth", "32000th"),
    ("minus 500", "-500"),
    ("positive twenty thousand", "+20000"),
    ("two dollars and seventy cents", "$2.70"),
    ("3 cents", "¢3"),
    ("$0.36", "¢36"),
    ("three euros and sixty five cents", "€3.65"),
    ("three and a half million", "3500000"),
    ("forty eight and a half dollars", "$48.5"),
    ("b747", "b 747"),
    ("10 th", "10th"),
    ("10th", "10th"),
    ("mobilisation", "mobilization"),
    ("cancelation", "cancellation"),
    ("Let's", "let us"),
    ("he's like", "he is like"),
    ("she's been like", "she has been like"),
    ("10km", "10 km"),
    ("10mm", "10 mm"),
    ("RC232", "rc 232"),
    ("Mr. Park visited Assoc. Prof. Kim Jr.", "mister park visited associate professor kim junior"),
]


@pytest.mark.parametrize(("first", "second"), PUBLISHED)
def test_what_the_tests_of_whispers_normaliser_hold_for_the_same_is(first: str, second: str) -> None:
    assert normalize_english(first) == normalize_english(second)


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
        ("one two three", "123"),
        ("fifteen twenty minutes", "15 20 minutes"),
        ("one hundred two hundred", "100 200"),
        ("twenty second", "22nd"),
        ("a thousand million", "1000000000"),
        ("Peter's realised", "peter's realized"),
        ("uh", ""),
        ("3.1я dollars", "3.1я dollars"),  # no cents
        ("three point one four one five nine two six five three five eight nine seven nine three", "3.141592653589793"),
        (
            "one point two three four five six seven eight nine oh one two three four five six seven",
            "1.2345678901234567",
        ),
        ("one million" + 20 * " million", "1" + 36 * "0" + 15 * " million"),
        ("9" * 5_000, "9" * 5_000),  # more digits than Python makes a number of
        ("$" + "9" * 5_000, "9" * 5_000 + " dollars"),
        ("three point " + 5_000 * "one ", "3 point " + 5_000 * "1"),
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
co-operate U.S. p.m. - ' . [ ] < > ( ) café 1 1st 2nd 0 .5 5. i'd've & per cent £1 cannot 's can 't double triple oh -5
+3 2:30 a m half millions 10km ¢3 minus b747 negative 2.25 3
"""


def test_normalising_twice_changes_nothing_whatever_the_neighbours() -> None:
    rng = random.Random(7)
    pieces = PIECES.split()
    for _ in range(2_000):
        text = rng.choice((" ", " ", "")).join(rng.choice(pieces) for _ in range(rng.randint(1, 8)))
        once = normalize_english(text)
        assert normalize_english(once) == once, text
