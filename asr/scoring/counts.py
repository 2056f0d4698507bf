"""Hits, substitutions, deletions and insertions between two token sequences.

In: a reference and a hypothesis, already normalised. Out: ``ErrorCounts``, which add up over a corpus so that its rate
is (S+D+I)/N of the whole and never a mean of per-utterance rates (jiwer#46). The counts are those of jiwer, which takes
them from rapidfuzz's edit operations on integer ids. Going there directly, with the tokens as they are (rapidfuzz
compares their 64-bit hashes) and only the errors listed, gives the same counts at 4 to 5 times the speed
(benchmarks/wer_counting.py).

Which reference word became which hypothesis word, and a picture of it in plain text.

In: a reference and a hypothesis, already normalised. Out: aligned pairs, equal to jiwer's, and a REF/HYP/OPS block in
columns, like sclite's, for reports and terminals.

Error counts by sclite's alignment, for figures that must equal sclite's to the last error.

In: two texts, already normalised. Out: ``ErrorCounts``. sclite aligns by cost (4 for a substitution, 3 for a deletion
or insertion), not by the fewest errors: "a b x y z" against "p q r a b" is 6 errors there (a and b match), where jiwer
and this project's own count find 5 (five substitutions). Of equal costs it takes, from the end backwards, a match or
substitution before an insertion before a deletion; so do we, which makes the split into kinds equal too (measured over
random pairs in tests/scoring/test_sclite.py).
"""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rapidfuzz.distance import Levenshtein

from asr.terminal import display_width, pad


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """How a hypothesis differs from its reference, in tokens (words or characters)."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_length(self) -> int:
        """The number of tokens in the reference (N)."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hypothesis_length(self) -> int:
        """The number of tokens in the hypothesis."""
        return self.hits + self.substitutions + self.insertions

    @property
    def rate(self) -> float:
        """Errors over reference length, as a fraction (1.0 is 100%); NaN where the reference holds no token.

        No rate exists over nothing: jiwer gives 2 for two words against an empty reference, and 0 for no utterances.
        """
        return self.errors / self.reference_length if self.reference_length else math.nan

    def __add__(self, other: "ErrorCounts") -> "ErrorCounts":
        return ErrorCounts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @staticmethod
    def total(counts: Iterable["ErrorCounts"]) -> "ErrorCounts":
        """The counts of a corpus: each kind summed over its utterances."""
        return sum(counts, ErrorCounts())


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Count the errors of one utterance, given as tokens; an empty side is all deletions or all insertions."""
    substitutions = deletions = insertions = 0
    for tag, _, _ in Levenshtein.editops(reference, hypothesis).as_list():
        if tag == "replace":
            substitutions += 1
        elif tag == "delete":
            deletions += 1
        else:
            insertions += 1
    return ErrorCounts(len(reference) - substitutions - deletions, substitutions, deletions, insertions)


def count_word_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Count over words: what white space separates."""
    return count_errors(reference.split(), hypothesis.split())


def count_character_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Count over Unicode characters (code points), single spaces between words included, as jiwer's ``cer`` does."""
    return count_errors(" ".join(reference.split()), " ".join(hypothesis.split()))


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


def _column(pair: AlignedPair) -> tuple[str, str, str]:
    reference = None if pair.reference is None else _visible(pair.reference)
    hypothesis = None if pair.hypothesis is None else _visible(pair.hypothesis)
    size = max(display_width(word) for word in (reference, hypothesis, "*") if word is not None)
    filler = "*" * size
    texts = (filler if reference is None else reference, filler if hypothesis is None else hypothesis)
    return pad(texts[0], size), pad(texts[1], size), _LETTERS[pair.operation].ljust(size)


def _visible(word: str) -> str:
    return "".join("\ufffd" if unicodedata.category(c) in _INVISIBLE else c for c in word)


def _draw(columns: Sequence[tuple[str, str, str]]) -> str:
    names = ("REF:", "HYP:", "OPS:")
    return "\n".join(" ".join([name, *(column[row] for column in columns)]).rstrip() for row, name in enumerate(names))


_SUBSTITUTION, _GAP = 4, 3
_DIAGONAL, _INSERTION, _DELETION = 0, 1, 2


def count_word_errors_as_sclite(reference: str, hypothesis: str) -> ErrorCounts:
    """Count over words, what white space separates, as ``sclite -s`` does."""
    return count_errors_as_sclite(reference.split(), hypothesis.split())


def count_errors_as_sclite(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Count the errors of one utterance, given as tokens. Time and memory are proportional to both lengths."""
    import numpy as np

    ids: dict[str, int] = {}
    said = [ids.setdefault(token, len(ids)) for token in reference]
    heard = np.array([ids.setdefault(token, len(ids)) for token in hypothesis], dtype=np.int64)
    ramp = _GAP * np.arange(len(heard) + 1)
    row = ramp
    steps = np.full((len(said) + 1, len(heard) + 1), _INSERTION, dtype=np.uint8)
    for index, token in enumerate(said, start=1):
        diagonal = row[:-1] + np.where(heard == token, 0, _SUBSTITUTION)
        before = np.concatenate(([_GAP * index], np.minimum(diagonal, row[1:] + _GAP)))
        row = np.minimum.accumulate(before - ramp) + ramp  # inserting any number of words
        inserted = row[1:] == row[:-1] + _GAP
        steps[index, 0] = _DELETION
        steps[index, 1:] = np.where(row[1:] == diagonal, _DIAGONAL, np.where(inserted, _INSERTION, _DELETION))
    return _trace(steps.tolist(), said, heard.tolist())


def _trace(steps: Sequence[Sequence[int]], said: Sequence[int], heard: Sequence[int]) -> ErrorCounts:
    hits = substitutions = deletions = insertions = 0
    i, j = len(said), len(heard)
    while i or j:
        step = steps[i][j]
        if step == _DIAGONAL:
            i, j = i - 1, j - 1
            hits += said[i] == heard[j]
            substitutions += said[i] != heard[j]
        elif step == _INSERTION:
            j, insertions = j - 1, insertions + 1
        else:
            i, deletions = i - 1, deletions + 1
    return ErrorCounts(hits, substitutions, deletions, insertions)
