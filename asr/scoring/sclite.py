"""sclite's alignment costs, for figures that must equal sclite's, and its marks for what else may be said.

In: texts, already normalised, or references with marks. Out: ``ErrorCounts``; references without marks.

sclite aligns by cost (4 for a substitution, 3 for a deletion or insertion), not by the fewest errors: "a b x y z"
against "p q r a b" is 6 errors there (a and b match), where jiwer finds 5 (five substitutions). Of equal costs it
takes, from the end backwards, a match or substitution before an insertion before a deletion; so do we, which makes the
split into kinds equal too (measured over random pairs in tests/scoring/test_sclite.py).

Marks in the references of trn and stm: ``{ i am / i'm / @ }`` are alternatives (``@``: nothing; they may be nested),
``(uh)`` is a word that may be left out. The rest is plain words; a slash outside braces is one too. Of the alternatives
the one of least cost counts, as in sclite; the search runs over the network of all alternatives, not over their
product. A word that may be left out is an alternative to nothing, as with ``sclite -D``; the errors are the same, but
where it is left out sclite counts it as one more reference word, and here it is none.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from asr.scoring.counts import ErrorCounts

_SUBSTITUTION, _GAP = 4, 3
_DIAGONAL, _INSERTION, _DELETION = 0, 1, 2
_NOTHING = "@"
_TOKENS = re.compile(r"[{}]|[^\s{}]+")
_OPTIONAL = re.compile(r"\(\S+\)")


@dataclass(frozen=True, slots=True)
class Choice:
    """Alternatives; each of ``options`` is a sequence of words and further choices."""

    options: tuple[tuple["Part", ...], ...]


Part = str | Choice


def parse_marks(text: str) -> tuple[Part, ...]:
    """The parts of a marked text; raises ValueError where the braces do not match."""
    stack: list[list[list[Part]]] = [[[]]]  # for each open brace the options so far; the last one is being read
    for token in _pieces(text):
        if token == "{":
            stack.append([[]])
        elif token == "}":
            if len(stack) == 1:
                raise ValueError("has a '}' without a '{' before it")
            options = tuple(tuple(option) for option in stack.pop())
            stack[-1][-1].append(Choice(options))
        elif token == "/" and len(stack) > 1:
            stack[-1].append([])
        elif token != _NOTHING:
            stack[-1][-1].append(Choice(((token[1:-1],), ())) if _OPTIONAL.fullmatch(token) else token)
    if len(stack) > 1:
        raise ValueError("has a '{' that is never closed")
    return tuple(stack[0][0])


def has_marks(text: str) -> bool:
    """Whether the text has anything to choose: else it is its own words."""
    return any(mark in text for mark in ("{", "}", "(", _NOTHING))


def check_marks(text: str, role: Literal["reference", "hypothesis"]) -> None:
    """Raises ValueError where a reference's braces do not match, or a hypothesis has alternatives."""
    if role == "hypothesis" and "{" in text:
        raise ValueError("holds alternatives ({ … / … }); a hypothesis must be one text: write the one that counts")
    if role == "reference":
        parse_marks(text)


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


