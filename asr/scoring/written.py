"""Errors that WER does not see: punctuation, capital letters, and characters of scripts without spaces among words.

In: texts as they were written, or normalised. Out: ``ErrorCounts`` of each utterance.

Punctuation and capitals are counted as NeMo counts punctuation (Meister et al., "LibriSpeech-PC", ASRU 2023): words and
marks are aligned with the fewest errors, all marks being alike and case being ignored; a mark beside another mark is a
substitution, and beside a word or nothing a deletion or insertion. Capitals are compared in the words that are right
but for their case. Marks are those that end or part sentences; quotes, brackets and dashes are none.
"""

import re
import unicodedata
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

from asr.scoring.counts import NO_COUNTS, ErrorCounts, count_errors

_MARKS = ".,?!:;…。、，？！：；؟،؛۔।॥։՞¿¡·፣፤"
# A word, which may hold an ASCII mark between two characters (3.5, 10:30), or a mark.
_TOKENS = re.compile(rf"[^\s{_MARKS}](?:[^\s{_MARKS}]|(?<=\S)[.,:?!;·](?=\w))*|[{_MARKS}]")
_EDGES = "\"'’‘‚“”„«»‹›()[]{}<>-–—_*/\\|~"  # of words: neither word nor mark
_MARK = "\0"  # all marks, in the alignment
# Scripts written without spaces: Han, kana, bopomofo, Thai, Lao, Myanmar, Khmer. Hangul has spaces.
_UNSPACED = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u30ff\u3105-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff]"
)


def count_mixed(references: Sequence[str], hypotheses: Sequence[str]) -> list[ErrorCounts]:
    """Counts over characters of scripts without spaces and words of the others; empty where no text has such scripts.

    It is the mixed error rate of code-switched speech, as for SEAME (Mandarin and English).
    """
    if not any(map(_UNSPACED.search, references)):
        return [NO_COUNTS] * len(references)
    return [
        count_errors(mixed_tokens(one), mixed_tokens(other)) for one, other in zip(references, hypotheses, strict=True)
    ]


def mixed_tokens(text: str) -> list[str]:
    """Words, but each character of a script without spaces alone."""
    return _UNSPACED.sub(r" \g<0> ", text).split()


def count_written(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[list[ErrorCounts], list[ErrorCounts]]:
    """Errors in punctuation marks, and in the case of words right but for that, of texts as written.

    Empty counts of capitals where the references are all in one case, of marks where they have none.
    """
    has_marks = any(mark in one for one in references for mark in _MARKS)
    has_case = any(one != one.lower() for one in references) and any(one != one.upper() for one in references)
    empty = [NO_COUNTS] * len(references)
    if not has_marks and not has_case:
        return empty, empty
    counts = [
        _count_pair(written_tokens(one), written_tokens(other))
        for one, other in zip(references, hypotheses, strict=True)
    ]
    return [one for one, _ in counts] if has_marks else empty, [other for _, other in counts] if has_case else empty


def written_tokens(text: str) -> list[str]:
    """Words and marks in order; what is neither (quotes, brackets, dashes) is left out."""
    tokens: list[str] = []
    for token in _TOKENS.findall(unicodedata.normalize("NFC", text).replace("...", "…")):
        tokens += [token] if token in _MARKS else mixed_tokens(token.strip(_EDGES))
    return tokens


def _count_pair(said: Sequence[str], heard: Sequence[str]) -> tuple[ErrorCounts, ErrorCounts]:
    masked = [[_MARK if token in _MARKS else token.casefold() for token in side] for side in (said, heard)]
    marks, case = [0, 0], [0, 0]  # right and wrong among those that are aligned
    for step in Levenshtein.opcodes(*masked):
        if step.tag == "equal":
            for one, other in zip(
                said[step.src_start : step.src_end], heard[step.dest_start : step.dest_end], strict=True
            ):
                (marks if one in _MARKS else case)[one != other] += 1
    deleted, inserted = (side.count(_MARK) - sum(marks) for side in masked)
    return ErrorCounts(marks[0], marks[1], deleted, inserted), ErrorCounts(case[0], case[1])
