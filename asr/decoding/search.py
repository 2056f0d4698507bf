"""CTC prefix beam search, compiled: the loop over frames.

In: log-probabilities (frames, vocab), the tables, and a beam of one empty prefix. Out: the beam after the last frame.
Per prefix the probabilities of the paths that end in a blank and of those that end in its last label are separate
(Graves and Jaitly, 2014; Hannun et al., 2014), as natural logarithms in float64. With a beam as wide as there are
prefixes and both bounds off it is exact. Nothing is allocated in the loop.

The distant past is decided (``decide_past``): of prefixes that end in the same ``memory`` tokens and are at the same
place in the words, the language model and the hotwords only the best is kept. All that can follow is worth the same to
both, so the better one stays the better. Without this a long recording's open questions fill the beam: five of them,
from its first minute, make 32 prefixes, and none is left for the present. Texts of up to ``memory`` tokens lose no
alternative.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from asr.compiling import int64
from asr.decoding.prefixes import NOT_FOUND, ROOT, STAY, Ints, Tree, WorkSpace, find, make_heap, put, sift_down
from asr.decoding.records import NO_MODEL, OUTSIDE, Records, Tables, child_of, compiled, extend, finish, stored


@compiled
def decide_past(nodes: Records, beam: Records, size: int, memory: int) -> int:
    """Remove prefixes with the future of a better one from the first ``size`` of ``beam``; how many are left."""
    for slot in range(size):
        beam[slot].recent = _recent(nodes, int64(beam[slot].node), memory)
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
def _recent(nodes: Records, node: int, memory: int) -> np.uint64:
    """A hash of the last ``memory`` tokens; 0 when there are fewer."""
    mixed = np.uint64(1)
    for _ in range(memory):
        if node == 0:
            return np.uint64(0)
        mixed = (mixed ^ np.uint64(nodes[node].token)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
        node = int64(nodes[node].parent)
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


BLANK = 0
NO_TOKEN = -2

# A prefix in the beam. Log-probabilities: ``blank``, of its paths that end in a blank; ``label``, of those that end in
# its last token; ``total``, of both. ``ceiling``: its worth could not be more after one more token. ``head``: the first
# of its children in the beam, ``sibling``: the next child of the same parent; -1: none. ``recent``: for
# ``decide_past``. ``token``: its last, of which ``last`` is the column.
PREFIX = np.dtype(
    [
        ("blank", np.float64),
        ("label", np.float64),
        ("total", np.float64),
        ("worth", np.float64),
        ("ceiling", np.float64),
        ("node", np.int32),
        ("token", np.int32),
        ("last", np.int32),
        ("head", np.int32),
        ("sibling", np.int32),
        ("recent", np.uint64),
    ],
    align=True,
)
# How a prefix ends: ``score`` -inf where the lexicon forbids it.
ENDING = np.dtype([("score", np.float64), ("lm_score", np.float64), ("text", np.uint64)], align=True)

Row = npt.NDArray[np.float32]


def new_beam(width: int) -> Records:
    """Room for ``width`` prefixes, the first of them the empty one."""
    beam = np.zeros(width, dtype=PREFIX)
    beam[0] = (0.0, -np.inf, 0.0, 0.0, np.inf, ROOT, -1, -1, -1, -1, 0)
    return beam


@stored("the beam search (about 10 s)")
def advance(
    tables: Tables,
    log_probs: npt.NDArray[np.float32],
    first: int,
    tree: Tree,
    beam: Records,
    size: int,
    space: WorkSpace,
) -> tuple[int, int]:
    """Search from frame ``first`` on with the first ``size`` prefixes of ``beam``.

    Returns the frame it stopped before (the end, or where the tree has no room any more) and the prefixes there are.
    """
    frames, width, settings = len(log_probs), len(beam), tables.settings[0]
    for frame in range(first, frames):
        row = log_probs[frame]
        if frame % settings.decide_every == settings.decide_every - 1:
            size = decide_past(tree.nodes, beam, size, settings.memory)
        if row[BLANK] > settings.blank_skip:
            _add_blank(float(row[BLANK]), beam, size)
            continue
        if tree.used[0] + width > len(tree.nodes):
            return frame, size
        tokens = space.tokens[: _likely_tokens(row, settings.token_min_log_prob, space.tokens)]
        chosen = _stay(row, tree.nodes, beam, size, space.best)
        chosen = _grow(tables, row, tokens, tree, beam, size, space, chosen)
        size = _settle(tables, tree, beam, size, space.best, chosen)
    return frames, size


@compiled
def _log_add(one: float, other: float) -> float:
    """log(exp(one) + exp(other))."""
    if one < other:
        one, other = other, one
    return one if other == -np.inf else one + math.log1p(math.exp(other - one))


@compiled
def _add_blank(log_prob: float, beam: Records, size: int) -> None:
    """A frame that is surely blank: the same prefixes, all ended by one, so that a repeat after it is a new label."""
    for slot in range(size):
        beam[slot].total += log_prob
        beam[slot].blank, beam[slot].label = beam[slot].total, -np.inf


@compiled
def _likely_tokens(row: Row, least: float, tokens: Ints) -> int:
    """Put the tokens that may be added into ``tokens``; how many."""
    top = row[0]
    for token in range(1, len(row)):
        top = max(top, row[token])
    floor = max(top + least, -1e30)
    count = 0
    for token in range(1, len(row)):
        if row[token] >= floor:
            tokens[count] = token
            count += 1
    return count


@compiled
def _stay(row: Row, nodes: Records, beam: Records, size: int, best: Records) -> int:
    """Every prefix as it is one frame later: a blank, its last label again, or that label added to its parent."""
    for slot in range(size):
        beam[slot].head = -1
    count = 0
    for slot in range(size):
        prefix = beam[slot]
        label = -np.inf
        if prefix.node != ROOT:
            log_prob = float(row[prefix.last])
            label = prefix.label + log_prob
            place = nodes[nodes[prefix.node].parent].slot
            if place >= 0:
                parent = beam[place]
                before = parent.blank if parent.last == prefix.last else parent.total
                label = _log_add(label, before + log_prob)
                prefix.sibling = parent.head
                parent.head = slot
        blank = prefix.total + float(row[BLANK])
        total = _log_add(blank, label)
        if total > -np.inf:
            put(best[count], total, prefix.worth, slot, int64(STAY))
            best[count].blank, best[count].label = blank, label
            count += 1
    return count


@compiled
def _grow(
    tables: Tables,
    row: Row,
    tokens: Ints,
    tree: Tree,
    beam: Records,
    size: int,
    space: WorkSpace,
    count: int,
) -> int:
    """Every prefix with one more token, unless that one is in the beam already; the best of all stay in ``best``."""
    width, by_phones, worst = len(beam), tables.settings[0].by_phones, -np.inf
    if count == width:
        worst = make_heap(space.best, space.heap, count)
    for slot in range(size):
        prefix = beam[slot]
        for column in tokens:
            total = (prefix.blank if column == prefix.last else prefix.total) + float(row[column])
            if total + prefix.ceiling <= worst or total == -np.inf:
                continue
            token, first, end = int64(column), 0, 0
            if by_phones:
                below = child_of(tables.trie, int64(tree.nodes[prefix.node].trie_node), token - 1)
                if below == OUTSIDE:
                    continue
                first, end = int64(tables.trie[below].word), int64(tables.trie[below].end_word)
                if tables.trie[below].first_child == tables.trie[below].end_child:
                    token = NO_TOKEN  # nothing goes on from here
            if token != NO_TOKEN:
                count, worst = _offer(tables, tree, beam, slot, token, total, space, count, worst)
            for ending in range(first, end):  # the words that end with this phone
                count, worst = _offer(tables, tree, beam, slot, ending, total, space, count, worst)
    return count


@compiled
def _offer(
    tables: Tables,
    tree: Tree,
    beam: Records,
    slot: int,
    token: int,
    total: float,
    space: WorkSpace,
    count: int,
    worst: float,
) -> tuple[int, float]:
    """A candidate, prefix ``slot`` with ``token``, if it is among the best; how many there are, and the score to beat
    (-inf until there are as many as the beam is wide).
    """
    prefix, best, heap, width = beam[slot], space.best, space.heap, len(beam)
    if _has_child(beam, prefix.head, token):
        return count, worst
    gain = 0.0 if tables.settings[0].is_plain else _worth_with(tables, tree, int64(prefix.node), token, space.draft[0])
    if total + gain <= worst:
        return count, worst
    if count == width:
        put(best[heap[0]], total, gain, slot, token)
        return count, sift_down(best, heap, int64(0), count)
    put(best[count], total, gain, slot, token)
    count += 1
    return count, make_heap(best, heap, count) if count == width else -np.inf


@compiled
def _has_child(beam: Records, child: int, token: int) -> bool:
    """Whether ``child`` or one of its siblings ends in ``token``."""
    while child != -1 and beam[child].token != token:
        child = beam[child].sibling
    return child != -1


@compiled
def _worth_with(tables: Tables, tree: Tree, parent: int, token: int, draft: Any) -> float:
    """The worth of a prefix with one more token; -inf when it may not be."""
    node, _ = find(tree, parent, token)
    if node != NOT_FOUND:
        return float(tree.nodes[node].worth)
    extend(tables, tree.nodes[parent], token, draft)
    return float(draft.worth)


@compiled
def _settle(tables: Tables, tree: Tree, beam: Records, size: int, best: Records, count: int) -> int:
    """The candidates become the beam."""
    for slot in range(size):
        tree.nodes[beam[slot].node].slot = -1
    for place in range(count):
        node = int64(beam[best[place].slot].node)
        if best[place].token != STAY:
            node = _child_node(tables, tree, node, int64(best[place].token))
        best[place].slot = node
    for place in range(count):
        chosen, prefix, node = best[place], beam[place], tree.nodes[best[place].slot]
        node.slot = place
        prefix.node, prefix.token = chosen.slot, node.token
        prefix.last = tables.tokens[node.token].column if node.token >= 0 else -1
        prefix.blank, prefix.label, prefix.total = chosen.blank, chosen.label, chosen.total
        prefix.worth = chosen.worth
        prefix.ceiling = _ceiling(tables.settings[0], node)
    return count


@compiled
def _child_node(tables: Tables, tree: Tree, parent: int, token: int) -> int:
    node, place = find(tree, parent, token)
    if node == NOT_FOUND:
        node = tree.used[0]
        tree.used[0] += 1
        tree.table[place] = node
        tree.nodes[node].parent, tree.nodes[node].token = parent, token
        extend(tables, tree.nodes[parent], token, tree.nodes[node])
    return node


@compiled
def _ceiling(settings: Any, node: Any) -> float:
    """No token makes a prefix worth more: forecasts are taken back, and no log-probability is above 0."""
    if settings.is_plain:
        return 0.0
    sure = node.hot + settings.word_score * node.words + settings.most_gain
    return float(sure if settings.model == NO_MODEL else sure + settings.lm_weight * node.lm_sum)


@stored()
def finish_prefixes(tables: Tables, nodes: Records, beam: Records, endings: Records, draft: Records) -> None:
    """How each prefix of ``beam`` ends, into ``endings`` (prefixes,); ``draft`` (1,) is room to work in."""
    for slot in range(len(beam)):
        draft[0] = nodes[beam[slot].node]
        finish(tables, draft[0])
        endings[slot].score = beam[slot].total + draft[0].worth
        endings[slot].lm_score, endings[slot].text = draft[0].lm_sum, draft[0].text
