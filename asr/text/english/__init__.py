"""English, version 2: one form for what English writes in several.

In: an English transcript. Out: the text that is compared, in lower case without punctuation:

1. spoken symbols become words: ``$20`` is 20 dollars, ``50%`` is 50 percent, ``-5`` is minus 5, ``&`` is and; ``1,000``
   is 1000, ``p.m.`` is pm, ``2:30`` is 230 (as two thirty is). Decimal points become ``·``, which the basic normaliser
   keeps between digits;
2. what ``basic`` does; then hyphens separate words (well-known is well known), as do changes between letters and digits
   (10km is 10 km), accents are removed (café is cafe), and so are notes in square or pointed brackets ([laughter],
   <noise>; text in parentheses is kept, since people read it);
3. contractions are expanded (it's is it is, it's been is it has been). Ambiguous ones are decided by the next word
   (``he'd gone`` is he had gone, ``he'd go`` is he would go) or kept: ``john's`` may be a possessive;
4. hesitations are removed (uh, um, hmm), titles are expanded (mr is mister);
5. numbers become digits (asr/text/english/numbers.py): twenty five is 25, nineteen ninety 1990, twenty first 21st, nine
   one one 911; ``10 a m`` is 10 am;
6. American spelling (asr/text/english/spelling.py): colour is color.

It follows Whisper's English normaliser (Radford et al. 2022, appendix C) and is compared with it in
tests/text/test_english_oracle.py, where the deliberate differences are listed.
"""

import re
import unicodedata
from collections.abc import Sequence

from asr.text.basic import SAME, compose_folded, normalize_basic, without_invisible
from asr.text.english.numbers import join_numbers

_CURRENCIES = {"$": "dollars", "£": "pounds", "€": "euros", "¥": "yen", "₹": "rupees"}
_SCALES = "hundred|thousand|million|billion|trillion"
_AMOUNT = r"\d+(?:,\d{3})*(?:\.\d+)?"
_MONEY = re.compile(rf"([{''.join(_CURRENCIES)}])\s?({_AMOUNT})(s\b|\s(?:{_SCALES})s?\b)?(?![\d])")
_SIGNED = re.compile(r"(?<![\w.,)$£€-])([-−])(?=[$£€¥₹]?\.?\d)|\+(?=\s?[$£€¥₹]?\d)")
_CENT_SIGN = re.compile(r"¢\s?(\d+)")
_FULL_HOUR = re.compile(r"(?<![\d:.])(\d{1,2}):00(?=\s?[ap]\.?\s?m\b)")
_CLOCK = re.compile(r"(?<![\d:.])([1-9]):([0-5]\d)(?![\d:])")
_LETTER_DIGIT = re.compile(r"(?<=[a-z])(?=\d)|(?<=\d)(?=[a-z])")
_SUFFIX = re.compile(r"(?<=\d) (?=(?:st|nd|rd|th|s)\b)")
_CENTS = re.compile(r"(\d{1,30})\.(\d\d)")
_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,]*\d)")
_DECIMAL = re.compile(r"(?<![\d.])(\d*)\.(\d+)(?![\d.]*\d)")
_DOTTED = re.compile(r"(?<![\w.])(?:[a-z]\.){2,}")
_POSSESSIVE_NUMBER = re.compile(r"(?<=\d)'s\b")
_SIGNS = {"%": " percent ", "&": " and ", "¢": " cents "}
_BRACKETED = re.compile(r"\[[^\[\]]*\]|<[^<>]*>")
_ROUNDS = 4  # more than one only where removing something brings words together


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HESITATIONS = frozenset(["uh", "uhh", "um", "umm", "uhm", "er", "erm", "hm", "hmm", "hmmm", "mm", "mmm", "mhm"])

