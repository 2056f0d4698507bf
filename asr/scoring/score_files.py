"""A scoring of two files: what `asr score` does between its arguments and its output.

In: ``ScoreOptions``: references, hypotheses, how to read, match, normalise and align them. Out: a ``FileScore``; with
``out`` the report's files in that folder, with ``export`` both sides as another tool reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from asr.scoring.results import add_outcomes
from asr.scoring.export import FILES, Timing, export, recording_name
from asr.scoring.formats import TimedWord
from asr.scoring.markdown import ReportHeader, counted
from asr.scoring.match import Extra, Matched, Missing, match
from asr.scoring.output import now, prepare_folder, write_report
from asr.scoring.read import TextFile, read_pair
from asr.scoring.report import ScoreReport, score_texts
from asr.scoring.sclite import choose_alternatives, count_words_as_sclite
from asr.text.normalize import Normalizer

Alignment = Literal["fewest-errors", "sclite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """``format_name`` is that of both files, or of the references only where ``hypothesis_format`` is given.

    ``missing`` and ``extra``: what to do with references without a hypothesis, and the other way round; ``worst``:
    utterances on the page with their alignment; ``export_format``: a key of ``asr.scoring.export.FILES``.
    """

    references: Path
    hypotheses: Path
    normalizer: Normalizer
    format_name: str = "auto"
    hypothesis_format: str | None = None
    missing: Missing = "error"
    extra: Extra = "error"
    alignment: Alignment = "fewest-errors"
    out: Path | None = None
    worst: int = 10
    export: Path | None = None
    export_format: str = "trn"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScore:
    """``read_as``: formats and how ids were matched; ``figures``: further keys of summary.json."""

    report: ScoreReport
    read_as: str
    notes: tuple[str, ...]
    figures: Mapping[str, Any]
    page: Path | None


def score_files(options: ScoreOptions) -> FileScore:
    """Read, match, score and write; raises an AsrError that says what is wrong with the files."""
    references, hypotheses = read_pair(
        options.references,
        options.hypotheses,
        format_name=options.format_name,
        hypothesis_format=options.hypothesis_format,
    )
    _prepare_folders(options)
    matched = match(references, hypotheses, missing=options.missing, extra=options.extra)
    texts, notes = matched.references, matched.notes()
    if references.marked:
        texts, marked = choose_alternatives(texts, matched.hypotheses, options.normalizer)
        if marked:
            notes.append(f"{counted(marked, 'reference')} with alternatives: by sclite's costs the nearest counts")
    report = score_texts(
        texts,
        matched.hypotheses,
        normalizer=options.normalizer,
        speakers=matched.recognised.speakers | references.speakers,
        durations_s=matched.recognised.durations_s | references.durations_s,
        count=count_words_as_sclite if options.alignment == "sclite" else None,
    )
    read_as = _read_as(references, hypotheses, matched)
    page = None
    if options.out is not None:
        facts = {"Read as": read_as} | ({"Note": "; ".join(notes)} if notes else {})
        extras = _extras(references, matched, report, options.normalizer)
        page = _write(options.out, report, options, matched, facts, extras)
    if options.export is not None:
        timing = Timing(segments=references.segments, words=_timed_words(hypotheses, options.normalizer))
        export(options.export, options.export_format, report, timing)
    return FileScore(report=report, read_as=read_as, notes=tuple(notes), figures=matched.figures(), page=page)


def _prepare_folders(options: ScoreOptions) -> None:
    inputs = options.references, options.hypotheses
    if options.out is not None:
        prepare_folder(options.out, *inputs)
    if options.export is not None:
        prepare_folder(options.export, *inputs, option="--export", names=FILES[options.export_format])


def _extras(
    references: TextFile, matched: Matched, report: ScoreReport, normalizer: Normalizer
) -> dict[str, dict[str, Any]]:
    """The metadata of both files by utterance: fields to group by, sound, words and n-best with outcomes."""
    extras: dict[str, dict[str, Any]] = {}
    for utterance in report.utterances:
        key = utterance.id
        first, second = references.metadata.get(key, {}), matched.recognised.metadata.get(key, {})
        fields = {**second.get("fields", {}), **first.get("fields", {})}
        missing = key in matched.missing and matched.missing_treatment == "as-deletions"
        extras[key] = {**add_outcomes(second, utterance.reference, normalizer), **first}
        extras[key] |= ({"fields": fields} if fields else {}) | ({"missing": True} if missing else {})
    return extras


def _write(
    folder: Path,
    report: ScoreReport,
    options: ScoreOptions,
    matched: Matched,
    facts: Mapping[str, str],
    extras: Mapping[str, Mapping[str, Any]],
) -> Path:
    more = {"Alignment": "by sclite's costs: 4 for a substitution, 3 for a deletion or insertion"}
    header = ReportHeader(
        title=f"Errors of {options.hypotheses.name}",
        system=str(options.hypotheses),
        data=str(options.references),
        date=now(),
        facts=dict(facts) | (more if options.alignment == "sclite" else {}),
    )
    figures = matched.figures() | {"alignment": options.alignment}
    return write_report(folder, report, header, worst=options.worst, extras=extras, figures=figures).page


def _timed_words(hypotheses: TextFile, normalizer: Normalizer) -> dict[tuple[str, str], list[TimedWord]]:
    """The normalised words with their times by recording and channel, for ctm."""
    words = {}
    for key, found in hypotheses.words.items():
        segment = hypotheses.segments.get(key)
        recording, channel = (segment.recording, segment.channel or "1") if segment else (key, "1")
        words[recording_name(recording), channel] = [
            replace(word, text=piece) for word in found for piece in normalizer(word.text).split()
        ]
    return words


def _read_as(references: TextFile, hypotheses: TextFile, matched: Matched) -> str:
    if references.format == "plain":
        return "plain text without ids: line n compared with line n"
    if references.format == hypotheses.format:
        return f"{references.format}, {matched.how}"
    return f"references {references.format}, hypotheses {hypotheses.format}, {matched.how}"
