"""Differences between trainings of two kinds: what is paired, what is pooled, and the text about them."""

import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import ttest_ind

from asr.errors import DataError
from asr.models import AcousticModel, build_model_config
from asr.probes import family
from asr.probes.family import difference_row, difference_rows, render_differences
from asr.probes.record import welch
from asr.scoring import ScoreReport
from tests.pages.made import results_of


def report_of(errors: dict[str, int], words: int = 4) -> ScoreReport:
    """Utterances of so many words, of which some were substituted; the speaker is the id's first letter."""
    spoken = ["a", "b", "c", "d"][:words]
    pairs = {key: (" ".join(spoken), " ".join(["x"] * wrong + spoken[wrong:])) for key, wrong in errors.items()}
    return results_of(pairs).report


def known(interval: list[float] | None) -> list[float]:
    assert interval is not None
    return interval


def shuffled(errors: dict[str, int], seed: int) -> dict[str, int]:
    keys = list(errors)
    random.Random(seed).shuffle(keys)
    return {key: errors[key] for key in keys}


@pytest.mark.parametrize("key", ["audio_hours", "audio_hours_heard"])  # the second: models of older trainings
def test_a_row_has_the_seconds_for_an_hour_of_audio(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = AcousticModel(build_model_config({"name": "gru", "hidden_size": 8}), 8, 5)
    loaded = SimpleNamespace(model=model, facts={"training_seconds": 60.0, key: 2.0})
    monkeypatch.setattr(family, "from_pretrained", lambda folder: loaded)
    row = family.family_row("gru", [Path("run")], [report_of({"a1": 1, "b1": 0})], [7])
    assert row["training_s_per_audio_hour"] == 30.0


HARD = {f"{speaker}{n:02}": n % 4 for speaker in "abcdefg" for n in range(12)}


def test_welchs_t_is_scipys() -> None:
    first, second = [32.05, 28.04, 30.19], [25.61, 26.61]
    other = ttest_ind(first, second, equal_var=False)
    found = welch(first, second)
    assert found.difference == pytest.approx(3.98333, abs=1e-4)  # 30.09333 - 26.11
    assert (found.low, found.high) == pytest.approx(tuple(other.confidence_interval(0.95)))
    assert found.p_value == pytest.approx(other.pvalue)


@pytest.mark.parametrize("values", [([3.0, 5.0], [1.0]), ([100 / 300] * 3, [200 / 300] * 3)], ids=["alone", "same"])
def test_what_shows_no_spread_has_no_interval(values: tuple[list[float], list[float]]) -> None:
    found = welch(*values)  # the mean of three times 100 / 300 is not 100 / 300
    assert found.difference == pytest.approx(sum(values[0]) / len(values[0]) - values[1][0])
    assert found.low is found.high is found.p_value is None


def test_what_is_hard_for_both_cancels_whatever_the_order_of_utterances() -> None:
    worse = {key: wrong + 1 for key, wrong in HARD.items()}  # one word of four more, in every utterance
    first, second = (
        [report_of(shuffled(one, seed)) for seed in seeds] for one, seeds in ((HARD, (1, 2)), (worse, (3, 4)))
    )
    row = difference_row(("one", "two"), first, second)
    assert row["points"] == pytest.approx(25.0) and (row["first"], row["second"]) == ("one", "two")
    assert row["over_utterances"] == pytest.approx([25.0, 25.0]) and row["over_speakers"] == pytest.approx([25.0, 25.0])
    assert row["over_seeds"] is None and (row["utterances"], row["speakers"], row["seeds"]) == (84, 7, 2)


def test_every_training_counts_and_an_utterance_is_drawn_with_all_of_them() -> None:
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, 3, (4, 84)) + np.array([[0], [0], [1], [2]])  # two trainings a side
    reports = [report_of(dict(zip(HARD, map(int, wrong), strict=True))) for wrong in drawn]
    row = difference_row(("one", "two"), reports[:2], reports[2:])
    gaps = 100 * (drawn[2:].sum(axis=0) - drawn[:2].sum(axis=0)) / (2 * 4)  # points, of each utterance
    assert row["points"] == pytest.approx(gaps.mean())
    draws = gaps[generator.integers(0, 84, (20_000, 84))].mean(axis=1)
    assert row["over_utterances"] == pytest.approx(list(np.quantile(draws, [0.025, 0.975])), abs=0.6)
    other = ttest_ind(*([100 * one.words.rate for one in pair] for pair in (reports[2:], reports[:2])), equal_var=False)
    assert row["over_seeds"] == pytest.approx(list(other.confidence_interval(0.95)))
    assert row["p_value"] == pytest.approx(other.pvalue)  # the larger: over utterances it is tiny