def _count(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Time and memory are proportional to both lengths."""
    import numpy as np

    ids: dict[str, int] = {}
    reference_ids = [ids.setdefault(token, len(ids)) for token in reference]
    hypothesis_ids = np.array([ids.setdefault(token, len(ids)) for token in hypothesis], dtype=np.int64)
    ramp = _GAP * np.arange(len(hypothesis_ids) + 1)
    row = ramp
    steps = np.full((len(reference_ids) + 1, len(hypothesis_ids) + 1), _INSERTION, dtype=np.uint8)
    for index, token in enumerate(reference_ids, start=1):
        diagonal = row[:-1] + np.where(hypothesis_ids == token, 0, _SUBSTITUTION)
        before = np.concatenate(([_GAP * index], np.minimum(diagonal, row[1:] + _GAP)))
        row = np.minimum.accumulate(before - ramp) + ramp  # inserting any number of words
        inserted = row[1:] == row[:-1] + _GAP
        steps[index, 0] = _DELETION
        steps[index, 1:] = np.where(row[1:] == diagonal, _DIAGONAL, np.where(inserted, _INSERTION, _DELETION))
    return _trace(steps.tolist(), reference_ids, hypothesis_ids.tolist())


def _trace(steps: Sequence[Sequence[int]], reference_ids: Sequence[int], hypothesis_ids: Sequence[int]) -> ErrorCounts:
    hits = substitutions = deletions = insertions = 0
    i, j = len(reference_ids), len(hypothesis_ids)
    while i or j:
        step = steps[i][j]
        if step == _DIAGONAL:
            i, j = i - 1, j - 1
            hits += reference_ids[i] == hypothesis_ids[j]
            substitutions += reference_ids[i] != hypothesis_ids[j]
        elif step == _INSERTION:
            j, insertions = j - 1, insertions + 1
        else:
            i, deletions = i - 1, deletions + 1
    return ErrorCounts(hits, substitutions, deletions, insertions)


@dataclass(frozen=True, slots=True)
class _Edge:
    """From an earlier node; ``tokens`` are what is compared of ``word``, which is None where nothing is said."""

    start: int
    word: str | None
    tokens: tuple[str, ...]


@dataclass(slots=True)
class _Network:
    """Nodes in topological order, each with the edges that lead to it; node 0 is the beginning."""

    incoming: list[list[_Edge]] = field(default_factory=lambda: [[]])

    def add(self, *edges: _Edge) -> int:
        self.incoming.append(list(edges))
        return len(self.incoming) - 1


def choose_alternatives(
    references: Mapping[str, str], hypotheses: Mapping[str, str], normalizer: Callable[[str], str]
) -> tuple[dict[str, str], int]:
    """The references without marks, and how many had any; words are compared as ``normalizer`` leaves them."""
    chosen, marked = {}, 0
    for key, text in references.items():
        if has_marks(text):
            parts = parse_marks(text)
            marked += any(isinstance(part, Choice) for part in parts)
            text = best_text(parts, normalizer(hypotheses.get(key, "")).split(), normalizer)
        chosen[key] = text
    return chosen, marked


def best_text(parts: Sequence[Part], hypothesis: Sequence[str], normalizer: Callable[[str], str]) -> str:
    """The words of the path through ``parts`` that costs least against the hypothesis; of equals, the first listed."""
    network = _Network()
    end = _extend(network, 0, parts, normalizer)
    costs: list[list[float]] = []
    steps: list[list[tuple[_Edge, int]]] = []
    for node, edges in enumerate(network.incoming):
        row, back = _best_row(node, edges, costs, hypothesis)
        costs.append(row)
        steps.append(back)
    words: list[str] = []
    node, position = end, len(hypothesis)
    while node:
        edge, position = steps[node][position]
        words += [] if edge.word is None else [edge.word]
        node = edge.start
    return " ".join(reversed(words))


def _extend(network: _Network, start: int, parts: Sequence[Part], normalizer: Callable[[str], str]) -> int:
    """Append ``parts`` behind node ``start``; returns the node where they end."""
    node = start
    for part in parts:
        if isinstance(part, str):
            node = network.add(_Edge(node, part, tuple(normalizer(part).split())))
        else:
            ends = [_extend(network, node, option, normalizer) for option in part.options]
            node = network.add(*(_Edge(end, None, ()) for end in ends))
    return node


def _best_row(
    node: int, edges: Sequence[_Edge], costs: Sequence[Sequence[float]], hypothesis: Sequence[str]
) -> tuple[list[float], list[tuple[_Edge, int]]]:
    """For each number of hypothesis words: the least cost to be at the node, and by which edge from which number."""
    size = len(hypothesis) + 1
    if node == 0:
        return [_GAP * position for position in range(size)], []
    row, back = [math.inf] * size, [(edges[0], 0)] * size
    for edge in edges:
        reached = list(costs[edge.start])
        origin = list(range(size))
        for token in edge.tokens:
            reached, origin = _across(token, reached, origin, hypothesis)
        for position in range(size):
            if reached[position] < row[position]:
                row[position], back[position] = reached[position], (edge, origin[position])
    return row, back


def _across(
    token: str, costs: Sequence[float], origin: Sequence[int], hypothesis: Sequence[str]
) -> tuple[list[float], list[int]]:
    """One reference word further: deleted, matched or substituted, and any number of hypothesis words inserted."""
    after, came = [costs[0] + _GAP], [origin[0]]
    for position, word in enumerate(hypothesis, start=1):
        ways = (
            (costs[position - 1] + (0 if word == token else _SUBSTITUTION), origin[position - 1]),
            (after[-1] + _GAP, came[-1]),
            (costs[position] + _GAP, origin[position]),
        )
        cost, start = min(ways, key=lambda way: way[0])
        after.append(cost)
        came.append(start)
    return after, came
