"""A score report as files in a folder, and in short for terminals and scripts; and the quality gate.

In: a ``ScoreReport`` and its header. Out: results.jsonl, summary.json, breakdown.json and report.md in one folder, each
written atomically, replaced by a re-run; rows for a table, one line, CSV or JSON for stdout; an error where the WER is
above the limit. `asr score`, `asr evaluate`, `asr run` and `asr report` share it.
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
from asr.files import guarded, write_json, write_text
from asr.scoring.counts import ErrorCounts
from asr.scoring.intervals import interval_notes, rate_intervals
from asr.scoring.markdown import ReportHeader, counted, render_markdown
from asr.scoring.measures import COUNT_COLUMNS, Form, count_columns, measures_in
from asr.scoring.report import ScoreReport
from asr.scoring.results import Results, summarize, write_results

RESULTS = "results.jsonl"
_NAMES = (RESULTS, "summary.json", "report.md", "breakdown.json")  # as ReportFiles has them
SUMMARY_HEADER = ("text", "measure", "rate", *COUNT_COLUMNS)


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The paths of a report's files."""

    results: Path
    summary: Path
    page: Path
    breakdown: Path


def report_files(folder: Path) -> ReportFiles:
    """The files that a report in ``folder`` consists of, written or not."""
    return ReportFiles(*(folder / name for name in _NAMES))


def prepare_folder(folder: Path, *inputs: Path, option: str = "--out", names: Sequence[str] = _NAMES) -> None:
    """Make the folder before the work begins, so that what is wrong with it is reported before hours of computing.

    Raises UsageError where it is a file, where the files ``names`` in it would overwrite one of ``inputs``, or where
    it is in one of them, whose further files would be read as transcripts.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{option} {folder} is a file; give a folder")
    written = {(folder / name).resolve() for name in names}
    for path in inputs:
        if path.resolve() in written:
            raise UsageError(f"{option} {folder} would overwrite {path}, which is being read; give another folder")
        if path.is_dir() and folder.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"{option} {folder} is in {path}, which is being read; give another folder")
    folder.mkdir(parents=True, exist_ok=True)


def write_report(
    folder: Path,
    report: ScoreReport,
    header: ReportHeader,
    *,
    worst: int = 10,
    extras: Mapping[str, Mapping[str, Any]] | None = None,
    figures: Mapping[str, Any] | None = None,
    training_counts: Mapping[str, int] | None = None,
    sections: Sequence[str] = (),
) -> ReportFiles:
    """Write the four files; the page last, so that there is never a page without its data.

    Args:
        folder: made where absent.
        report: what was scored.
        header: title, system, data, date and further facts, for the page and for summary.json.
        worst: how many utterances the page shows with their alignment.
        extras: by utterance id, further keys for its line in results.jsonl (words, confidence).
        figures: further keys for summary.json (``real_time_factor``).
        training_counts: how often the training text holds each normalised word, for a table of rare words.
        sections: further sections of the page, in Markdown.
    """
    from asr.scoring.breakdown import break_down, breakdown_json, breakdown_sections  # brings numpy along

    files = report_files(folder)
    found = break_down(Results(report, {key: dict(more) for key, more in (extras or {}).items()}), training_counts)
    write_results(files.results, report, extras)
    about = {"title": header.title, "system": header.system, "data": header.data, "date": header.date}
    summary = about | {"asr_version": __version__} | summarize(report) | dict(figures or {})
    write_json(files.summary, summary)
    write_json(files.breakdown, breakdown_json(found))
    write_text(
        files.page, render_markdown(report, header, worst=worst, breakdown=[*sections, *breakdown_sections(found)])
    )
    return files


def summary_rows(report: ScoreReport) -> list[list[str]]:
    """A row a measure with its interval, under ``SUMMARY_HEADER``."""
    rows = []
    for measure in measures_in("table"):
        counts: ErrorCounts = getattr(report, measure.counts)
        interval = rate_intervals(report, measure).utterances
        rate = measure.shown(counts) if interval is None else f"{measure.shown(counts)} {interval}"
        numbers = map(str, count_columns(counts).values())
        rows.append([measure.text(report.normalizer), measure.label, rate, *numbers])
    return rows


def summary_notes(report: ScoreReport) -> list[str]:
    """The notes next to the figures, a sentence or two each."""
    return [*interval_notes(report), *_silence_notes(report), *_mixed_notes(report)]


def _mixed_notes(report: ScoreReport) -> list[str]:
    """Words of scripts without spaces are whole sentences: what to read instead of their WER."""
    if not report.mixed.reference_length:
        return []
    (measure,) = (one for one in measures_in("report") if one.counts == "mixed")
    return [f"{measure.name}: {measure.shown(report.mixed)}; the WER takes what lies between spaces for a word"]


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
    """The current time for a report's header, UTC to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def render_line(report: ScoreReport, more: Mapping[str, Any], *, names: Mapping[str, str] | None = None) -> str:
    """``wer=8.44 low=6.10 high=11.02 cer=3.10 s=12 d=3 i=4 n=225 utterances=20``; ``nan`` for what is none.

    Rates are in percent, ``low`` and ``high`` the 95 % interval of the WER over utterances, counts those of words.
    The formats that the files were read in follow (``reference_format=stm``). ``names``: further words at the end, such
    as ``system=NAME``; white space inside a name becomes "-".
    """
    words = [f"{key}={_cell(value)}" for key, value in _figures(report, "line").items()]
    named = {**_formats(more), **(names or {})}
    return " ".join([*words, *(f"{key}={'-'.join(name.split())}" for key, name in named.items())])


