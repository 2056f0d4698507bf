"""Confidence: evidence and figures by hand, the fit against scipy, a file that fits its weights or is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch

from asr.ctc.align import forced_align
from asr.decoding import Alternative
from asr.errors import DataError, ModelError
from asr.features import LogMel, LogMelConfig
from asr.models import AcousticModel, BiLstmConfig, SubsamplingConfig
from asr.pretrained import save_pretrained
from asr.recognition import Recognizer
from asr.recognition.calibration import (
    EVIDENCE,
    FILE,
    Calibration,
    fit_calibration,
    fit_logistic,
    n_best_agreement,
    platt_targets,
    read_calibration,
    silence_confidence,
    store_calibration,
    uncalibrated,
    word_evidence,
)
from asr.recognition.reliability import cross_validated, deal_groups, draw_reliability
from asr.scoring.confidence import brier_score, chance_error, expected_calibration_error, wilson_interval, words_correct
from asr.text.normalize import Normalizer, get_normalizer
from asr.text.tokenizer import CharacterTokenizer


def test_evidence_by_hand() -> None:
    """Tokens 1 2 | 3 in five frames; probabilities of blank, 1, 2, 3, 4."""
    rows = [
        [0.10, 0.80, 0.05, 0.03, 0.02],  # 1
        [0.10, 0.10, 0.60, 0.00, 0.20],  # 2: the strongest other is 4
        [0.50, 0.00, 0.15, 0.05, 0.30],  # blank: 2 and 3 are its neighbours, the strongest other is 4
        [0.02, 0.01, 0.01, 0.95, 0.01],  # 3
        [0.90, 0.00, 0.00, 0.06, 0.04],  # blank
    ]
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.array(rows)).astype(np.float32)
    alignment = forced_align(log_probs, [1, 2, 3])
    assert alignment.path.tolist() == [1, 2, 0, 3, 0]
    found = word_evidence(log_probs, alignment, [(0, 2), (2, 3)], [1.0, 0.5])
    margins = [np.log(0.8 / 0.05), np.log(0.6 / 0.2)]
    first = [(np.log(0.8) + np.log(0.6)) / 2, np.log(0.6 / 0.4), min(margins), 0.3, 1.0]
    second = [np.log(0.95), np.log(0.95 / 0.05), np.log(0.95 / 0.01), 0.3, 0.5]
    assert found == pytest.approx(np.array([first, second]), abs=1e-5)
    assert uncalibrated(found) == pytest.approx([0.6, 0.95], abs=1e-5)


def test_an_empty_text_is_as_sure_as_the_least_sure_blank() -> None:
    assert silence_confidence(np.log(np.array([[0.9, 0.1], [0.7, 0.3]], np.float32))) == pytest.approx(0.7)
    assert silence_confidence(np.zeros((0, 2), np.float32)) == 1.0


def test_agreement_is_the_share_of_the_n_best_list_that_has_the_word_in_its_place() -> None:
    shares = {"one two": 0.5, "one too": 0.3, "a one two": 0.2}
    n_best = [Alternative(text=text, score=float(np.log(p)), ctc_score=0.0, lm_score=0.0) for text, p in shares.items()]
    assert n_best_agreement(["one", "two"], n_best) == pytest.approx([1.0, 0.7])
    assert n_best_agreement(["one", "two"], []) == n_best_agreement(["one", "two"], n_best[:1]) == [1.0, 1.0]


def test_calibration_error_and_brier_score_by_hand() -> None:
    confidence = np.array([0.2, 0.4, 0.6, 0.8, 0.9, 1.0])
    right = np.array([False, True, True, True, False, True])
    # three bins of two: promised 0.3, 0.7, 0.95; held 0.5, 1.0, 0.5
    assert expected_calibration_error(confidence, right, bins=3) == pytest.approx((0.2 + 0.3 + 0.45) / 3)
    assert brier_score(confidence, right) == pytest.approx((0.04 + 0.36 + 0.16 + 0.04 + 0.81 + 0.0) / 6)
    assert expected_calibration_error(right.astype(float), right) == 0.0


def test_wilson_interval_by_hand() -> None:
    low, high = wilson_interval(np.array([0.9, 1.0]), np.array([10, 10]))
    assert low == pytest.approx([0.5958, 0.7225], abs=1e-4)  # published tables of 9 and 10 in 10
    assert high == pytest.approx([0.9821, 1.0], abs=1e-4)


@pytest.mark.parametrize("ridge", [0.01, 1.0, 300.0])
def test_the_fit_is_the_minimum_that_scipy_finds(ridge: float) -> None:
    generator = np.random.default_rng(3)
    inputs = np.column_stack([generator.normal(size=(200, 3)) * [1, 5, 0.1], np.ones(200)])
    targets = (generator.random(200) < 1 / (1 + np.exp(-inputs @ [2, -1, 3, 1]))).astype(float) * 0.96 + 0.02
    start = np.array([0.5, 0.0, -2.0, 1.0])

    def loss(weights: np.ndarray) -> float:
        scores = inputs @ weights
        return float(np.sum(np.logaddexp(0, scores) - targets * scores) + 0.5 * ridge * np.sum((weights - start) ** 2))

    expected = scipy.optimize.minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8}).x
    assert fit_logistic(inputs, targets, ridge, start) == pytest.approx(expected, abs=1e-4)


def test_platts_targets_by_hand() -> None:
    assert platt_targets(np.array([True, True, True, False])) == pytest.approx([0.8, 0.8, 0.8, 1 / 3])


def make_evidence(words: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Evidence of which the first kind alone decides: right with probability sigmoid(3 + 4 x)."""
    generator = np.random.default_rng(seed)
    evidence = generator.normal(size=(words, len(EVIDENCE)))
    evidence[:, -1] = 1.0  # no n-best list
    return evidence, generator.random(words) < 1 / (1 + np.exp(-(3 + 4 * evidence[:, 0])))


