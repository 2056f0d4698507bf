"""How sure the model is of each word: the evidence that confidence is computed from.

In: log-probabilities, their alignment with the text, and which tokens make up each word. Out: a row of ``EVIDENCE`` per
word, and a first, uncalibrated confidence. `asr calibrate` turns the same rows into probabilities of being right.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from asr.ctc.align import Alignment
from asr.decoding.decoded import Alternative
from asr.text.tokenizer import BLANK_ID

Array = NDArray[np.float64]
Places = NDArray[np.int64]
EVIDENCE = (
    "mean_log_peak",  # mean over the word's tokens of the token's largest log-probability within its span
    "least_odds",  # log-odds of the least of them
    "min_margin",  # least over tokens of: how far it is above every other token (no blank), at most in its span
    "intrusion",  # the largest probability of a token that is not in the text, from the word before to the word after
    "agreement",  # share of the n-best list, by probability, that has the word in its place; 1 without such a list
)
FLOOR = -10.0  # log-probabilities, log-odds and margins below it tell no more


def word_evidence(
    log_probs: NDArray[np.float32], alignment: Alignment, words: Sequence[tuple[int, int]], agreement: Sequence[float]
) -> Array:
    """``(words, evidence)`` from ``log_probs`` ``(frames, vocab)``.

    ``words``: each one's first token and the one after its last, as indices of ``alignment.spans``.
    """
    if not words:
        return np.zeros((0, len(EVIDENCE)))
    own = log_probs[np.arange(len(log_probs)), alignment.path]
    other = _strongest_other(log_probs, alignment)
    starts = np.array([span.start_frame for span in alignment.spans])
    ends = np.array([span.end_frame for span in alignment.spans])
    peaks = np.maximum(_reduce(np.maximum, own, starts, ends), FLOOR)
    margins = np.clip(_reduce(np.maximum, own - other, starts, ends), FLOOR, -FLOOR)
    first, stop = np.array(words).T
    heard_from = np.insert(ends[stop - 1][:-1], 0, 0)
    heard_to = np.append(starts[first][1:], len(own))
    return np.stack(
        [
            _reduce(np.add, peaks, first, stop) / (stop - first),
            _log_odds(_reduce(np.minimum, peaks, first, stop)),
            _reduce(np.minimum, margins, first, stop),
            np.exp(_reduce(np.maximum, other, heard_from, heard_to)),
            np.array(agreement, np.float64),
        ],
        axis=1,
    )


def uncalibrated(evidence: Array) -> Array:
    """A confidence of 0 to 1 per word without calibration: the least probable token's peak probability."""
    return np.asarray(1 / (1 + np.exp(-evidence[:, EVIDENCE.index("least_odds")])))


def silence_confidence(log_probs: NDArray[np.float32]) -> float:
    """Confidence of an empty text: the blank's probability in the frame where it is least probable."""
    return float(np.exp(min(0.0, float(log_probs[:, BLANK_ID].min())))) if len(log_probs) else 1.0


def n_best_agreement(words: Sequence[str], n_best: Sequence[Alternative]) -> list[float]:
    """For each of ``words``, the share of the list's probability in whose texts it stands in the same place."""
    if len(n_best) < 2:
        return [1.0] * len(words)
    scores = np.array([one.score for one in n_best])
    weights = np.exp(scores - scores.max())
    shares = np.zeros(len(words))
    for alternative, weight in zip(n_best, weights / weights.sum(), strict=True):
        for block in SequenceMatcher(None, words, alternative.text.split(), autojunk=False).get_matching_blocks():
            shares[block.a : block.a + block.size] += weight
    return [float(share) for share in shares]


def _log_odds(log_probs: Array) -> Array:
    """``log(p / (1 - p))``, within -10 to 10."""
    rest = np.log(np.maximum(-np.expm1(log_probs), 1e-9))  # float32 rounds log-probabilities to 0 and above
    return np.clip(log_probs - rest, FLOOR, -FLOOR)


def _strongest_other(log_probs: NDArray[np.float32], alignment: Alignment) -> NDArray[np.float32]:
    """``(frames,)``: the largest log-probability of what is neither blank nor a token of the text just there.

    The shoulders of a token's peak lie under blanks beside it: they are its own.
    """
    frames = np.arange(len(log_probs))
    path = alignment.path
    places = np.where(path != BLANK_ID, frames, -1)
    before = path[np.maximum(np.maximum.accumulate(places), 0)]
    ahead = np.where(path != BLANK_ID, frames, len(path))
    after = path[np.minimum(np.minimum.accumulate(ahead[::-1])[::-1], len(path) - 1)]
    rest = log_probs.copy()
    rest[:, BLANK_ID] = -np.inf
    for taken in (path, before, after):
        rest[frames, taken] = -np.inf
    strongest: NDArray[np.float32] = np.maximum(rest.max(axis=1), np.float32(3 * FLOOR))
    return strongest


def _reduce(function: np.ufunc, values: NDArray[np.floating], starts: Places, stops: Places) -> Array:
    """``function`` over ``values[start:stop]`` of each pair; no pair is empty."""
    places = np.stack([starts, stops], axis=1).ravel().astype(np.intp)
    padded = np.append(values.astype(np.float64), 0.0)  # so that a stop may be the end
    return np.asarray(function.reduceat(padded, places)[::2])
