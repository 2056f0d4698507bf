"""A score report in short, for scripts: one line, a CSV table, JSON; and the quality gate.

In: a ``ScoreReport``. Out: text for stdout, or a refusal where the WER is above what was asked for.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from asr.errors import ScoringError
from asr.scoring.rate_intervals import rate_intervals
from asr.scoring.report import ScoreReport
from asr.scoring.results import percent, summarize


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
