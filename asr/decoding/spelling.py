"""How a tokenizer's tokens spell words: the one place where the beam search tells its kinds apart.

In: a tokenizer. Out: per token the characters that it adds, and whether it ends the word before it (the space; "▁he";
every token of a words tokenizer) or its own (a words tokenizer). Words are walked by characters, not by tokens, so that
every segmentation of a word into pieces finds it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asr.text.tokenizer import BLANK_ID, Tokenizer

PIECE_START = "\u2581"  # sentencepiece writes it for the space before a word


@dataclass(frozen=True, slots=True)
class Spelling:
    """Per token v the characters ``characters[start[v] : start[v + 1]]``, numbers into ``alphabet`` (sorted).

    Shapes: start int32 (vocab + 1,), characters int32 (all,), ends_before and ends_after bool (vocab,).
    """

    alphabet: tuple[str, ...]
    start: npt.NDArray[np.int32]
    characters: npt.NDArray[np.int32]
    ends_before: npt.NDArray[np.bool_]
    ends_after: npt.NDArray[np.bool_]

    def words(self) -> list[str]:
        """What each token spells."""
        letters = [self.alphabet[number] for number in self.characters.tolist()]
        return ["".join(letters[one:end]) for one, end in zip(self.start[:-1], self.start[1:], strict=True)]

    def can_spell(self, words: Iterable[str]) -> Iterator[bool]:
        """Of each word, whether every one of its characters occurs in some token."""
        known = set(self.alphabet)
        return (known.issuperset(word) for word in words)


def spelling_of(tokenizer: Tokenizer) -> Spelling:
    """The spelling of ``tokenizer``'s tokens; the blank spells nothing."""
    name = tokenizer.to_dict()["name"]
    texts = ["" if index == BLANK_ID else token for index, token in enumerate(tokenizer.tokens)]
    if name == "sentencepiece":
        ends_before = [text.startswith(PIECE_START) for text in texts]
        texts = [text.removeprefix(PIECE_START) for text in texts]
    elif name == "words":
        ends_before = [text != "" for text in texts]
    else:
        ends_before = [text.isspace() for text in texts]
        texts = ["" if text.isspace() else text for text in texts]
    ends_after = [name == "words" and text != "" for text in texts]
    alphabet = tuple(sorted({character for text in texts for character in text}))
    number = {character: index for index, character in enumerate(alphabet)}
    return Spelling(
        alphabet=alphabet,
        start=np.cumsum([0, *map(len, texts)], dtype=np.int32),
        characters=np.array([number[character] for text in texts for character in text], dtype=np.int32),
        ends_before=np.array(ends_before, dtype=np.bool_),
        ends_after=np.array(ends_after, dtype=np.bool_),
    )
