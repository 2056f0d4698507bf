"""The distant past is decided: of prefixes that differ nowhere else the best is kept (compiled).

In: the beam. Out: the beam without prefixes that end in the same ``MEMORY`` tokens as a better one and stand in the
same place in the words, the language model and the hotwords. All that can follow is worth the same to both, so the
better one stays the better. Without this a long recording's open questions fill the beam: five of them, from its first
minute, make 32 prefixes, and none is left for what is being said now. Texts of up to ``MEMORY`` tokens lose no
alternative.
"""

from typing import Any

import numpy as np

from asr.decoding.records import Records, compiled

MEMORY = 200  # tokens; some 15 s of speech in characters
EVERY = 256  # frames


@compiled
def decide_past(nodes: Records, beam: Records, size: int) -> int:
    """Take the prefixes that a better one stands for out of the first ``size`` of ``beam``; how many are left."""
    for slot in range(size):
        beam[slot].recent = _recent(nodes, int(beam[slot].node))
    left = 0
    for slot in range(size):
        if _is_beaten(nodes, beam, size, slot):
            nodes[beam[slot].node].slot = -1
    for slot in range(size):
        if nodes[beam[slot].node].slot != -1:
            beam[left] = beam[slot]
            nodes[beam[left].node].slot = left
            left += 1
    return left


@compiled
def _recent(nodes: Records, node: int) -> np.uint64:
    """A hash of the last ``MEMORY`` tokens; 0 when there are fewer."""
    mixed = np.uint64(1)
    for _ in range(MEMORY):
        if node == 0:
            return np.uint64(0)
        mixed = (mixed ^ np.uint64(nodes[node].token)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
        node = int(nodes[node].parent)
    return mixed


@compiled
def _is_beaten(nodes: Records, beam: Records, size: int, slot: int) -> bool:
    """Whether a better prefix (of equals: an earlier one) has the same recent past and the same future."""
    mine = beam[slot]
    if mine.recent == np.uint64(0):
        return False
    score = mine.total + mine.worth
    for other in range(size):
        theirs = beam[other]
        if other == slot or theirs.recent != mine.recent or not _same_future(nodes[mine.node], nodes[theirs.node]):
            continue
        their_score = theirs.total + theirs.worth
        if their_score > score or (their_score == score and other < slot):
            return True
    return False


@compiled
def _same_future(one: Any, other: Any) -> bool:
    same_words: bool = (
        one.lm_state == other.lm_state and one.trie_node == other.trie_node and one.is_open == other.is_open
    )
    return same_words and bool(one.hot_state == other.hot_state)
