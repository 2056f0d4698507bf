"""Which of a reference's alternatives was said: the one that costs least by sclite's costs, as sclite decides it.

In: texts with sclite's marks (asr/scoring/formats/entries.py) and the hypotheses. Out: one plain reference each. The
search runs over the network of all alternatives, not over their product. A word that may be left out, ``(uh)``, is an
alternative to nothing, as with ``sclite -D``; the errors are the same, but where it is left out sclite counts it as one
more reference word, and here it is none.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from asr.scoring.formats.entries import Choice, Part, has_marks, parse_marks

_SUBSTITUTION, _GAP = 4, 3  # sclite's costs


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
