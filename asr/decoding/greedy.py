"""Greedy decoding: the likeliest token of every frame, collapsed. Exact for the best path, not for the best text."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from asr.ctc import best_path, collapse
from asr.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedText:
    """``text`` and the natural log-probability ``score`` of the path that spelled it."""

    text: str
    score: float


def greedy_decode(log_probs: Tensor, lengths: Tensor, tokenizer: Tokenizer) -> list[DecodedText]:
    """One text per utterance from ``log_probs`` ``(batch, frames, vocab)`` and ``lengths`` ``(batch,)``."""
    best = log_probs.max(dim=2).values.double().cpu()
    scores = [float(row[:length].sum()) for row, length in zip(best, lengths.tolist(), strict=True)]
    texts = greedy_texts(best_path(log_probs, lengths), tokenizer)
    return [DecodedText(text=text, score=score) for text, score in zip(texts, scores, strict=True)]


def greedy_texts(paths: Sequence[Sequence[int]], tokenizer: Tokenizer) -> list[str]:
    """The text of each frame path, spaces at the ends and doubled spaces removed."""
    return [" ".join(tokenizer.decode(collapse(path)).split()) for path in paths]
