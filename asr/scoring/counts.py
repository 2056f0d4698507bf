"""Hits, substitutions, deletions and insertions between references and hypotheses, and which word became which.

In: texts, normalised but for the counts of punctuation and capitals. Out: ``ErrorCounts``, which add up over a corpus,
so that its rate is (S+D+I)/N of the whole and never a mean of the utterances' rates (jiwer#46); alignments; and a
REF/HYP/OPS block in columns, as sclite draws it.

jiwer counts and aligns for reports, a list of utterances in one call. Texts are split at any white space before it sees
them (it splits at single spaces only), and an empty list never reaches it. ``count_errors`` takes the same alignment
from rapidfuzz directly, one utterance at a time and without listing the hits. It is for inner loops (the n-best, tuning
over a grid, the dev set after each epoch), where people would wait: 10,000 utterances of 27 words in 0.19 s for words
and 0.21 s for characters, jiwer 2.0 s and 2.8 s on the same busy machine (benchmarks/wer_counting.py). In a whole
`asr score` of them jiwer is a fifth of the time.

Punctuation and capitals are counted as NeMo counts punctuation (Meister et al., "LibriSpeech-PC", ASRU 2023): words and
marks are aligned with the fewest errors, all marks being alike and case being ignored; a mark beside another mark is a
substitution, and beside a word or nothing a deletion or insertion. Capitals are compared in the words that are right
but for their case. Marks are those that end or part sentences; quotes, brackets and dashes are none.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jiwer
from rapidfuzz.distance import Levenshtein

from asr.terminal import display_width, pad
from asr.text.basic import UNSPACED_CHARACTER


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


NO_COUNTS = ErrorCounts()
Operation = Literal["hit", "substitution", "deletion", "insertion"]
_OPERATIONS: dict[str, Operation] = {
    "equal": "hit",
    "substitute": "substitution",
    "delete": "deletion",
    "insert": "insertion",
}
_LETTERS: dict[Operation, str] = {"hit": "", "substitution": "S", "deletion": "D", "insertion": "I"}
_WORDS, _CHARACTERS = jiwer.ReduceToListOfListOfWords(), jiwer.ReduceToListOfListOfChars()
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # control and direction characters would break or reorder the columns


class AlignedSpan(NamedTuple):
    """A run of columns of one kind; one side is empty for insertions and deletions, else both are equally long."""

    operation: Operation
    reference: Sequence[str]
    hypothesis: Sequence[str]


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """One column of an alignment; ``reference`` is None for an insertion, ``hypothesis`` is None for a deletion."""

    operation: Operation
    reference: str | None
    hypothesis: str | None


def count_words(references: Sequence[str], hypotheses: Sequence[str]) -> list[ErrorCounts]:
    """jiwer's counts of each utterance over words: what white space separates."""
    return [count_spans(spans) for spans in word_alignments(references, hypotheses)]


def count_characters(references: Sequence[str], hypotheses: Sequence[str]) -> list[ErrorCounts]:
    """jiwer's counts of each utterance over Unicode characters (code points), single spaces between words included."""
    return [count_spans(spans) for spans in character_alignments(references, hypotheses)]


def word_alignments(references: Sequence[str], hypotheses: Sequence[str]) -> list[list[AlignedSpan]]:
    """The alignment of each utterance's words with the fewest errors; where several have the fewest, jiwer's."""
    if not references:
        return []
    return _spans(jiwer.process_words(_single_spaced(references), _single_spaced(hypotheses), _WORDS, _WORDS))


def character_alignments(references: Sequence[str], hypotheses: Sequence[str]) -> list[list[AlignedSpan]]:
    """The same of each utterance's characters."""
    if not references:
        return []
    return _spans(
        jiwer.process_characters(_single_spaced(references), _single_spaced(hypotheses), _CHARACTERS, _CHARACTERS)
    )


def align_words(reference: str, hypothesis: str) -> list[AlignedPair]:
    """The alignment of one utterance's words, a pair a column."""
    return aligned_pairs(word_alignments([reference], [hypothesis])[0])


def aligned_pairs(spans: Iterable[AlignedSpan]) -> list[AlignedPair]:
    """The same alignment, a pair a column."""
    pairs: list[AlignedPair] = []
    for operation, references, hypotheses in spans:
        left: Sequence[str | None] = references or [None] * len(hypotheses)
        right: Sequence[str | None] = hypotheses or [None] * len(references)
        pairs += [AlignedPair(operation, a, b) for a, b in zip(left, right, strict=True)]
    return pairs


def count_spans(spans: Iterable[AlignedSpan]) -> ErrorCounts:
    """The counts of an alignment."""
    sizes = dict.fromkeys(_LETTERS, 0)
    for operation, reference, hypothesis in spans:
        sizes[operation] += max(len(reference), len(hypothesis))
    return ErrorCounts(sizes["hit"], sizes["substitution"], sizes["deletion"], sizes["insertion"])


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Count the errors of one utterance, given as tokens, for inner loops; the counts are jiwer's."""
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
    """``count_errors`` over words."""
    return count_errors(reference.split(), hypothesis.split())


def count_character_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """``count_errors`` over characters, single spaces between words included."""
    return count_errors(" ".join(reference.split()), " ".join(hypothesis.split()))


_MARKS = ".,?!:;…。、，？！：；؟،؛۔।॥։՞¿¡·፣፤"
# A word, which may hold an ASCII mark between two characters (3.5, 10:30), or a mark.
_TOKENS = re.compile(rf"[^\s{_MARKS}](?:[^\s{_MARKS}]|(?<=\S)[.,:?!;·](?=\w))*|[{_MARKS}]")
_EDGES = "\"'’‘‚“”„«»‹›()[]{}<>-–—_*/\\|~"  # of words: neither word nor mark
_MARK = "\0"  # all marks, in the alignment


def count_mixed(references: Sequence[str], hypotheses: Sequence[str]) -> list[ErrorCounts]:
    """Counts over characters of scripts without spaces and words of the others; empty where no text has such scripts.

    It is the mixed error rate of code-switched speech, as for SEAME (Mandarin and English).
    """
    if not any(map(UNSPACED_CHARACTER.search, references)):
        return [NO_COUNTS] * len(references)
    return [
        count_errors(mixed_tokens(one), mixed_tokens(other)) for one, other in zip(references, hypotheses, strict=True)
    ]


def mixed_tokens(text: str) -> list[str]:
    """Words, but each character of a script without spaces alone."""
    return UNSPACED_CHARACTER.sub(r" \g<0> ", text).split()


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


def alignment_block(pairs: Sequence[AlignedPair], *, width: int = 100) -> str:
    """Draw the alignment as lines REF, HYP and OPS (S, D, I under each error), folded at ``width`` columns.

    A word without a partner is drawn over or under asterisks. Wide (East Asian) characters take two columns.
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


def _single_spaced(texts: Sequence[str]) -> list[str]:
    return [" ".join(text.split()) for text in texts]


def _spans(output: jiwer.WordOutput | jiwer.CharacterOutput) -> list[list[AlignedSpan]]:
    return [
        [
            AlignedSpan(
                _OPERATIONS[chunk.type],
                reference[chunk.ref_start_idx : chunk.ref_end_idx],
                hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx],
            )
            for chunk in chunks
        ]
        for reference, hypothesis, chunks in zip(output.references, output.hypotheses, output.alignments, strict=True)
    ]


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
