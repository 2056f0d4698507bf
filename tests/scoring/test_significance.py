"""The tests of two systems: hand calculations, scipy, NIST's sc_stats, and simulations of what they promise."""

import dataclasses
import math
import random
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from asr.scoring.counts import AlignedPair, align_words
from asr.scoring.significance import (
    Difference,
    SegmentErrors,
    WordOutcomes,
    detectable_difference,
    holm,
    mapsswe,
    mcnemar,
    needed_units,
    paired_bootstrap,
    segment_errors,
    wilcoxon,
    word_outcomes,
)

SC_STATS = shutil.which("sc_stats") or next(iter(map(str, Path("/usr/lib/sctk/bin").glob("sc_stats"))), None)


# --- segments and MAPSSWE ---


def outcomes(reference: str, hypothesis: str) -> WordOutcomes:
    return word_outcomes(align_words(reference, hypothesis))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("a b c d e f", "a b c d e f", []),
        ("a x c d e f", "a b c d y f", [(1, 0), (0, 1)]),  # c d between: two words that both got right
        ("a x c y e f", "a b c d e f", [(2, 0)]),  # one word between is too little
        ("a x c d e f", "a b c y e f", [(1, 1)]),
        ("a b c d e f", "a b u v c d e f", [(0, 2)]),
        ("a b c u d e f", "a x b c d e f", [(0, 1), (1, 0)]),  # b c lie between the two insertions
        ("a b u c d e f", "a x b c d e f", [(1, 1)]),
        ("a b c d e f g", "a b c d e f", [(1, 0)]),  # behind the last word
        ("a b c d e f", "a b c d e f g", [(0, 1)]),  # and the same for the second
    ],
)
def test_segments_by_hand(first: str, second: str, expected: list[tuple[int, int]]) -> None:
    reference = "a b c d e f"
    found = segment_errors(outcomes(reference, first), outcomes(reference, second))
    assert found == [SegmentErrors(*one) for one in expected]


def test_two_empty_references_can_be_compared() -> None:
    assert segment_errors(outcomes("", "x"), outcomes("", "")) == [SegmentErrors(1, 0)]
    with pytest.raises(ValueError, match="1 and 2 words"):
        segment_errors(outcomes("a", "a"), outcomes("a b", "a"))


WORDS = st.lists(st.sampled_from("abcd"), max_size=12).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(reference=WORDS, first=WORDS, second=WORDS)
def test_segments_hold_every_error_once_and_mirror_when_the_systems_change_places(
    reference: str, first: str, second: str
) -> None:
    one, two = outcomes(reference, first), outcomes(reference, second)
    segments = segment_errors(one, two)
    totals = [sum(o.insertions) + o.right.count(False) for o in (one, two)]
    assert [sum(s.first for s in segments), sum(s.second for s in segments)] == totals
    assert segment_errors(two, one) == [SegmentErrors(s.second, s.first) for s in segments]


def test_z_by_hand() -> None:
    segments = [SegmentErrors(0, 1), SegmentErrors(0, 2), SegmentErrors(1, 0), SegmentErrors(0, 2)]
    result = mapsswe(segments)  # differences 1 2 -1 2: mean 1, variance 2, standard error sqrt(2 / 4)
    assert result.statistic == pytest.approx(math.sqrt(2))
    assert result.p_value == pytest.approx(2 * stats.norm.sf(math.sqrt(2)))
    assert "fewer than 50 segments" in result.note


@pytest.mark.parametrize(
    ("segments", "p_value", "note"),
    [
        ([], 1.0, "no segment differs"),
        ([SegmentErrors(1, 1)], 1.0, "no segment differs"),
        ([SegmentErrors(0, 1)], None, "no variance"),
        ([SegmentErrors(0, 1), SegmentErrors(1, 2)], None, "no variance"),
    ],
)
def test_mapsswe_says_so_where_it_has_nothing_to_say(
    segments: list[SegmentErrors], p_value: float | None, note: str
) -> None:
    result = mapsswe(segments)
    assert result.p_value == p_value and note in result.note


@pytest.mark.skipif(SC_STATS is None, reason="sc_stats is not installed (apt-get install sctk)")
@pytest.mark.parametrize("seed", range(6))
def test_segments_and_z_are_those_of_nists_sc_stats(seed: int) -> None:
    generator = random.Random(seed)
    references = [" ".join(generator.choices("abcdefgh", k=generator.randint(1, 14))) for _ in range(150)]
    rates = generator.uniform(0.05, 0.5), generator.uniform(0.05, 0.5)
    systems = [[align_words(text, corrupted(text, rate, generator)) for text in references] for rate in rates]
    pairs = zip(*systems, strict=True)
    segments = [segment for one, two in pairs for segment in segment_errors(word_outcomes(one), word_outcomes(two))]
    ours = mapsswe(segments)
    count, z = run_sc_stats(systems)
    assert count == len(segments)
    assert ours.statistic is not None
    assert -ours.statistic == pytest.approx(z, abs=6e-4)  # it prints three decimals, of the first less the second


