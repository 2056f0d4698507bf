"""What a decoder says about one utterance. Values only, so that greedy decoding needs nothing of the beam search."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One text of an n-best list with the natural logarithms that ranked it.

    ``score`` is ``ctc_score + lm_weight * lm_score + word_score * words + hotword boosts``. ``ctc_score``: of all paths
    that spell the text and that the search kept; ``lm_score``: of the language model, the end of the text included, 0.0
    without one.
    """

    text: str
    score: float
    ctc_score: float
    lm_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedText:
    """``text`` and its ``score``: the natural log-probability of the best path (greedy), or what ranked it (beam).

    ``tokens``: the label ids that spell it, no blanks. ``n_best``: the best texts, this one first; empty for greedy.
    """

    text: str
    score: float
    tokens: tuple[int, ...] = ()
    n_best: tuple[Alternative, ...] = ()
