"""A scoring of two files: what `asr score` does between its arguments and its output.

In: ``ScoreOptions``: references, hypotheses, how to read, match, normalise and align them. Out: a ``FileScore``; with
``out`` the report's files in that folder, with ``export`` both sides as another tool reads them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from asr.errors import ScoringError
from asr.scoring.breakdown.tokens import KEYWORD_HEADER, TokenErrors, keyword_errors, keyword_figures, keyword_rows
from asr.scoring.counts import word_alignments
from asr.scoring.export import FILES, Timing, export, recording_name
from asr.scoring.formats import TimedWord
from asr.scoring.markdown import ReportHeader, counted, escape, markdown_table
from asr.scoring.match import Extra, Matched, Missing, Reduce, match
from asr.scoring.output import now, prepare_folder, write_report
from asr.scoring.read import TextFile, how_read, read_keywords, read_pair
from asr.scoring.report import ScoreReport, score_texts
from asr.scoring.results import add_outcomes
from asr.scoring.sclite import Readings, choose_readings, count_words_as_sclite
from asr.text.normalize import Normalizer

Alignment = Literal["fewest-errors", "sclite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """``format_name`` is that of both files, or of the references only where ``hypothesis_format`` is given.

    ``missing`` and ``extra``: what to do with references without a hypothesis, and the other way round; ``worst``:
    utterances on the page with their alignment; ``export_format``: a key of ``asr.scoring.export.FILES``;
    ``optional_words``: whether ``(uh)`` in trn, stm and ctm may be left out; ``keywords``: a file of words and phrases.
    """

    references: Path
    hypotheses: Path
    normalizer: Normalizer
    format_name: str = "auto"
    hypothesis_format: str | None = None
    missing: Missing = "error"
    extra: Extra = "error"
    ignore_id_case: bool = False
    reduce: Reduce = "nothing"
    optional_words: bool = True
    keywords: Path | None = None
    alignment: Alignment = "fewest-errors"
    out: Path | None = None
    worst: int = 10
    export: Path | None = None
    export_format: str = "trn"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScore:
    """``read_as``: formats and how ids were matched; ``figures``: further keys of summary.json.

    ``keywords``: how often each was said, recognised and right; None without a list.
    """

    report: ScoreReport
    read_as: str
    keywords: tuple[TokenErrors, ...] | None
    notes: tuple[str, ...]
    figures: Mapping[str, Any]
    page: Path | None


def score_files(options: ScoreOptions) -> FileScore:
    """Read, match, score and write; raises an AsrError that says what is wrong with the files."""
    keywords = None if options.keywords is None else read_keywords(options.keywords, options.normalizer)
    references, hypotheses = read_pair(
        options.references,
        options.hypotheses,
        format_name=options.format_name,
        hypothesis_format=options.hypothesis_format,
        allow_empty=options.missing == "as-deletions",
    )
    _prepare_folders(options)
    matched = match(
        references,
        hypotheses,
        missing=options.missing,
        extra=options.extra,
        ignore_case=options.ignore_id_case,
        reduce=options.reduce,
    )
    chosen = choose_readings(
        matched.references,
        matched.hypotheses,
        options.normalizer,
        optional_words=options.optional_words,
        marked=(references.marked, hypotheses.marked),
    )
    report = _scored(references, matched, chosen, options)
    found = None if keywords is None else _keyword_errors(report, keywords)
    result = FileScore(
        report=report,
        read_as=_read_as(references, hypotheses, matched),
        keywords=found,
        notes=(*matched.notes(), *_notes(chosen, references if references.speakers else hypotheses, report, options)),
        figures={
            "formats": {"reference": references.format, "hypothesis": hypotheses.format},
            **matched.figures(),
            **({} if found is None else keyword_figures(found)),
        },
        page=None,
    )
    if options.out is not None:
        extras = _extras(references, matched, report, options.normalizer, chosen)
        result = replace(result, page=_write(options.out, result, options, extras))
    if options.export is not None:
        words = _timed_words(hypotheses, options.normalizer) if options.export_format == "ctm" else {}
        timing = Timing(segments=references.segments, words=words)
        export(options.export, options.export_format, report, timing)
    return result


def _scored(references: TextFile, matched: Matched, chosen: Readings, options: ScoreOptions) -> ScoreReport:
    """The report; where ids do not fit, the message says how both files were read, as a wrong guess looks like that."""
    try:
        return score_texts(
            chosen.references,
            chosen.hypotheses,
            normalizer=options.normalizer,
            speakers=matched.recognised.speakers | references.speakers,
            durations_s=matched.recognised.durations_s | references.durations_s,
            count=count_words_as_sclite if options.alignment == "sclite" else None,
            left_out=chosen.left_out,
        )
    except ScoringError as error:
        if "auto" not in (options.format_name, options.hypothesis_format):
            raise
        raise ScoringError(f"{error} {how_read(references.format, matched.recognised.format)}") from None


def _notes(chosen: Readings, named: TextFile, report: ScoreReport, options: ScoreOptions) -> list[str]:
    """What a reader has to know of marks, and of speakers, which are ``named`` in one of the files."""
    notes = []
    if chosen.marked:
        notes.append(f"{counted(chosen.marked, 'utterance')} with alternatives: by sclite's costs the nearest counts")
    if chosen.left_out and options.export is not None:
        words = counted(sum(len(one.split()) for one in chosen.left_out.values()), "optional word")
        notes.append(f"{words} left out in the hypotheses: right here, and not in the exported files")
    if named.format == "trn" and report.by_speaker:
        notes.append(f"{counted(len(report.by_speaker), 'speaker')}, taken from the ids: what is before '-' or '_'")
    return notes


def _keyword_errors(report: ScoreReport, keywords: Sequence[str]) -> tuple[TokenErrors, ...]:
    texts = [(one.reference_normalized, one.hypothesis_normalized) for one in report.utterances]
    return keyword_errors(word_alignments([one for one, _ in texts], [other for _, other in texts]), keywords)


def _prepare_folders(options: ScoreOptions) -> None:
    inputs = [one for one in (options.references, options.hypotheses, options.keywords) if one is not None]
    if options.out is not None:
        prepare_folder(options.out, *inputs)
    if options.export is not None:
        prepare_folder(options.export, *inputs, option="--export", names=FILES[options.export_format])


def _extras(
    references: TextFile, matched: Matched, report: ScoreReport, normalizer: Normalizer, chosen: Readings
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
        extras[key] |= {"left_out": chosen.left_out[key]} if key in chosen.left_out else {}
        extras[key] |= {"marked_reference": text} if (text := matched.references[key]) != utterance.reference else {}
    return extras


def _write(folder: Path, result: FileScore, options: ScoreOptions, extras: Mapping[str, Mapping[str, Any]]) -> Path:
    facts = {"Read as": result.read_as} | ({"Note": "; ".join(result.notes)} if result.notes else {})
    if options.alignment == "sclite":
        facts["Alignment"] = "by sclite's costs: 4 for a substitution, 3 for a deletion or insertion"
    header = ReportHeader(
        title=f"Errors of {options.hypotheses.name}",
        system=str(options.hypotheses),
        data=str(options.references),
        date=now(),
        facts=facts,
    )
    sections = []
    if result.keywords is not None:
        rows = [[escape(one) for one in row] for row in keyword_rows(result.keywords)]
        sections = [f"## Keywords\n\n{markdown_table(KEYWORD_HEADER, rows)}"]
    figures = {**result.figures, "alignment": options.alignment}
    files = write_report(
        folder, result.report, header, worst=options.worst, extras=extras, figures=figures, sections=sections
    )
    return files.page


def _timed_words(hypotheses: TextFile, normalizer: Normalizer) -> dict[tuple[str, str], list[TimedWord]]:
    """The normalised words with their times by recording and channel, for ctm.

    Raises ScoringError where two recordings would have one name there.
    """
    words: dict[tuple[str, str], list[TimedWord]] = {}
    for key, found in hypotheses.words.items():
        if hypotheses.marked and any(word.text.startswith("{ ") for word in found):
            return {}  # alternatives have no times of their own
        segment = hypotheses.segments.get(key)
        recording, channel = (segment.recording, segment.channel or "1") if segment else (key, "1")
        place = recording_name(recording), channel
        if place in words:
            raise ScoringError(f"ctm names recordings without their folders, and two would be {place[0]!r}; export trn")
        words[place] = [replace(word, text=piece) for word in found for piece in normalizer(word.text).split()]
    return words


def _read_as(references: TextFile, hypotheses: TextFile, matched: Matched) -> str:
    if references.format == "plain":
        return "plain text without ids: line n compared with line n"
    if references.format == hypotheses.format:
        return f"{references.format}, {matched.how}"
    return f"references {references.format}, hypotheses {hypotheses.format}, {matched.how}"
