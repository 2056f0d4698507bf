"""What a prefix means beyond its tokens: where its letters stand in the words, the language model and the hotwords.

In: the node of a prefix and a token. Out: the node of the longer prefix, and what it is worth. Everything here is
compiled into the search's inner loop; the tables are made by
``asr.decoding.tables``.

The language model is asked at a word's end (words) or at each letter (characters; the space when the next word begins).
Until then ``ahead`` holds a forecast, the best that can still come, which is taken back when the real figure is known:
it changes no final score, but keeps a narrow beam from falling for letters that become no word (Ortmanns et al., 1996).
"""

from typing import Any

import numpy as np

from asr.decoding.records import CHARACTER_MODEL, IMPOSSIBLE, NO_MODEL, OUTSIDE, WORD_MODEL, Records, Tables, compiled
from asr.lm.query import lm_step


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
    for place in range(facts.start, facts.end):
        _add_letter(tables, settings, new, int(tables.spelling[place]))
    if facts.ends_after:
        end_word(tables, settings, new)
    new.worth = worth(tables, settings, new)


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
    if settings.has_trie and node.trie_node != OUTSIDE and tables.trie[node.trie_node].word >= 0:
        word, extra = int(tables.trie[node.trie_node].word), float(tables.trie[node.trie_node].extra)
    elif settings.is_closed:
        node.is_allowed = False
    node.ahead = 0.0
    if settings.model == WORD_MODEL:
        log_prob, node.lm_state = _ask(tables, node.lm_state, word)
        node.lm_sum += log_prob + extra
    elif settings.model == CHARACTER_MODEL:
        space = tables.letters[settings.letters]
        log_prob, _ = _ask(tables, node.lm_state, space.word)
        node.ahead = log_prob + space.extra
    _hear(tables, settings, node, settings.letters)
    node.is_open, node.trie_node, node.words = False, 0, node.words + 1


@compiled
def _add_letter(tables: Tables, settings: Any, node: Any, letter: int) -> None:
    if settings.model == CHARACTER_MODEL:
        if not node.is_open and node.words > 0:
            _add_to_model(tables, node, settings.letters)
        _add_to_model(tables, node, letter)
        node.ahead = 0.0
    if settings.has_trie:
        node.trie_node = _child(tables.trie, int(node.trie_node), letter)
        if node.trie_node == OUTSIDE:
            node.is_allowed = node.is_allowed and not settings.is_closed
        if settings.model == WORD_MODEL:
            node.ahead = settings.outside_ahead if node.trie_node == OUTSIDE else tables.trie[node.trie_node].ahead
    _hear(tables, settings, node, letter)
    node.is_open = True


@compiled
def _child(trie: Records, node: int, letter: int) -> int:
    """The trie's node one letter further, or OUTSIDE."""
    if node == OUTSIDE:
        return OUTSIDE
    low, high = int(trie[node].first_child), int(trie[node].end_child)
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
        int(state),
        int(word),
    )
    return max(log_prob, IMPOSSIBLE), after


@compiled
def _hear(tables: Tables, settings: Any, node: Any, letter: int) -> None:
    """The hotword automaton and the text's hash, one letter further."""
    if settings.has_hotwords:
        node.hot_state = tables.hot_next[node.hot_state, tables.letters[letter].hot_symbol]
        node.hot += tables.hot_states[node.hot_state].gain
    mixed = (node.text ^ np.uint64(letter + 1)) * np.uint64(0x9E3779B97F4A7C15)
    node.text = mixed ^ (mixed >> np.uint64(32))
