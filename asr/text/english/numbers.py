"""Spoken numbers as digits: cardinals, ordinals, years, decades and decimals.

In: words in lower case. Out: words, with numbers in digits. A single one, first, second or third is often not a number
(no one, a second): these are words, also where they were written as 1, 1st, 2nd, 3rd.

The grammar is that of spoken cardinals (``[tens] unit``, times hundred, times thousand or million, in falling order,
with ``and`` after a hundred or more). Numbers spoken one after the other stay separate: one two three is "one 2 3",
not 123, so that one wrong digit of a code is not a whole wrong code. "nineteen ninety" is a year: 17 to 19 followed by
any two digits, 20 by 10 to 29; "fifteen twenty" is not.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

_DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_UNITS = {word: value for value, word in enumerate(_DIGIT_WORDS)}
_TEENS = ("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_SMALL = _UNITS | {word: value for value, word in enumerate(("ten", *_TEENS), start=10)}
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_IRREGULAR = {"first": "one", "second": "two", "third": "three", "fifth": "five", "eighth": "eight", "ninth": "nine"}
_ORDINALS = (
    _IRREGULAR
    | {"twelfth": "twelve"}
    | {f"{word}th": word for word in _SMALL if f"{word}th" not in ("fiveth", "eightth", "nineth", "twelveth")}
    | {word.removesuffix("y") + "ieth": word for word in _TENS}
    | {f"{word}th": word for word in ("hundred", *_SCALES)}
)
_DECADES = {word.removesuffix("y") + "ies": word for word in _TENS}
_WORDS = {"1": "one", "1s": "ones", "1st": "first", "2nd": "second", "3rd": "third"}
_DIGITS = re.compile(r"\d+(\.\d+)?", re.ASCII)
_LARGEST = 10**15


@dataclass(slots=True)
class _Number:
    """A number read from the words up to ``stop``; ``ending``: what follows its digits, such as ``th`` or ``s``."""

    value: Fraction
    stop: int
    ending: str = ""


def join_numbers(words: Sequence[str]) -> list[str]:
    """The words with every spoken number in digits."""
    out: list[str] = []
    index = 0
    while index < len(words):
        number = _read(words, index)
        if number is None:
            out.append(_WORDS.get(words[index], words[index]))
            index += 1
            continue
        shown = words[index] if number.stop == index + 1 and _DIGITS.fullmatch(words[index]) else _shown(number)
        out.append(_WORDS.get(shown, shown))
        index = number.stop
    return _join_cents(out)


def _read(words: Sequence[str], start: int) -> _Number | None:
    return _year(words, start) or _cardinal(words, start)


def _year(words: Sequence[str], start: int) -> _Number | None:
    """nineteen ninety (four), nineteen oh five, twenty twenty four, nineteen nineties."""
    century = (_SMALL | _TENS).get(words[start], 0)
    following = list(words[start + 1 : start + 3])
    if century not in (17, 18, 19, 20) or not following:
        return None
    if following[0] in ("oh", "o") and len(following) == 2 and 0 < _UNITS.get(following[1], 0) < 10:
        return _Number(Fraction(100 * century + _UNITS[following[1]]), start + 3)
    if following[0] in _DECADES and (century < 20 or following[0] == "twenties"):
        return _Number(Fraction(100 * century + _TENS[_DECADES[following[0]]]), start + 2, "s")
    rest = _below_hundred(words, start + 1)
    if rest is None or rest.value < 10 or (century == 20 and rest.value > 29) or rest.ending:
        return None
    if rest.stop < len(words) and words[rest.stop] in ("hundred", *_SCALES):
        return None
    rest.value += 100 * century
    return rest


def _cardinal(words: Sequence[str], start: int) -> _Number | None:
    """A cardinal or ordinal, spoken or in digits with a spoken scale after it (20 million), perhaps with decimals."""
    word = words[start]
    if word in _DECADES:
        return _Number(Fraction(_TENS[_DECADES[word]]), start + 1, "s")
    in_digits = _DIGITS.fullmatch(word) is not None
    total, limit, index = Fraction(0), _LARGEST, start
    while index < len(words):
        group = _group(words, index, allow_digits=index == start)
        if group is None:
            break
        scale = _SCALES.get(words[group.stop], 1) if group.stop < len(words) and not group.ending else 1
        ordinal = _ORDINALS.get(words[group.stop], "") if group.stop < len(words) and not group.ending else ""
        if ordinal in _SCALES:
            scale, group.ending = _SCALES[ordinal], "th"
        if scale >= limit or (index != start and scale == 1 and group.value >= min(limit, 1000)):
            break
        total, limit, index = total + group.value * scale, scale, group.stop + (scale > 1)
        if group.ending:
            return _Number(total, index, group.ending)
        while index < len(words) and words[index] in _SCALES and not (in_digits and scale == 1):
            total, index = total * _SCALES[words[index]], index + 1  # a thousand million
        if limit == 1:
            break
        if words[index : index + 1] == ["and"]:
            small = _below_hundred(words, index + 1)
            if small is None or (small.stop < len(words) and words[small.stop] in ("hundred", *_SCALES)):
                break
            index += 1
    if index == start:
        return None
    return _decimals(words, _Number(total, index)) if limit == 1 else _Number(total, index)


def _group(words: Sequence[str], start: int, *, allow_digits: bool) -> _Number | None:
    """Below a thousand, or hundreds of up to 99 (nineteen hundred); digits, or "a" before hundred and scales."""
    word = words[start]
    follower = words[start + 1] if start + 1 < len(words) else ""
    if word == "a" and follower in ("hundred", *_SCALES):
        number = _Number(Fraction(1), start + 1)
    elif _DIGITS.fullmatch(word):
        if not allow_digits:
            return None
        number = _Number(Fraction(word), start + 1)
    else:
        found = _below_hundred(words, start)
        if found is None or found.ending:
            return found
        number = found
    if number.stop < len(words) and _ORDINALS.get(words[number.stop]) == "hundred":
        return _Number(number.value * 100, number.stop + 1, "th")
    if number.stop >= len(words) or words[number.stop] != "hundred":
        return number
    number = _Number(number.value * 100, number.stop + 1)
    after = number.stop + (words[number.stop : number.stop + 1] == ["and"])
    rest = _below_hundred(words, after) if after < len(words) else None
    if rest is None or rest.value == 0 or (words[rest.stop : rest.stop + 1] == ["hundred"]):
        return number
    return _Number(number.value + rest.value, rest.stop, rest.ending)


def _below_hundred(words: Sequence[str], start: int) -> _Number | None:
    word = words[start] if start < len(words) else ""
    if word in _TENS:
        follower = words[start + 1] if start + 1 < len(words) else ""
        if _UNITS.get(follower, 0) > 0:
            return _Number(Fraction(_TENS[word] + _UNITS[follower]), start + 2)
        if _UNITS.get(_ORDINALS.get(follower, ""), 0) > 0:
            return _Number(Fraction(_TENS[word] + _UNITS[_ORDINALS[follower]]), start + 2, "th")
        return _Number(Fraction(_TENS[word]), start + 1)
    if word in _SMALL:
        return _Number(Fraction(_SMALL[word]), start + 1)
    plain = _ORDINALS.get(word, "")
    if plain in _SMALL or plain in _TENS:
        return _Number(Fraction((_SMALL | _TENS)[plain]), start + 1, "th")
    return None


def _decimals(words: Sequence[str], number: _Number) -> _Number:
    """three point one four; the digits one by one."""
    if words[number.stop : number.stop + 1] != ["point"] or number.value.denominator != 1:
        return number
    stop = number.stop + 1
    digits = ""
    while stop < len(words) and (words[stop] in _UNITS or (words[stop] == "oh" and digits)):
        digits += str(_UNITS.get(words[stop], 0))
        stop += 1
    return (
        _Number(number.value + Fraction(int(digits), 10 ** len(digits)), stop, f".{len(digits)}") if digits else number
    )


def _shown(number: _Number) -> str:
    if number.ending.startswith("."):
        return f"{float(number.value):.{number.ending[1:]}f}"
    if number.value.denominator != 1:
        return f"{float(number.value):.6f}".rstrip("0")
    digits = str(number.value.numerator)
    return digits + (_suffix(digits) if number.ending == "th" else number.ending)


def _suffix(digits: str) -> str:
    if digits[-2:] in ("11", "12", "13"):
        return "th"
    return {"1": "st", "2": "nd", "3": "rd"}.get(digits[-1], "th")


def _join_cents(words: list[str]) -> list[str]:
    """``2 dollars and 50 cents`` without the and, as ``$2.50`` becomes."""
    units = ("dollar", "dollars", "pound", "pounds", "euro", "euros")
    return [
        word
        for index, word in enumerate(words)
        if not (
            word == "and"
            and 0 < index < len(words) - 2
            and words[index - 1] in units
            and words[index + 2] in ("cent", "cents", "pence")
        )
    ]