def test_a_fit_finds_the_probability_that_made_the_data() -> None:
    evidence, right = make_evidence(20000, 1)
    truth = 1 / (1 + np.exp(-(3 + 4 * evidence[:, 0])))
    fitted = fit_calibration(evidence, right)
    assert fitted.confidence(evidence) == pytest.approx(truth, abs=0.06)
    assert fitted.weights[0] / fitted.scale[0] == pytest.approx(4, abs=0.15)


def test_few_words_change_confidence_little() -> None:
    evidence, _ = make_evidence(2, 2)
    fitted = fit_calibration(evidence, np.array([True, True])).confidence(evidence)
    assert fitted == pytest.approx(uncalibrated(evidence), abs=0.2)


def test_a_dev_set_without_an_error_does_not_make_it_certain() -> None:
    evidence, _ = make_evidence(98, 2)
    confidence = fit_calibration(evidence, np.full(98, True)).confidence(evidence)
    assert 0.9 < confidence.mean() < 0.99  # Platt's target: (98 + 1) / (98 + 2); unchanged it would be about 0.5
    with pytest.raises(DataError, match="no word"):
        fit_calibration(evidence[:0], np.zeros(0, bool))


def test_words_are_judged_by_the_alignment() -> None:
    basic = get_normalizer("basic")

    parted = Normalizer("parted", 1, lambda text: text.lower().replace("-", " "))

    assert words_correct(["one", "too", "three", "four"], "One two three.", basic) == [True, False, True, False]
    assert words_correct(["twenty-one", "-", "x"], "twenty one x", parted) == [True, None, True]
    assert words_correct(["twenty-one"], "twenty two", parted) == [False]
    assert words_correct([], "one", basic) == []


def test_folds_keep_groups_whole_and_even() -> None:
    groups = ["a"] * 50 + ["b"] * 30 + ["c"] * 20 + ["d"] * 20 + ["e"] * 10
    folds = deal_groups(groups, 3)
    assert all(len(set(folds[[one == name for one in groups]])) == 1 for name in "abcde")
    assert sorted(np.bincount(folds).tolist()) == [40, 40, 50]


def test_cross_validation_never_sees_the_group_it_judges() -> None:
    """Group g's words are all right, all others wrong: seen, it would be told apart by its evidence."""
    evidence, _ = make_evidence(90, 4)
    groups = [name for name in "fgh" for _ in range(30)]
    right = np.array([name == "g" for name in groups])
    evidence[right, 0] += 20
    confidence = cross_validated(evidence, right, groups)
    assert confidence is not None and confidence[right].max() < 0.2
    assert fit_calibration(evidence, right).confidence(evidence)[right].min() > 0.8
    assert cross_validated(evidence, right, ["one"] * 90) is None


