"""Scored utterances as files: results.jsonl (a line per utterance) and summary.json (the figures), and back.

In: a ``ScoreReport``. Out: JSON that other tools read, written atomically. ``extras`` is for what a
recogniser knows beyond the text (words with times, confidence, score): it is kept in the line under its own keys.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from asr.data.records import json_object
from asr.errors import DataError
from asr.files import read_json_object, write_text
from asr.scoring.changes import summarize_changes
from asr.scoring.counts import ErrorCounts
from asr.scoring.intervals import summarize_intervals
from asr.scoring.measures import measures_in
from asr.scoring.report import ScoreReport, UtteranceScore, build_report

_COUNTS = {
    "word_errors": "words",
    "character_errors": "characters",
    "raw_word_errors": "raw_words",
    "raw_character_errors": "raw_characters",
}
_TEXTS = ("id", "reference", "hypothesis", "reference_normalized", "hypothesis_normalized")
_OWN_KEYS = {*_TEXTS, *_COUNTS, "normalizer", "speaker", "duration_s"}


@dataclass(frozen=True, slots=True)
class Results:
    """What a results.jsonl holds: the report, and by id the keys that are not the report's own."""

    report: ScoreReport
    extras: dict[str, dict[str, Any]] = field(default_factory=dict)


def write_results(path: Path, report: ScoreReport, extras: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Write one JSON line per utterance, in the report's order; ``extras`` by id must not use the report's own keys."""
    lines = []
    for utterance in report.utterances:
        more = dict((extras or {}).get(utterance.id, {}))
        if taken := _OWN_KEYS & more.keys():
            raise ValueError(f"extras of {utterance.id!r} would overwrite {sorted(taken)}")
        lines.append(json.dumps(_row(utterance, report.normalizer) | more, ensure_ascii=False, allow_nan=False))
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_results(path: Path) -> Results:
    """Read a results.jsonl; raises DataError listing every line that is not as ``write_results`` writes it."""
    utterances: list[UtteranceScore] = []
    extras: dict[str, dict[str, Any]] = {}
    labels: dict[str, None] = {}
    problems: list[str] = []
    for number, line in enumerate(_content(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json_object(line)
            utterance, label = _utterance(row)
            if utterance.id in extras:
                raise ValueError(f"the id {utterance.id!r} comes twice")
        except ValueError as error:
            problems.append(f"{path}:{number}: {error}")
            continue
        utterances.append(utterance)
        labels[label] = None
        extras[utterance.id] = {key: value for key, value in row.items() if key not in _OWN_KEYS}
    if len(labels) > 1:
        problems.append(
            f"{path}: mixes normalisers ({', '.join(labels)}); score it again with `asr score {path} {path}`"
        )
    if problems or not utterances:
        raise DataError("\n  ".join(["results cannot be read:", *(problems or [f"{path}: is empty"])]))
    return Results(build_report(utterances, next(iter(labels))), extras)


def summary_beside(results: Path) -> dict[str, Any]:
    """The summary.json in the folder of a results.jsonl; empty where it is absent or not a JSON object."""
    return read_json_object(results.parent / "summary.json")


def summarize(report: ScoreReport) -> dict[str, Any]:
    """The report's figures as plain JSON values: rates in percent, null where there is no reference to divide by."""
    audio_s = report.audio_s
    return {
        "normalizer": report.normalizer,
        "utterances": len(report.utterances),
        "utterances_without_reference_words": len(report.without_reference_words),
        "audio_hours": None if audio_s is None else round(audio_s / 3600, 6),
        **{one.key: one.percent(getattr(report, one.counts)) for one in measures_in("json")},
        "intervals": summarize_intervals(report),
        "words": _counts(report.words),
        "characters": _counts(report.characters),
        "raw_words": _counts(report.raw_words),
        "raw_characters": _counts(report.raw_characters),
        "by_speaker": {
            speaker: {
                "utterances": group.utterances,
                **{one.key: one.percent(getattr(group, one.counts)) for one in measures_in("group")},
                "words": _counts(group.words),
                "characters": _counts(group.characters),
            }
            for speaker, group in report.by_speaker.items()
        },
        "normalization_changes": summarize_changes(report.changes),
    }


def _counts(counts: ErrorCounts) -> dict[str, int]:
    return asdict(counts) | {"errors": counts.errors, "reference_length": counts.reference_length}


def _row(utterance: UtteranceScore, normalizer: str) -> dict[str, Any]:
    row: dict[str, Any] = {key: getattr(utterance, key) for key in _TEXTS} | {"normalizer": normalizer}
    row |= {key: asdict(getattr(utterance, name)) for key, name in _COUNTS.items()}
    return row | {"speaker": utterance.speaker, "duration_s": utterance.duration_s}


def _content(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # split at line feeds only, below
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 (byte {error.start})") from None


def _utterance(row: Mapping[str, Any]) -> tuple[UtteranceScore, str]:
    """Raises ValueError with what is wrong in the row."""
    missing = [key for key in (*_TEXTS, *_COUNTS, "normalizer") if key not in row]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}; `asr score` and `asr evaluate` write such lines")
    for key in (*_TEXTS, "normalizer"):
        if not isinstance(row[key], str):
            raise ValueError(f"{key!r} must be text")
    speaker, duration_s = row.get("speaker"), row.get("duration_s")
    if not (speaker is None or isinstance(speaker, str)):
        raise ValueError("'speaker' must be text or null")
    if not (duration_s is None or (isinstance(duration_s, (int, float)) and 0 <= duration_s < math.inf)):
        raise ValueError("'duration_s' must be a number of seconds or null")
    counts = {name: _read_counts(row[key], key) for key, name in _COUNTS.items()}
    values: dict[str, Any] = {key: row[key] for key in _TEXTS} | counts
    return UtteranceScore(**values, speaker=speaker, duration_s=duration_s), row["normalizer"]


def _read_counts(value: Any, key: str) -> ErrorCounts:
    names = [one.name for one in fields(ErrorCounts)]
    whole = isinstance(value, dict) and all(type(value.get(name)) is int and value[name] >= 0 for name in names)
    if not whole:
        raise ValueError(f"{key!r} must hold whole numbers for {', '.join(names)}")
    return ErrorCounts(**{name: value[name] for name in names})
