"""The prefixes of a search as a tree, and the heap of candidates for the next beam (compiled).

In: (parent, token), or candidates with scores. Out: a node's number, the same one for as long as the node or anything
below it is in the beam; the best ``width`` candidates, in a heap of bounded size with the worst on top, which says at
once what need not be tried. What nothing in the beam descends from is removed when the tree is full, so that an hour
needs little more memory than its text.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asr.compiling import int64
from asr.decoding.records import NODE, Records, compiled, stored

ROOT, NOT_FOUND = 0, -1


class Tree(NamedTuple):
    """``nodes`` NODE (capacity,); ``table`` int32 (2 * capacity,), hashed; ``used`` int64 (1,): how many there are."""

    nodes: Records
    table: npt.NDArray[np.int32]
    used: npt.NDArray[np.int64]


def new_tree(capacity: int) -> Tree:
    """An empty tree for ``capacity`` nodes, a power of two."""
    table = np.full(2 * capacity, NOT_FOUND, dtype=np.int32)
    return Tree(np.empty(capacity, dtype=NODE), table, np.zeros(1, dtype=np.int64))


def plant(tree: Tree, lm_state: int, hot_state: int) -> None:
    """Put the empty prefix, alone in the beam, into an empty tree."""
    root = np.zeros(1, dtype=NODE)
    root["parent"], root["token"], root["is_allowed"] = -1, -1, True
    root["lm_state"], root["hot_state"] = lm_state, hot_state
    tree.nodes[ROOT] = root[0]
    tree.used[0] = 1  # the root is never looked for, so it needs no place in the table


@compiled
def find(tree: Tree, parent: int, token: int) -> tuple[int, int]:
    """The child's node, or NOT_FOUND, and its place in the table."""
    mask = len(tree.table) - 1
    mixed = np.uint64(parent) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(token) * np.uint64(0xC2B2AE3D27D4EB4F)
    place = int64((mixed ^ (mixed >> np.uint64(29))) >> np.uint64(8)) & mask
    while tree.table[place] != NOT_FOUND:
        node = int64(tree.table[place])
        if tree.nodes[node].parent == parent and tree.nodes[node].token == token:
            return node, place
        place = (place + 1) & mask
    return int64(NOT_FOUND), place


@stored()
def sweep(old: Tree, new: Tree, beam: Records, size: int, number: npt.NDArray[np.int32]) -> None:
    """Copy the nodes of the beam's ``size`` prefixes and their ancestors to the empty tree ``new``.

    ``number`` (old nodes,), all -1, is room to work in. A swept node that comes back later is a new one: nothing that
    is left descends from it, so nothing is ever doubled.
    """
    number[ROOT] = 0
    for slot in range(size):
        node = beam[slot].node
        while number[node] == -1:
            number[node] = 0
            node = old.nodes[node].parent
    for node in range(old.used[0]):
        if number[node] == -1:
            continue
        fresh = new.used[0]
        number[node] = fresh
        new.nodes[fresh] = old.nodes[node]
        new.used[0] += 1
        if node != ROOT:
            parent = int64(number[old.nodes[node].parent])
            new.nodes[fresh].parent = parent
            _, place = find(new, parent, int64(old.nodes[node].token))
            new.table[place] = fresh
    for slot in range(size):
        beam[slot].node = number[beam[slot].node]


@stored()
def depth_of(nodes: Records, node: int) -> int:
    """How many tokens a node's prefix has."""
    depth = 0
    while node != ROOT:
        depth, node = depth + 1, int64(nodes[node].parent)
    return depth


@stored()
def write_tokens(nodes: Records, node: int, tokens: npt.NDArray[np.int32]) -> None:
    """The tokens from the root to a node, into ``tokens`` (depth,)."""
    for place in range(len(tokens) - 1, -1, -1):
        tokens[place] = nodes[node].token
        node = int64(nodes[node].parent)


def spell(nodes: Records, node: int) -> tuple[int, ...]:
    """The tokens from the root to a node."""
    tokens = np.empty(depth_of(nodes, node), dtype=np.int32)
    write_tokens(nodes, node, tokens)
    return tuple(tokens.tolist())


def with_room(tree: Tree, beam: Records, size: int) -> Tree:
    """The tree without what no prefix of the beam descends from; twice as large when that leaves it half full."""
    capacity = len(tree.nodes)
    fresh = new_tree(capacity)
    sweep(tree, fresh, beam, size, np.full(int(tree.used[0]), -1, dtype=np.int32))
    if 2 * int(fresh.used[0]) <= capacity:
        return fresh
    larger = new_tree(2 * capacity)
    sweep(fresh, larger, beam, size, np.full(int(fresh.used[0]), -1, dtype=np.int32))
    return larger


Ints = npt.NDArray[np.int32]
STAY = -1  # the token of a candidate that adds none

# A prefix of the next beam, as far as is known: prefix ``slot`` of this one with ``token`` added, or STAY.
CANDIDATE = np.dtype(
    [
        ("score", np.float64),
        ("blank", np.float64),
        ("label", np.float64),
        ("total", np.float64),
        ("worth", np.float64),
        ("slot", np.int32),
        ("token", np.int32),
    ],
    align=True,
)


class WorkSpace(NamedTuple):
    """Arrays to work in: ``best`` CANDIDATE (width,), ``heap`` (width,), ``tokens`` (vocab,), ``draft`` NODE (1,)."""

    best: Records
    heap: Ints
    tokens: Ints
    draft: Records


def new_work_space(width: int, vocab_size: int) -> WorkSpace:
    """What ``advance`` needs."""
    best, draft = np.empty(width, dtype=CANDIDATE), np.empty(1, dtype=NODE)
    return WorkSpace(best, np.empty(width, dtype=np.int32), np.empty(vocab_size, dtype=np.int32), draft)


@compiled
def put(candidate: Any, total: float, gain: float, slot: int, token: int) -> None:
    """Write down a prefix that ends in its last token only."""
    candidate.score, candidate.worth = total + gain, gain
    candidate.blank, candidate.label, candidate.total = -np.inf, total, total
    candidate.slot, candidate.token = slot, token


@compiled
def make_heap(best: Records, heap: Ints, count: int) -> float:
    """Order the candidates' numbers so that the worst is on top; its score."""
    for place in range(count):
        heap[place] = place
    for place in range(count // 2 - 1, -1, -1):
        sift_down(best, heap, place, count)
    return float(best[heap[0]].score)


@compiled
def sift_down(best: Records, heap: Ints, place: int, count: int) -> float:
    """Let a candidate sink to where its score belongs; the worst score."""
    number = heap[place]
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and best[heap[child + 1]].score < best[heap[child]].score:
            child += 1
        if best[heap[child]].score >= best[number].score:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = number
    return float(best[heap[0]].score)
