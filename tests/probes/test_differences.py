"""By how much trainings of two kinds differ: the intervals of the mean and of the table's sentence."""

import pytest
from scipy.stats import ttest_ind

from asr.probes.family import difference_row, render_table
from asr.probes.listening import error_row
from asr.probes.record import difference_interval
from asr.scoring import ScoreReport
from tests.pages.made import results_of


def heard(errors: dict[str, int]) -> ScoreReport:
    """Utterances of four words, of which so many were substituted; the speaker is the id's first letter."""
    pairs = {key: ("a b c d", " ".join(["x"] * wrong + ["a", "b", "c", "d"][wrong:])) for key, wrong in errors.items()}
    return results_of(pairs).report


def test_the_interval_of_a_difference_is_welchs() -> None:
    first, second = [32.05, 28.04, 30.19], [25.61, 26.61]
    low, high = ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    found = difference_interval(first, second)
    assert found.mean == pytest.approx(3.98333, abs=1e-4) and found.count == 2
    assert (found.low, found.high) == pytest.approx((low, high))


def test_one_training_of_a_kind_says_nothing_of_another() -> None:
    assert difference_interval([3.0, 5.0], [1.0]).low is None
    alike = difference_interval([3.0, 3.0], [1.0, 1.0])
    assert (alike.low, alike.mean, alike.high) == (2.0, 2.0, 2.0)


def test_what_is_hard_for_both_cancels() -> None:
    hard = {f"{speaker}{n}": n % 4 for speaker in "abcdefg" for n in range(12)}
    worse = {key: wrong + 1 for key, wrong in hard.items()}  # one word of four more, in every utterance
    row = difference_row(("one", "two"), [heard(hard), heard(hard)], [heard(worse), heard(worse)])
    assert row["points"] == pytest.approx(25.0) and (row["better"], row["worse"]) == ("one", "two")
    for key in ("low", "high", "speaker_low", "speaker_high", "seed_low", "seed_high"):
        assert row[key] == pytest.approx(25.0), key


def test_an_interval_over_speakers_is_wider_where_one_of_them_makes_the_difference() -> None:
    even = {f"{speaker}{n}": 1 for speaker in "abcdefg" for n in range(12)}
    one = {key: 4 if key[0] == "a" else 1 for key in even}
    row = difference_row(("even", "one"), [heard(even)], [heard(one)])
    assert row["points"] == pytest.approx(100 * 3 / 4 / 7)
    assert row["high"] - row["low"] < row["speaker_high"] - row["speaker_low"]
    assert row["seed_low"] is None is row["seed_high"]


def test_the_table_says_the_difference_and_only_intervals_that_are_there() -> None:
    reports = [heard({"a1": 0, "a2": 1, "b1": 1}), heard({"a1": 1, "a2": 2, "b1": 4})]
    rows = [
        {"member": name, "parameters": 7, "training_s_per_audio_hour": 1.0, "seeds": [1], "hardware": ["a machine"]}
        | error_row([[one.words for one in report.utterances]])
        for name, report in zip(("bilstm", "lstm"), reports, strict=True)
    ]
    row = difference_row(("bilstm", "lstm"), reports[:1], reports[1:])
    said = render_table({"rows": rows, "memory": [], "difference": row})
    assert f"lstm has 41.67 points of WER more than bilstm: [{row['low']:.2f}, {row['high']:.2f}] over utt" in said
    assert "over seeds (95 %" not in said
    assert "points of WER" not in render_table({"rows": rows, "memory": []})
