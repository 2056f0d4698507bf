"""Spoken numbers as digits: cardinals, ordinals, years, decades, decimals, and digits said one by one.

In: words in lower case. Out: words, with numbers in digits. A single one, first, second or third is often not a number
(no one, a second): these are words, also where they were written as 1, 1st, 2nd, 3rd.

The grammar is that of spoken cardinals (``[tens] unit``, times hundred, times thousand or million, in falling order,
with ``and`` after a hundred or more), with decimals (three point one four), halves (three and a half million), plurals
(two millions is 2000000s) and signs (negative five is minus 5). Digits one after the other are one number, whether
spoken or written: nine one one, nine double one and 9 1 1 are 911, five twenty four is 524; larger numbers stay apart.
"nineteen ninety" is a year: 17 to 19 followed by any two digits, 20 by 10 to 29; "fifteen twenty" is not.
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
_PLURALS = {f"{word}s": value for word, value in {"hundred": 100, **_SCALES}.items()}
_REPEATS = {"double": 2, "triple": 3}
_SIGNS = {"minus": "minus", "negative": "minus", "plus": "plus", "positive": "plus"}
_DECADES = {word.removesuffix("y") + "ies": word for word in _TENS}
_WORDS = {"1": "one", "1s": "ones", "1st": "first", "2nd": "second", "3rd": "third"}
_MOST_DIGITS = 30  # of a number that is calculated with; longer ones stay as they are written or said
_DIGITS = re.compile(rf"\d{{1,{_MOST_DIGITS}}}(\.\d{{1,{_MOST_DIGITS}}})?", re.ASCII)
_OH = ("oh", "o")
_HALF = ["and", "a", "half"]
_NO_DIGIT_BEFORE = frozenset(["hundred", *_SCALES, *_PLURALS, "hundredth", *(f"{word}th" for word in _SCALES), "point"])
_DIGIT = re.compile(r"\d", re.ASCII)
_LARGEST = 10**15


@dataclass(slots=True)
class _Number:
    """A number read from the words up to ``stop``; ``ending``: what follows its digits, such as ``th`` or ``s``."""

    value: Fraction
    stop: int
    ending: str = ""  # "=..." where all digits are given, with zeros at the front, and ".14" those behind the point


def join_numbers(words: Sequence[str]) -> list[str]:
    """The words with every spoken number in digits."""
    out: list[str] = []
    index = 0
    while index < len(words):
        number = _read(words, index)
        if number is None:
            signed = words[index] in _SIGNS and index + 1 < len(words) and _read(words, index + 1) is not None
            out.append(_SIGNS[words[index]] if signed else _WORDS.get(words[index], words[index]))
            index += 1
            continue
        shown = words[index] if number.stop == index + 1 and _DIGITS.fullmatch(words[index]) else _shown(number)
        out.append(_WORDS.get(shown, shown))
        index = number.stop
    return _join_times(_join_cents(_split_cents(out)))


def _read(words: Sequence[str], start: int) -> _Number | None:
    return _digits(words, start) or _year(words, start) or _cardinal(words, start)


def _digits(words: Sequence[str], start: int) -> _Number | None:
    """Two digits or more, said or written one by one (double oh seven); after the first, also numbers below 100."""
    shown, index = "", start
    while index < len(words):
        digits, stop = _digit(words, index, shown)
        if not digits and shown:
            number = _below_hundred(words, index)
            if number is not None and not number.ending and number.value >= 10:
                digits, stop = str(number.value), number.stop
        if not digits or (stop < len(words) and (words[stop] in _NO_DIGIT_BEFORE or words[stop : stop + 3] == _HALF)):
            break
        shown, index = shown + digits, stop
    return _Number(Fraction(0), index, f"={shown}") if len(shown) > 1 else None


def _digit(words: Sequence[str], index: int, before: str) -> tuple[str, int]:
    """The digits of one word, or of two (double seven), and where they end; "" where there are none."""
    word, follower = words[index], words[index + 1] if index + 1 < len(words) else ""
    if word in _REPEATS and (follower in _UNITS or follower in _OH):
        return str(_UNITS.get(follower, 0)) * _REPEATS[word], index + 2
    if word in _UNITS or _DIGIT.fullmatch(word):
        return str(_UNITS.get(word, word)), index + 1
    if word in _OH and before and (len(before) > 1 or follower in _UNITS or _DIGIT.fullmatch(follower)):
        return "0", index + 1
    return "", index


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
    if word in _PLURALS:
        return _Number(Fraction(_PLURALS[word]), start + 1, "s")
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
            if total > 10**_MOST_DIGITS:
                break
            total, index = total * _SCALES[words[index]], index + 1  # a thousand million
        if limit == 1:
            break
        if words[index : index + 1] == ["and"]:
            small = _group(words, index + 1, allow_digits=False) if index + 1 < len(words) else None
            if small is None or (small.stop < len(words) and words[small.stop] in _SCALES):
                break
            index += 1
    if index == start:
        return None
    number = _Number(total, index)
    return _scaled(words, _half(words, _decimals(words, number) if limit == 1 else number))


def _half(words: Sequence[str], number: _Number) -> _Number:
    """three and a half"""
    if list(words[number.stop : number.stop + 3]) != _HALF or number.ending or number.value.denominator != 1:
        return number
    return _Number(number.value + Fraction(1, 2), number.stop + 3)


def _scaled(words: Sequence[str], number: _Number) -> _Number:
    """two point five million, three and a half million, four billions: where the result is whole."""
    scale = words[number.stop] if number.stop < len(words) else ""
    value = number.value * (_SCALES | _PLURALS).get(scale, 1)
    fits = value.denominator == 1 and (number.value.denominator != 1 or scale in _PLURALS) and scale
    if scale not in (_SCALES | _PLURALS) or not fits:
        return number
    return _Number(value, number.stop + 1, "s" if scale in _PLURALS else "")


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
    while stop < len(words):
        follower = words[stop + 1] if stop + 1 < len(words) else ""
        pair = _below_hundred(words, stop)
        if words[stop] in _OH and (digits or follower in _UNITS):
            digits, stop = digits + "0", stop + 1
        elif pair is not None and not pair.ending:
            digits, stop = digits + str(pair.value), pair.stop
        elif words[stop].isdecimal() and words[stop].isascii() and not digits:
            digits, stop = words[stop], stop + 1
            break
        else:
            break
    if not 0 < len(digits) <= _MOST_DIGITS:
        return number
    return _Number(number.value + Fraction(int(digits), 10 ** len(digits)), stop, f".{digits}")


def _shown(number: _Number) -> str:
    if number.ending.startswith("="):
        return number.ending[1:]
    if number.ending.startswith("."):
        return f"{int(number.value)}{number.ending}"
    if number.value.denominator != 1:
        return f"{float(number.value):.6f}".rstrip("0")
    digits = str(number.value.numerator)
    return digits + (_suffix(digits) if number.ending == "th" else number.ending)


def _suffix(digits: str) -> str:
    if digits[-2:] in ("11", "12", "13"):
        return "th"
    return {"1": "st", "2": "nd", "3": "rd"}.get(digits[-1], "th")


_MONEY = ("dollar", "dollars", "pound", "pounds", "euro", "euros")
_CENTS = re.compile(rf"\d{{1,{_MOST_DIGITS}}}\.\d\d", re.ASCII)


def _split_cents(words: Sequence[str]) -> list[str]:
    """``2.25 dollars`` as ``$2.25`` becomes."""
    out: list[str] = []
    for word in words:
        if word in _MONEY and out and _CENTS.fullmatch(out[-1]):
            whole, _, cents = out.pop().partition(".")
            unit = word.removesuffix("s")
            small = "pence" if unit == "pound" else "cent" if int(cents) == 1 else "cents"
            amount = _WORDS.get(str(int(whole)), str(int(whole)))
            out += [amount, unit if int(whole) == 1 else f"{unit}s"] if int(whole) or not int(cents) else []
            out += [_WORDS.get(str(int(cents)), str(int(cents))), small] if int(cents) else []
        else:
            out.append(word)
    return out


def _join_cents(words: list[str]) -> list[str]:
    """``2 dollars and 50 cents`` without the and, as ``$2.50`` becomes."""
    return [
        word
        for index, word in enumerate(words)
        if not (
            word == "and"
            and 0 < index < len(words) - 2
            and words[index - 1] in _MONEY
            and words[index + 2] in ("cent", "cents", "pence")
        )
    ]


def _join_times(words: list[str]) -> list[str]:
    """``10 a m`` as ``10 am``."""
    out: list[str] = []
    for index, word in enumerate(words):
        before = words[index - 2] if index > 1 else ""
        if word == "m" and words[index - 1] in ("a", "p") and (before.isdecimal() or before == "one"):
            out[-1] += "m"
        else:
            out.append(word)
    return out
