"""A language model queried in plain Python, as the reference for the compiled query; and models from ARPA text."""

import io
from collections.abc import Sequence

import numpy as np

from asr.lm.arpa import read_arpa
from asr.lm.model import NgramModel
from asr.lm.trie import to_model


def model_of(arpa: str) -> NgramModel:
    """The model of an ARPA file with this text, called ``<text>`` in messages."""
    return to_model(read_arpa(io.BytesIO(arpa.encode()), "<text>"))


def score(model: NgramModel, state: int, word: int) -> tuple[float, int]:
    """Natural-log probability of ``word`` after ``state``, and the state after it."""
    log_prob = 0.0
    while True:
        first, last = int(model.arc_start[state]), int(model.arc_start[state + 1])
        arc = first + int(np.searchsorted(model.arc_word[first:last], word))
        if arc < last and model.arc_word[arc] == word:
            return log_prob + float(model.arc_log_prob[arc]), int(model.arc_next[arc])
        log_prob += float(model.backoff_log_weight[state])
        state = int(model.backoff_state[state])


def sentence_log_prob(model: NgramModel, words: Sequence[str], *, bos: bool = True, eos: bool = True) -> float:
    """Natural-log probability of a sentence: from <s> (else from the empty context), its end counted or not."""
    state, total = (model.start_state if bos else 0), 0.0
    numbers = [model.word_id(word) for word in words]
    for number in [*numbers, model.eos] if eos else numbers:
        log_prob, state = score(model, state, number)
        total += log_prob
    return total
