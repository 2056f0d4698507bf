"""From results to figures: hand-counted rates, systems side by side, word times on compared words."""

import csv
import io
import json

import pytest

from asr.errors import ScoringError
from asr.pages import exports
from asr.pages.data import Bar
from asr.pages.document import axis_top, bar_svg
from asr.pages.payload import assign_times, payload
from tests.pages.made import page_of, results_of

ONE = {"a1": ("one two three", "one too three"), "b1": ("four", ""), "b2": ("five", "five six")}
TWO = {"a1": ("one two three", "one two three"), "b1": ("four", "for"), "b2": ("five", "five six")}


def test_rates_of_the_page_are_those_counted_by_hand() -> None:
    page = page_of(results_of(ONE))
    head = page.figures[0]
    assert (head.measure.label, head.bar.errors, head.bar.reference_length) == ("WER", 3, 5)
    assert (head.counts.substitutions, head.counts.deletions, head.counts.insertions) == (1, 1, 1)
    assert head.bar.rate == pytest.approx(0.6)
    assert head.bar.low is not None and head.bar.high is not None and head.bar.low <= 0.6 <= head.bar.high


def test_no_error_at_all_has_no_interval_rather_than_one_of_no_width() -> None:
    right = {f"a{n}": ("one", "one") for n in range(5)}
    page = page_of(results_of(right))
    assert page.figures[0].bar.high is None
    assert "with no error there is nothing to resample" in page.notes[0]  # and the page says why


def test_few_utterances_make_a_rough_interval_and_the_page_says_so() -> None:
    assert any("intervals are rough" in note for note in page_of(results_of(ONE)).notes)


def test_systems_stand_side_by_side_in_every_group() -> None:
    page = page_of(results_of(ONE), results_of(TWO))
    (speakers,) = [chart for chart in page.charts if chart.name == "speaker"]
    rates = {row.label: [bar.rate for bar in row.bars if bar] for row in speakers.rows}
    assert rates == {"a": [pytest.approx(1 / 3), 0.0], "b": [1.0, 1.0]}


@pytest.mark.parametrize(
    ("other", "normalizer", "expected"),
    [
        ({"a1": ("x", "x")}, "none", "not the same ones"),
        ({**TWO, "b1": ("fourth", "for")}, "none", "have different references for 1 of 3 utterances"),
        (TWO, "basic", "not comparable"),
    ],
)
def test_systems_that_were_not_scored_on_the_same_texts_are_refused(
    other: dict[str, tuple[str, str]], normalizer: str, expected: str
) -> None:
    with pytest.raises(ScoringError, match=expected):
        page_of(results_of(ONE), results_of(other, normalizer=normalizer))


def test_an_alignment_travels_as_hits_and_pairs() -> None:
    rows = payload(page_of(results_of(ONE)))["utterances"]["rows"]
    assert rows[0]["sys"][0]["al"] == ["one", ["two", "too"], "three"]
    assert rows[1]["sys"][0]["al"] == [["four", None]]
    assert rows[2]["sys"][0]["al"] == ["five", [None, "six"]]
    assert rows[2]["sys"][0]["k"] == [0, 0, 1, 1]


def timed(*words: str) -> list[dict[str, object]]:
    return [{"text": word, "start_s": n, "end_s": n + 0.5, "confidence": 0.5} for n, word in enumerate(words)]


def test_word_times_are_assigned_to_compared_words_in_order() -> None:
    times = assign_times(timed("Hello,", "World!"), ["hello", "world"])
    assert [time and time.start_s for time in times] == [0, 1]


def test_where_the_normaliser_changed_the_number_of_words_only_the_same_words_get_times() -> None:
    # "3.5" became two words, "uh" is gone
    times = assign_times(timed("uh", "it's", "3.5", "today"), ["it's", "3", "5", "today"])[:1]
    assert [time and time.start_s for time in times] == [0]  # as many words as times: taken in order
    times = assign_times(timed("it's", "3.5", "today"), ["it's", "3", "5", "today"])
    assert [time and time.start_s for time in times] == [0, None, None, 2]


@pytest.mark.parametrize("words", [None, "x", [1], [{"text": "a"}], [{"text": "a", "start_s": 2, "end_s": 1}]])
def test_words_without_sound_times_are_passed_over(words: object) -> None:
    assert assign_times(words, ["a"]) == [None]


def test_json_and_csv_hold_the_figures_of_the_page() -> None:
    page = page_of(results_of(ONE), results_of(TWO))
    one, two = json.loads(exports.render_json_report(page))["systems"]
    assert (one["wer"], two["wer"]) == (60.0, 40.0)
    assert one["intervals"]["wer"]["rate"] == 60.0 and one["groups"]["speaker"][0]["reference_length"] in (2, 3)
    assert one["intervals"]["wer"]["speakers"]["count"] == 2  # a and b
    rows = list(csv.DictReader(io.StringIO(exports.render_csv_report(page))))
    assert [row["errors_A"] for row in rows] == ["1", "1", "1"] and rows[1]["hypothesis_B"] == "for"


def test_markdown_names_both_systems_and_their_intervals() -> None:
    text = exports.render_markdown_report(page_of(results_of(ONE), results_of(TWO)))
    assert "wer=60.00" in text and "wer=40.00" in text and text.count("Intervals") == 2


def test_bars_of_groups_too_small_to_mean_much_are_pale() -> None:
    pairs = {f"a{n}": ("one " * 10, "one " * 9) for n in range(10)} | {"b1": ("one", "two")}
    (chart,) = [chart for chart in page_of(results_of(pairs)).charts if chart.name == "speaker"]
    small = {row.label: bar.small for row in chart.rows for bar in row.bars if bar}
    assert small == {"a": False, "b": True}  # a has 10 utterances of 100 words
    assert [" pale" in bar_svg(bar, 1.0, 0) for row in chart.rows for bar in row.bars if bar] == [True, False]


@pytest.mark.parametrize(("rates", "top"), [([0.0126], 0.015), ([0.08, 0.02], 0.08), ([0.0], 0.001), ([1.7], 2.0)])
def test_an_axis_ends_at_a_round_number_above_every_bar(rates: list[float], top: float) -> None:
    assert axis_top([Bar(rate=rate) for rate in rates]) == pytest.approx(top)


def test_a_bar_is_as_long_as_its_rate() -> None:
    drawn = bar_svg(Bar(rate=0.05, low=0.02, high=0.3), 0.2, 0)
    assert 'width="25.0%"' in drawn and 'x1="10.0%" x2="100.0%"' in drawn  # a whisker beyond the axis ends at it


def test_no_cell_of_the_csv_is_a_formula() -> None:
    page = page_of(results_of({"=a1": ("+1", "@x"), "b": ("-1", "=2")}))
    rows = list(csv.reader(io.StringIO(exports.render_csv_report(page))))
    assert [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))] == []
    assert {row[0] for row in rows[1:]} == {"'=a1", "b"}
