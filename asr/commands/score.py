"""`asr score REFERENCES HYPOTHESES`: the error between any two files of texts.

In: two files (Kaldi text, JSON Lines, trn, or plain lines). Out: a short table on stdout and, with --out, the report
that `asr evaluate` writes too. Needs no model and no audio: it serves whoever has another system's output.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands._arguments import whole_number
from asr.text.normalize import NORMALIZERS, get_normalizer

if TYPE_CHECKING:
    from asr.scoring import TextFile

_FORMATS = """\
formats (--format; "auto" looks at what the files hold):
  kaldi   id, space, text                         utt-1 hello world
  jsonl   an object a line                        {"id": "utt-1", "text": "hello world"}
          (references: reference or text; hypotheses: hypothesis, pred_text or text)
  trn     text, then the id in parentheses        hello world (utt-1)
  plain   text alone, line n against line n       hello world
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr score`."""
    parser = argparse.ArgumentParser(
        prog="asr score",
        description="Report WER and CER between references and hypotheses.",
        epilog=_FORMATS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("references", type=Path, metavar="REFERENCES", help="what was said")
    parser.add_argument("hypotheses", type=Path, metavar="HYPOTHESES", help="what a system recognised")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write results.jsonl, summary.json and report.md there")
    parser.add_argument(
        "--normalizer", choices=NORMALIZERS, default="basic", help="what counts as the same text (default: basic)"
    )
    parser.add_argument(
        "--worst", type=whole_number, default=10, metavar="N", help="utterances shown with alignment (default: 10)"
    )
    parser.add_argument(
        "--format",
        dest="format_name",
        choices=("auto", "kaldi", "jsonl", "trn", "plain"),
        default="auto",
        help="how to read both files (default: auto)",
    )
    return parser


def run(arguments: list[str]) -> int:
    """Score two files; returns 0, or raises an AsrError saying what is wrong with them."""
    options = build_parser().parse_args(arguments)
    from asr.scoring import read_pair, score_texts
    from asr.scoring.markdown import counted
    from asr.scoring.output import SUMMARY_HEADER, prepare_folder, summary_notes, summary_rows
    from asr.terminal import table

    references, hypotheses = read_pair(options.references, options.hypotheses, format_name=options.format_name)
    if options.out is not None:
        prepare_folder(options.out, options.references, options.hypotheses)
    report = score_texts(
        references.texts,
        hypotheses.texts,
        normalizer=get_normalizer(options.normalizer),
        speakers=hypotheses.speakers | references.speakers,
        durations_s=hypotheses.durations_s | references.durations_s,
    )
    print(f"{counted(len(report.utterances), 'utterance')} ({_read_as(references, hypotheses)})")
    print(table(summary_rows(report), SUMMARY_HEADER))
    for note in summary_notes(report):
        print(f"note: {note}")
    if options.out is not None:
        from asr.scoring import ReportHeader, write_report
        from asr.scoring.output import now

        header = ReportHeader(
            title=f"Errors of {options.hypotheses.name}",
            system=str(options.hypotheses),
            data=str(options.references),
            date=now(),
            facts={"Read as": _read_as(references, hypotheses)},
        )
        print(f"report: {write_report(options.out, report, header, worst=options.worst).page}")
    return 0


def _read_as(references: "TextFile", hypotheses: "TextFile") -> str:
    if references.format == "plain":
        return "plain text without ids: line n compared with line n"
    if references.format == hypotheses.format:
        return f"{references.format}, matched by id"
    return f"references {references.format}, hypotheses {hypotheses.format}, matched by id"