def corrupted(text: str, rate: float, generator: random.Random) -> str:
    words: list[str] = []
    for word in text.split():
        kind = generator.random() / rate
        words += [generator.choice("abcdefghxyz")] if kind < 0.5 else [] if kind < 0.75 else [word]
        words += [generator.choice("xyz")] if 0.75 <= kind < 1 else []
    return " ".join(words)


def run_sc_stats(systems: list[list[list[AlignedPair]]]) -> tuple[int, float]:
    """The number of segments and Z that sc_stats finds in the same alignments."""
    text = "".join(sgml(f"s{index}", alignments) for index, alignments in enumerate(systems))
    command = [str(SC_STATS), "-p", "-t", "mapsswe", "-v", "-n", "-"]
    output = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout.decode(
        errors="replace"
    )
    match = re.search(r"MTCH_PR_RESULTS .*\(# segs: (\d+)\).*\(Z Stat: *(-?[\d.]+)\)", output)
    assert match is not None, output
    return int(match[1]), float(match[2])


def sgml(title: str, alignments: list[list[AlignedPair]]) -> str:
    """Alignments as sclite hands them on."""
    lines = [
        f'<SYSTEM title="{title}" ref_fname="r" hyp_fname="h" creation_date="-" format="2.4" frag_corr="FALSE" '
        'opt_del="FALSE" weight_ali="FALSE" weight_filename="">',
        '<SPEAKER id="ann">',
    ]
    for index, pairs in enumerate(alignments):
        lines.append(f'<PATH id="(ann-{index})" word_cnt="{len(pairs)}" sequence="{index}">')
        lines.append(":".join(map(item, pairs)))
        lines.append("</PATH>")
    return "\n".join([*lines, "</SPEAKER>", "</SYSTEM>", ""])


def item(pair: AlignedPair) -> str:
    letter = {"hit": "C", "substitution": "S", "deletion": "D", "insertion": "I"}[pair.operation]
    return ",".join([letter, *("" if word is None else f'"{word}"' for word in (pair.reference, pair.hypothesis))])


# --- paired bootstrap ---