def _formats(more: Mapping[str, Any]) -> dict[str, str]:
    """What the files were read as, by the name of a column; empty where nothing was read (`asr evaluate`)."""
    return {f"{side}_format": str(name) for side, name in more.get("formats", {}).items()}


def render_csv(report: ScoreReport, more: Mapping[str, Any]) -> str:
    """A header and one row: the figures of the line, the other measures, the normaliser."""
    row = _figures(report, "line")
    row |= {key: value for key, value in _figures(report, "csv").items() if key not in row}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    named = {"normalizer": guarded(report.normalizer), **_formats(more)}
    writer.writerow([*row, *named])
    writer.writerow([*map(_cell, row.values()), *named.values()])
    return out.getvalue().rstrip("\n")


def render_json(report: ScoreReport, more: Mapping[str, Any]) -> str:
    """What summary.json holds, ``more`` included."""
    return json.dumps(summarize(report) | dict(more), indent=2, ensure_ascii=False)


def _figures(report: ScoreReport, form: Form) -> dict[str, float | int | None]:
    """The measures of a form, the first with its interval, and the counts of words; None for what is none."""
    headline, *others = measures_in(form)
    interval = rate_intervals(report, headline).utterances
    figures: dict[str, float | int | None] = {
        headline.key: headline.percent(getattr(report, headline.counts)),
        "low": None if interval is None else 100 * interval.low,
        "high": None if interval is None else 100 * interval.high,
        **{one.key: one.percent(getattr(report, one.counts)) for one in others},
    }
    numbers = {key.lower(): value for key, value in count_columns(report.words).items() if key != "errors"}
    return figures | numbers | {"utterances": len(report.utterances)}


RENDERERS: dict[str, Callable[[ScoreReport, Mapping[str, Any]], str]] = {
    "line": render_line,
    "json": render_json,
    "csv": render_csv,
}


def check_gate(report: ScoreReport, limit_percent: float | None) -> None:
    """Raise ScoringError where the WER is above the limit, or is none at all; a limit of None lets all pass."""
    check_rate(report.words, limit_percent, "WER")


def check_rate(words: ErrorCounts, limit_percent: float | None, name: str) -> None:
    """The same for any counts of words and the name of their rate."""
    if limit_percent is None:
        return
    rate = 100 * words.rate
    if math.isnan(rate):
        raise ScoringError(f"no reference holds a word, so there is no {name} to be at most {limit_percent:g}%")
    if rate > limit_percent:
        above = rate - limit_percent
        raise ScoringError(
            f"the {name} of {_fine(rate)}% is {_fine(above)} points above the {limit_percent:g}% that --fail-above "
            "allows"
        )


def _fine(value: float) -> str:
    """Two decimals, or as many as show that the value is not 0."""
    return f"{value:.2f}" if value >= 0.005 else f"{value:.2g}"


def _cell(value: float | int | None) -> str:
    return "nan" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
