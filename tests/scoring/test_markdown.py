"""The page shows the figures that are right by hand, and no text of other people can become markup."""

import re
from typing import Any

import pytest

from asr.scoring.counts import ErrorCounts
from asr.scoring.markdown import ReportHeader, code_block, code_span, counted, escape, render_markdown
from asr.scoring.measures import format_rate
from asr.scoring.report import score_texts
from asr.text.normalize import NORMALIZERS

HEADER = ReportHeader(
    title="Errors on test", system="runs/a", data="test.jsonl", date="2026-11-23", facts={"Beam": "8"}
)
NASTY = "a|b `c` ``` <script>x</script> *d* _e_ [f](http://g) # h\n\n# i \\| & ~~j~~ \u202e"


def page(references: dict[str, str], hypotheses: dict[str, str], **options: Any) -> str:
    speakers = options.pop("speakers", None)
    name = options.pop("normalizer", "basic")
    report = score_texts(references, hypotheses, normalizer=NORMALIZERS[name], speakers=speakers)
    return render_markdown(report, HEADER, **options)


def test_the_head_names_title_system_data_date_normaliser_and_facts() -> None:
    text = page({"u1": "a"}, {"u1": "a"})
    assert text.startswith("# Errors on test\n\n- System: `runs/a`\n- Data: `test.jsonl`\n- Date: 2026-11-23\n")
    assert "- Normaliser: basic v1 (raw: " in text
    assert "- Beam: 8\n" in text


def test_rates_normalised_and_raw_are_in_one_table_to_two_decimals() -> None:
    text = page({"u1": "The cat sat."}, {"u1": "the cat"})
    assert "| WER | basic v1 | 33.33% | 0 | 1 | 0 | 1 | 3 |" in text
    assert "| CER | basic v1 | 36.36% | 0 | 4 | 0 | 4 | 11 |" in text
    assert "| WER | raw | 66.67% | 1 | 1 | 0 | 2 | 3 |" in text


def test_speakers_come_worst_first_and_missing_ones_are_told() -> None:
    references = {"u1": "a b", "u2": "a b", "u3": "a", "u4": ""}
    hypotheses = {"u1": "a b", "u2": "a", "u3": "a", "u4": ""}
    text = page(references, hypotheses, speakers={"u1": "ann", "u2": "bob", "u4": "cyd"})
    rows = [line for line in text.splitlines() if re.match(r"\| `(ann|bob|cyd)`", line)]
    assert rows == [
        "| `bob` | 1 | 50.00% | 66.67% | 0 | 1 | 0 | 1 | 2 |",
        "| `ann` | 1 | 0.00% | 0.00% | 0 | 0 | 0 | 0 | 2 |",
        "| `cyd` | 1 | undefined (no reference) | undefined (no reference) | 0 | 0 | 0 | 0 | 0 |",
    ]
    assert "Without a speaker, and in no row: 1 utterance." in text


def test_worst_utterances_are_shown_aligned_up_to_the_number_asked_for() -> None:
    references = {"u1": "one two three", "u2": "one", "u3": "two"}
    text = page(references, {"u1": "one too", "u2": "won", "u3": "two"}, worst=1)
    assert "### 1. `u1`\n\n66.67%: 2 errors in 3 words (S 1, D 1, I 0)\n\n```text\nREF: one two three\n" in text
    assert "`u2`" not in text
    assert "Worst" not in page(references, references, worst=0)
    assert "every utterance with reference words is correct" in page(references, references, worst=3)


def test_utterances_with_no_reference_words_are_told_apart() -> None:
    text = page({"u1": "a", "u2": "..."}, {"u1": "a", "u2": "uh oh"})
    assert "## Utterances with no reference words" in text
    assert "- `u2`: `uh oh`" in text
    assert "(2 words) counts as insertions" in text
    assert "| WER | basic v1 | 200.00% | [0.0, 200.0] | 0 | 0 | 2 | 2 | 1 |" in text


def test_no_rate_is_printed_where_no_reference_holds_a_word() -> None:
    text = page({"u1": "", "u2": "!"}, {"u1": "uh", "u2": ""})
    assert "**No reference holds a word, so there is no WER" in text
    assert "with reference words is correct" not in text
    assert "| WER | basic v1 | undefined (no reference) | – | 0 | 0 | 1 | 1 | 0 |" in text
    assert format_rate(ErrorCounts(insertions=2)) == "undefined (no reference)"


@pytest.mark.parametrize("normalizer", ["none", "basic"])
def test_nothing_that_others_wrote_becomes_markup(normalizer: str) -> None:
    """python-markdown lets raw HTML through: whatever is not in code or escaped would show up as a tag."""
    markdown = pytest.importorskip("markdown")
    references, hypotheses = {NASTY: NASTY, "silent": ""}, {NASTY: "x", "silent": NASTY}
    text = page(references, hypotheses, normalizer=normalizer, speakers={NASTY: NASTY, "silent": "a|b\\|c"})
    html = markdown.markdown(text, extensions=["tables", "fenced_code"])
    assert set(re.findall(r"<(\w+)", html)) <= {
        *("h1", "h2", "h3", "ul", "li", "p", "code", "pre"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    speaker_table = html.split("<table>")[2]
    assert [row.count("<td") for row in speaker_table.split("<tr>")[2:]] == [9, 9]
    assert "\u202e" not in text


def test_escaping_by_hand() -> None:
    assert escape("a|b\n<i> *x* & `y`") == "a&#124;b &lt;i&gt; \\*x\\* &amp; \\`y\\`"
    assert code_span("plain") == "`plain`"
    assert code_span("a`b") == "``a`b``"
    assert code_span("`a") == "`` `a ``"
    assert code_span("") == "`   `"
    assert code_block("x ``` y") == "````text\nx ``` y\n````"


def test_one_is_singular() -> None:
    assert (counted(1, "word"), counted(0, "word"), counted(1024, "word")) == ("1 word", "0 words", "1,024 words")
