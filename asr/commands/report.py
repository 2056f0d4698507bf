"""`asr report RESULTS... --html FILE`: errors as a page to read and hear, as Markdown, JSON, CSV, and in one line.

In: results.jsonl files (or the folders that hold them), one a system, all of one test set. Out: the files asked for,
and a line a system on stdout. `--fail-above WER` makes it a quality gate: exit code 1 where a WER is higher.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands._arguments import whole_number
from asr.commands._scoring_options import add_gate
from asr.errors import DataError, ScoringError, UsageError

if TYPE_CHECKING:
    from asr.pages import PageData

BESIDE = Path("report.html")  # --html without a file


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr report`."""
    parser = argparse.ArgumentParser(
        prog="asr report", description="Show the errors in results.jsonl files; several are set side by side."
    )
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="RESULTS",
        help="results.jsonl of asr evaluate or asr score, or its folder; or a training's run folder: its curves",
    )
    outputs = parser.add_argument_group("what to write")
    outputs.add_argument(
        "--html", type=Path, nargs="?", const=BESIDE, metavar="FILE",
        help="a page that opens from disk (without FILE: report.html beside the results)",
    )  # fmt: skip
    outputs.add_argument("--markdown", type=Path, metavar="FILE", help="the report as Markdown")
    outputs.add_argument("--json", type=Path, metavar="FILE", help="the figures, with intervals, as JSON")
    outputs.add_argument("--csv", type=Path, metavar="FILE", help="a row per utterance")
    outputs.add_argument("--title", metavar="TEXT", help="the page's title")
    outputs.add_argument(
        "--name", action="append", default=[], metavar="NAME", help="what to call a system; once for each, in order"
    )
    outputs.add_argument("--worst", type=whole_number, default=10, metavar="N", help="alignments in --markdown (10)")
    add_gate(outputs)
    outputs.add_argument(
        "--against", type=Path, metavar="RUN_DIR", help="draw this other training run's curves over those of RUN_DIR"
    )
    sound = parser.add_argument_group("sound in the page")
    sound.add_argument(
        "--audio", choices=("embed", "link", "none"),
        help="carry recordings, link to the files where they lie, or neither (default: embed where they are known)",
    )  # fmt: skip
    sound.add_argument("--manifest", type=Path, metavar="FILE", help="where the recordings are, if results do not say")
    sound.add_argument(
        "--clips", type=whole_number, default=40, metavar="N",
        help="utterances with sound and spectrogram: the N worst, and a quarter as many at random (default: 40)",
    )  # fmt: skip
    sound.add_argument("--model", type=Path, metavar="MODEL", help="show what this model hears: its CTC posteriors")
    sound.add_argument("--device", default="auto", help="where the model runs: auto, cpu, cuda (default: auto)")
    return parser


def run(arguments: list[str]) -> int:
    """Report; returns 0. Raises an AsrError for what cannot be read or written, or where --fail-above says so."""
    options = build_parser().parse_args(arguments)
    kinds = {_kind(path) for path in options.inputs}
    if kinds == {"results"}:
        if options.against is not None:
            raise UsageError("--against compares training runs; results to compare are given one after the other")
        return _report_results(options)
    if kinds == {"run"}:
        from asr.commands._report_run import report_run

        return report_run(options, BESIDE)
    raise UsageError("give results.jsonl files, or one run folder, not both at once")


def _kind(path: Path) -> str:
    """What an input is: "results" (the file, or a folder with one) or "run" (the folder of a training)."""
    if path.is_dir():
        if (path / "results.jsonl").is_file():
            return "results"
        if (path / "metrics.jsonl").is_file():
            return "run"
        raise DataError(f"{path}: holds neither results.jsonl (asr evaluate, asr score) nor a training's metrics.jsonl")
    return "results"


def _report_results(options: argparse.Namespace) -> int:
    from asr.commands import _report_input as given
    from asr.pages import assemble

    _check_outputs(options)
    systems = given.load_systems(options.inputs, options.name)
    page = assemble(systems, title=options.title or given.default_title(systems))
    if options.html is not None:
        page = given.with_sound(page, options)
    _write(page, options)
    _print_lines(page)
    _check_gate(page, options.fail_above)
    return 0


def _check_outputs(options: argparse.Namespace) -> None:
    if len(options.name) > len(options.inputs):
        raise UsageError(f"--name is given {len(options.name)} times for {len(options.inputs)} results")
    if options.html == BESIDE:
        first: Path = options.inputs[0]
        options.html = (first if first.is_dir() else first.parent) / BESIDE
    inputs = {one.resolve() for path in options.inputs for one in (path, path / "results.jsonl")}
    written = [path for path in (options.html, options.markdown, options.json, options.csv) if path is not None]
    for path in written:
        if path.is_dir():
            raise UsageError(f"{path} is a folder; give a file")
        if path.resolve() in inputs:
            raise UsageError(f"{path} is being read and cannot be written; give another file")
    if len({path.resolve() for path in written}) < len(written):
        raise UsageError("two outputs have the same file; give each its own")


def _write(page: "PageData", options: argparse.Namespace) -> None:
    from asr.files import write_text
    from asr.pages import exports, render_report

    for path, render in (
        (options.json, exports.render_json_report),
        (options.csv, exports.render_csv_report),
        (options.markdown, lambda one: exports.render_markdown_report(one, worst=options.worst)),
        (options.html, render_report),
    ):
        if path is not None:
            write_text(path, render(page).encode("utf-8", "replace").decode("utf-8"))
            print(f"{path}: {path.stat().st_size / 1e6:.2f} MB", file=sys.stderr)


def _print_lines(page: "PageData") -> None:
    from asr.pages import exports

    for system in page.systems:
        print(exports.line(page, system))


def _check_gate(page: "PageData", limit_percent: float | None) -> None:
    """Raise ScoringError (exit code 1) that names each system whose WER is above --fail-above."""
    from asr.scoring.brief import check_gate

    failed = []
    for system in page.systems:
        try:
            check_gate(system.results.report, limit_percent)
        except ScoringError as error:
            failed.append(f"{system.name}: {error}" if len(page.systems) > 1 else str(error))
    if failed:
        raise ScoringError("; ".join(failed))
