"""Error counts, alignments, reports and comparisons; knows neither models nor torch.

In: references and hypotheses by id. Out: a ``ScoreReport`` and, from it, tables, a Markdown page and JSON files. The
names here are those that other packages use most.
"""

from asr.scoring.counts import AlignedPair, ErrorCounts, align_words, count_character_errors
from asr.scoring.markdown import ReportHeader, render_markdown
from asr.scoring.output import write_report
from asr.scoring.report import ScoreReport, UtteranceScore, score_texts, texts_by_id
from asr.scoring.results import Results, read_results, summarize, write_results

__all__ = [
    "AlignedPair",
    "ErrorCounts",
    "ReportHeader",
    "Results",
    "ScoreReport",
    "UtteranceScore",
    "align_words",
    "count_character_errors",
    "read_results",
    "render_markdown",
    "score_texts",
    "summarize",
    "texts_by_id",
    "write_report",
    "write_results",
]
