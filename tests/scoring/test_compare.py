"""A comparison says who is better, or that nobody can tell, and shows where the difference lies."""

import json
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from asr.errors import ScoringError, UsageError
from asr.scoring.compare import Comparison, SystemResults, compare
from asr.scoring.compare_output import (
    DATA,
    PAGE,
    rounded_up,
    scope_sentence,
    settling_sentence,
    verdict_sentence,
    write_comparison,
)
from asr.scoring.differences import (
    difference_by,
    field_key,
    group_indices,
    length_of_reference,
    pair_differences,
    utterance_differences,
    word_differences,
)
from asr.scoring.output import prepare_folder
from asr.scoring.report import score_texts
from asr.text.normalize import NORMALIZERS

NASTY = "a|b `c` <script>x</script> [f](http://g)"


def system(
    name: str,
    hypotheses: Mapping[str, str],
    references: Mapping[str, str],
    speakers: Mapping[str, str] | None = None,
    extras: Mapping[str, Mapping[str, Any]] | None = None,
    normalizer: str = "basic",
) -> SystemResults:
    report = score_texts(references, hypotheses, normalizer=NORMALIZERS[normalizer], speakers=speakers)
    return SystemResults(name, report, extras or {})


def simulated(rates: Mapping[str, float], count: int = 72, speakers: int = 12, seed: int = 0) -> Comparison:
    """Systems that lose each word with their own chance."""
    generator = random.Random(seed)
    texts = {f"u{i}": " ".join(generator.choices(["one", "two", "three", "four"], k=8)) for i in range(count)}
    who = {f"u{i}": f"s{i % speakers}" for i in range(count)} if speakers else None
    systems = []
    for name, rate in rates.items():
        heard = {
            key: " ".join(word for word in text.split() if generator.random() > rate) for key, text in texts.items()
        }
        systems.append(system(name, heard, texts, who))
    return compare(systems, draws=2_000)


def test_the_better_system_is_named_with_its_figures_whatever_the_order() -> None:
    for names in (("good", "bad"), ("bad", "good")):
        comparison = simulated({name: {"good": 0.05, "bad": 0.15}[name] for name in names})
        (pair,) = comparison.pairs
        good, bad = (comparison.rates[name].rate for name in ("good", "bad"))
        assert pair.verdict == ("first better" if names[0] == "good" else "second better")
        assert pair.deciding is pair.over_speakers
        sentence = verdict_sentence(comparison, pair)
        assert sentence.startswith(
            f"good is better than bad (WER {100 * good:.2f} against {100 * bad:.2f} %, difference "
        )
        assert re.search(rf"difference {100 * (bad - good):.2f} \[\d+\.\d, \d+\.\d\], p [<=] 0\.00\d\)$", sentence)
        assert settling_sentence(comparison, pair) is None


def test_what_chance_can_do_is_not_distinguishable_and_it_says_how_much_more_would_settle_it() -> None:
    comparison = simulated({"a": 0.10, "b": 0.11}, seed=3)
    (pair,) = comparison.pairs
    assert pair.verdict == "not distinguishable" and pair.more_units is not None and pair.deciding is not None
    assert " are not distinguishable (WER " in verdict_sentence(comparison, pair)
    more = settling_sentence(comparison, pair)
    assert more is not None and "80 % power at 5 %" in more
    # SE times 2.80 is the difference that is seen; as many speakers as make SE so small, less the 12 there are
    needed = 12 * (2.8016 * pair.deciding.standard_error / abs(pair.deciding.difference)) ** 2
    assert pair.more_units == pytest.approx(needed - 12, abs=1.5)
    assert f"about {rounded_up(pair.more_units):,} more speakers" in more
    assert pair.detectable == pytest.approx(2.8016 * pair.deciding.standard_error, rel=1e-3)


def test_few_or_unknown_speakers_leave_the_verdict_to_utterances_and_it_says_so() -> None:
    few = simulated({"a": 0.05, "b": 0.15}, speakers=3)
    assert few.pairs[0].deciding is few.pairs[0].over_utterances
    assert few.pairs[0].over_speakers is not None
    assert "these 3 speakers only" in str(scope_sentence(few))
    unknown = simulated({"a": 0.05, "b": 0.15}, speakers=0)
    assert unknown.pairs[0].over_speakers is None
    assert "not every speaker is known" in str(scope_sentence(unknown))
    assert scope_sentence(simulated({"a": 0.05, "b": 0.15})) is None


