"""Greedy decoding: the likeliest token of every frame, collapsed. Exact for the best path, not for the best text."""

from collections.abc import Sequence

from torch import Tensor

from asr.ctc import best_path, collapse
from asr.decoding.decoded import DecodedText
from asr.text.tokenizer import Tokenizer


def greedy_decode(log_probs: Tensor, lengths: Tensor, tokenizer: Tokenizer) -> list[DecodedText]:
    """One text per utterance from ``log_probs`` ``(batch, frames, vocab)`` and ``lengths`` ``(batch,)``."""
    best = log_probs.max(dim=2).values.double().cpu()
    scores = [float(row[:length].sum()) for row, length in zip(best, lengths.tolist(), strict=True)]
    labels = [tuple(collapse(path)) for path in best_path(log_probs, lengths)]
    return [
        DecodedText(text=tidy_text(tokenizer, tokens), score=score, tokens=tokens)
        for tokens, score in zip(labels, scores, strict=True)
    ]


def greedy_texts(paths: Sequence[Sequence[int]], tokenizer: Tokenizer) -> list[str]:
    """The text of each frame path, spaces at the ends and doubled spaces removed."""
    return [tidy_text(tokenizer, collapse(path)) for path in paths]


def tidy_text(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    """The text of label ids, spaces at the ends and doubled spaces removed."""
    return " ".join(tokenizer.decode(tokens).split())
