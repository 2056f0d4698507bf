"""Hotwords as an automaton: which of them the letters so far are a beginning of, and what that is worth.

In: phrases with boosts. Out: a table of states (Aho and Corasick, 1975) over the text written as " word word ": a
phrase is the pattern " phrase ", so that it begins and ends at word boundaries only and may overlap the next by a
space. A phrase that is half spelled holds part of its boost, in proportion; the next state's credit replaces it, so
that leaving the path takes it back. A negative boost counts at the end only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class HotwordAutomaton:
    """``next_state[state, symbol[character]]``; a space is the character after the last of the alphabet.

    ``credit``: nats held in a state for what is half spelled there. ``gain``: nats earned for good on entering it.
    ``start``: the state before the first word. Shapes: symbol int32 (alphabet + 1,), next_state int32 (states,
    symbols), credit and gain float64 (states,).
    """

    symbol: npt.NDArray[np.int32]
    next_state: npt.NDArray[np.int32]
    credit: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]
    start: int


def build_hotwords(boosts: Mapping[str, float], alphabet: Sequence[str]) -> HotwordAutomaton:
    """The automaton of ``boosts``, phrase to nats; every character of a phrase must be in ``alphabet`` or a space."""
    number = {character: index for index, character in enumerate([*alphabet, " "])}
    patterns = [([number[one] for one in f" {' '.join(phrase.split())} "], boost) for phrase, boost in boosts.items()]
    used = sorted({number[" "], *(one for pattern, _ in patterns for one in pattern)})
    symbol = np.zeros(len(number), dtype=np.int32)  # 0: every character that no phrase has
    symbol[used] = np.arange(1, len(used) + 1)
    children, credit, gain = _trie(patterns, symbol)
    next_state = _link(children, credit, gain, len(used) + 1)
    start = int(next_state[0, symbol[number[" "]]])
    return HotwordAutomaton(symbol, next_state, np.array(credit), np.array(gain), start)


def _trie(
    patterns: Sequence[tuple[list[int], float]], symbol: npt.NDArray[np.int32]
) -> tuple[list[dict[int, int]], list[float], list[float]]:
    children: list[dict[int, int]] = [{}]
    credit, gain = [0.0], [0.0]
    for pattern, boost in patterns:
        state = 0
        for depth, character in enumerate(pattern):
            share = max(depth - 1, 0) / (len(pattern) - 1)  # the space before earns nothing
            credit[state] = max(credit[state], boost * share)
            step = int(symbol[character])
            if step not in children[state]:
                children[state][step] = len(children)
                children.append({})
                credit.append(0.0)
                gain.append(0.0)
            state = children[state][step]
        gain[state] += boost
    return children, credit, gain


def _link(
    children: list[dict[int, int]], credit: list[float], gain: list[float], symbols: int
) -> npt.NDArray[np.int32]:
    """Where each state goes on each symbol; its longest ending that begins a pattern adds what that one is worth."""
    next_state = np.zeros((len(children), symbols), dtype=np.int32)
    fallback = [0] * len(children)
    queue = [0]
    for state in queue:  # nearest the start first
        other = fallback[state]
        if state:
            credit[state] = max(credit[state], credit[other])
            gain[state] += gain[other]
            next_state[state] = next_state[other]
        for step, child in children[state].items():
            fallback[child] = int(next_state[other, step]) if state else 0
            next_state[state, step] = child
            queue.append(child)
    return next_state
