"""The table of measures: values are jiwer's, and every form shows what the table says."""

import csv
import json
import math
from pathlib import Path

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.pages.assemble import assemble
from asr.pages.data import ReportSystem
from asr.pages.exports import render_json_report
from asr.pages.report import render_report
from asr.scoring.counts import ErrorCounts, count_words, mixed_tokens
from asr.scoring.markdown import ReportHeader, render_markdown
from asr.scoring.measures import MEASURES, measures_in
from asr.scoring.output import RENDERERS, summary_rows
from asr.scoring.report import ScoreReport, score_texts
from asr.scoring.results import Results, read_results, summarize, write_results
from asr.text.normalize import NORMALIZERS

HEADER = ReportHeader(title="t", system="s", data="d", date="2026-11-29")
TEXTS = st.lists(st.sampled_from(["a", "b", "c", "the"]), max_size=8).map(" ".join)
BY_KEY = {one.key: one for one in MEASURES}


@settings(max_examples=200, deadline=None)
@given(pairs=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6))
def test_wer_mer_and_wil_of_a_corpus_are_those_of_jiwer(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = [one for one, _ in pairs], [other for _, other in pairs]
    total = ErrorCounts.total(count_words(references, hypotheses))
    expected = jiwer.process_words(references, hypotheses)
    values = {key: BY_KEY[key].value(total) for key in ("wer", "mer", "wil")}
    if any(references):
        assert values == pytest.approx({"wer": expected.wer, "mer": expected.mer, "wil": expected.wil}, abs=1e-12)
    else:
        assert all(map(math.isnan, values.values())), "jiwer gives 0, 1 or a number of words"


def test_measures_by_hand() -> None:
    counts = ErrorCounts(hits=6, substitutions=1, deletions=1, insertions=2)  # N 8, hypothesis 9
    found = {key: BY_KEY[key].percent(counts) for key in ("wer", "mer", "wil")}
    assert found == {"wer": 50.0, "mer": 40.0, "wil": 50.0}  # 1 - (6/8)(6/9)
    assert BY_KEY["wil"].value(ErrorCounts(deletions=2)) == 1.0
    assert BY_KEY["mer"].shown(ErrorCounts(insertions=2)) == "undefined (no reference)"


@pytest.fixture
def report() -> ScoreReport:
    references = {f"u{index}": "One two three, four" for index in range(12)}
    hypotheses = {
        key: "one two free four five" if index % 3 else "One two three, four" for index, key in enumerate(references)
    }
    return score_texts(references, hypotheses, normalizer=NORMALIZERS["basic"], speakers={"u0": "ann", "u1": "bob"})


def test_every_form_shows_the_measures_that_the_table_gives_it(report: ScoreReport) -> None:
    assert [row[1] for row in summary_rows(report)] == [one.label for one in measures_in("table")]
    line = dict(word.split("=") for word in RENDERERS["line"](report, {}).split())
    assert [key for key in line if key in BY_KEY] == [one.key for one in measures_in("line")]
    header, row = csv.reader(RENDERERS["csv"](report, {}).splitlines())
    shown = dict(zip(header, row, strict=True))
    assert {key for key in shown if key in BY_KEY} == {one.key for one in measures_in("csv")}
    assert shown["mer"] == f"{BY_KEY['mer'].percent(report.words):.2f}"
    summary = json.loads(RENDERERS["json"](report, {}))
    assert {key for key in summary if key in BY_KEY} == {one.key for one in measures_in("json")}
    assert set(summary["intervals"]) == {one.key for one in measures_in("json", report) if one.quotient is not None}
    assert {key for key in summarize(report)["by_speaker"]["ann"] if key in BY_KEY} == {"wer", "cer"}
    text = render_markdown(report, HEADER)
    for one in measures_in("report", report):
        counts = getattr(report, one.counts)
        assert f"| {one.label} | {one.text('basic v1')} | {one.shown(counts)} |" in text
        assert one.name in text


def test_a_page_shows_them_too(report: ScoreReport) -> None:
    page = assemble([ReportSystem("s", Results(report))], title="t", draws=200)
    assert [figure.measure.key for figure in page.figures] == [one.key for one in measures_in("report", report)]
    html = render_report(page)
    intervals = json.loads(render_json_report(page))["systems"][0]["intervals"]
    for one in measures_in("report", report):
        assert f">{one.label}</th>" in html and one.name in html
        assert intervals[one.key]["rate"] == one.percent(getattr(report, one.counts))
        assert (intervals[one.key]["low"] is None) == (one.quotient is None)


def scored(*pairs: tuple[str, str]) -> ScoreReport:
    references = {f"u{place}": one for place, (one, _) in enumerate(pairs)}
    hypotheses = {f"u{place}": other for place, (_, other) in enumerate(pairs)}
    return score_texts(references, hypotheses, normalizer=NORMALIZERS["basic"])


def test_the_punctuation_error_rate_is_that_of_nemo() -> None:
    # the example of nemo/collections/common/metrics/punct_er.py: right, deleted, inserted and substituted once each
    report = scored(("Hi, dear! Nice to see you. What's", "Hi dear! Nice to see you! What's?"))
    assert report.punctuation == ErrorCounts(hits=1, substitutions=1, deletions=1, insertions=1)
    assert BY_KEY["punctuation_er"].value(report.punctuation) == 0.75


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts"),
    [
        ("Yes, 3.5 at 10:30.", "yes 3.5 at 10:30", ErrorCounts(deletions=2)),  # points inside numbers are none
        ('He said: "No..."', "he said: no…", ErrorCounts(hits=2)),  # quotes are none; three points are one mark
        ("好的，谢谢。", "好的。谢谢。", ErrorCounts(hits=1, substitutions=1)),
        ("no marks", "no, marks", ErrorCounts()),  # nothing to be right or wrong in the references
    ],
)
def test_marks_by_hand(reference: str, hypothesis: str, counts: ErrorCounts) -> None:
    assert scored((reference, hypothesis)).punctuation == counts


def test_capitals_are_compared_in_words_that_are_right_but_for_them() -> None:
    report = scored(("The cat of Ann", "the Cat or Ann"), ("It is.", "it is"))
    assert report.capitals == ErrorCounts(hits=2, substitutions=3)  # right: Ann, is; wrong: the, Cat, it; or is no of
    assert BY_KEY["capitalization_er"].percent(report.capitals) == 60.0
    assert scored(("THE CAT", "the cat")).capitals == ErrorCounts()  # one case only: nothing can be said


def test_the_mixed_error_rate_counts_characters_of_chinese_and_words_of_english() -> None:
    report = scored(("我 要 check 一下 email", "please 我要 check 一 email"))
    assert report.mixed == ErrorCounts(hits=5, deletions=1, insertions=1)  # 我 要 check 一 下 email
    assert BY_KEY["mixed_er"].value(report.mixed) == pytest.approx(2 / 6)
    assert [one.key for one in measures_in("report", report)][-1] == "mixed_er"
    assert scored(("plain words", "plain words")).mixed == ErrorCounts()
    assert scored(("한국어 단어", "한국어 단이")).mixed == ErrorCounts()  # Korean has spaces
    assert [word for word in mixed_tokens("ภาษา ok")] == [*"ภาษา", "ok"]


def test_what_counts_are_there_is_kept_with_the_results(tmp_path: Path) -> None:
    report = scored(("Yes, 好的。", "yes 好。"), ("plain", "plain"))
    path = tmp_path / "results.jsonl"
    write_results(path, report)
    assert read_results(path).report == report
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert "mixed_errors" in rows[0] and "punctuation_errors" not in rows[1]
