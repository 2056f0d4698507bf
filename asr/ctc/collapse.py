"""From one token per frame to the labels they spell.

Repeats merge, blanks fall away (the map B of Graves et al. 2006).
"""

from collections.abc import Sequence

from torch import Tensor

from asr.text.tokenizer import BLANK_ID


def collapse(path: Sequence[int]) -> list[int]:
    """The labels that a path of frame tokens spells."""
    return [token for token, before in zip(path, [None, *path], strict=False) if token != before and token != BLANK_ID]


def best_path(log_probs: Tensor, lengths: Tensor) -> list[list[int]]:
    """The likeliest token of every valid frame.

    ``(batch, frames, vocab)``, ``(batch,)`` -> a list of frames per utterance.
    """
    best = log_probs.argmax(dim=2).cpu().tolist()
    return [path[:length] for path, length in zip(best, lengths.tolist(), strict=True)]
