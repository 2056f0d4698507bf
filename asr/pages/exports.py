"""The report as Markdown, JSON, CSV and one line per system: the same figures as the page, for other readers.

In: ``PageData``. Out: text. Tables and alignments come from ``asr.scoring``; this module adds groups and
systems side by side.
"""

import csv
import io
import json
import math
from typing import Any

from asr.files import guarded
from asr.pages.data import Bar, Chart, Figure, PageData, ReportSystem
from asr.scoring import ReportHeader, render_markdown, summarize
from asr.scoring.output import render_line


def render_json_report(page: PageData) -> str:
    """Per system: the figures of summary.json, facts, and rates with intervals (percent), in all and by group."""
    systems = [_json_of(page, one, place) for place, one in enumerate(page.systems)]
    value = {"title": page.title, "interval": page.interval, "verdict": page.verdict, "systems": systems}
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def render_csv_report(page: PageData) -> str:
    """A row per utterance; with several systems, each one's columns end in its letter."""
    several = len(page.systems) > 1
    names = ["hypothesis", "substitutions", "deletions", "insertions", "errors", "character_errors"]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    own = [f"{name}_{one.letter}" if several else name for one in page.systems for name in names]
    writer.writerow(["id", "speaker", "duration_s", "reference", "reference_words", *own])
    columns = [{score.id: score for score in one.results.report.utterances} for one in page.systems]
    for score in page.systems[0].results.report.utterances:
        named = guarded(score.id), score.speaker and guarded(score.speaker)
        row: list[Any] = [*named, score.duration_s, guarded(score.reference), score.words.reference_length]
        for other in (column[score.id] for column in columns):
            counts = other.words
            row += [guarded(other.hypothesis), counts.substitutions, counts.deletions, counts.insertions, counts.errors]
            row.append(other.characters.errors)
        writer.writerow(row)
    return stream.getvalue()


def render_markdown_report(page: PageData, *, worst: int = 10) -> str:
    """The Markdown report of each system, with intervals, after a comparison if there are several."""
    parts = [_markdown_of(page, one, worst) for one in page.systems]
    if len(page.systems) > 1:
        lines = [line(page, one) for one in page.systems]
        verdict = [page.verdict, ""] if page.verdict else []
        parts.insert(0, "\n".join(["# Side by side", "", *verdict, "```text", *lines, "```", ""]))
    return "\n".join(parts)


def line(page: PageData, system: ReportSystem) -> str:
    """The line of ``asr score --print line``, with ``normalizer=`` and ``system=`` at its end."""
    report = system.results.report
    return render_line(report, {}, names={"normalizer": report.normalizer, "system": system.name})


def _markdown_of(page: PageData, system: ReportSystem, worst: int) -> str:
    facts = dict(system.facts)
    data, date = facts.pop("Data", "not known"), facts.pop("Date", "not known")
    title = f"{page.title}: {system.name}" if len(page.systems) > 1 else page.title
    header = ReportHeader(
        title=title, system=system.name, data=data, date=date, facts=facts | {"Intervals": page.interval}
    )
    return render_markdown(system.results.report, header, worst=worst)


def _json_of(page: PageData, system: ReportSystem, place: int) -> dict[str, Any]:
    figures = summarize(system.results.report)
    intervals = {one.measure.key: _bar(one.bar) for one in _of(page, system)}
    for key, found in figures["intervals"].items():
        intervals[key]["speakers"] = found["speakers"]
    return (
        {"name": system.name, "facts": dict(system.facts)}
        | figures
        | {"intervals": intervals}
        | {"groups": {chart.name: _groups(chart, place) for chart in page.charts}}
    )


def _of(page: PageData, system: ReportSystem) -> list[Figure]:
    return [figure for figure in page.figures if figure.system == system.name]


def _groups(chart: Chart, place: int) -> list[dict[str, Any]]:
    return [{"group": row.label} | _bar(bar) for row in chart.rows if (bar := row.bars[place])]


def _bar(bar: Bar) -> dict[str, Any]:
    rates = {"rate": bar.rate, "low": bar.low, "high": bar.high}
    return {
        key: None if value is None or math.isnan(value) else round(100 * value, 4) for key, value in rates.items()
    } | {
        "utterances": bar.utterances,
        "errors": bar.errors,
        "reference_length": bar.reference_length,
    }