def save_model(directory: Path, seed: int) -> None:
    torch.manual_seed(seed)
    subsampling = SubsamplingConfig(factor=2, channels=2, output_size=4)
    tokenizer = CharacterTokenizer.from_texts(["ab "])
    model = AcousticModel(BiLstmConfig(num_layers=1, hidden_size=4, subsampling=subsampling), 8, tokenizer.vocab_size)
    with torch.no_grad():
        model.head.weight.mul_(20)
    save_pretrained(directory, LogMel(LogMelConfig(sample_rate=8000, n_mels=8)), model, tokenizer, {})


SCALED = Calibration(evidence=list(EVIDENCE), mean=[0.0] * 5, scale=[2.0] * 5, weights=[1.0, 0, 0, 0, 0], bias=0.5)


def test_a_stored_calibration_is_used_by_the_model_it_was_made_for(tmp_path: Path) -> None:
    save_model(tmp_path / "model", 1)
    assert read_calibration(tmp_path / "model") is None
    store_calibration(tmp_path / "model", SCALED)
    assert read_calibration(tmp_path / "model") == SCALED
    noise = np.random.default_rng(0).normal(size=8000).astype(np.float32) * 0.1
    found = Recognizer.from_pretrained(tmp_path / "model", "cpu", speech_gate=False).transcribe(noise, 8000)
    expected = [1 / (1 + np.exp(-(0.5 + row[0] / 2))) for row in found.evidence]
    assert len(found.words) > 0 and [word.confidence for word in found.words] == pytest.approx(expected)
    plain = Recognizer.from_pretrained(tmp_path / "model", "cpu", speech_gate=False, calibrated=False)
    raw = [1 / (1 + np.exp(-row[1])) for row in found.evidence]
    assert [word.confidence for word in plain.transcribe(noise, 8000).words] == pytest.approx(raw)


def test_a_calibration_of_other_weights_is_refused(tmp_path: Path) -> None:
    for seed in (1, 2):
        save_model(tmp_path / str(seed), seed)
    store_calibration(tmp_path / "1", SCALED)
    (tmp_path / "2" / FILE).write_bytes((tmp_path / "1" / FILE).read_bytes())
    with pytest.raises(ModelError, match=r"calibration.json: belongs to other weights .* delete it"):
        Recognizer.from_pretrained(tmp_path / "2", "cpu")


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [1.0]}, {"scale": [0.0] * 5}, {"evidence": ["x"] * 5}, {"bias": "much"}, {"weights_sha256": None},
        {"unknown": 1}, {"mean": None}, "[]", "{", "",
    ],
)  # fmt: skip
def test_a_damaged_calibration_is_refused_in_one_line(tmp_path: Path, change: Any) -> None:
    save_model(tmp_path / "model", 1)
    store_calibration(tmp_path / "model", SCALED)
    path = tmp_path / "model" / FILE
    text = json.dumps(json.loads(path.read_text()) | change) if isinstance(change, dict) else change
    path.write_text(text)
    with pytest.raises(ModelError, match="delete it") as caught:
        read_calibration(tmp_path / "model")
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_the_plot_is_a_png(tmp_path: Path) -> None:
    evidence, right = make_evidence(100, 5)
    confidence = fit_calibration(evidence, right).confidence(evidence)
    draw_reliability([("after", confidence)], right, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_ridge_holds_the_weights_where_errors_are_few() -> None:
    evidence, _ = make_evidence(100, 6)
    right = np.arange(100) > 0
    assert np.abs(fit_calibration(evidence, right).weights).max() < 2


def test_chance_alone_shows_some_calibration_error() -> None:
    """One bin of 100 words of confidence 0.5: the mean absolute deviation of a binomial share is 0.0398."""
    assert chance_error(np.full(100, 0.5), bins=1) == pytest.approx(0.0398, abs=0.005)
    assert chance_error(np.array([0.0, 1.0])) == 0.0
