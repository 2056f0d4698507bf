"""A score report into a folder, and in short for a terminal: what `asr score`, `asr evaluate` and `asr run` share.

In: a ``ScoreReport`` and its header. Out: results.jsonl, summary.json, breakdown.json and report.md in one folder,
each written whole or not at all; a re-run replaces them.

A score report in short, for scripts: one line, a CSV table, JSON; and the quality gate.

In: a ``ScoreReport``. Out: text for stdout, or a refusal where the WER is above what was asked for.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asr import __version__
from asr.errors import ScoringError, UsageError
from asr.files import write_json, write_text
from asr.scoring.counts import ErrorCounts
from asr.scoring.intervals import RATES, interval_notes, rate_intervals
from asr.scoring.markdown import ReportHeader, counted, format_rate, render_markdown
from asr.scoring.report import ScoreReport
from asr.scoring.results import Results, percent, summarize, write_results

_NAMES = ("results.jsonl", "summary.json", "report.md", "breakdown.json")  # as ReportFiles has them
SUMMARY_HEADER = ("text", "measure", "rate", "S", "D", "I", "errors", "N")


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where a report's files lie."""

    results: Path
    summary: Path
    page: Path
    breakdown: Path


def report_files(folder: Path) -> ReportFiles:
    """The files that a report in ``folder`` consists of, written or not."""
    return ReportFiles(*(folder / name for name in _NAMES))


def prepare_folder(folder: Path, *inputs: Path, option: str = "--out", names: Sequence[str] = _NAMES) -> None:
    """Make the folder before the work begins, so that what is wrong with it is said before hours of computing.

    Raises UsageError where it is a file, or where the files ``names`` in it would overwrite one of ``inputs``.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{option} {folder} is a file; give a folder")
    written = {(folder / name).resolve() for name in names}
    for path in inputs:
        if path.resolve() in written:
            raise UsageError(f"{option} {folder} would overwrite {path}, which is being read; give another folder")
    folder.mkdir(parents=True, exist_ok=True)


def write_report(
    folder: Path,
    report: ScoreReport,
    header: ReportHeader,
    *,
    worst: int = 10,
    extras: Mapping[str, Mapping[str, Any]] | None = None,
    measures: Mapping[str, Any] | None = None,
    training_counts: Mapping[str, int] | None = None,
) -> ReportFiles:
    """Write the four files; the page last, so that a page never stands without what it rests on.

    Args:
        folder: made where absent.
        report: what was scored.
        header: title, system, data, date and further facts, for the page and for summary.json.
        worst: how many utterances the page shows with their alignment.
        extras: by utterance id, further keys for its line in results.jsonl (words, confidence).
        measures: further figures for summary.json (``real_time_factor``).
        training_counts: how often the training text holds each normalised word; rare words then stand apart.
    """
    from asr.scoring.breakdown import break_down, breakdown_json, breakdown_sections  # brings numpy along

    files = report_files(folder)
    found = break_down(Results(report, {key: dict(more) for key, more in (extras or {}).items()}), training_counts)
    write_results(files.results, report, extras)
    about = {"title": header.title, "system": header.system, "data": header.data, "date": header.date}
    figures = summarize(report) | dict(measures or {})
    write_json(files.summary, about | {"asr_version": __version__} | figures)
    write_json(files.breakdown, breakdown_json(found))
    write_text(files.page, render_markdown(report, header, worst=worst, breakdown=breakdown_sections(found)))
    return files


def summary_rows(report: ScoreReport) -> list[list[str]]:
    """WER and CER with their intervals, normalised and raw, as rows under ``SUMMARY_HEADER``."""
    texts = (report.normalizer, report.normalizer, "raw", "raw")
    rows = []
    for text, (name, measure) in zip(texts, RATES.items(), strict=True):
        counts: ErrorCounts = getattr(report, measure)
        interval = rate_intervals(report, measure).utterances
        rate = format_rate(counts) if interval is None else f"{format_rate(counts)} {interval}"
        kinds = (counts.substitutions, counts.deletions, counts.insertions, counts.errors, counts.reference_length)
        rows.append([text, name.removeprefix("raw_").upper(), rate, *map(str, kinds)])
    return rows


def summary_notes(report: ScoreReport) -> list[str]:
    """What has to be said beside the figures, a sentence or two each."""
    return [*interval_notes(report), *_silence_notes(report)]


def _silence_notes(report: ScoreReport) -> list[str]:
    silent = report.without_reference_words
    if not silent:
        return []
    inserted = sum(utterance.words.insertions for utterance in silent)
    return [
        f"no reference words in {len(silent)} of {counted(len(report.utterances), 'utterance')}; what was recognised "
        f"there ({counted(inserted, 'word')}) counts as insertions"
    ]


def now() -> str:
    """The present moment for a report's header, UTC to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def figures(report: ScoreReport) -> dict[str, float | int | None]:
    """The figures of the one-line form: rates in percent, None where there is none; counts of words.

    ``low`` and ``high``: the 95 % interval of the WER over utterances.
    """
    counts, interval = report.words, rate_intervals(report, "words").utterances
    return {
        "wer": percent(report.words),
        "low": None if interval is None else 100 * interval.low,
        "high": None if interval is None else 100 * interval.high,
        "cer": percent(report.characters),
        "s": counts.substitutions,
        "d": counts.deletions,
        "i": counts.insertions,
        "n": counts.reference_length,
        "utterances": len(report.utterances),
    }


def render_line(report: ScoreReport, more: Mapping[str, Any]) -> str:
    """``wer=8.44 low=6.10 high=11.02 cer=3.10 s=12 d=3 i=4 n=225 utterances=20``; ``nan`` for what is none."""
    return " ".join(f"{name}={_cell(value)}" for name, value in figures(report).items())


def render_csv(report: ScoreReport, more: Mapping[str, Any]) -> str:
    """A header and one row: the figures of the line, the raw rates, the normaliser."""
    row = figures(report) | {"raw_wer": percent(report.raw_words), "raw_cer": percent(report.raw_characters)}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*row, "normalizer"])
    writer.writerow([*map(_cell, row.values()), report.normalizer])
    return out.getvalue().rstrip("\n")


def render_json(report: ScoreReport, more: Mapping[str, Any]) -> str:
    """What summary.json holds, ``more`` included."""
    return json.dumps(summarize(report) | dict(more), indent=2, ensure_ascii=False)


RENDERERS: dict[str, Callable[[ScoreReport, Mapping[str, Any]], str]] = {
    "line": render_line,
    "json": render_json,
    "csv": render_csv,
}


def check_gate(report: ScoreReport, limit_percent: float | None) -> None:
    """Raise ScoringError where the WER is above the limit, or is none at all; a limit of None lets all pass."""
    if limit_percent is None:
        return
    rate = 100 * report.words.rate
    if math.isnan(rate):
        raise ScoringError(f"no reference holds a word, so there is no WER to be at most {limit_percent:g}%")
    if rate > limit_percent:
        above = rate - limit_percent
        raise ScoringError(
            f"the WER of {_fine(rate)}% is {_fine(above)} points above the {limit_percent:g}% that --fail-above allows"
        )


def _fine(value: float) -> str:
    """Two decimals, or as many as it takes to tell the value from 0."""
    return f"{value:.2f}" if value >= 0.005 else f"{value:.2g}"


def _cell(value: float | int | None) -> str:
    return "nan" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
