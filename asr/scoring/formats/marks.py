"""sclite's marks in the references of trn and stm: what may be said instead, and what may be left out.

In: a marked text. Out: its parts, in order. ``{ i am / i'm / @ }`` are alternatives (``@``: nothing; they may be
nested), ``(uh)`` is a word that may be left out. The rest is plain words; a slash outside braces is one too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from asr.scoring.formats.entries import Role

NOTHING = "@"
_TOKENS = re.compile(r"[{}]|[^\s{}]+")
_OPTIONAL = re.compile(r"\(\S+\)")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of ``options`` was said; each is a sequence of words and further choices."""

    options: tuple[tuple["Part", ...], ...]


Part = str | Choice


def parse_marks(text: str) -> tuple[Part, ...]:
    """The parts of a marked text; raises ValueError where the braces do not match."""
    stack: list[list[list[Part]]] = [[[]]]  # for each open brace the options so far; the last one is being read
    for token in _pieces(text):
        if token == "{":
            stack.append([[]])
        elif token == "}":
            if len(stack) == 1:
                raise ValueError("has a '}' without a '{' before it")
            options = tuple(tuple(option) for option in stack.pop())
            stack[-1][-1].append(Choice(options))
        elif token == "/" and len(stack) > 1:
            stack[-1].append([])
        elif token != NOTHING:
            stack[-1][-1].append(Choice(((token[1:-1],), ())) if _OPTIONAL.fullmatch(token) else token)
    if len(stack) > 1:
        raise ValueError("has a '{' that is never closed")
    return tuple(stack[0][0])


def has_marks(text: str) -> bool:
    """Whether the text has anything to choose: else it is its own words."""
    return any(mark in text for mark in ("{", "}", "(", NOTHING))


def check_marks(text: str, role: Role) -> None:
    """Raises ValueError where a reference's braces do not match, or a hypothesis has alternatives."""
    if role == "hypothesis" and "{" in text:
        raise ValueError("holds alternatives ({ … / … }); a hypothesis must be one text: write the one that counts")
    if role == "reference":
        parse_marks(text)


def _pieces(text: str) -> Sequence[str]:
    """Words, braces, and inside braces the slashes, which need no space around them there."""
    pieces: list[str] = []
    depth = 0
    for token in _TOKENS.findall(text):
        depth += {"{": 1, "}": -1}.get(token, 0)
        pieces += re.findall(r"/|[^/]+", token) if depth > 0 else [token]
    return pieces
