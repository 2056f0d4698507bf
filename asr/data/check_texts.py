"""What looks wrong with the transcripts of a manifest.

In: utterances. Out: warnings about texts that are empty, hold characters nobody speaks, are composed otherwise than the
rest (NFC), or use characters so seldom that a model cannot learn them.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

from asr.data.findings import Finding
from asr.data.utterance import Utterance
from asr.text.normalize import normalize_basic

# Control, format, private and unassigned characters; U+FFFD is what a wrong decoding leaves behind.
_ODD_CATEGORIES = {"Cc", "Cf", "Co", "Cn", "Cs"}
_SPOKEN_FORMAT = {"\u200c", "\u200d"}  # joiners, which Persian and Indic scripts spell with
_RARE_UTTERANCES = 3
_RARE_NEEDS_UTTERANCES = 200
_CHARACTERS_SHOWN = 30


def text_findings(utterances: Sequence[Utterance]) -> Iterator[Finding]:
    """Warnings about the transcripts, utterance by utterance, then about the characters of them all."""
    seen: Counter[str] = Counter()
    for utterance in utterances:
        text = utterance.text
        characters = set(text)
        seen.update(characters)
        if not text.strip():
            yield _warning("empty text", utterance.id, "nothing was said, by its transcript")
        elif not normalize_basic(text):
            yield _warning("no words", utterance.id, f"{text!r} holds no letter or digit; training refuses it")
        if odd := sorted(character for character in characters if _is_odd(character)):
            yield _warning("odd characters", utterance.id, ", ".join(map(describe_character, odd[:5])))
        if not unicodedata.is_normalized("NFC", text):
            yield _warning("text not in NFC", utterance.id, "accents stand apart from their letters; normalise to NFC")
        if any(character.isspace() for character in utterance.id):
            yield _warning("id with spaces", utterance.id, "Kaldi and trn files cannot hold it")
    rare = sorted(character for character, count in seen.items() if count < _RARE_UTTERANCES)
    if rare and len(utterances) >= _RARE_NEEDS_UTTERANCES:
        shown = " ".join(map(describe_character, rare[:_CHARACTERS_SHOWN]))
        more = f" and {len(rare) - _CHARACTERS_SHOWN} more" if len(rare) > _CHARACTERS_SHOWN else ""
        yield _warning("rare characters", "", f"in fewer than {_RARE_UTTERANCES} utterances each: {shown}{more}")


def describe_character(character: str) -> str:
    """The character itself if it can be seen, else its number and name."""
    if character.isprintable() and not character.isspace() and not _is_odd(character):
        return character
    return f"U+{ord(character):04X} {unicodedata.name(character, 'control')}"


def _is_odd(character: str) -> bool:
    if character == "\ufffd":
        return True
    return unicodedata.category(character) in _ODD_CATEGORIES and character not in _SPOKEN_FORMAT


def _warning(kind: str, where: str, message: str) -> Finding:
    ids = (where,) if where else ()
    return Finding(severity="warning", kind=kind, where=where, message=message, ids=ids)
