"""Intervals reach the page, summary.json and the terminal, with what they mean and where they end."""

from asr.scoring.intervals import rate_intervals
from asr.scoring.markdown import ReportHeader, render_markdown
from asr.scoring.measures import WER
from asr.scoring.output import summary_notes, summary_rows
from asr.scoring.report import ScoreReport, score_texts
from asr.scoring.results import summarize
from asr.text.normalize import NORMALIZERS

HEADER = ReportHeader(title="t", system="s", data="d", date="2026-11-28")


def report(count: int, speakers: int, wrong_every: int = 4, silent: bool = False) -> ScoreReport:
    """``count`` utterances of four words; every ``wrong_every``-th lacks one of them."""
    texts = {f"u{index}": "" if silent else "one two three four" for index in range(count)}
    heard = {key: text[4:] if index % wrong_every == 0 else text for index, (key, text) in enumerate(texts.items())}
    who = {f"u{index}": f"s{index % speakers}" for index in range(count)} if speakers else {}
    return score_texts(texts, heard, normalizer=NORMALIZERS["basic"], speakers=who)


def test_both_intervals_stand_in_the_page_and_in_the_summary() -> None:
    scored = report(60, 12, wrong_every=7)
    text = render_markdown(scored, HEADER)
    intervals = rate_intervals(scored, WER)
    assert intervals.utterances is not None and intervals.speakers is not None
    assert "| measure | text | rate | 95 % interval | over speakers | S |" in text
    assert f"| WER | basic v1 | 3.75% | {intervals.utterances} | {intervals.speakers} | 0 |" in text
    assert "bootstrap draws of the 60 utterances" in text and "another microphone" in text
    found = summarize(scored)["intervals"]["wer"]
    assert found["utterances"]["low"] == round(100 * intervals.utterances.low, 4)
    assert (found["utterances"]["count"], found["speakers"]["count"], found["speakers"]["reliable"]) == (60, 12, True)


def test_the_terminal_shows_the_interval_behind_the_rate_and_says_what_it_means() -> None:
    scored = report(60, 5, wrong_every=7)
    assert summary_rows(scored)[0][2] == f"3.75% {rate_intervals(scored, WER).utterances}"
    notes = " ".join(summary_notes(scored))
    assert "10,000 bootstrap draws of the 60 utterances" in notes
    assert "resampled over the 5 speakers" in notes and "fewer than 10 speakers" in notes


def test_what_has_no_interval_says_why() -> None:
    assert summary_notes(report(1, 0)) == [
        "no interval around the WER: one utterance alone cannot show how much utterances differ"
    ]
    assert "one speaker alone" in " ".join(summary_notes(report(20, 1)))
    right = score_texts({"a": "x", "b": "y"}, {"a": "x", "b": "y"}, normalizer=NORMALIZERS["basic"])
    assert summary_rows(right)[0][2] == "0.00%"
    assert "with no error there is nothing to resample" in summary_notes(right)[0]
    assert summarize(right)["intervals"]["wer"] == {"utterances": None, "speakers": None}
    assert not any("interval" in note for note in summary_notes(report(3, 0, silent=True)))


def test_a_speaker_who_is_not_known_of_every_utterance_is_told() -> None:
    some = score_texts(
        {"a": "x y", "b": "z", "c": "v w"},
        {"a": "x", "b": "z", "c": "v w"},
        normalizer=NORMALIZERS["basic"],
        speakers={"a": "ann", "b": "bob"},
    )
    assert "no interval over speakers: 1 utterance has no speaker" in " ".join(summary_notes(some))
