"""Where the errors are, by hand: words, characters, places, rare words, the n-best, confidence; and as files."""

import json
import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from asr.scoring import ErrorCounts, ReportHeader, Results, score_texts, write_report
from asr.scoring.breakdown import Confusion, Places, break_down, breakdown_json, breakdown_sections
from asr.scoring.breakdown.tokens import TokenErrors
from asr.scoring.confidence import ranking_quality
from asr.text.normalize import get_normalizer

TEXTS = st.lists(st.sampled_from(["a", "b", "cat", "dog"]), max_size=6).map(" ".join)


def results(pairs: list[tuple[str, str]], extras: dict[str, dict[str, Any]] | None = None) -> Results:
    """Scored pairs of (reference, hypothesis) with the ids "0", "1", ..."""
    left, right = ({str(index): pair[side] for index, pair in enumerate(pairs)} for side in (0, 1))
    return Results(score_texts(left, right, normalizer=get_normalizer("none")), extras or {})


def word(text: str, start_s: float, confidence: float = 0.5, **more: Any) -> dict[str, Any]:
    return {"text": text, "start_s": start_s, "end_s": start_s + 0.2, "confidence": confidence, **more}


def test_a_word_is_counted_as_right_confused_lost_and_made_up() -> None:
    found = break_down(results([("the cat sat", "the bat sat"), ("the cat", "cat"), ("the cat", "the cat the")])).words

    by_token = {one.token: one for one in found.tokens}
    assert by_token["the"] == TokenErrors("the", hits=2, substituted=0, deleted=1, mistaken=0, inserted=1)
    assert by_token["cat"] == TokenErrors("cat", hits=2, substituted=1, deleted=0, mistaken=0, inserted=0)
    assert by_token["bat"] == TokenErrors("bat", hits=0, substituted=0, deleted=0, mistaken=1, inserted=0)
    assert (by_token["the"].recall, by_token["the"].precision) == (2 / 3, 2 / 3)
    assert math.isnan(by_token["bat"].recall)
    assert by_token["bat"].precision == 0
    assert found.confusions == (Confusion("cat", "bat", 1),)
    assert [one.token for one in found.tokens] == ["the", "cat", "sat", "bat"]  # missed, then inserted, then said
    assert [one.token for one in found.most_deleted()] == ["the"]
    assert [one.token for one in found.most_inserted()] == ["the"]


def test_characters_are_confused_lost_and_made_up_spaces_too() -> None:
    found = break_down(results([("a cat", "acut")])).characters
    assert found.confusions == (Confusion("a", "u", 1),)
    assert [one.token for one in found.most_deleted()] == [" "]
    assert next(one for one in found.tokens if one.token == "a").recall == 0.5


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_words_characters_and_places_add_up_to_the_corpus(pairs: list[tuple[str, str]]) -> None:
    scored = results(pairs)
    found = break_down(scored, {"a": 3})

    for tokens, counts in ((found.words, scored.report.words), (found.characters, scored.report.characters)):
        assert sum(one.said for one in tokens.tokens) == counts.reference_length
        assert sum(one.recognised for one in tokens.tokens) == counts.hypothesis_length
        assert sum(one.hits for one in tokens.tokens) == counts.hits
        assert sum(one.count for one in tokens.confusions) == counts.substitutions
    places = asdict(found.places)
    assert sum(n for name, n in places.items() if name.startswith("inserted")) == scored.report.words.insertions
    assert sum(n for name, n in places.items() if name.startswith("deleted")) == scored.report.words.deletions
    assert sum(one.said for one in found.training or ()) == scored.report.words.reference_length


def test_insertions_and_deletions_are_placed() -> None:
    told = [word("one", 0.0), word("uh", 0.2), word("two", 0.65), word("er", 0.85), word("three", 1.4)]
    scored = results(
        [
            ("", "hm well"),  # nothing was said: 2
            ("one two", "so one two"),  # at the start
            ("one two", "one two oh oh"),  # at the end: 2
            ("one two three", "one uh two er three"),  # "uh" ends 0.25 s before "two", "er" 0.35 s before "three"
            ("one two", ""),  # all is lost: 2
            ("one two three four", "two four"),  # at the start, in between
            ("one two", "one"),  # at the end
        ],
        {"3": {"words": told}},
    )
    assert break_down(scored).places == Places(
        inserted_where_nothing_was_said=2,
        inserted_at_start=1,
        inserted_at_end=2,
        inserted_beside_pause=1,
        inserted_in_speech=1,
        deleted_where_nothing_was_recognised=2,
        deleted_at_start=1,
        deleted_at_end=1,
        deleted_in_speech=1,
        utterances_with_times=1,
    )


def test_rare_and_unseen_words_have_a_recall_of_their_own() -> None:
    counts = {"seen": 50, "often": 49, "some": 5, "rare": 4, "once": 1}
    found = break_down(results([("seen often some rare once never", "seen often x rare x x")]), counts).training
    assert found is not None
    assert [(one.label, one.different, one.said, one.hits) for one in found] == [
        ("0", 1, 1, 0),
        ("1 to 4", 2, 2, 1),
        ("5 to 49", 2, 2, 1),
        ("50 or more", 1, 1, 1),
    ]


