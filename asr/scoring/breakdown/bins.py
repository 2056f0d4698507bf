"""Which group a value falls into: fixed bins, quantile bins, or the value itself.

In: a value for every utterance (None: not known). Out: ``Labels``: a label for every utterance, and all labels in the
order in which a person expects them.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

NOT_GIVEN = "(not known)"
OTHERS = "(others)"
FEW_VALUES = 12  # numbers with at most so many different values are names (grades, rooms), more are measures
MOST_GROUPS = 50
QUANTILES = 5

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Labels:
    """``of``: the label of each value, in the values' order; ``order``: the labels, each once, as they are to stand."""

    of: tuple[str, ...]
    order: tuple[str, ...]


Labeller = Callable[[Sequence[Value]], Labels]


def by_edges(values: Sequence[Value], edges: Sequence[float], *, whole: bool = False) -> Labels:
    """Bins from each edge to before the next; the last is open, and so is the first below the second edge.

    ``whole``: the values are whole numbers, and a bin reads "2 to 4" instead of "2 to 5".
    """
    names = [_edge_name(edges, index, whole) for index in range(len(edges))]
    of = []
    for value in values:
        if isinstance(value, (int, float)) and not math.isnan(value):
            of.append(names[max(bisect_right(edges, value) - 1, 0)])
        else:
            of.append(NOT_GIVEN)
    return Labels(tuple(of), (*names, NOT_GIVEN))


def by_value(values: Sequence[Value], most: int | None = MOST_GROUPS) -> Labels:
    """A group a value; many different numbers into five bins of (nearly) as many utterances each.

    Of more than ``most`` values (None: no limit) the rarest go together. Values of which most utterances have one of
    their own are identifiers: they make no groups, and all is "not known".
    """
    given = [value for value in values if value is not None]
    different = len(set(given))
    if most is not None and different > FEW_VALUES:
        if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in given):
            return by_quantiles(values)
        if different > len(given) / 2:
            return Labels((NOT_GIVEN,) * len(values), (NOT_GIVEN,))
    of = [NOT_GIVEN if value is None else _name(value) for value in values]
    kept = {label for label, _ in Counter(label for label in of if label != NOT_GIVEN).most_common(most)}
    order = dict.fromkeys(_name(value) for value in sorted(given, key=_sort_key))  # True equals 1, not so by name
    return Labels(
        tuple(label if label in kept or label == NOT_GIVEN else OTHERS for label in of),
        (*(label for label in order if label in kept), OTHERS, NOT_GIVEN),
    )


def by_quantiles(values: Sequence[Value], count: int = QUANTILES) -> Labels:
    """Bins of as many utterances each, equal values together; a bin is named by its least and greatest value."""
    given = np.array([value for value in values if value is not None], dtype=np.float64)
    inner = np.unique(np.quantile(given, np.arange(1, count) / count, method="inverted_cdf"))
    bins = [None if value is None else int(np.searchsorted(inner, float(value), "left")) for value in values]
    members: dict[int, list[float]] = {}
    for value, index in zip(values, bins, strict=True):
        if index is not None and value is not None:
            members.setdefault(index, []).append(float(value))
    names = {index: _span(min(members[index]), max(members[index])) for index in sorted(members)}
    return Labels(tuple(NOT_GIVEN if index is None else names[index] for index in bins), (*names.values(), NOT_GIVEN))


def _edge_name(edges: Sequence[float], index: int, whole: bool) -> str:
    if index == len(edges) - 1:
        return f"{edges[index]:.10g} or more"
    if index == 0 and not whole:
        return f"under {edges[1]:.10g}"
    last = edges[index + 1] - 1 if whole else edges[index + 1]
    return _span(edges[index], last)


def _span(low: float, high: float) -> str:
    return f"{low:.10g}" if low == high else f"{low:.10g} to {high:.10g}"


def _name(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value:.10g}"


def _sort_key(value: str | int | float | bool) -> tuple[bool, float, str]:
    return (True, 0.0, value) if isinstance(value, str) else (False, float(value), "")