_WHOLE = {
    "won't": "will not",
    "can't": "can not",
    "cannot": "can not",
    "shan't": "shall not",
    "let's": "let us",
    "y'all": "you all",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "got to",
    "kinda": "kind of",
    "sorta": "sort of",
    "dunno": "do not know",
    "ma'am": "madam",
    "i'ma": "i am going to",
    "imma": "i am going to",
    "woulda": "would have",
    "coulda": "could have",
    "shoulda": "should have",
    "'tis": "it is",
    "mr": "mister",
    "mrs": "missus",
    "messrs": "messieurs",
    "dr": "doctor",
    "prof": "professor",
    "assoc": "associate",
    "asst": "assistant",
    "capt": "captain",
    "sgt": "sergeant",
    "lt": "lieutenant",
    "jr": "junior",
    "sr": "senior",
    "vs": "versus",
    "etc": "et cetera",
    "ok": "okay",
    "alright": "all right",
}
_ENDINGS = {"n't": "not", "'re": "are", "'ll": "will", "'ve": "have", "'m": "am"}
_SUBJECTS = _words(
    """
    i you he she it we they that this there here what who where when how why everybody everyone everything somebody
    someone something nobody nothing
    """
)
_PARTICIPLES = _words(
    """
    been got gone had done become taken come seen made said given known found lost left kept begun written
    """
)


def normalize_english(text: str) -> str:
    """The compared form of an English text; idempotent, on any input."""
    from asr.text.english.spelling import american  # late: its tables take time to build

    for _ in range(_ROUNDS):
        words = [word for word in _split(text) if word not in _HESITATIONS]
        words = join_numbers(_expand_words(words))
        normalized = " ".join(american(word) for word in words)
        if normalized == text:
            break
        text = normalized
    return text


def _split(text: str) -> list[str]:
    """Words without punctuation; a decimal point is kept, as a character that ``basic`` keeps inside words."""
    folded = compose_folded(without_invisible(text).translate(SAME)).translate(SAME)
    spelled = _spell_symbols(_BRACKETED.sub(" ", folded))
    plain = normalize_basic(_without_accents(spelled))
    plain = re.sub(r"(?<=\d)·(?=\d)", ".", plain.replace("-", " ")).replace("·", " ")
    return _SUFFIX.sub("", _LETTER_DIGIT.sub(" ", plain)).split()


def _without_accents(text: str) -> str:
    """Latin letters without their marks; other scripts keep theirs, which are part of the letter."""
    if text.isascii():
        return text
    out: list[str] = []
    latin = False
    for character in unicodedata.normalize("NFD", text):
        if unicodedata.category(character) == "Mn" and latin:
            continue
        latin = character.isascii() and character.isalpha()
        out.append(character)
    return unicodedata.normalize("NFC", "".join(out))


def _spell_symbols(text: str) -> str:
    """The text with spoken symbols as words."""
    text = _SIGNED.sub(lambda found: " minus " if found[1] else " plus ", text)
    text = _CENT_SIGN.sub(lambda found: f" {found[1]} {'cent' if found[1].lstrip('0') == '1' else 'cents'} ", text)
    text = _CLOCK.sub(r"\1\2", _FULL_HOUR.sub(r"\1", text))
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


def _expand_words(words: Sequence[str]) -> list[str]:
    """Contractions and titles expanded."""
    out: list[str] = []
    for index, word in enumerate(words):
        follower = words[index + 1] if index + 1 < len(words) else ""
        out += _expand(word, follower).split()
    return out


def _expand(word: str, follower: str) -> str:
    if word in _WHOLE:
        return _WHOLE[word]
    if word == "st":  # a street where nothing follows, else mostly a saint
        return "saint" if follower else word
    if "'" not in word or word == "ain't":
        return word
    for ending, full in _ENDINGS.items():
        stem = word.removesuffix(ending)
        if stem != word and stem:
            return f"{_expand(stem, full)} {full}"
    stem, _, ending = word.rpartition("'")
    if stem in _SUBJECTS and ending == "s":
        return f"{stem} {'has' if follower in _PARTICIPLES else 'is'}"
    if stem in _SUBJECTS and ending == "d":
        return f"{stem} {'had' if follower in _PARTICIPLES or follower == 'better' else 'would'}"
    return word
