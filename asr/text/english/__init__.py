"""English, version 1: one form for what English writes in several.

In: an English transcript. Out: the text that is compared, all in lower case without punctuation:

1. symbols to words: ``$20`` is 20 dollars, ``50%`` is 50 percent, ``&`` is and; ``1,000`` is 1000; ``p.m.`` is pm;
2. what ``basic`` does; then hyphens part words (well-known is well known), accents go (café is cafe), notes in square
   or pointed brackets go ([laughter], <noise>; parentheses stay, for people read them out);
3. contractions in full (it's is it is, it's been is it has been); a noun's 's stays, for it may be a possessive;
4. hesitations dropped (uh, um, hmm), titles in full (mr is mister);
5. numbers in digits (asr/text/english/numbers.py): twenty five is 25, nineteen ninety is 1990, twenty first is 21st;
6. American spelling (asr/text/english/spelling.py): colour is color.

Made in the manner of Whisper's English normaliser (Radford et al. 2022, appendix C) and compared with it in
tests/text/test_english_oracle.py, where the deliberate differences are listed.
"""

import re
import unicodedata

from asr.text.basic import SAME, compose_folded, normalize_basic, without_invisible
from asr.text.english.numbers import join_numbers
from asr.text.english.symbols import spell_symbols
from asr.text.english.words import HESITATIONS, expand_words

_BRACKETED = re.compile(r"\[[^\[\]]*\]|<[^<>]*>")
_ROUNDS = 4  # one is enough but for what only comes together when something between went away


def normalize_english(text: str) -> str:
    """The compared form of an English text; idempotent, on any input."""
    from asr.text.english.spelling import american  # its tables are built once, when first needed

    for _ in range(_ROUNDS):
        words = [word for word in _split(text) if word not in HESITATIONS]
        words = join_numbers(expand_words(words))
        normalized = " ".join(american(word) for word in words)
        if normalized == text:
            break
        text = normalized
    return text


def _split(text: str) -> list[str]:
    """Words without punctuation; a decimal point stays, dressed as what ``basic`` keeps inside words meanwhile."""
    folded = compose_folded(without_invisible(text).translate(SAME)).translate(SAME)
    spelled = spell_symbols(_BRACKETED.sub(" ", folded))
    plain = normalize_basic(_without_accents(spelled))
    return re.sub(r"(?<=\d)·(?=\d)", ".", plain.replace("-", " ")).replace("·", " ").split()


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
