"""sclite's alignment costs, for figures that must equal sclite's, and its marks for what else may be said.

In: texts, already normalised, or texts with marks. Out: ``ErrorCounts``; texts without marks.

sclite aligns by cost (4 for a substitution, 3 for a deletion or insertion), not by the fewest errors: "a b x y z"
against "p q r a b" is 6 errors there (a and b match), where jiwer finds 5 (five substitutions). Of equal costs it
takes, from the end backwards, a match or substitution before an insertion before a deletion; so do we, which makes the
split into kinds equal too (measured over random pairs in tests/scoring/test_sclite.py). Memory grows with the length of
a text, not with its square: rows of costs are kept at intervals, and the steps between two of them computed again.

Marks in trn and stm: ``{ i am / i'm / @ }`` are alternatives (``@``: nothing; they may be nested), ``(uh)`` is a word
that may be left out; a ctm's <ALT_BEGIN> blocks are the same. The rest is plain words; a slash outside braces is one
too. The readings of reference and hypothesis that cost least against each other count; the search runs over the network
of all alternatives, not over their product. As with ``sclite -D``, a word that may be left out and is (at a cost of 2)
counts as right, so it stays in N.
"""

import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asr.scoring.counts import ErrorCounts

_SUBSTITUTION, _GAP = 4, 3
_NOTHING = "@"
_DEEPEST = 21  # the search calls itself for each
_TOKENS = re.compile(r"[{}]|[^\s{}]+")
_OPTIONAL = re.compile(r"\(\S+\)")

