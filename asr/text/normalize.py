"""Named, versioned rules that say which spellings count as the same text.

In: a transcript as a person or a system wrote it. Out: the text that is compared. A report names the normaliser by its
label ("basic v1") because a change of rules moves scores (open_asr_leaderboard#135): whoever changes what a normaliser
does raises its version. Every normaliser composes Unicode first, so that an accented letter equals a letter followed by
its accent (NFC against NFD is 100% WER otherwise), and every one is idempotent: normalising twice changes nothing.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from asr.errors import ConfigError

# Written in many ways, meant as one: curly quotes, modifier letters, backtick, acute accent and prime are apostrophes;
# the Unicode hyphens, the Hebrew maqaf and the Armenian hyphen are hyphens. Dashes stand between words: not here.
_APOSTROPHES = "’‘‛ʼʻʹ`´′＇׳"
_HYPHENS = "‐‑⁃־֊－﹣"
_SAME = str.maketrans(dict.fromkeys(_APOSTROPHES, "'") | dict.fromkeys(_HYPHENS, "-"))
_INSIDE_WORDS = "'-·״"  # kept between two letters: rock'n'roll, well-known, col·lecció (Catalan), צה״ל (Hebrew)
_RUNS = re.compile(r"['\-·״]{2,}")


@dataclass(frozen=True, slots=True)
class Normalizer:
    """A function from text to compared text, with the name and the version that reports print."""

    name: str
    version: int
    function: Callable[[str], str]

    def __call__(self, text: str) -> str:
        return self.function(text)

    @property
    def label(self) -> str:
        """What a report prints: ``basic v1``."""
        return f"{self.name} v{self.version}"


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
    if category == "Cf":  # joiners, soft hyphens and direction marks are invisible; a zero-width space parts words
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
    folded = _compose_folded(_without_invisible(text).translate(_SAME)).translate(_SAME)
    pieces = _RUNS.sub(" ", folded.translate(_ERASURE)).split()
    words = filter(None, map(_trim, pieces))
    return unicodedata.normalize("NFC", " ".join(words))


def _without_invisible(text: str) -> str:
    """Drop format characters before composing, lest an accent stay apart from its letter behind a joiner."""
    if text.isascii():
        return text
    return "".join(c for c in text if c == "\u200b" or unicodedata.category(c) != "Cf")


def _compose_folded(text: str) -> str:
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


NORMALIZERS: dict[str, Normalizer] = {
    "none": Normalizer("none", 1, normalize_none),
    "basic": Normalizer("basic", 1, normalize_basic),
}


def get_normalizer(name: str) -> Normalizer:
    """The normaliser of that name; raises ConfigError naming the choices."""
    if name not in NORMALIZERS:
        choices = ", ".join(NORMALIZERS)
        raise ConfigError(f"normalizer {name!r} is unknown; choose one of: {choices}")
    return NORMALIZERS[name]
