"""The records that the compiled search works on, and how its functions are compiled.

Here stands what each field means. Arrays of records, and not many arrays side by side, because each array that a
compiled function is handed costs it time, and compiling it too.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
import numpy.typing as npt

from asr.lm import query

F = TypeVar("F", bound=Callable[..., Any])
COMPILED = ("candidates", "context", "prefix_tree", "recombine", "records", "search")  # the modules of the search
JIT: Any = numba.njit  # its stubs do not know ``_nrt``

NO_MODEL, WORD_MODEL, CHARACTER_MODEL = 0, 1, 2
IMPOSSIBLE = -1000.0  # nats: what a model without <unk> says of unknown words, so that 0 times it is 0
OUTSIDE = -1  # of the trie: the letters so far begin no known word

# One of these a search; ``letters`` counts the alphabet without the space.
SETTINGS = np.dtype(
    [
        ("has_trie", np.bool_),
        ("is_closed", np.bool_),  # only words of the trie may be spelled
        ("has_hotwords", np.bool_),
        ("is_plain", np.bool_),  # no prefix is worth more than its paths
        ("model", np.int64),  # NO_MODEL, WORD_MODEL or CHARACTER_MODEL
        ("letters", np.int64),
        ("hot_start", np.int64),
        ("start_state", np.int64),
        ("unk", np.int64),
        ("eos", np.int64),
        ("lm_weight", np.float64),
        ("word_score", np.float64),
        ("unk_score", np.float64),
        ("outside_ahead", np.float64),  # as ``ahead`` of the trie, for letters that begin no word
        ("most_gain", np.float64),  # what one token can add to a prefix's worth, at most
        ("blank_skip", np.float64),
        ("token_min_log_prob", np.float64),
    ],
    align=True,
)
# A token adds the letters spelling[start:end].
TOKEN = np.dtype(
    [("start", np.int32), ("end", np.int32), ("ends_before", np.bool_), ("ends_after", np.bool_)], align=True
)
# A letter's number in a character model, what is added to its log-probability, and its symbol among the hotwords.
LETTER = np.dtype([("word", np.int32), ("hot_symbol", np.int32), ("extra", np.float64)], align=True)
# ``word``: the model's number of the word that ends at the node, -1: none; ``extra`` is added to its log-probability;
# ``ahead``: the best unigram log-probability at or below it.
TRIE_NODE = np.dtype(
    [
        ("first_child", np.int32),
        ("end_child", np.int32),
        ("letter", np.int32),
        ("word", np.int32),
        ("extra", np.float32),
        ("ahead", np.float32),
    ],
    align=True,
)
HOT_STATE = np.dtype([("credit", np.float64), ("gain", np.float64)], align=True)
# A prefix. ``lm_sum``: of the language model so far, nats, unweighted; ``hot``: boosts earned for good; ``worth``: what
# is added to the paths' log-probability to rank it; ``text``: a hash of its words, by which those that read the same
# are told at the end.
NODE = np.dtype(
    [
        ("parent", np.int32),  # a smaller number than the node's own
        ("token", np.int32),  # its last, -1 at the root
        ("slot", np.int32),  # place in the beam, -1: not in it
        ("lm_state", np.int32),
        ("trie_node", np.int32),
        ("hot_state", np.int32),
        ("words", np.int32),  # that have ended
        ("is_open", np.bool_),  # a word has letters and no end yet
        ("is_allowed", np.bool_),
        ("lm_sum", np.float64),
        ("ahead", np.float64),
        ("hot", np.float64),
        ("worth", np.float64),
        ("text", np.uint64),
    ],
    align=True,
)
Records = npt.NDArray[np.void]


class Tables(NamedTuple):
    """All that a search looks up; the last six are the arrays of an NgramModel."""

    settings: Records  # (1,)
    tokens: Records  # (vocab,)
    spelling: npt.NDArray[np.int32]
    letters: Records  # (alphabet + 1,), the space last
    trie: Records  # (nodes,)
    hot_next: npt.NDArray[np.int32]  # (states, symbols)
    hot_states: Records  # (states,)
    arc_start: npt.NDArray[np.int64]
    arc_word: npt.NDArray[np.int32]
    arc_log_prob: npt.NDArray[np.float32]
    arc_next: npt.NDArray[np.int32]
    backoff_log_weight: npt.NDArray[np.float32]
    backoff_state: npt.NDArray[np.int32]


def compiled(function: F) -> F:
    """Compile a part of the search; what ``stored`` keeps on disk holds its parts.

    The search allocates nothing, so its functions need no reference counts (``_nrt``). With them, which are atomic,
    the search took 2.5 times as long.
    """
    return JIT(nogil=True, _nrt=False)(function)  # type: ignore[no-any-return]


def stored(function: F) -> F:
    """Compile what Python calls, and keep it on disk, parts and all.

    numba looks at the time of the file that a function stands in, not at what it calls: a name with a digest of all the
    search's files in it makes a change of any of them count.
    """
    function.__qualname__ = f"{function.__qualname__}_{_digest()}"
    return JIT(cache=True, nogil=True, _nrt=False)(function)  # type: ignore[no-any-return]


@functools.cache
def _digest() -> str:
    here = Path(__file__).parent
    files = [*(here / f"{name}.py" for name in COMPILED), Path(query.__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
