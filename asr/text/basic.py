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


def normalize_none(text: str) -> str:
    """Canonical composition (NFC), runs of white space made one space, none at the ends; nothing else."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def normalize_basic(text: str) -> str:
    """Case, punctuation, symbols and compatibility forms removed, in any script.

    NFKC, then full case folding (ß is ss), then every character of the Unicode classes punctuation and symbol (emoji
    too) becomes a space, except an apostrophe or hyphen *between* two letters or digits (it's, well-known; 'tis becomes
    tis). Numbers are left as they are written: "3.5" becomes "3 5" and "five" never 5.
    """
    folded = compose_folded(without_invisible(text).translate(SAME)).translate(SAME)
    pieces = _RUNS.sub(" ", folded.translate(_ERASURE)).split()
    words = filter(None, map(_trim, pieces))
    return unicodedata.normalize("NFC", " ".join(words))


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


def _trim(piece: str) -> str:
    """Take apostrophes and hyphens off both ends, and combining marks off the front, where they have no letter."""
    start = 0
    while start < len(piece) and (piece[start] in _INSIDE_WORDS or unicodedata.category(piece[start])[0] == "M"):
        start += 1
    return piece[start:].rstrip(_INSIDE_WORDS)
