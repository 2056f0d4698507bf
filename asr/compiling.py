"""``numba.njit`` with a cache on disk that may be absent, and a log message before a compilation that takes seconds.

In: a function. Out: the compiled one: at its first call, or at once where its types are given, and read from disk from
then on. It is kept beside its module (__pycache__), else in the user's cache folder; NUMBA_CACHE_DIR goes before both.
Importing this module imports numba, which takes a second: import late what uses it.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core import event

log = logging.getLogger("asr.compiling")  # the commands show it from INFO on
# For casts in compiled functions, in place of int() and float(): numba's keep 32 bits, and what is called with 32 and
# with 64 bits, or with a literal, is compiled twice, parts and all.
int64: Any = np.int64
float64: Any = np.float64
F = TypeVar("F", bound=Callable[..., Any])


def cached_njit(*types: str, slow: str = "", **options: bool) -> Callable[[F], F]:
    """``numba.njit`` with ``cache=True`` where a cache folder can be written, ``nogil``.

    ``types``: numba's signature, to compile it at once. ``slow``: what to call it where compiling takes seconds; it is
    logged then, before that. ``options``: numba's.
    """

    def decorate(function: F) -> F:
        function.slow = slow  # type: ignore[attr-defined]
        jit: Any = numba.njit
        try:
            compiled = jit(*types, cache=True, nogil=True, **options)(function)
        except RuntimeError:  # numba found no folder that it may write
            compiled = jit(*types, nogil=True, **options)(function)
        return compiled  # type: ignore[no-any-return]

    return decorate


class _CompileListener(event.Listener):
    """Logs what is slow to compile. numba calls it only for what is not on disk."""

    def on_start(self, event: Any) -> None:
        """numba begins to compile a function."""
        dispatcher = event.data["dispatcher"]
        if slow := getattr(dispatcher.py_func, "slow", ""):
            folder = dispatcher.stats.cache_path
            where = f"once: it is kept in {folder}" if folder else "kept nowhere: set NUMBA_CACHE_DIR to a folder"
            log.info("compiling %s, %s", slow, where)

    def on_end(self, event: Any) -> None:
        """It has."""


event.register("numba:compile", _CompileListener())  # type: ignore[no-untyped-call]
