"""From evidence to the probability that a word is right: a logistic model fitted on dev (Platt 1999).

In: rows of evidence and whether each word was right. Out: ``Calibration``, stored as ``calibration.json`` in the model
directory and bound to its weights. Targets are Platt's, drawn in from 0 and 1 by what the counts allow; a ridge holds
the weights near those that leave the uncalibrated confidence as it is, so that few words and few errors change little.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import ConfigError, DataError, ModelError
from asr.pretrained import read_extra, write_extra
from asr.recognition.confidence import EVIDENCE
from asr.schema import build

Array = NDArray[np.float64]
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
        raise ModelError(f"{path}: damaged ({error}); make it again with `asr calibrate`, or delete it") from None
    return calibration
