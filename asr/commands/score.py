"""`asr score REFERENCES HYPOTHESES`: the error between any two files of texts.

In: two files or folders, in the formats that ASR tools write. Out: a short table on stdout and, with --out, the report
that `asr evaluate` writes too; with --export, the texts as another tool reads them. It needs neither model nor audio,
so it scores any system's output.
"""

import argparse
from pathlib import Path

from asr.commands.options import add_scoring, print_report, scoring_options, whole_number

_NAMES = ("auto", "kaldi", "jsonl", "trn", "stm", "ctm", "csv", "tsv", "plain", "whisper", "txt")
_EXPORTS = ("trn", "ctm", "kaldi", "nemo", "csv", "plain")
_FORMATS = """\
formats (--format; "auto" looks at what the files hold):
  kaldi    id, space, text                         utt-1 hello world
  jsonl    one object per line, ours or NeMo's     {"id": "utt-1", "text": "hello world"}
           (references: reference or text; hypotheses: hypothesis, pred_text or text)
  trn      text, then the id in parentheses        hello world (utt-1)
  stm      recording channel speaker start end [<labels>] text
  ctm      recording channel start duration word; assigned to the stm's segments by the middle of each word
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
    parser.add_argument("references", type=Path, metavar="REFERENCES", help="the reference texts: a file or a folder")
    parser.add_argument("hypotheses", type=Path, metavar="HYPOTHESES", help="a system's output: a file or a folder")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="write results.jsonl, summary.json, breakdown.json and report.md to this folder",
    )
    parser.add_argument(
        "--worst",
        type=whole_number,
        default=10,
        metavar="N",
        help="worst utterances shown with alignment (default: 10)",
    )
    add_scoring(parser)
    _add_reading(parser.add_argument_group("input formats"))
    parser.add_argument(
        "--alignment",
        choices=("fewest-errors", "sclite"),
        default="fewest-errors",
        help="how words are aligned: with the fewest errors, as jiwer does, or by sclite's costs (4 for a "
        "substitution, 3 for a deletion or insertion), which gives exactly its figures (default: fewest-errors)",
    )
    parser.add_argument(
        "--export", type=Path, metavar="DIR", help="write both sides, normalised, to this folder for another tool"
    )
    parser.add_argument(
        "--export-format",
        choices=_EXPORTS,
        default="trn",
        help="the format of --export (default: trn); ctm writes an stm for the references",
    )
    return parser


def run(arguments: list[str]) -> int:
    """Score two files; returns 0, or raises an AsrError: what is wrong with them, or the WER is above --fail-above."""
    found = build_parser().parse_args(arguments)
    scoring = scoring_options(found)
    from asr.scoring.markdown import counted
    from asr.scoring.output import check_gate
    from asr.scoring.score_files import ScoreOptions, score_files

    result = score_files(
        ScoreOptions(
            references=found.references,
            hypotheses=found.hypotheses,
            normalizer=scoring.normalizer,
            format_name=found.format_name,
            hypothesis_format=found.hypothesis_format,
            missing=found.missing,
            extra=found.extra,
            alignment=found.alignment,
            out=found.out,
            worst=found.worst,
            export=found.export,
            export_format=found.export_format,
        )
    )
    print_report(
        result.report,
        scoring.print_as,
        lead=f"{counted(len(result.report.utterances), 'utterance')} ({result.read_as})",
        notes=result.notes,
        figures=result.figures,
        page=result.page,
    )
    check_gate(result.report, scoring.fail_above)
    return 0


def _add_reading(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--format", dest="format_name", choices=_NAMES, default="auto", help="the format of both files (default: auto)"
    )
    group.add_argument(
        "--hypothesis-format", choices=_NAMES, help="the format of the hypotheses, if it differs from --format"
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
