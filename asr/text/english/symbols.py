"""Symbols that are spoken, as words, before punctuation goes.

In: a text in lower case. Out: the same with money, percent, thousands and decimals, dotted abbreviations and a few
signs as words and bare digits. Decimal points become ``·``, which the basic normaliser keeps between digits.
"""

import re

_CURRENCIES = {"$": "dollars", "£": "pounds", "€": "euros", "¥": "yen", "₹": "rupees"}
_SCALES = "hundred|thousand|million|billion|trillion"
_AMOUNT = r"\d+(?:,\d{3})*(?:\.\d+)?"
_MONEY = re.compile(rf"([{''.join(_CURRENCIES)}])\s?({_AMOUNT})(\s(?:{_SCALES}))?(?![\d])")
_CENTS = re.compile(r"(\d+)\.(\d\d)")
_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,]*\d)")
_DECIMAL = re.compile(r"(?<![\d.])(\d*)\.(\d+)(?![\d.]*\d)")
_DOTTED = re.compile(r"(?<![\w.])(?:[a-z]\.){2,}")
_POSSESSIVE_NUMBER = re.compile(r"(?<=\d)'s\b")
_SIGNS = {"%": " percent ", "&": " and ", "¢": " cents "}


def spell_symbols(text: str) -> str:
    """The text with spoken symbols as words."""
    text = _MONEY.sub(_money, text)
    text = _THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    text = _DECIMAL.sub(lambda found: f"{found[1] or '0'}·{found[2]}", text)
    text = _DOTTED.sub(lambda found: found[0].replace(".", "") + " ", text)
    text = _POSSESSIVE_NUMBER.sub("s", text)  # the 1990's
    text = re.sub(r"(?<!\w)'(?=em\b)", "th", re.sub(r"(?<!\w)'(?=cause\b)", "be", text))
    text = re.sub(r"\b(e)-(?=mail)|\b(co)-(?=o)", lambda found: found[1] or found[2], text)
    text = re.sub(r"\bper cent\b", "percent", text)
    for sign, word in _SIGNS.items():
        text = text.replace(sign, word)
    return text


def _money(found: re.Match[str]) -> str:
    """``$2.50`` is 2 dollars 50 cents, ``$2.5 million`` 2.5 million dollars; singular for 1."""
    unit, amount, scale = _CURRENCIES[found[1]], found[2].replace(",", ""), found[3] or ""
    parts = _CENTS.fullmatch(amount)
    if parts is None or scale or unit not in ("dollars", "euros", "pounds"):
        return f" {amount}{scale} {_singular(unit) if amount == '1' and not scale else unit} "
    cents = int(parts[2])
    small = "pence" if unit == "pounds" else "cent" if cents == 1 else "cents"
    whole = int(parts[1])
    pieces = [f"{whole} {_singular(unit) if whole == 1 else unit}"] if whole or not cents else []
    return f" {' '.join([*pieces, *([f'{cents} {small}'] if cents else [])])} "


def _singular(unit: str) -> str:
    return unit.removesuffix("s") if unit != "yen" else unit