def test_the_oracle_takes_the_best_text_of_each_list() -> None:
    def alternative(errors: int) -> dict[str, Any]:
        return {"text": "-", "word_errors": asdict(ErrorCounts(hits=2 - errors, substitutions=errors))}

    # the recognised texts have 1, 2 and 1 errors in 2 words each
    scored = results(
        [("one two", "one x"), ("one two", "x y"), ("one two", "x two")],
        {
            "0": {"n_best": [alternative(1), alternative(2), alternative(0)]},
            "1": {"n_best": [alternative(2), alternative(1)]},
        },
    )
    found = break_down(scored).oracle
    assert found is not None
    assert (found.utterances, found.utterances_with_n_best) == (3, 2)
    assert [(depth, counts.errors, counts.reference_length) for depth, counts in found.by_depth] == [
        (1, 4, 6),
        (2, 3, 6),
        (3, 2, 6),
    ]


def test_confidence_is_judged_by_verdicts_told_or_by_the_alignment() -> None:
    scored = results(
        [("one two", "one too"), ("a b", "a b"), ("x", "x - y")],
        {
            "0": {"words": [word("one", 0, 0.9), word("too", 1, 0.6)]},  # aligned: right, wrong
            "1": {"words": [word("a", 0, 0.7, right=True), word("b", 1, 0.8, right=False)]},  # as told
            "2": {"words": [word("x", 0, 0.5)]},  # three words compared, one told
        },
    )
    found = break_down(scored).confidence
    assert found is not None
    assert (found.words, found.right, found.without_outcome) == (4, 2, 1)
    assert found.mean_confidence == pytest.approx(0.75)
    # 0.9 and 0.7 right, 0.8 and 0.6 wrong: of the four pairs only 0.7 against 0.8 is the wrong way round
    assert found.ranking_quality == 0.75
    assert found.calibration_error == pytest.approx((0.1 + 0.6 + 0.3 + 0.8) / 4)  # a bin a word
    assert found.brier_score == pytest.approx((0.01 + 0.36 + 0.09 + 0.64) / 4)


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), min_size=2, max_size=30))
def test_ranking_quality_is_scipys_u_over_all_pairs(words: list[tuple[float, bool]]) -> None:
    confidence, right = np.array([w[0] for w in words]), np.array([w[1] for w in words])
    if right.all() or not right.any():
        assert math.isnan(ranking_quality(confidence, right))
        return
    u = scipy.stats.mannwhitneyu(confidence[right], confidence[~right]).statistic
    assert ranking_quality(confidence, right) == pytest.approx(u / (right.sum() * (~right).sum()))


def test_what_the_results_do_not_know_is_left_out_of_the_page_and_null_in_json() -> None:
    found = break_down(results([("a b", "a c"), ("d", "d")]))
    parts = breakdown_json(found)
    assert (parts["training"], parts["oracle"], parts["confidence"]) == (None, None, None)
    headings = re.findall(r"^## (.*)$", "\n\n".join(breakdown_sections(found)), re.MULTILINE)
    assert headings == ["Groups", "Words", "Characters"]


def test_a_long_table_is_cut_and_says_how_many_more_there_are() -> None:
    page = "\n\n".join(breakdown_sections(break_down(results([(f"w{n}", f"v{n}") for n in range(12)])), shown=10))
    assert page.count("… and 2 more in breakdown.json.") == 2  # most missed, most confused


def test_other_peoples_text_cannot_become_markup_or_a_column() -> None:
    extras = {
        str(index): {"fields": {"a|b<i>": ["<script>", "x|y\n## no", "`"][index % 3]}, "snr_db": "<b>"}
        for index in range(6)
    }
    page = "\n\n".join(breakdown_sections(break_down(results([("a|b `c`", "<b> |")] * 6, extras))))
    assert "<script>" not in page
    assert "\n## no" not in page
    for table in re.findall(r"(?:^\|.*\n?)+", page, re.MULTILINE):
        assert len({line.count("|") for line in table.strip().splitlines()}) == 1


@pytest.mark.parametrize(
    "extras",
    [
        {"words": "text", "n_best": 3, "fields": [], "snr_db": None},
        {"words": [1, {"confidence": "high"}], "n_best": [None, {"word_errors": {"hits": -1.5}}], "fields": {"a": {}}},
        {"words": [{"text": "a", "start_s": None, "end_s": 1, "confidence": 7}], "speech_s": True},
    ],
)
def test_extras_of_other_tools_do_no_harm(extras: dict[str, Any]) -> None:
    found = break_down(results([("a", "a"), ("b", "c d")], {"0": extras, "1": extras}))
    assert json.dumps(breakdown_json(found), allow_nan=False)
    assert breakdown_sections(found)


def test_all_is_in_breakdown_json_and_nothing_of_it_in_summary_json(tmp_path: Path) -> None:
    report = results([("one two", "one too"), ("three", "three")]).report
    header = ReportHeader(title="t", system="s", data="d", date="now")
    files = write_report(tmp_path, report, header, training_counts={"one": 7})
    whole = json.loads(files.breakdown.read_text(encoding="utf-8"))
    assert whole["words"]["confusions"] == [{"reference": "two", "hypothesis": "too", "count": 1}]
    assert whole["words"]["tokens"][0]["recall"] == 0.0
    assert whole["groupings"][0]["rows"][0]["wer"] == 0.0
    assert "breakdown" not in json.loads(files.summary.read_text(encoding="utf-8"))
    page = files.page.read_text(encoding="utf-8")
    assert "## Rare and unseen words" in page
    assert page.index("## Error rates") < page.index("## Words") < page.index("## Worst utterances")
