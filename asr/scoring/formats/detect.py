"""What format a file of texts is in, by what most of its lines look like.

In: numbered lines. Out: the name of a format, or "bare": text of which the first word may or may not be an id, which
only both files together tell. A wrong guess would be a wrong figure, so guesses are few, named in every report, and a
format with columns is recognised only where nine lines in ten have them.
"""

import re
from collections.abc import Callable, Sequence

from asr.scoring.formats.entries import Line, filled, is_comment
from asr.scoring.formats.lines import TRN_LINE
from asr.scoring.formats.tables import is_header
from asr.scoring.formats.timed import has_decimal_times, looks_like_ctm, looks_like_stm

_HAS_DIGIT = re.compile(r"\d")


def detect(lines: Sequence[Line]) -> str:
    """The name of the format, or "bare"."""
    texts = [line.text.strip() for line in filled(lines) if not is_comment(line)]
    if _share(texts, lambda text: text.startswith("{")) > 0.5:
        return "jsonl"
    if _share(texts, lambda text: TRN_LINE.fullmatch(text) is not None) > 0.5:
        return "trn"
    if texts and (table := _table(filled(lines)[0])):
        return table
    for name, fits in (("stm", looks_like_stm), ("ctm", looks_like_ctm)):
        if _share(texts, fits) >= 0.9 and _share(texts, has_decimal_times) >= 0.5:
            return name
    return "bare"


def first_words_are_ids(references: Sequence[Line], hypotheses: Sequence[Line]) -> bool | None:
    """Whether two bare files begin their lines with ids; None where nothing tells (then a person has to say).

    Yes where nearly all first words look like ids (digits among letters, long numbers, underscores), or where both
    files have the same first words, each once, in another order. No where they differ or repeat. Nothing tells where
    they look like ids in one file only: as plain text the ids would count as words.
    """
    first, second = ([line.text.split(None, 1)[0] for line in filled(lines)] for lines in (references, hypotheses))
    with_ids = [_mostly_ids(words) for words in (first, second)]
    if all(with_ids):
        return True
    if any(with_ids):
        return None
    unique = len(set(first)) == len(first) and len(set(second)) == len(second)
    if not unique or set(first) != set(second) or all(len(line.text.split()) == 1 for line in filled(references)):
        return False
    return True if first != second else None


def _share(texts: Sequence[str], fits: Callable[[str], bool]) -> float:
    return sum(map(fits, texts)) / len(texts) if texts else 0.0


def _table(header: Line) -> str | None:
    kinds = (("tsv", "\t"), ("csv", ","), ("csv", ";"))
    return next((name for name, delimiter in kinds if is_header(header, delimiter)), None)


def _mostly_ids(words: Sequence[str]) -> bool:
    looks = sum(map(_looks_like_id, words))
    return bool(words) and looks >= 0.9 * len(words) and 2 * len(set(words)) >= len(words)


def _looks_like_id(word: str) -> bool:
    digits = len(_HAS_DIGIT.findall(word))
    return "_" in word or digits >= 3 or 0 < digits < len(word)
