"""`asr score REFERENCES HYPOTHESES`: the error between any two files of texts.

In: two files or folders, in the formats that ASR tools write. Out: a short table on stdout and, with --out, the report
that `asr evaluate` writes too; with --export, the texts as another tool reads them. Needs no model and no audio: it
serves whoever has another system's output.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.commands.options import add_scoring, check_gate, chosen_normalizer, print_report, whole_number
from asr.text.normalize import Normalizer

if TYPE_CHECKING:
    from asr.scoring import ScoreReport, TextFile
    from asr.scoring.match import Matched

_NAMES = ("auto", "kaldi", "jsonl", "trn", "stm", "ctm", "csv", "tsv", "plain", "whisper", "txt")
_EXPORTS = ("trn", "ctm", "kaldi", "nemo", "csv", "plain")
_FORMATS = """\
formats (--format; "auto" looks at what the files hold):
  kaldi    id, space, text                         utt-1 hello world
  jsonl    an object a line, ours or NeMo's        {"id": "utt-1", "text": "hello world"}
           (references: reference or text; hypotheses: hypothesis, pred_text or text)
  trn      text, then the id in parentheses        hello world (utt-1)
  stm      recording channel speaker start end [<labels>] text
  ctm      recording channel start duration word: goes to the stm's segments by the middle of each word
  csv, tsv with a header that names the columns    id,text
  plain    text alone, line n against line n       hello world
  whisper  JSON of whisper, OpenAI's verbose_json or `asr transcribe`: a file, or a folder of them; id: the file's name
  txt      a folder with a .txt for each recording; id: the file's name
