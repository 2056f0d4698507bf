"""The rules that hold for any language: Unicode forms, case, punctuation.

In: a transcript as it was written. Out: the text that is compared. Both functions are idempotent.
"""

import re
import unicodedata

# Many characters for one: curly quotes, modifier letters, backtick, acute accent and prime are apostrophes;
# the Unicode hyphens, the Hebrew maqaf and the Armenian hyphen are hyphens. Dashes separate words and are not hyphens.
_APOSTROPHES = "’‘‛ʼʻʹ`´′＇׳"
_HYPHENS = "‐‑⁃־֊－﹣"
SAME = str.maketrans(dict.fromkeys(_APOSTROPHES, "'") | dict.fromkeys(_HYPHENS, "-"))
_INSIDE_WORDS = "'-·״"  # kept between two letters: rock'n'roll, well-known, col·lecció (Catalan), צה״ל (Hebrew)
_RUNS = re.compile(r"['\-·״]{2,}")


class _Erasure(dict[int, str]):
    """A table for ``str.translate`` that decides each character once, by its Unicode category."""

    def __missing__(self, codepoint: int) -> str:
        self[codepoint] = replacement = _replacement(chr(codepoint))
        return replacement


def _replacement(character: str) -> str:
    category = unicodedata.category(character)
    if character in _INSIDE_WORDS:
        return character
    if _is_variation_selector(character) or category == "Me":
        return ""  # emoji presentation and keycap rings: 1️⃣ is 1
    if category == "Cf":  # joiners, soft hyphens and direction marks are invisible; a zero-width space separates words
        return " " if character == "\u200b" else ""
    return " " if category[0] in "PSZ" or category in ("Cc", "Cs") else character


def _is_variation_selector(character: str) -> bool:
    return "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"


_ERASURE = _Erasure()
_LETTERS = _Erasure({0x200C: "\u200c", 0x200D: "\u200d", 0x0640: ""})  # a tatweel only stretches an Arabic word
_DOTLESS = {ord("I"): "ı", ord("İ"): "i"}
_PRESENTATION = re.compile("[\ufb00-\ufdff\ufe70-\ufefe\uff00-\uffef]+")
_JOINERS = "\u200c\u200d"
UNSPACED = frozenset(("zh", "yue", "ja", "th", "lo", "km", "my"))  # languages written without spaces between words
# Characters of scripts written without spaces: Han, kana, bopomofo, Thai, Lao, Myanmar, Khmer. Hangul has spaces.
UNSPACED_CHARACTER = re.compile(
    "[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u30ff\u3105-\u312f"
    "\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
_BETWEEN_UNSPACED = re.compile(f"(?<={UNSPACED_CHARACTER.pattern}) (?={UNSPACED_CHARACTER.pattern})")


def normalize_none(text: str) -> str:
    """Canonical composition (NFC), runs of white space made one space, none at the ends; nothing else."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def normalize_basic(text: str) -> str:
    """Case, punctuation, symbols and compatibility forms removed, in any script.

    NFKC, then full case folding (ß is ss), then every character of the Unicode classes punctuation and symbol (emoji
    too) becomes a space, except an apostrophe or hyphen *between* two letters or digits (it's, well-known; 'tis becomes
    tis). Numbers are left as they are written: "3.5" becomes "3 5" and "five" never 5.
    """
    folded = _unified(compose_folded(_unified(without_invisible(text))))
    return _words(folded.translate(_ERASURE))


def normalize_letters(text: str, language: str = "") -> str:
    """What a recogniser is to write: lower case, no punctuation or symbols, every letter and mark as it is spelled.

    NFC, and presentation forms (ﬁ, Ａ, Arabic ones) as their letters; lower case by Unicode's rules (ß stays ß, a
    final Σ is ς), in Turkish and Azerbaijani (``language`` "tr", "az") with I as ı and İ as i. Apostrophes and hyphens
    as in ``normalize_basic``. Joiners stay between letters of scripts that spell with them (Persian, Malayalam). In
    Chinese, Japanese, Thai and other languages of UNSPACED there are no spaces between characters of their scripts.
    """
    for _ in range(4):  # what one step removes can leave something for another; two rounds are enough
        before, text = text, _letters(text, language)
        if text == before:
            break
    return text


def _letters(text: str, language: str) -> str:
    shown = _PRESENTATION.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    composed = unicodedata.normalize("NFC", _without_unspelled_joiners(_unified(shown)))
    lowered = (composed.translate(_DOTLESS) if language in ("tr", "az") else composed).lower()
    spaced = _words(lowered.translate(_LETTERS))
    return _BETWEEN_UNSPACED.sub("", spaced) if language in UNSPACED else spaced


def _without_unspelled_joiners(text: str) -> str:
    """Without joiners but those between two letters or marks of a script that may spell with them.

    A composed letter counts as its first part: Greek and Latin ones are also beyond U+0590.
    """

    def spells(character: str) -> bool:
        category = unicodedata.category(character) if unicodedata.normalize("NFD", character)[0] >= "\u0590" else ""
        return category in ("Lu", "Ll", "Lt", "Lo", "Mn", "Mc") and not _is_variation_selector(character)

    if not any(joiner in text for joiner in _JOINERS):
        return text
    padded = f" {text} "
    inner = zip(padded, text, padded[2:], strict=False)
    return "".join(c for before, c, behind in inner if c not in _JOINERS or (spells(before) and spells(behind)))


def split_unspaced(text: str) -> str:
    """``text`` with every character of a script without spaces (Han, kana, Thai, ...) as a word, its marks included."""
    if not UNSPACED_CHARACTER.search(text):
        return text
    pieces: list[str] = []
    inside = False
    for character in text:
        was_inside, inside = inside, bool(UNSPACED_CHARACTER.match(character))
        if unicodedata.category(character)[0] == "M" or character in "\u0e33\u0eb3":  # vowels that join, too
            inside = was_inside
        elif inside or was_inside:
            pieces.append(" ")
        pieces.append(character)
    return " ".join("".join(pieces).split())


def without_invisible(text: str) -> str:
    """Drop format characters before composing, so that an accent after a joiner is composed with its letter."""
    if text.isascii():
        return text
    return "".join(c for c in text if c == "\u200b" or unicodedata.category(c) != "Cf")


def compose_folded(text: str) -> str:
    """NFKC and case folding until neither changes anything (each can undo the other; three rounds are enough)."""
    for _ in range(4):
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        if folded == text:
            break
        text = folded
    return text


def _unified(text: str) -> str:
    """One form of apostrophe and hyphen."""
    return text.replace("`", "'") if text.isascii() else text.translate(SAME)


def _words(text: str) -> str:
    """The words of a text without punctuation, a space between them, and no marks but between letters."""
    pieces = text.split()
    if not all(map(str.isalnum, pieces)):
        pieces = list(filter(None, map(_trim, _RUNS.sub(" ", text).split())))
    return unicodedata.normalize("NFC", " ".join(pieces))


def _trim(piece: str) -> str:
    """Take apostrophes and hyphens off both ends, and combining marks off the front, where they have no letter."""
    start = 0
    while start < len(piece) and (piece[start] in _INSIDE_WORDS or unicodedata.category(piece[start])[0] == "M"):
        start += 1
    return piece[start:].rstrip(_INSIDE_WORDS)
