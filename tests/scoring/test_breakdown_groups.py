"""The laws of groupings: every utterance in one row, rows that add up, bins that say what they hold."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.scoring import Results, score_texts
from asr.scoring.breakdown import Grouping, all_groupings
from asr.scoring.breakdown.groups import by_edges, by_value
from asr.scoring.counts import ErrorCounts
from asr.text.normalize import get_normalizer

TEXTS = st.lists(st.sampled_from(["a", "b", "cat", "dog"]), max_size=6).map(" ".join)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 40),
    st.floats(),
    st.sampled_from(["", "x", "(others)", "(not known)", "kitchen"]),
)


def results(
    pairs: list[tuple[str, str]],
    *,
    speakers: dict[str, str] | None = None,
    durations_s: dict[str, float] | None = None,
    extras: dict[str, dict[str, Any]] | None = None,
) -> Results:
    """Scored pairs of (reference, hypothesis) with the ids "0", "1", ..."""
    report = score_texts(
        {str(index): pair[0] for index, pair in enumerate(pairs)},
        {str(index): pair[1] for index, pair in enumerate(pairs)},
        normalizer=get_normalizer("none"),
        speakers=speakers,
        durations_s=durations_s,
    )
    return Results(report, extras or {})


def named(groupings: list[Grouping], name: str) -> dict[str, tuple[int, int]]:
    """``{label: (utterances, word errors)}`` of the grouping of that name."""
    found = next(grouping for grouping in groupings if grouping.name == name)
    return {row.label: (row.utterances, row.words.errors) for row in found.rows}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_rows_of_every_grouping_add_up_to_the_corpus(data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=40))
    ids = [str(index) for index in range(len(pairs))]
    some = st.dictionaries(st.sampled_from(ids), st.floats(0, 1e4), max_size=len(ids))
    fields = {key: {"room": data.draw(VALUES), "age": data.draw(VALUES)} for key in ids}
    measured = {key: {"snr_db": data.draw(st.floats()), "speech_s": data.draw(VALUES)} for key in ids}
    scored = results(
        pairs,
        speakers=data.draw(st.dictionaries(st.sampled_from(ids), st.sampled_from(["s", "t", "(not known)"]))),
        durations_s=data.draw(some),
        extras={key: measured[key] | {"fields": fields[key]} for key in ids},
    )

    groupings = all_groupings(scored)

    assert "reference length" in [grouping.name for grouping in groupings]
    for grouping in groupings:
        assert sum(row.utterances for row in grouping.rows) == len(pairs)
        assert ErrorCounts.total(row.words for row in grouping.rows) == scored.report.words
        assert ErrorCounts.total(row.characters for row in grouping.rows) == scored.report.characters
        assert len({row.label for row in grouping.rows}) == len(grouping.rows)


def test_groups_by_what_is_known_of_an_utterance() -> None:
    scored = results(
        [("one two", "one too"), ("three", "three"), ("four five", "")],
        speakers={"0": "ann", "1": "bob"},
        durations_s={"0": 1.0, "1": 0.5, "2": 2.0},
        extras={
            "0": {"snr_db": 12.5, "fields": {"room": "hall"}},
            "1": {"snr_db": -3.0, "fields": {"room": "hall"}},
            "2": {"speech_s": 0.5, "fields": {"room": None}},
        },
    )

    found = all_groupings(scored)

    assert named(found, "speaker") == {"ann": (1, 1), "bob": (1, 0), "(not known)": (1, 2)}
    assert named(found, "reference length") == {"1": (1, 0), "2 to 4": (2, 3)}
    assert named(found, "duration") == {"under 1": (1, 0), "1 to 2": (1, 1), "2 to 5": (1, 2)}
    # 2 words in 1 s, 1 in 0.5 s, 2 in the half second that is spoken
    assert named(found, "rate of speech") == {"2 to 2.5": (2, 1), "4 to 5": (1, 2)}
    assert named(found, "signal-to-noise ratio") == {"under 0": (1, 0), "10 to 15": (1, 1), "(not known)": (1, 2)}
    assert named(found, "room") == {"hall": (2, 1), "(not known)": (1, 2)}


def test_what_no_utterance_tells_makes_no_grouping() -> None:
    assert [one.name for one in all_groupings(results([("a", "a")]))] == ["reference length"]


def test_a_group_is_small_under_10_utterances_or_100_reference_words() -> None:
    def only_row(utterances: int, words: int) -> bool:
        pairs = [(" ".join(["w"] * words), "")] * utterances
        return all_groupings(results(pairs))[0].rows[0].small

    assert [only_row(10, 10), only_row(9, 20), only_row(11, 9), only_row(20, 5)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("value", "label"),
    [(0.0, "under 2"), (-7, "under 2"), (1.999, "under 2"), (2, "2 to 5"), (5, "5 or more"), (1e9, "5 or more")],
)
def test_a_bin_holds_its_lower_edge_and_not_its_upper_one(value: float, label: str) -> None:
    assert by_edges([value], (0, 2, 5)).of == (label,)


def test_many_different_numbers_fall_into_fifths() -> None:
    labels = by_value([*range(1, 101), None])
    assert labels.order == ("1 to 20", "21 to 40", "41 to 60", "61 to 80", "81 to 100", "(not known)")
    assert [labels.of.count(label) for label in labels.order] == [20, 20, 20, 20, 20, 1]


def test_few_different_numbers_are_groups_themselves_in_order_of_size() -> None:
    assert by_value([10, 2, 10, True]).order[:3] == ("true", "2", "10")


def test_a_value_for_every_utterance_is_an_identifier_and_no_grouping() -> None:
    extras = {str(index): {"fields": {"file": f"f{index}"}} for index in range(30)}
    assert [one.name for one in all_groupings(results([("a", "a")] * 30, extras=extras))] == ["reference length"]


def test_the_rarest_of_many_values_go_together() -> None:
    values = [f"v{index % 60:02}" for index in range(200)]  # v00 to v19 four times, the others three times
    labels = by_value(values)
    assert len(set(labels.of)) == 51
    assert labels.of.count("(others)") == 10 * 3