In trn and stm references { a / b / @ } are alternatives and (uh) may be left out, as for sclite -D.
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr score`."""
    parser = argparse.ArgumentParser(
        prog="asr score",
        description="Report WER and CER between references and hypotheses.",
        epilog=_FORMATS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("references", type=Path, metavar="REFERENCES", help="what was said: a file or a folder")
    parser.add_argument("hypotheses", type=Path, metavar="HYPOTHESES", help="what a system recognised")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write results.jsonl, summary.json and report.md there")
    parser.add_argument(
        "--worst", type=whole_number, default=10, metavar="N", help="utterances shown with alignment (default: 10)"
    )
    add_scoring(parser)
    _add_reading(parser.add_argument_group("reading"))
    parser.add_argument(
        "--alignment",
        choices=("fewest-errors", "sclite"),
        default="fewest-errors",
        help="how words are aligned: with the fewest errors, as jiwer does, or by sclite's costs (4 for a "
        "substitution, 3 for a deletion or insertion), which gives its figures to the last error",
    )
    parser.add_argument("--export", type=Path, metavar="DIR", help="write both sides there, as compared")
    parser.add_argument(
        "--export-format", choices=_EXPORTS, default="trn", help="the format of --export; ctm comes with an stm"
    )
    return parser


def run(arguments: list[str]) -> int:
    """Score two files; returns 0, or raises an AsrError saying what is wrong with them or that the gate is shut."""
    options = build_parser().parse_args(arguments)
    normalizer = chosen_normalizer(options)
    from asr.scoring import read_pair, score_texts
    from asr.scoring.counts import count_words
    from asr.scoring.markdown import counted
    from asr.scoring.match import match
    from asr.scoring.sclite import choose_alternatives, count_words_as_sclite

    references, hypotheses = read_pair(
        options.references,
        options.hypotheses,
        format_name=options.format_name,
        hypothesis_format=options.hypothesis_format,
    )
    _prepare_folders(options)
    matched = match(references, hypotheses, missing=options.missing, extra=options.extra)
    said, notes = matched.references, matched.notes()
    if references.marked:
        said, marked = choose_alternatives(said, matched.hypotheses, normalizer)
        if marked:
            notes.append(f"{counted(marked, 'reference')} with alternatives: by sclite's costs the nearest counts")
    report = score_texts(
        said,
        matched.hypotheses,
        normalizer=normalizer,
        speakers=matched.recognised.speakers | references.speakers,
        durations_s=matched.recognised.durations_s | references.durations_s,
        count=count_words_as_sclite if options.alignment == "sclite" else count_words,
    )
    facts = {"Read as": _read_as(references, hypotheses, matched)} | ({"Note": "; ".join(notes)} if notes else {})
    extras = _extras(references, matched, report, normalizer)
    page = None if options.out is None else _write(report, options, matched, facts, extras)
    lead = f"{counted(len(report.utterances), 'utterance')} ({facts['Read as']})"
    print_report(report, options, lead=lead, notes=notes, measures=matched.measures(), page=page)
    if options.export is not None:
        _export(report, options, references, hypotheses, normalizer)
    check_gate(report, options)
    return 0


def _add_reading(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--format", dest="format_name", choices=_NAMES, default="auto", help="how to read both files (default: auto)"
    )
    group.add_argument(
        "--hypothesis-format", choices=_NAMES, help="how to read the hypotheses, where it is not as --format says"
    )
    group.add_argument(
        "--missing",
        choices=("error", "as-deletions", "skip"),
        default="error",
        help="what to do with references that have no hypothesis (default: error); the report says how many",
    )
    group.add_argument(
        "--extra",
        choices=("error", "skip"),
        default="error",
        help="what to do with hypotheses that have no reference (default: error)",
    )


def _prepare_folders(options: argparse.Namespace) -> None:
    from asr.scoring.export import FILES
    from asr.scoring.output import prepare_folder

    inputs = options.references, options.hypotheses
    if options.out is not None:
        prepare_folder(options.out, *inputs)
    if options.export is not None:
        prepare_folder(options.export, *inputs, option="--export", names=FILES[options.export_format])


def _extras(
    references: "TextFile", matched: "Matched", report: "ScoreReport", normalizer: Normalizer
) -> dict[str, dict[str, Any]]:
    """What both files tell of each utterance besides its texts: fields to group by, sound, words and n-best, judged."""
    from asr.scoring.describe import add_outcomes

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
    report: "ScoreReport",
    options: argparse.Namespace,
    matched: "Matched",
    facts: Mapping[str, str],
    extras: Mapping[str, Mapping[str, Any]],
) -> Path:
    from asr.scoring import ReportHeader, write_report
    from asr.scoring.output import now

    more = {"Alignment": "by sclite's costs: 4 for a substitution, 3 for a deletion or insertion"}
    header = ReportHeader(
        title=f"Errors of {options.hypotheses.name}",
        system=str(options.hypotheses),
        data=str(options.references),
        date=now(),
        facts=dict(facts) | (more if options.alignment == "sclite" else {}),
    )
    measures: dict[str, Any] = matched.measures() | {"alignment": options.alignment}
    files = write_report(options.out, report, header, worst=options.worst, extras=extras, measures=measures)
    return files.page


def _export(
    report: "ScoreReport",
    options: argparse.Namespace,
    references: "TextFile",
    hypotheses: "TextFile",
    normalizer: Normalizer,
) -> None:
    from asr.scoring.export import Timing, export, recording_name

    words = {}
    for key, found in hypotheses.words.items():
        told = hypotheses.segments.get(key)
        place = (told.recording, told.channel or "1") if told else (key, "1")
        words[recording_name(place[0]), place[1]] = [
            replace(word, text=piece) for word in found for piece in normalizer(word.text).split()
        ]
    export(options.export, options.export_format, report, Timing(segments=references.segments, words=words))


def _read_as(references: "TextFile", hypotheses: "TextFile", matched: "Matched") -> str:
    if references.format == "plain":
        return "plain text without ids: line n compared with line n"
    if references.format == hypotheses.format:
        return f"{references.format}, {matched.how}"
    return f"references {references.format}, hypotheses {hypotheses.format}, {matched.how}"
