"""Paths of CTC: what they spell, and how many frames a text needs.

Source: Graves et al. 2006, "Connectionist Temporal Classification"; ``collapse`` is their map B: repeats merge, blanks
are removed.
"""

import operator
from collections.abc import Sequence
from typing import Any

from asr.text.tokenizer import BLANK_ID


def frames_needed(target: Sequence[int]) -> int:
    """Frames that CTC needs for ``target``: one per label, and a blank between equal neighbours."""
    repeats: int = sum(map(operator.eq, target, target[1:]))
    return len(target) + repeats


def collapse(path: Sequence[int]) -> list[int]:
    """The labels that a path of frame tokens spells."""
    return [token for token, before in zip(path, [None, *path], strict=False) if token != before and token != BLANK_ID]


def best_path(log_probs: Any, lengths: Any) -> list[list[int]]:
    """The likeliest token of every valid frame.

    ``(batch, frames, vocab)``, ``(batch,)``, arrays or tensors -> a list of frames per utterance.
    """
    best = log_probs.argmax(2).tolist()
    return [path[:length] for path, length in zip(best, lengths.tolist(), strict=True)]
