"""Error counts, alignments and report pages; knows neither models nor torch.

In: references and hypotheses by id. Out: a ``ScoreReport`` and, from it, tables, a Markdown page and JSON files.
"""

from asr.scoring.counts import (
    AlignedPair,
    ErrorCounts,
    align_words,
    alignment_block,
    count_character_errors,
    count_errors,
    count_word_errors,
)
from asr.scoring.markdown import ReportHeader, render_markdown
from asr.scoring.measures import format_rate
from asr.scoring.output import ReportFiles, write_report
from asr.scoring.read import TextFile, read_pair
from asr.scoring.report import (
    GroupScore,
    ScoreReport,
    UtteranceScore,
    build_report,
    group_scores,
    score_texts,
    texts_by_id,
)
from asr.scoring.results import Results, read_results, summarize, write_results

__all__ = [
    "AlignedPair",
    "ErrorCounts",
    "GroupScore",
    "ReportFiles",
    "ReportHeader",
    "Results",
    "ScoreReport",
    "TextFile",
    "UtteranceScore",
    "align_words",
    "alignment_block",
    "build_report",
    "count_character_errors",
    "count_errors",
    "count_word_errors",
    "format_rate",
    "group_scores",
    "read_pair",
    "read_results",
    "render_markdown",
    "score_texts",
    "summarize",
    "texts_by_id",
    "write_report",
    "write_results",
]
