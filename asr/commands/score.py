"""`asr score REFERENCES HYPOTHESES`: the error between any two files of texts.

In: two files or folders, in the formats that ASR tools write. Out: a short table on stdout and, with --out, the report
that `asr evaluate` writes too; with --export, the texts as another tool reads them. It needs neither model nor audio,
so it scores any system's output.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.options import ScoringOptions, add_scoring, print_report, scoring_options, seconds, whole_number
from asr.commands.parser import Parser
from asr.errors import UsageError

if TYPE_CHECKING:
    from asr.scoring.breakdown import TokenErrors
    from asr.scoring.score_files import ScoreOptions

_NAMES = ("auto", "kaldi", "jsonl", "trn", "stm", "ctm", "seglst", "csv", "tsv", "plain", "whisper", "txt")
_EXPORTS = ("trn", "ctm", "kaldi", "nemo", "csv", "plain")
_FORMATS = """\
formats (--format; "auto" goes by the files' endings and contents, and asks where these leave a choice):
  kaldi    id, space, text                         utt-1 hello world
  jsonl    one object per line, ours or NeMo's     {"id": "utt-1", "text": "hello world"}
           (references: reference or text; hypotheses: hypothesis, pred_text or text)
  trn      text, then the id in parentheses        hello world (utt-1)
  stm      recording channel speaker start end [<labels>] text
  ctm      recording channel start duration word; assigned to the stm's segments by the middle of each word
  seglst   MeetEval's JSON list of segments        [{"session_id": ..., "speaker": ..., "words": ...}, ...]
  csv, tsv with a header that names the columns    id,text
  plain    text alone, line n against line n       hello world
  whisper  JSON of whisper, OpenAI's verbose_json or `asr transcribe`: a file, or a folder of them; id: the file's name
  txt      a folder with a .txt for each recording; id: the file's name
In trn and stm { a / b / @ } are alternatives, as are <ALT_BEGIN> ... <ALT_END> in ctm; (uh) may be left out and counts
as right then, as for sclite -D (--optional-words).
"""
_SHOWN_KEYWORDS = 20


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr score`."""
    parser = Parser(
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
        "--keywords",
        type=Path,
        metavar="FILE",
        help="words and phrases, one a line: adds their recall and precision, together and of each",
    )
    parser.add_argument(
        "--conversation",
        action="store_true",
        help="cpWER and tcpWER of recordings with several speakers (stm or seglst; needs the extra [meeteval])",
    )
    parser.add_argument(
        "--collar", type=seconds, metavar="SECONDS", help="how far a word may be off in tcpWER (default: 5)"
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
    if found.collar is not None and not found.conversation:
        raise UsageError("--collar belongs to --conversation")
    from asr.scoring.markdown import counted
    from asr.scoring.output import check_gate
    from asr.scoring.score_files import ScoreOptions, score_files

    options = ScoreOptions(
        references=found.references,
        hypotheses=found.hypotheses,
        normalizer=scoring.normalizer,
        format_name=found.format_name,
        hypothesis_format=found.hypothesis_format,
        missing=found.missing,
        extra=found.extra,
        ignore_id_case=found.ignore_id_case,
        reduce=found.reduce,
        optional_words=found.optional_words == "may-be-left-out",
        keywords=found.keywords,
        alignment=found.alignment,
        out=found.out,
        worst=found.worst,
        export=found.export,
        export_format=found.export_format,
    )
    if found.conversation:
        _score_conversations(found, options, scoring)
        return 0
    result = score_files(options)
    print_report(
        result.report,
        scoring.print_as,
        lead=f"{counted(len(result.report.utterances), 'utterance')} ({result.read_as})",
        notes=result.notes,
        figures=result.figures,
        page=result.page,
    )
    if result.keywords is not None and scoring.print_as == "table":
        _print_keywords(result.keywords)
    check_gate(result.report, scoring.fail_above)
    return 0


def _print_keywords(found: "Sequence[TokenErrors]") -> None:
    from asr.scoring.breakdown.tokens import KEYWORD_HEADER, keyword_rows
    from asr.terminal import table

    print(table(keyword_rows(found)[: _SHOWN_KEYWORDS + 1], KEYWORD_HEADER))
    if len(found) > _SHOWN_KEYWORDS:
        print(f"… and {len(found) - _SHOWN_KEYWORDS:,} more keywords, in the report (--out) and with --print json")


def _score_conversations(found: argparse.Namespace, options: "ScoreOptions", scoring: ScoringOptions) -> None:
    ordinary = build_parser().parse_args([str(found.references), str(found.hypotheses)])
    for name in ("keywords", "export", "ignore_id_case", "alignment", "reduce", "optional_words", "worst"):
        if getattr(found, name) != getattr(ordinary, name):
            raise UsageError(f"--conversation does not take --{name.replace('_', '-')}; leave it out")
    from asr.scoring.conversation import COLLAR_S, TABLE_HEADER, render_line, score_conversations
    from asr.scoring.markdown import counted
    from asr.scoring.output import check_rate
    from asr.terminal import table

    if scoring.print_as == "csv":
        raise UsageError("--conversation prints a table, a line or json, not csv")
    score = score_conversations(options, COLLAR_S if found.collar is None else found.collar)
    if scoring.print_as == "json":
        print(json.dumps(score.figures(), indent=2, ensure_ascii=False))
    elif scoring.print_as == "line":
        print(render_line(score))
    else:
        read_as = " and ".join(score.formats.values())
        print(f"{counted(len(score.speakers), 'recording')} ({read_as}), compared as {score.normalizer}")
        print(table(score.rows(), TABLE_HEADER))
    aside = sys.stdout if scoring.print_as == "table" else sys.stderr
    for note in score.notes:
        print(f"note: {note}", file=aside)
    if score.page is not None:
        print(f"report: {score.page}", file=aside)
    check_rate(score.total("cpwer"), scoring.fail_above, "cpWER")


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
    group.add_argument(
        "--ignore-id-case", action="store_true", help="match ids and names of recordings without regard to case"
    )
    group.add_argument(
        "--reduce",
        choices=("nothing", "references", "hypotheses", "both"),
        default="nothing",
        help="leave out segments, or recognised words, outside the time that the other side covers, as sclite -m does "
        "(default: nothing)",
    )
    group.add_argument(
        "--optional-words",
        choices=("may-be-left-out", "ordinary"),
        default="may-be-left-out",
        help="(uh) in trn, stm and ctm: right also where it is left out, or a word like others "
        "(default: may-be-left-out)",
    )