def simulate(units: int, effect: float, seed: int) -> tuple[list[int], list[int], list[int]]:
    """Errors of two systems, and lengths: the second makes ``effect`` errors a word more; difficulty is shared."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(3, 25, units)
    rates = generator.gamma(4, 0.025, units)
    first, second = (generator.binomial(lengths, np.minimum(rates + more, 0.95)) for more in (0.0, effect))
    return first.tolist(), second.tolist(), lengths.tolist()


def test_the_difference_its_error_and_its_interval_agree_with_the_delta_method() -> None:
    first, second, lengths = simulate(400, 0.02, 0)
    found = paired_bootstrap(first, second, lengths)
    assert found is not None
    d, n = np.array(second) - np.array(first), np.array(lengths)
    rate = d.sum() / n.sum()
    error = math.sqrt(400 / 399 * ((d - rate * n) ** 2).sum()) / n.sum()
    assert found.difference == pytest.approx(rate)
    assert found.standard_error == pytest.approx(error)
    assert (found.low, found.high) == pytest.approx((rate - 1.97 * error, rate + 1.97 * error), abs=0.1 * error)
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(rate) / error, 399), rel=0.5)


@pytest.mark.parametrize("effect", [0.0, 0.005, 0.01, 0.02])
def test_p_is_below_5_percent_exactly_where_the_interval_leaves_0_out(effect: float) -> None:
    for seed in range(8):
        found = paired_bootstrap(*simulate(60, effect, seed), draws=1_000, seed=seed)
        assert found is not None
        assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0) or abs(found.p_value - 0.05) < 0.004


@pytest.mark.parametrize("most", [1, 3, 30])
def test_p_agrees_with_the_interval_where_one_of_a_few_units_makes_the_difference(most: int) -> None:
    found = paired_bootstrap([0] * 6, [1, 1, 1, 1, 1, most], [10] * 6)
    assert found is not None and found.low > 0  # all six favour the first: a sign test has p = 2 / 2**6
    assert 2 / 2**6 <= found.p_value < 0.05


def test_changing_places_turns_the_sign_and_keeps_p() -> None:
    first, second, lengths = simulate(80, 0.02, 1)
    one, two = paired_bootstrap(first, second, lengths), paired_bootstrap(second, first, lengths)
    assert one is not None and two is not None
    assert two.difference == -one.difference
    assert two.p_value == pytest.approx(one.p_value, abs=0.01)
    assert str(one)[:4] == str(two)[:4] and "-" not in str(one)[:4]


@pytest.mark.parametrize(("units", "least"), [(2, 0.5), (3, 0.25), (5, 0.0625)])
def test_few_units_never_show_more_than_a_sign_test_could(units: int, least: float) -> None:
    found = paired_bootstrap([0] * units, [3] * units, [5] * units)
    assert found is not None and found.p_value >= least


def test_one_unit_or_no_word_cannot_be_compared_and_equal_errors_are_no_difference() -> None:
    assert paired_bootstrap([0], [1], [5]) is None
    assert paired_bootstrap([0, 1], [1, 1], [5, 5], clusters=["ann", "ann"]) is None
    assert paired_bootstrap([1, 0], [0, 0], [0, 0]) is None
    same = paired_bootstrap([1, 2], [1, 2], [5, 5])
    assert same is not None and (same.difference, same.p_value, same.standard_error) == (0.0, 1.0, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [6, 10, 20])
def test_equally_good_systems_come_out_different_in_5_of_100_trials_over_speakers(speakers: int) -> None:
    rejected = 0
    for seed in range(400):
        generator = np.random.default_rng(seed)
        who = np.repeat(np.arange(speakers), 15)
        lengths = generator.integers(3, 25, len(who))
        hard = generator.gamma(2, 0.05, len(who)) * np.exp(generator.normal(0, 0.4, speakers))[who]
        suits = [np.exp(generator.normal(0, 0.3, speakers))[who] for _ in range(2)]
        first, second = (generator.binomial(lengths, np.minimum(hard * one, 0.9)).tolist() for one in suits)
        found = paired_bootstrap(first, second, lengths.tolist(), clusters=who.tolist(), draws=1_000, seed=seed)
        rejected += found is not None and found.p_value < 0.05
    assert rejected / 400 <= 0.08


# --- power ---


def test_needed_units_by_hand() -> None:
    measured = Difference(
        difference=0.01, low=-0.01, high=0.03, p_value=0.3, standard_error=0.01, unit="utterances", count=100
    )
    assert needed_units(measured) == 785  # 100 * ((1.95996 + 0.84162) / 1) ** 2 = 784.9
    assert detectable_difference(measured) == pytest.approx(0.0280, abs=1e-4)
    assert needed_units(dataclasses.replace(measured, difference=0.0)) is None


@pytest.mark.slow
def test_as_many_units_as_named_show_the_difference_in_80_of_100_trials() -> None:
    effect = 0.02
    pilot = paired_bootstrap(*simulate(20_000, effect, 0))  # so large that it measures the true effect and spread
    assert pilot is not None
    units = needed_units(pilot)
    assert units is not None and units < 2_000
    shown = 0
    for seed in range(400):
        found = paired_bootstrap(*simulate(units, effect, seed + 1), draws=1_000, seed=seed)
        shown += found is not None and found.p_value < 0.05 and found.difference > 0
    assert 0.74 <= shown / 400 <= 0.86


# --- McNemar, Wilcoxon, Holm ---


def test_mcnemar_by_hand() -> None:
    first = [True] * 5 + [True] * 1 + [False] * 4
    second = [True] * 5 + [False] * 1 + [True] * 4
    # 1 against 4: two-sided binomial 2 * (1 + 5) / 32
    assert mcnemar(first, second).p_value == pytest.approx(0.375)
    assert mcnemar(first, first).p_value == 1.0


def test_wilcoxon_by_hand() -> None:
    # six differences, all to one side: 2 / 2 ** 6; the unit without a difference is left out
    result = wilcoxon([0.0] * 7, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.0], "speakers")
    assert result.p_value == pytest.approx(2 / 64)
    assert result.detail == "6 of 7 speakers differ"
    nothing = wilcoxon([0.1, 0.2], [0.1, 0.2], "utterances")
    assert (nothing.p_value, nothing.note) == (1.0, "no utterances differ")
    assert wilcoxon([], [], "utterances").p_value == 1.0


def test_holm_by_hand() -> None:
    # sorted 0.01 0.02 0.04: times 3, 2, 1 -> 0.03, 0.04, 0.04
    assert holm([0.02, 0.01, 0.04]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