def test_several_systems_are_corrected_after_holm() -> None:
    comparison = simulated({"a": 0.08, "b": 0.10, "c": 0.12}, seed=1)
    raw = [pair.deciding.p_value for pair in comparison.pairs if pair.deciding is not None]
    least = min(range(3), key=lambda index: raw[index])
    assert [(pair.first, pair.second) for pair in comparison.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert comparison.pairs[least].p_value == pytest.approx(min(1.0, 3 * raw[least]))
    assert "after Holm's correction for 3 pairs" in verdict_sentence(comparison, comparison.pairs[0])


def test_systems_that_wrote_the_same_are_said_to_have_done_so() -> None:
    texts = {"u1": "a b c", "u2": "d e"}
    comparison = compare([system("a", {"u1": "a b", "u2": "d"}, texts), system("b", {"u1": "A b!", "u2": "d"}, texts)])
    assert "their texts are the same in every utterance" in verdict_sentence(comparison, comparison.pairs[0])
    assert settling_sentence(comparison, comparison.pairs[0]) is None


def test_one_utterance_or_no_word_cannot_be_compared() -> None:
    one = compare([system("a", {"u": "x"}, {"u": "x y"}), system("b", {"u": "y"}, {"u": "x y"})])
    assert "one utterance alone cannot show" in verdict_sentence(one, one.pairs[0])
    silent = {"u": "", "v": "!"}
    none = compare([system("a", {"u": "x", "v": ""}, silent), system("b", {"u": "", "v": ""}, silent)])
    assert "cannot be compared (no reference holds a word)" in verdict_sentence(none, none.pairs[0])


def test_as_many_errors_elsewhere_are_no_difference_and_no_number_is_made_up() -> None:
    texts = {f"u{i}": "a b c d" for i in range(10)}
    even = {key: "a b c" if i % 2 else "a b c d" for i, key in enumerate(texts)}
    odd = {key: "a b c d" if i % 2 else "a b c" for i, key in enumerate(texts)}
    comparison = compare([system("a", even, texts), system("b", odd, texts)])
    (pair,) = comparison.pairs
    assert pair.verdict == "not distinguishable" and pair.more_units is None
    assert "no number of further utterances can be given" in str(settling_sentence(comparison, pair))


def test_what_does_not_fit_together_is_named() -> None:
    texts = {"u1": "a b", "u2": "c"}
    first = system("a", texts, texts, {"u1": "ann", "u2": "bob"})
    with pytest.raises(ScoringError, match="b lacks 1 that a has \\('u2'\\)"):
        compare([first, system("b", {"u1": "a"}, {"u1": "a b"})])
    with pytest.raises(
        ScoringError, match="different references for 1 of 2 utterances \\('u2'\\): 'u2' is 'c' and 'x'"
    ):
        compare([first, system("b", texts, {"u1": "a b", "u2": "x"})])
    with pytest.raises(ScoringError, match="a with basic v1, b with none v1"):
        compare([first, system("b", texts, texts, normalizer="none")])
    with pytest.raises(ScoringError, match="different speakers for 1 utterances"):
        compare([first, system("b", texts, texts, {"u1": "ann", "u2": "eve"})])
    with pytest.raises(ScoringError, match="two systems are called 'a'"):
        compare([first, first])
    with pytest.raises(ScoringError, match="needs two systems"):
        compare([first])


def test_order_does_not_matter_and_a_speaker_known_to_one_is_known_to_all() -> None:
    texts = {"u1": "a b", "u2": "c"}
    turned = {"u2": "c", "u1": "a"}
    comparison = compare(
        [system("a", texts, texts), system("b", turned, {"u2": "c", "u1": "a b"}, {"u1": "ann", "u2": "bob"})]
    )
    assert [u.id for u in comparison.systems[1].report.utterances] == ["u1", "u2"]
    assert [u.speaker for u in comparison.utterances] == ["ann", "bob"]


@pytest.fixture
def small() -> Comparison:
    texts = {"u1": "the cat sat", "u2": "the dog", "u3": "cat"}
    first = system("a", {"u1": "the cat sat", "u2": "a dog", "u3": "cat uh"}, texts, {"u1": "x", "u2": "y", "u3": "y"})
    extras: dict[str, dict[str, Any]] = {"u1": {"snr_db": 3}, "u2": {"fields": {"room": "hall"}}, "u3": {"snr_db": 20}}
    return compare([first, system("b", {"u1": "the sat", "u2": "the dog", "u3": "hat"}, texts, extras=extras)])


def test_words_by_hand(small: Comparison) -> None:
    found = {one.word: one for one in word_differences(small, "a", "b")}
    assert list(found) == ["cat", "the", "uh"]  # cat: two errors avoided; the: one added; uh: one inserted
    assert (found["cat"].count, found["cat"].first_only, found["cat"].second_only, found["cat"].gain) == (2, 2, 0, 2)
    assert (found["the"].count, found["the"].second_only, found["the"].gain) == (2, 1, -1)
    assert (found["uh"].count, found["uh"].first_inserted, found["uh"].gain) == (0, 1, -1)


def test_groups_by_hand(small: Comparison) -> None:
    groups = difference_by(small, "a", "b", lambda utterance: utterance.speaker)
    assert [(g.name, g.utterances, g.first.errors, g.second.errors) for g in groups] == [("x", 1, 0, 1), ("y", 2, 2, 1)]
    assert groups[0].difference is None and groups[1].difference is not None
    assert [g.name for g in difference_by(small, "a", "b", length_of_reference)] == ["1–5 words"]
    extras = [one.extras for one in small.systems]
    assert [g.name for g in difference_by(small, "a", "b", field_key(extras, "snr_db"))] == ["3", "20"]
    assert [g.name for g in difference_by(small, "a", "b", field_key(extras, "room"))] == ["hall"]


def test_many_numbers_are_cut_into_quarters_that_hold_each_once() -> None:
    values = [float(value) for value in range(40)] + [None, float("nan")]
    groups = group_indices(values[:-1])
    assert [len(indices) for indices in groups.values()] == [10, 10, 10, 10]
    assert sorted(index for indices in groups.values() for index in indices) == list(range(40))
    near = group_indices([1_000_000 + value for value in range(40)])  # names of four figures would be one name
    assert [len(indices) for indices in near.values()] == [10, 10, 10, 10]
    assert group_indices([10, 9, 10]) == {"9": [1], "10": [0, 2]}  # in order of numbers, not of letters
    assert group_indices([True, False]) == {"False": [1], "True": [0]}
    assert group_indices([None]) == {}


def test_utterances_that_differ_most_come_first(small: Comparison) -> None:
    found = utterance_differences(small, "a", "b")
    assert [(one.first.id, one.gain) for one in found] == [("u1", 1), ("u2", -1)]


def test_both_files_are_written_and_what_others_wrote_is_no_markup(tmp_path: Path) -> None:
    markdown = pytest.importorskip("markdown")
    texts = {NASTY: f"x y {NASTY}", "u2": "z"}
    speakers = {NASTY: NASTY, "u2": "bob"}
    one = system(NASTY, {NASTY: "x", "u2": "z"}, texts, speakers, normalizer="none")
    two = system("b", {NASTY: f"x y {NASTY}", "u2": ""}, texts, speakers, normalizer="none")
    comparison = compare([one, two])
    differences = [pair_differences(comparison, pair, {}) for pair in comparison.pairs]
    page = write_comparison(tmp_path, comparison, differences, {NASTY: "p", "b": "q"})
    text = page.read_text(encoding="utf-8")
    html = markdown.markdown(text, extensions=["tables", "fenced_code"])
    assert "<script" not in html and "<a " not in html and "<h3>By word</h3>" in html
    for table in html.split("<table>")[1:]:
        cells = [row.count("<td") for row in table.split("</table>")[0].split("<tr>")[2:]]
        assert set(cells) == {table.count("<th>") + table.count("<th ")}
    data = json.loads((tmp_path / "compare.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in data["systems"]] == [NASTY, "b"]
    assert data["pairs"][0]["verdict"] == "not distinguishable"
    assert {"length", "speaker"} == set(data["pairs"][0]["by"])


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(UsageError, match="is a file; give a folder"):
        prepare_folder(tmp_path / "f", names=(PAGE, DATA))


def test_numbers_of_utterances_are_rounded_up_to_two_figures() -> None:
    assert [rounded_up(number) for number in (1, 11, 101, 1240, 10_251)] == [1, 11, 110, 1300, 11_000]
