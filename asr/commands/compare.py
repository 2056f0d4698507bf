"""`asr compare A B [C...]`: is one system better than another on the same test set, and in what?

In: results.jsonl files, or folders that hold one, as `asr evaluate` and `asr score` write them. Out: rates with
intervals, a verdict for each pair and the tests on stdout; with --out compare.md and compare.json, which also show the
differences by word, speaker, length, any field, and utterance.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.options import whole_number
from asr.commands.parser import Parser
from asr.errors import UsageError
from asr.text.normalize import NORMALIZERS, get_normalizer

if TYPE_CHECKING:
    from asr.scoring.compare_files import FileComparison


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr compare`."""
    parser = Parser(
        prog="asr compare",
        description="Compare systems on the same utterances: which is better, how significantly, and where they "
        "differ.",
        epilog="Score another system's output first: `asr score REFERENCES HYPOTHESES --out DIR`. Which system is "
        "better is decided by a paired bootstrap of the WER, over speakers if at least 6 are known, else over "
        "utterances.",
    )
    parser.add_argument(
        "results", nargs="+", metavar="[NAME=]RESULTS", help="a results.jsonl, or a folder that holds one"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write compare.md and compare.json to this folder")
    parser.add_argument(
        "--normalizer", choices=NORMALIZERS, help="score all results again with it (default: as they were scored)"
    )
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="FIELD",
        help="also compare by this field of the results or the manifest; may be repeated",
    )
    parser.add_argument(
        "--manifest", type=Path, metavar="MANIFEST", help="a manifest with the --by fields that are not in the results"
    )
    parser.add_argument(
        "--most",
        type=whole_number,
        default=10,
        metavar="N",
        help="utterances that differ most, shown with alignments (default: 10)",
    )
    return parser


def run(arguments: list[str]) -> int:
    """Compare; returns 0, or raises an AsrError that says what does not fit together."""
    found = build_parser().parse_args(arguments)
    if len(found.results) < 2:
        raise UsageError("asr compare needs the results of two systems: asr compare A B")
    from asr.scoring.compare_files import CompareOptions, compare_files, named_results

    options = CompareOptions(
        systems=named_results(found.results),
        normalizer=None if found.normalizer is None else get_normalizer(found.normalizer),
        fields=tuple(found.by),
        manifest=found.manifest,
        out=found.out,
        most=found.most,
    )
    _print(compare_files(options), options.fields)
    return 0


def _print(result: "FileComparison", fields: tuple[str, ...]) -> None:
    from asr.scoring.compare_output import (
        SYSTEM_HEADER,
        TEST_HEADER,
        group_header,
        group_row,
        rows_of_tests,
        scope_sentence,
        settling_sentence,
        system_rows,
        verdict_sentence,
    )
    from asr.scoring.markdown import counted
    from asr.terminal import styled, table

    comparison = result.comparison
    label = comparison.systems[0].report.normalizer
    print(f"{counted(len(comparison.utterances), 'utterance')}, compared as {label}")
    print(table(system_rows(comparison), SYSTEM_HEADER))
    for pair, differences in zip(comparison.pairs, result.differences, strict=True):
        print(f"\n{styled(verdict_sentence(comparison, pair), 'bold')}.")
        if more := settling_sentence(comparison, pair):
            print(f"{more}.")
        rows = [[f"  {name}", *others] for name, *others in rows_of_tests(pair)]
        print(table(rows, (f"  {TEST_HEADER[0]}", *TEST_HEADER[1:])))
        for name in fields:
            print(table(list(map(group_row, differences.groups[name])), group_header(pair, name)))
    if note := scope_sentence(comparison):
        print(f"note: {note}")
    if result.page is not None:
        print(f"report: {result.page}")
    else:
        print("--out DIR writes the differences by word, speaker, length and utterance")