def test_an_interval_over_speakers_is_wider_where_one_of_them_makes_the_difference() -> None:
    even = dict.fromkeys(HARD, 1)
    one = {key: 4 if key[0] == "a" else 1 for key in even}
    row = difference_row(("even", "one"), [report_of(even)], [report_of(one)])
    assert row["points"] == pytest.approx(100 * 3 / 4 / 7)
    assert np.diff(known(row["over_utterances"])) < np.diff(known(row["over_speakers"]))
    assert row["over_seeds"] is None and row["p_value"] is None
    nameless = [
        replace(each, utterances=(replace(each.utterances[0], speaker=None), *each.utterances[1:]))
        for each in (report_of(even), report_of(one))
    ]
    unknown = difference_row(("even", "one"), nameless[:1], nameless[1:])
    assert unknown["over_speakers"] is None and unknown["speakers"] is None
    assert unknown["over_utterances"] == row["over_utterances"]


def test_trainings_on_different_utterances_are_refused() -> None:
    one, same = report_of(HARD), "not scored on the same utterances"
    for other in (
        report_of({f"z{key}": 1 for key in HARD}),
        report_of(dict.fromkeys(HARD, 1), words=3),
        report_of({"a00": 1}),
    ):
        with pytest.raises(DataError, match=same):
            difference_row(("one", "two"), [one], [other])
    with pytest.raises(DataError, match="one has 2 trainings and two 1"):
        difference_row(("one", "two"), [one, one], [one])
    with pytest.raises(DataError, match="have no words"):
        difference_row(("one", "two"), [report_of({"a": 0}, words=0)], [report_of({"a": 0}, words=0)])


def test_one_pair_is_told_from_its_first_and_only_with_intervals_that_are_there() -> None:
    good, bad = report_of({"a1": 0, "a2": 1, "b1": 1}), report_of({"a1": 1, "a2": 2, "b1": 4})
    row = difference_row(("bilstm", "lstm"), [good], [bad])
    low, high = known(row["over_utterances"])
    text = render_differences([row])
    assert text.startswith(
        f"lstm has 41.67 points of WER more than bilstm: [{low:.2f}, {high:.2f}] over 3 utterances, ["
    )
    assert "over 2 speakers (95 %" in text and text.endswith(
        "With fewer than 10 speakers that interval is rough, and rather too narrow."
    )
    turned = difference_row(("lstm", "bilstm"), [bad], [good])
    low, high = known(turned["over_utterances"])
    assert f"bilstm has 41.67 points of WER less than lstm: [{-high:.2f}, {-low:.2f}]" in render_differences([turned])
    alone = difference_row(("bilstm", "lstm"), [report_of({"a1": 0})], [report_of({"a1": 1})])
    assert (
        render_differences([alone]) == "lstm has 25.00 points of WER more than bilstm; too few results for an interval."
    )


def test_of_many_pairs_those_that_differ_are_named_after_correction() -> None:
    spread = {key: wrong + (key == "a01") for key, wrong in HARD.items()}
    worse = {key: wrong + 1 for key, wrong in HARD.items()}
    worst = {key: wrong + (key == "a01") for key, wrong in worse.items() if key != "b03"} | {"b03": 3}
    reports = {
        "x": [report_of(HARD), report_of(spread)],
        "y": [report_of(spread), report_of(HARD)],
        "z": [report_of(worse), report_of(worst)],
    }
    rows = difference_rows(reports)
    assert [(row["first"], row["second"]) for row in rows] == [("x", "y"), ("x", "z"), ("y", "z")]
    assert (
        all(row["p_corrected"] >= (row["p_value"] or 0) for row in rows)
        and rows[1]["p_corrected"] == rows[2]["p_corrected"]
    )
    text = render_differences(rows)
    assert "(3 pairs;" in text and text.endswith("below 0.05): z has a higher WER than x, y.")
    assert render_differences(rows[:1] * 2).endswith("no two differ significantly.")
    untested = rows[0] | {"p_value": None}
    assert "(2 pairs;" in render_differences([untested, *rows[1:]])
    assert render_differences([untested, *rows[1:]]).endswith("Not tested, as there is no spread over seeds: x and y.")
    assert "give more --seeds" in render_differences([untested, untested])
