"""The records that the compiled search works on, and how a prefix changes with one more token.

In: the node of a prefix and a token. Out: the node of the longer prefix: its place in the words, the language model and
the hotwords, and what is added to its score. Everything here is compiled into the search's inner loop; the tables are
made by ``asr.decoding.tables``. Fields are explained at each record. They are arrays of records, not many arrays side
by side, because each array that a compiled function is handed costs time, and compiling it too.

The language model is asked at a word's end (words) or at each letter (characters; the space when the next word begins).
Until then ``ahead`` is a forecast, the best that can still come, which is taken back when the real figure is known: it
changes no final score, but keeps a narrow beam from falling for letters that become no word (Ortmanns et al., 1996).
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numba
import numpy as np
import numpy.typing as npt

from asr.compiling import cached_njit, float64, int64
from asr.lm import query
from asr.lm.query import lm_step

F = TypeVar("F", bound=Callable[..., Any])
COMPILED = ("prefixes", "records", "search")  # the modules of the search
JIT: Any = numba.njit  # its stubs do not know ``_nrt``

NO_MODEL, WORD_MODEL, CHARACTER_MODEL = 0, 1, 2
IMPOSSIBLE = -1000.0  # nats: what a model without <unk> says of unknown words, so that 0 times it is 0
OUTSIDE = -1  # of the trie: the letters so far begin no known word

# One of these a search; ``letters`` counts the alphabet without the space.
SETTINGS = np.dtype(
    [
        ("has_trie", np.bool_),
        ("is_closed", np.bool_),  # only words of the trie may be spelled
        ("by_phones", np.bool_),  # the trie is of pronunciations, and words have no space between them
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
        ("memory", np.int64),  # tokens, and after how many frames the past is decided; see search.py
        ("decide_every", np.int64),
        ("blank_skip", np.float64),
        ("token_min_log_prob", np.float64),
    ],
    align=True,
)
# What a prefix grows by: a token, or a phone that ends a certain word. It adds the letters spelling[start:end].
# ``column``: of the log-probabilities. By phones: ``word``, the model's number of the word that ends, and ``extra``,
# what is added to its log-probability.
TOKEN = np.dtype(
    [
        ("start", np.int32),
        ("end", np.int32),
        ("column", np.int32),
        ("word", np.int32),
        ("extra", np.float32),
        ("ends_before", np.bool_),
        ("ends_after", np.bool_),
    ],
    align=True,
)
# A letter's number in a character model, what is added to its log-probability, and its symbol among the hotwords.
LETTER = np.dtype([("word", np.int64), ("hot_symbol", np.int32), ("extra", np.float64)], align=True)
# ``word``: the model's number of the word that ends at the node, -1: none; ``extra`` is added to its log-probability;
# ``ahead``: the best unigram log-probability at or below it. By phones, words that sound alike end at one node: they
# are the tokens ``word`` to before ``end_word``.
TRIE_NODE = np.dtype(
    [
        ("first_child", np.int32),
        ("end_child", np.int32),
        ("letter", np.int32),
        ("word", np.int32),
        ("end_word", np.int32),
        ("extra", np.float32),
        ("ahead", np.float32),
    ],
    align=True,
)
HOT_STATE = np.dtype([("credit", np.float64), ("gain", np.float64)], align=True)
# A prefix. ``lm_sum``: of the language model so far, nats, unweighted; ``hot``: boosts earned for good; ``worth``: what
# is added to the paths' log-probability to rank it; ``text``: a hash of its words, by which those with the same text
# are found at the end.
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
    spelling: npt.NDArray[np.int64]
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
    the search took 2.5 times as long. Python calls no part, so none needs the wrappers for that, a third of all that
    there is to compile. Numbers of words and letters are int64 everywhere: of another type a part is compiled again.
    """
    options = {"nogil": True, "_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return JIT(**options)(function)  # type: ignore[no-any-return]


def stored(slow: str = "") -> Callable[[F], F]:
    """Compile what Python calls, and keep it on disk, parts and all; ``slow`` as in ``kept``.

    numba looks at the time of the file that defines a function, not at what it calls: a name with a digest of all the
    search's files in it makes a change of any of them count.
    """

    def decorate(function: F) -> F:
        function.__qualname__ = f"{function.__qualname__}_{_digest()}"
        return cached_njit(slow=slow, _nrt=False, no_cfunc_wrapper=True)(function)

    return decorate


@functools.cache
def _digest() -> str:
    here = Path(__file__).parent
    files = [*(here / f"{name}.py" for name in COMPILED), Path(query.__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]


@compiled
def extend(tables: Tables, old: Any, token: int, new: Any) -> None:
    """Make ``new`` the node of ``old`` with one more token; -inf is its worth when the lexicon forbids it."""
    settings = tables.settings[0]
    new.lm_state, new.trie_node, new.hot_state = old.lm_state, old.trie_node, old.hot_state
    new.words, new.is_open, new.is_allowed, new.text = old.words, old.is_open, old.is_allowed, old.text
    new.lm_sum, new.ahead, new.hot = old.lm_sum, old.ahead, old.hot
    facts = tables.tokens[token]
    if facts.ends_before:
        end_word(tables, settings, new)
    if settings.by_phones:
        _add_phone(tables, settings, facts, new)
    for place in range(facts.start, facts.end):
        _add_letter(tables, settings, new, int64(tables.spelling[place]))
    if facts.ends_after and settings.by_phones:
        _end_with(tables, settings, new, int64(facts.word), float64(facts.extra))
    elif facts.ends_after:
        end_word(tables, settings, new)
    new.worth = worth(tables, settings, new)


@compiled
def _add_phone(tables: Tables, settings: Any, facts: Any, node: Any) -> None:
    """The trie one phone further; what the model says of the word that ends there is known before its letters."""
    node.trie_node = child_of(tables.trie, int64(node.trie_node), int64(facts.column) - 1)
    node.is_open = True
    if settings.model == WORD_MODEL:
        node.ahead = tables.trie[node.trie_node].ahead


@compiled
def worth(tables: Tables, settings: Any, node: Any) -> float:
    """What is added to the CTC log-probability to rank a prefix, nats."""
    if not node.is_allowed:
        return -np.inf
    bonus = node.hot + tables.hot_states[node.hot_state].credit + settings.word_score * node.words
    if settings.model != NO_MODEL:
        bonus += settings.lm_weight * (node.lm_sum + node.ahead)
    return float(bonus)


@compiled
def finish(tables: Tables, node: Any) -> None:
    """The utterance ends: so does its last word, the model says how likely, hotwords half said are worth nothing."""
    settings = tables.settings[0]
    end_word(tables, settings, node)
    if settings.model != NO_MODEL:
        log_prob, node.lm_state = _ask(tables, node.lm_state, settings.eos)
        node.lm_sum += log_prob
    node.ahead = 0.0
    node.hot_state = 0
    node.worth = worth(tables, settings, node)


@compiled
def end_word(tables: Tables, settings: Any, node: Any) -> None:
    """The open word, if there is one, ends: doubled spaces and those at the start change nothing."""
    if not node.is_open:
        return
    word, extra = settings.unk, settings.unk_score
    if settings.by_phones:
        node.is_allowed = False  # it has begun, and no phone has ended it
    elif settings.has_trie and node.trie_node != OUTSIDE and tables.trie[node.trie_node].word >= 0:
        word, extra = int64(tables.trie[node.trie_node].word), float64(tables.trie[node.trie_node].extra)
    elif settings.is_closed:
        node.is_allowed = False
    _end_with(tables, settings, node, word, extra)


@compiled
def _end_with(tables: Tables, settings: Any, node: Any, word: int, extra: float) -> None:
    """The open word ends as the model's ``word``."""
    node.ahead = 0.0
    if settings.model == WORD_MODEL:
        log_prob, node.lm_state = _ask(tables, node.lm_state, word)
        node.lm_sum += log_prob + extra
    elif settings.model == CHARACTER_MODEL:
        space = tables.letters[settings.letters]
        log_prob, _ = _ask(tables, node.lm_state, space.word)
        node.ahead = log_prob + space.extra
    _advance_text(tables, settings, node, settings.letters)
    node.is_open, node.trie_node, node.words = False, 0, node.words + 1


@compiled
def _add_letter(tables: Tables, settings: Any, node: Any, letter: int) -> None:
    if settings.model == CHARACTER_MODEL:
        if not node.is_open and node.words > 0:
            _add_to_model(tables, node, settings.letters)
        _add_to_model(tables, node, letter)
        node.ahead = 0.0
    if settings.has_trie and not settings.by_phones:
        node.trie_node = child_of(tables.trie, int64(node.trie_node), letter)
        if node.trie_node == OUTSIDE:
            node.is_allowed = node.is_allowed and not settings.is_closed
        if settings.model == WORD_MODEL:
            node.ahead = settings.outside_ahead if node.trie_node == OUTSIDE else tables.trie[node.trie_node].ahead
    _advance_text(tables, settings, node, letter)
    node.is_open = True


@compiled
def child_of(trie: Records, node: int, letter: int) -> int:
    """The trie's node one letter further, or OUTSIDE."""
    if node == OUTSIDE:
        return OUTSIDE
    low, high = int64(trie[node].first_child), int64(trie[node].end_child)
    end = high
    while low < high:
        middle = (low + high) // 2
        if trie[middle].letter < letter:
            low = middle + 1
        else:
            high = middle
    return low if low < end and trie[low].letter == letter else OUTSIDE


@compiled
def _add_to_model(tables: Tables, node: Any, letter: int) -> None:
    log_prob, node.lm_state = _ask(tables, node.lm_state, tables.letters[letter].word)
    node.lm_sum += log_prob + tables.letters[letter].extra


@compiled
def _ask(tables: Tables, state: int, word: int) -> tuple[float, int]:
    log_prob, after = lm_step(
        tables.arc_start,
        tables.arc_word,
        tables.arc_log_prob,
        tables.arc_next,
        tables.backoff_log_weight,
        tables.backoff_state,
        int64(state),
        int64(word),
    )
    return max(log_prob, IMPOSSIBLE), after


@compiled
def _advance_text(tables: Tables, settings: Any, node: Any, letter: int) -> None:
    """The hotword automaton and the text's hash, one letter further."""
    if settings.has_hotwords:
        node.hot_state = tables.hot_next[node.hot_state, tables.letters[letter].hot_symbol]
        node.hot += tables.hot_states[node.hot_state].gain
    mixed = (node.text ^ np.uint64(letter + 1)) * np.uint64(0x9E3779B97F4A7C15)
    node.text = mixed ^ (mixed >> np.uint64(32))
