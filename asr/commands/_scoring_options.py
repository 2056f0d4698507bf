"""What `asr score` and `asr evaluate` share on the command line: the normaliser, the form of the result, the gate.

In: parsed options and a ``ScoreReport``. Out: the normaliser that was asked for; the report on stdout; a refusal (exit
code 1) where the WER is above --fail-above.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.commands._arguments import number
from asr.text.normalize import NORMALIZERS, Normalizer, get_normalizer

if TYPE_CHECKING:
    from asr.scoring import ScoreReport

PRINTS = ("table", "line", "json", "csv")


def add_scoring(parser: argparse.ArgumentParser) -> None:
    """Add --normalizer, --glm, --print and the gate."""
    parser.add_argument(
        "--normalizer", choices=NORMALIZERS, default="basic", help="what counts as the same text (default: basic)"
    )
    parser.add_argument(
        "--glm",
        type=Path,
        metavar="FILE",
        help="replacements of your own for both texts, after the normaliser: OLD => NEW a line, or two columns",
    )
    parser.add_argument(
        "--print",
        dest="print_as",
        choices=PRINTS,
        default="table",
        help="the form of the result on stdout; line: wer=8.44 low=6.10 high=11.02 cer=3.10 s=12 ... (default: table)",
    )
    add_gate(parser)


def add_gate(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add --fail-above; ``asr.scoring.brief.check_gate`` is its rule."""
    parser.add_argument(
        "--fail-above", type=_percent, metavar="WER", help="exit with 1 where the WER in percent is above this"
    )


def chosen_normalizer(options: argparse.Namespace) -> Normalizer:
    """The normaliser of ``add_scoring``'s options; raises DataError where the replacements have faults."""
    normalizer = get_normalizer(options.normalizer)
    if options.glm is None:
        return normalizer
    from asr.text.glm import with_replacements

    return with_replacements(normalizer, options.glm)


def print_report(
    report: "ScoreReport",
    options: argparse.Namespace,
    *,
    lead: str,
    notes: Sequence[str] = (),
    measures: Mapping[str, Any] | None = None,
    page: Path | None = None,
) -> None:
    """The result on stdout; in a form for scripts nothing but it, and what a person should know goes to stderr."""
    from asr.scoring.brief import RENDERERS
    from asr.scoring.output import SUMMARY_HEADER, summary_notes, summary_rows
    from asr.terminal import table

    aside = sys.stdout if options.print_as == "table" else sys.stderr
    if options.print_as == "table":
        print(lead)
        print(table(summary_rows(report), SUMMARY_HEADER))
    else:
        print(RENDERERS[options.print_as](report, measures or {}))
    for note in [*summary_notes(report), *notes]:
        print(f"note: {note}", file=aside)
    if page is not None:
        print(f"report: {page}", file=aside)


def check_gate(report: "ScoreReport", options: argparse.Namespace) -> None:
    """Raise ScoringError (exit code 1) where the WER is above --fail-above: the last thing a command does."""
    from asr.scoring import brief

    brief.check_gate(report, options.fail_above)


def _percent(text: str) -> float:
    value = number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be at least 0 percent")
    return value