Costs = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives, each a sequence of words and further choices; ``optional``: a word that may be left out."""

    options: tuple[tuple["Part", ...], ...]
    optional: bool = False


Part = str | Choice


def parse_marks(text: str, *, optional_words: bool = True) -> tuple[Part, ...]:
    """The parts of a marked text; raises ValueError where the braces do not match, or are too deep in each other.

    ``optional_words``: whether ``(uh)`` may be left out; else it is the word uh.
    """
    stack: list[list[list[Part]]] = [[[]]]  # for each open brace the options so far; the last one is being read
    for token in _pieces(text):
        if token == "{":
            stack.append([[]])
            if len(stack) > _DEEPEST:
                raise ValueError(f"has more than {_DEEPEST - 1} '{{' inside each other")
        elif token == "}":
            if len(stack) == 1:
                raise ValueError("has a '}' without a '{' before it")
            options = tuple(tuple(option) for option in stack.pop())
            stack[-1][-1].append(Choice(options))
        elif token == "/" and len(stack) > 1:
            stack[-1].append([])
        elif _OPTIONAL.fullmatch(token):
            stack[-1][-1].append(Choice(((token[1:-1],), ()), optional=True) if optional_words else token[1:-1])
        elif token != _NOTHING:
            stack[-1][-1].append(token)
    if len(stack) > 1:
        raise ValueError("has a '{' that is never closed")
    return tuple(stack[0][0])


def has_marks(text: str) -> bool:
    """Whether the text has anything to choose: else it is its own words."""
    return any(mark in text for mark in ("{", "}", "(", _NOTHING))


def _pieces(text: str) -> Sequence[str]:
    """Words, braces, and inside braces the slashes, which need no space around them there."""
    pieces: list[str] = []
    depth = 0
    for token in _TOKENS.findall(text):
        depth += {"{": 1, "}": -1}.get(token, 0)
        pieces += re.findall(r"/|[^/]+", token) if depth > 0 else [token]
    return pieces


def count_words_as_sclite(references: Sequence[str], hypotheses: Sequence[str]) -> list[ErrorCounts]:
    """Count each utterance over words, what white space separates, as ``sclite -s`` does."""
    return [_count(one.split(), other.split()) for one, other in zip(references, hypotheses, strict=True)]


_HIT, _SUBSTITUTED, _DELETED, _INSERTED = range(4)  # steps, in the order of ErrorCounts' fields
_ONE_BLOCK = 4_000_000  # steps held at once, a byte each; a longer alignment is traced block by block


def _count(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Time is proportional to both lengths, memory to the hypothesis's times the root of the reference's."""
    ids: dict[str, int] = {}
    said = [ids.setdefault(token, len(ids)) for token in reference]
    heard = np.array([ids.setdefault(token, len(ids)) for token in hypothesis], dtype=np.int64)
    ramp = _GAP * np.arange(len(heard) + 1, dtype=np.int64)
    rows, size = [ramp], len(said) or 1  # the costs before each block of ``size`` reference words
    if len(said) * len(heard) > _ONE_BLOCK:
        size = math.isqrt(len(said))
        row = ramp
        for index, token in enumerate(said[: (len(said) - 1) // size * size], start=1):
            row, _ = _next_row(row, heard == token, ramp)
            rows += [row] if index % size == 0 else []
    totals, place = [0, 0, 0, 0], len(heard)
    for number in reversed(range(len(rows))):
        steps = _steps(rows[number], said[number * size : (number + 1) * size], heard, ramp)
        for step_row in reversed(steps):
            while (step := step_row[place]) == _INSERTED:
                totals[_INSERTED] += 1
                place -= 1
            totals[step] += 1
            place -= step != _DELETED
    totals[_INSERTED] += place
    return ErrorCounts(*totals)


def _next_row(row: Costs, same: NDArray[np.bool_], ramp: Costs) -> tuple[Costs, Costs]:
    """The costs after one more reference word, and those by way of a match or substitution."""
    diagonal = row[:-1] + np.where(same, 0, _SUBSTITUTION)
    before = row + _GAP
    np.minimum(before[1:], diagonal, out=before[1:])
    return np.minimum.accumulate(before - ramp) + ramp, diagonal  # inserting any number of words


def _steps(row: Costs, said: Sequence[int], heard: Costs, ramp: Costs) -> list[bytes]:
    """For each reference word of a block the last step that leads to each number of hypothesis words."""
    steps = []
    for token in said:
        same = heard == token
        row, diagonal = _next_row(row, same, ramp)
        gap = np.where(row[1:] == row[:-1] + _GAP, _INSERTED, _DELETED)
        found = np.where(row[1:] == diagonal, np.where(same, _HIT, _SUBSTITUTED), gap)
        steps.append(bytes([_DELETED]) + found.astype(np.uint8).tobytes())
    return steps


@dataclass(slots=True)
class Readings:
    """Texts without marks, by id; how many had any; and the words that may be left out and were, by id."""

    references: dict[str, str] = field(default_factory=dict)
    hypotheses: dict[str, str] = field(default_factory=dict)
    marked: int = 0
    left_out: dict[str, str] = field(default_factory=dict)


def choose_readings(
    references: Mapping[str, str],
    hypotheses: Mapping[str, str],
    normalizer: Callable[[str], str],
    *,
    optional_words: bool = True,
    marked: tuple[bool, bool] = (True, True),
) -> Readings:
    """What is compared of texts with marks; words are compared as ``normalizer`` leaves them.

    ``marked``: whether references and hypotheses may hold marks; ``optional_words``: whether ``(uh)`` may be left out.
    """
    found = Readings(hypotheses=dict(hypotheses))
    for key, reference in references.items():
        texts = reference, hypotheses.get(key, "")
        said, heard = (
            parse_marks(text, optional_words=optional_words) if may and has_marks(text) else (text,)
            for text, may in zip(texts, marked, strict=True)
        )
        found.marked += any(isinstance(part, Choice) for part in (*said, *heard))
        left_out: list[str] = []
        found.references[key] = best_text(said, heard, normalizer, left_out)
        if key in hypotheses:
            found.hypotheses[key] = best_text(heard, (found.references[key],), normalizer, left_out)
        if left_out:
            found.left_out[key] = " ".join(left_out)
    return found


def best_text(
    parts: Sequence[Part], other: Sequence[Part], normalizer: Callable[[str], str], left_out: list[str]
) -> str:
    """The reading of ``parts`` that costs least against the nearest reading of ``other``; of equals the first listed.

    Words that may be left out and are go to ``left_out``. Hirschberg's divide and conquer (CACM 18, 1975), so that
    memory grows with the length of the texts only.
    """
    words: list[str] = []
    ids: dict[str, int] = {}

    @functools.cache
    def tokens(word: str) -> tuple[int, ...]:
        return tuple(ids.setdefault(token, len(ids)) for token in normalizer(word).split())

    def choose(parts: Sequence[Part], lattice: _Lattice) -> None:
        if len(parts) > 1:
            half = len(parts) // 2
            place = 0
            if any(isinstance(part, Choice) for part in parts):
                rest = lattice.backwards().costs(parts[half:], tokens, -1)
                place = int((lattice.costs(parts[:half], tokens) + rest[::-1]).argmin())
            choose(parts[:half], lattice.between(0, place))
            choose(parts[half:], lattice.between(place, lattice.size - 1))
        for part in parts if len(parts) == 1 else ():
            if isinstance(part, str):
                words.append(part)
                continue
            costs = [lattice.costs((Choice((one,), part.optional),), tokens)[-1] for one in part.options]
            option = part.options[int(np.argmin(costs))]
            if part.optional and not option:
                left_out.extend(word for word in part.options[0] if isinstance(word, str))
            choose(option, lattice)

    if not any(isinstance(part, Choice) for part in parts):
        return " ".join(part for part in parts if isinstance(part, str))
    choose(parts, _Lattice.of(other, tokens))
    return " ".join(words)


Tokens = Callable[[str], Sequence[int]]
_UNIT = (
    1000  # of the costs above: sclite has 0.001 for the alternative "@", so that a word wins where both cost the same
)
_EDIT, _MISSED, _LEFT_OUT, _NULL = _SUBSTITUTION * _UNIT, _GAP * _UNIT, 2 * _UNIT, 1
_NO_WORD = -1
_FAR = 1 << 40


def _cost_of_nothing(choice: Choice, option: Sequence[Part]) -> int:
    """What an option costs beyond its words."""
    return 0 if option else _LEFT_OUT if choice.optional else _NULL


@dataclass(frozen=True, slots=True)
class _Lattice:
    """All readings of a text: edges with a word, or none, from an earlier node to a later one, in order of ``start``.

    ``gap``: the cost of passing the edge without a partner.
    """

    size: int
    start: Costs
    end: Costs
    word: Costs
    gap: Costs

    @classmethod
    def of(cls, parts: Sequence[Part], tokens: Tokens) -> "_Lattice":
        """The lattice of marked or plain text; node 0 is its beginning, the last node its end."""
        edges: list[tuple[int, int, int, int]] = []
        size = 1

        def extend(node: int, parts: Iterable[Part]) -> int:
            nonlocal size
            for part in parts:
                if isinstance(part, str):
                    for token in tokens(part):
                        edges.append((node, size, token, _MISSED))
                        node, size = size, size + 1
                else:
                    ends = [extend(node, option) for option in part.options]
                    joined = zip(ends, part.options, strict=True)
                    edges.extend((end, size, _NO_WORD, _cost_of_nothing(part, option)) for end, option in joined)
                    node, size = size, size + 1
            return node

        extend(0, parts)
        columns = np.array(sorted(edges), dtype=np.int64).reshape(-1, 4).T
        return cls(size, *columns)

    def backwards(self) -> "_Lattice":
        """The same from its end to its start."""
        last = self.size - 1
        order = np.argsort(last - self.end, kind="stable")
        flipped = (last - self.end, last - self.start, self.word, self.gap)
        return _Lattice(self.size, *(one[order] for one in flipped))

    def between(self, first: int, last: int) -> "_Lattice":
        """The part between two nodes."""
        inside = (self.start >= first) & (self.end <= last)
        moved = self.start - first, self.end - first, self.word, self.gap
        return _Lattice(last - first + 1, *(one[inside] for one in moved))

    def costs(self, parts: Sequence[Part], tokens: Tokens, step: Literal[1, -1] = 1) -> Costs:
        """For each node the least cost of the readings of ``parts`` against those that lead to it.

        ``step``: -1 reads ``parts`` backwards.
        """
        row = np.full(self.size, _FAR, dtype=np.int64)
        row[0] = 0
        return self._pass(self._insert(row), parts, tokens, step)

    def _pass(self, row: Costs, parts: Sequence[Part], tokens: Tokens, step: int) -> Costs:
        for part in parts[::step]:
            if isinstance(part, str):
                for token in tokens(part)[::step]:
                    row = self._across(row, token)
            else:
                ways = [self._pass(row, one, tokens, step) + _cost_of_nothing(part, one) for one in part.options]
                row = functools.reduce(np.minimum, ways)
        return row

    def _across(self, row: Costs, token: int) -> Costs:
        """One word further: without a partner, matched or substituted, and any number of the other words inserted."""
        after = row + _MISSED
        costs = np.where(self.word == token, 0, np.where(self.word == _NO_WORD, _FAR, _EDIT))
        np.minimum.at(after, self.end, row[self.start] + costs)
        return self._insert(after)

    def _insert(self, row: Costs) -> Costs:
        if len(self.start) == self.size - 1 and (self.word != _NO_WORD).all():  # one reading only: a chain of words
            ramp = _MISSED * np.arange(self.size, dtype=np.int64)
            chained: Costs = np.minimum.accumulate(row - ramp) + ramp
            return chained
        costs = row.tolist()
        for start, end, gap in zip(self.start.tolist(), self.end.tolist(), self.gap.tolist(), strict=True):
            costs[end] = min(costs[end], costs[start] + gap)
        return np.array(costs, dtype=np.int64)
