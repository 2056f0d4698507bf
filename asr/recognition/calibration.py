"""Word confidence: the evidence for each word, and a logistic model that makes it a probability (Platt 1999).

In: log-probabilities, their alignment with the text, and the tokens of each word. Out: a row of ``EVIDENCE`` per word
and a first, uncalibrated confidence. ``fit_calibration`` turns such rows, and whether each word was right, into a
``Calibration``, stored as ``calibration.json`` in the model directory and bound to its weights. Targets are Platt's,
moved away from 0 and 1 by what the counts allow; a ridge keeps the weights near those that leave the uncalibrated
confidence as it is, so that few words and few errors change little.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.ctc.align import Alignment
from asr.decoding.greedy import Alternative
from asr.errors import ConfigError, DataError, ModelDamagedError
from asr.schema import build
from asr.stored import read_extra, write_extra
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
FLOOR = -10.0  # log-probabilities, log-odds and margins below it carry no more information


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
    from_frame = np.insert(ends[stop - 1][:-1], 0, 0)
    to_frame = np.append(starts[first][1:], len(own))
    return np.stack(
        [
            _reduce(np.add, peaks, first, stop) / (stop - first),
            _log_odds(_reduce(np.minimum, peaks, first, stop)),
            _reduce(np.minimum, margins, first, stop),
            np.exp(_reduce(np.maximum, other, from_frame, to_frame)),
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
    """For each of ``words``, the share of the list's probability whose texts have it in the same place."""
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

    The shoulders of a token's peak are under the blanks next to it: they are its own.
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


FILE = "calibration.json"
RIDGE = 1.0  # on the distance of weights from "unchanged", for evidence of unit variance
MAX_STEPS = 100
SMALLEST_STEP = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """``confidence = sigmoid(bias + weights . (evidence - mean) / scale)``, each with an entry per kind of evidence.

    ``facts``: how it was fitted, and how well it did.
    """

    evidence: list[str]
    mean: list[float]
    scale: list[float]
    weights: list[float]
    bias: float
    facts: dict[str, Any] = field(default_factory=dict)

    def confidence(self, evidence: Array) -> Array:
        """``(words, evidence)`` -> the probability that each word is right, ``(words,)``."""
        inputs = (evidence - np.array(self.mean)) / np.array(self.scale)
        return sigmoid(inputs @ np.array(self.weights) + self.bias)


def fit_calibration(evidence: Array, right: NDArray[np.bool_]) -> Calibration:
    """Fit to ``evidence`` ``(words, evidence)`` and ``right`` ``(words,)``. Raises DataError when there is no word."""
    if not len(right):
        raise DataError("calibrate: the model recognised no word of these recordings; there is nothing to learn from")
    mean, deviation = evidence.mean(axis=0), evidence.std(axis=0)
    scale = np.where(deviation > 1e-6, deviation, 1.0)
    inputs = np.column_stack([(evidence - mean) / scale, np.ones(len(right))])
    unchanged = np.zeros(inputs.shape[1])
    odds = EVIDENCE.index("least_odds")
    unchanged[[odds, -1]] = scale[odds], mean[odds]
    *weights, bias = fit_logistic(inputs, platt_targets(right), RIDGE, unchanged).tolist()
    return Calibration(evidence=list(EVIDENCE), mean=mean.tolist(), scale=scale.tolist(), weights=weights, bias=bias)


def fit_logistic(inputs: Array, targets: Array, ridge: float, start: Array) -> Array:
    """Weights ``(inputs,)`` of the least cross-entropy plus ``ridge / 2 * (weights - start) ** 2``, by Newton's method.

    ``inputs`` ``(rows, inputs)``, ``targets`` ``(rows,)`` in 0..1, ``ridge`` above 0, ``start`` ``(inputs,)``. Steps
    that do not improve are halved: the loss is convex, so this always arrives.
    """
    weights = start

    def loss_of(some: Array) -> float:
        scores = inputs @ some
        return float(np.sum(np.logaddexp(0.0, scores) - targets * scores) + 0.5 * ridge * np.sum((some - start) ** 2))

    loss = loss_of(weights)
    for _ in range(MAX_STEPS):
        predicted = sigmoid(inputs @ weights)
        gradient = inputs.T @ (predicted - targets) + ridge * (weights - start)
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs + ridge * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > SMALLEST_STEP and loss_of(weights - size * step) > loss:
            size /= 2
        if size <= SMALLEST_STEP or np.abs(size * step).max() < SMALLEST_STEP:
            break
        weights = weights - size * step
        loss = loss_of(weights)
    return weights


def platt_targets(right: NDArray[np.bool_]) -> Array:
    """``(hits + 1) / (hits + 2)`` for a right word and ``1 / (misses + 2)`` for a wrong one (Platt 1999)."""
    hits = int(right.sum())
    return np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))


def sigmoid(values: Array) -> Array:
    """``1 / (1 + exp(-values))`` without overflow."""
    return np.exp(-np.logaddexp(0.0, -values))


def store_calibration(directory: Path, calibration: Calibration) -> None:
    """Put it into a model directory, for the weights that are there now."""
    write_extra(directory, FILE, asdict(calibration))


def read_calibration(directory: Path) -> Calibration | None:
    """The model directory's calibration, or None where it has none.

    Raises ModelError when it is damaged, of other weights, or of a version that knows other evidence.
    """
    values = read_extra(directory, FILE)
    return None if values is None else _checked(values, directory / FILE)


def _checked(values: Mapping[str, Any], path: Path) -> Calibration:
    try:
        calibration = build(Calibration, values, FILE)
        sizes = {len(getattr(calibration, name)) for name in ("mean", "scale", "weights")}
        numbers = np.array([*calibration.mean, *calibration.scale, *calibration.weights, calibration.bias], float)
        good = calibration.evidence == list(EVIDENCE) and sizes == {len(EVIDENCE)} and np.isfinite(numbers).all()
        if not good or min(calibration.scale) <= 0:
            raise ValueError("its numbers do not fit the evidence of this version")
    except (ConfigError, TypeError, ValueError) as error:
        raise ModelDamagedError(
            f"{path}: damaged ({error}); make it again with `asr calibrate`, or delete it"
        ) from None
    return calibration
