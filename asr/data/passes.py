"""What is asked of all utterances of a manifest, whether they are a list or lines of a large file.

In: utterances, a function. Out: what it makes of each: of a list at once, of a ``Manifest`` when one is asked for, so
that a million take no memory. What takes a pass over all of them, on all cores, is kept beside the file for the next
process.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from asr.cores import in_processes
from asr.data.kept import as_column, from_column, keep_columns, kept_columns
from asr.data.manifest import FORMAT, Manifest, Utterance
from asr.text.normalize import Normalizer

_S = TypeVar("_S")
_T = TypeVar("_T")


def durations_of(utterances: Sequence[Utterance]) -> NDArray[np.float64]:
    """Seconds of each utterance, ``(utterances,)``."""
    if isinstance(utterances, Manifest):
        return utterances.durations_s
    return np.array([one.duration_s for one in utterances], np.float64)


def with_texts(utterances: Sequence[Utterance], normalizer: Normalizer) -> Sequence[Utterance]:
    """The same, each text normalised: now, or in a ``Manifest`` whenever one is asked for."""
    if isinstance(utterances, Manifest):
        return utterances.with_texts(normalizer)
    return [replace(one, text=normalizer(one.text)) for one in utterances]


def select(utterances: Sequence[Utterance], places: NDArray[np.int64]) -> Sequence[Utterance]:
    """The utterances at ``places``."""
    if isinstance(utterances, Manifest):
        return utterances.select(places)
    return [utterances[place] for place in places]


def lazy_map(function: Callable[[_S], _T], items: Sequence[_S]) -> Sequence[_T]:
    """``function`` of each: now, or of a ``Manifest`` whenever one is asked for; of all of them on all cores."""
    return _LazyMap(function, items) if isinstance(items, Manifest | _LazyMap) else [function(one) for one in items]


def cached_pass(items: Sequence[Any], name: str, depends: Any, compute: Callable[[], _T]) -> _T:
    """What ``compute`` finds in a pass over ``items``, a JSON value; of a ``Manifest`` it is kept for the next process.

    ``name``: what is found. ``depends``: on what it depends besides the utterances, as a JSON value.
    """
    source = items.source if isinstance(items, _LazyMap) else items
    if not isinstance(source, Manifest):
        return compute()
    on = hashlib.sha256(json.dumps(depends, default=str).encode()).hexdigest()
    path, key = source.kept(name), f"{FORMAT} {source.identity} {on}"
    columns = kept_columns(path, key)
    if columns is None:
        columns = {"value": as_column(compute())}
        keep_columns(path, key, columns)
    found: _T = from_column(columns["value"])
    return found


class _LazyMap(Sequence[_T]):
    def __init__(self, function: Callable[[Any], _T], items: "Manifest | _LazyMap[Any]") -> None:
        self._function, self._items = function, items

    @property
    def source(self) -> Manifest:
        """The utterances in the end."""
        return self._items if isinstance(self._items, Manifest) else self._items.source

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[_T]:
        for block in in_processes(lambda block: list(map(self.__getitem__, range(len(self))[block])), len(self)):
            yield from block

    @overload
    def __getitem__(self, index: int) -> _T: ...
    @overload
    def __getitem__(self, index: slice) -> "_LazyMap[_T]": ...
    def __getitem__(self, index: int | slice) -> "_T | _LazyMap[_T]":
        if isinstance(index, slice):
            return _LazyMap(self._function, self._items[index])
        return self._function(self._items[index])
