"""Which reference word became which hypothesis word, and a picture of it in plain text.

In: a reference and a hypothesis, already normalised. Out: aligned pairs, equal to jiwer's, and a REF/HYP/OPS block in
columns, like sclite's, for reports and terminals.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rapidfuzz.distance import Levenshtein

Operation = Literal["hit", "substitution", "deletion", "insertion"]
_OPERATIONS: dict[str, Operation] = {
    "equal": "hit",
    "replace": "substitution",
    "delete": "deletion",
    "insert": "insertion",
}
_LETTERS: dict[Operation, str] = {"hit": "", "substitution": "S", "deletion": "D", "insertion": "I"}
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control and direction characters would break or reorder the columns


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """One column of an alignment; ``reference`` is None for an insertion, ``hypothesis`` is None for a deletion."""

    operation: Operation
    reference: str | None
    hypothesis: str | None


class AlignedSpan(NamedTuple):
    """A run of columns of one kind; one side is empty for insertions and deletions, else both are equally long."""

    operation: Operation
    reference: Sequence[str]
    hypothesis: Sequence[str]


def align_tokens(reference: Sequence[str], hypothesis: Sequence[str]) -> list[AlignedSpan]:
    """Align two texts, given as tokens (a text is its characters), with the fewest errors.

    Where several alignments have the fewest, it is rapidfuzz's, which jiwer takes and ``count_errors`` counts.
    """
    return [
        AlignedSpan(
            _OPERATIONS[step.tag],
            reference[step.src_start : step.src_end],
            hypothesis[step.dest_start : step.dest_end],
        )
        for step in Levenshtein.opcodes(reference, hypothesis)
    ]


def align_words(reference: str, hypothesis: str) -> list[AlignedPair]:
    """Align two texts word by word, with the fewest errors; the operations are those ``count_word_errors`` counts."""
    pairs: list[AlignedPair] = []
    for operation, references, hypotheses in align_tokens(reference.split(), hypothesis.split()):
        left: Sequence[str | None] = references or [None] * len(hypotheses)
        right: Sequence[str | None] = hypotheses or [None] * len(references)
        pairs += [AlignedPair(operation, a, b) for a, b in zip(left, right, strict=True)]
    return pairs


def alignment_block(pairs: Sequence[AlignedPair], *, width: int = 100) -> str:
    """Draw the alignment as lines REF, HYP and OPS (S, D, I under each error), folded at ``width`` columns.

    A word that has no partner stands over or under asterisks. Wide (East Asian) characters take two columns.
    """
    blocks: list[list[tuple[str, str, str]]] = [[]]
    used = 0
    for pair in pairs:
        column = _column(pair)
        size = display_width(column[0]) + 1
        if blocks[-1] and used + size > width - len("REF: "):
            blocks.append([])
            used = 0
        blocks[-1].append(column)
        used += size
    return "\n\n".join(_draw(block) for block in blocks)


def display_width(text: str) -> int:
    """How many terminal columns the text takes: 0 for combining marks, 2 for East Asian wide characters."""
    return sum(_character_width(character) for character in text)


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _column(pair: AlignedPair) -> tuple[str, str, str]:
    reference = None if pair.reference is None else _visible(pair.reference)
    hypothesis = None if pair.hypothesis is None else _visible(pair.hypothesis)
    size = max(display_width(word) for word in (reference, hypothesis, "*") if word is not None)
    filler = "*" * size
    texts = (filler if reference is None else reference, filler if hypothesis is None else hypothesis)
    return _pad(texts[0], size), _pad(texts[1], size), _LETTERS[pair.operation].ljust(size)


def _visible(word: str) -> str:
    return "".join("\ufffd" if unicodedata.category(c) in _INVISIBLE else c for c in word)


def _pad(text: str, size: int) -> str:
    return text + " " * (size - display_width(text))


def _draw(columns: Sequence[tuple[str, str, str]]) -> str:
    names = ("REF:", "HYP:", "OPS:")
    return "\n".join(" ".join([name, *(column[row] for column in columns)]).rstrip() for row, name in enumerate(names))
