"""Rows that books lack, as text for the language model: spelled words, codes, digits, numbers, dates.

    python -m recipes.english.spelled cmudict.dict data/english --out spelled.txt

In: a pronouncing dictionary, whose words (many of them are names) are spelled, and the folder that prepare.py wrote.
Out: rows such as ``r u b y``, ``g m e f three nine``, ``four oh seven``, ``may third nineteen sixty two``, one a line;
equal for equal input. No row is the whole text of a dev or test utterance.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random

from asr.data.manifest import read_manifest
from asr.errors import AsrError
from asr.files import write_text
from asr.text.pronunciations import read_pronunciations

ROWS = 12_000
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth", "twenty": "twentieth", "thirty": "thirtieth",
}  # fmt: skip
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
DIGITS, PAIRS = r"\d", r"\d{1,2}(?=(?:\d\d)*$)"  # of a number


def main(arguments: list[str] | None = None) -> int:
    """Write the rows; returns the exit code."""
    parser = argparse.ArgumentParser(prog="spelled.py", description="Rows of spelled words and numbers, as text.")
    parser.add_argument("dictionary", type=Path, metavar="DICT", help="lines WORD PHONE ..., such as cmudict's")
    parser.add_argument("data", type=Path, metavar="DATA", help="the manifests; dev and test texts are left out")
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    given = parser.parse_args(arguments)
    try:
        words = [word for word in read_pronunciations(given.dictionary, "DICT") if re.fullmatch("[a-z]{2,14}", word)]
        manifests = [path for part in ("dev", "test") for path in given.data.glob(f"{part}*.jsonl")]
        held_out = {one.text for path in manifests for one in read_manifest(path)}
        rows = [row for row in spelled_rows(words, given.rows) if row not in held_out]
        write_text(given.out, "".join(f"{row}\n" for row in rows))
    except AsrError as error:
        sys.stderr.write(f"spelled: error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"{given.out}: {len(rows):,} rows; {given.rows - len(rows):,} are dev or test texts\n")
    return 0


def spelled_rows(words: Sequence[str], rows: int) -> list[str]:
    """``rows`` rows, in turn a spelled one of ``words``, a code, digits, a number, a date."""
    random = Random(1)
    kinds = (lambda: " ".join(random.choice(words)), lambda: _code(random), lambda: _digits(random),
             lambda: _number(random), lambda: _date(random))  # fmt: skip
    return [kinds[row % len(kinds)]() for row in range(rows)]


def _code(random: Random) -> str:
    return f"{' '.join(random.choices(LETTERS, k=random.randint(2, 6)))} {_number(random)}"


def _digits(random: Random) -> str:
    zero = random.choice(("zero", "oh"))
    return " ".join(ONES[digit] if digit else zero for digit in random.choices(range(10), k=random.randint(3, 10)))


def _number(random: Random) -> str:
    """Up to five digits: as a whole, digit by digit, or two digits at a time."""
    value = random.randrange(10 ** random.randint(1, 5))
    parts = random.choice((None, DIGITS, PAIRS))
    if parts is None or value < 10:
        return cardinal(value, random.choice(("", "and ")))
    return " ".join(map(_digits_said, re.findall(parts, str(value))))


def _digits_said(digits: str) -> str:
    """At most two digits as one number, with a 0 in front digit by digit."""
    if digits[0] == "0":
        return " ".join("oh" if one == "0" else ONES[int(one)] for one in digits)
    return cardinal(int(digits))


def _date(random: Random) -> str:
    month, day = random.choice(MONTHS), cardinal(random.randint(1, 31))
    year = random.choice((random.randint(1600, 1999), random.randint(1900, 1999), random.randint(2000, 2029)))
    *tens, last = day.split()
    ordinal = " ".join([*tens, ORDINALS.get(last, f"{last}th")])
    said = cardinal(year, "and ") if 2000 <= year < 2010 else f"{cardinal(year // 100)} {_digits_said(str(year)[2:])}"
    return random.choice(
        (f"{month} {ordinal}", f"{month} {ordinal} {said}", f"{month} {day} {said}", f"{day} {month} {said}")
    )


def cardinal(value: int, joint: str = "") -> str:
    """A number below a million in words; ``joint`` is before what follows the hundreds: "" or "and "."""
    for unit, name in ((1000, "thousand"), (100, "hundred")):
        if value >= unit:
            more, rest = divmod(value, unit)
            between = joint if rest < 100 else ""
            return f"{cardinal(more, joint)} {name}" + (f" {between}{cardinal(rest, joint)}" if rest else "")
    if value < len(ONES):
        return ONES[value]
    return TENS[value // 10] + (f" {ONES[value % 10]}" if value % 10 else "")


if __name__ == "__main__":
    sys.exit(main())
