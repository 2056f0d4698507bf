"""`asr report RESULTS... --html FILE`: errors as a page to read and hear, as Markdown, JSON, CSV, and in one line.

In: results.jsonl files (or the folders that hold them), one a system, all of one test set. Out: the files asked for,
and a line a system on stdout. `--fail-above WER` makes it a quality gate: exit code 1 where a WER is higher.

`asr report RUN_DIR`: a training as a page, alone or over another one, and in a line.

In: the options of `asr report`. Out: the page where one is asked for, and a line a run on stdout.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.options import add_gate, whole_number
from asr.errors import DataError, ScoringError, UsageError
from asr.pages.run_data import READ_FILES, RunData, load_run

if TYPE_CHECKING:
    from asr.pages import PageData


def report_run(options: argparse.Namespace, beside: Path) -> int:
    """Print a line for each run and write the page where one is asked for.

    ``beside``: what --html is without a FILE: a name in the run's folder.
    """
    folders = _folders(options)
    runs = [load_run(folder, name) for folder, name in zip(folders, _names(folders, options.name), strict=True)]
    if options.html is not None:
        from asr.files import write_text
        from asr.pages.run import render_run

        title = options.title or " and ".join(
            f"Training {run.name}" if n == 0 else run.name for n, run in enumerate(runs)
        )
        page = _page_path(options.html, beside, folders)
        write_text(page, render_run(runs, title))
    for run in runs:
        print(_line(run))
    return 0


def _folders(options: argparse.Namespace) -> list[Path]:
    given: list[Path] = options.inputs
    if len(given) > 1:
        raise UsageError("give one run folder; another to compare it with goes after --against")
    for name in ("markdown", "json", "csv", "fail_above", "audio", "manifest", "model"):
        if getattr(options, name) is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} is for results.jsonl files; of a training run there is --html"
            )
    other: Path | None = options.against
    if other is None:
        return given
    if not (other / "metrics.jsonl").is_file():
        raise DataError(f"{other}: not the folder of a training run (no metrics.jsonl); --against takes such a folder")
    return [*given, other]


def _names(folders: Sequence[Path], chosen: Sequence[str]) -> list[str]:
    """The given names, then those of the folders, with as many of their parents as tell them apart."""
    if len(chosen) > len(folders):
        raise UsageError(f"--name is given {len(chosen)} times for {len(folders)} runs")
    parts = [folder.resolve().parts for folder in folders]
    least = 2 if any(one[-1] == "run" for one in parts) else 1  # "demo/run" says more than "run"
    names = ["/".join(one) for one in parts]
    for count in range(least, max(map(len, parts)) + 1):
        names = ["/".join(one[-count:]) for one in parts]
        if len(set(names)) == len(names):
            break
    return [*chosen, *names[len(chosen) :]]


def _page_path(html: Path, beside: Path, folders: Sequence[Path]) -> Path:
    path = folders[0] / html if html == beside else html
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give a file")
    if path.resolve() in {(folder / name).resolve() for folder in folders for name in READ_FILES}:
        raise UsageError(f"{path} is being read and cannot be written; give another file")
    return path


def _line(run: RunData) -> str:
    last = [*run.steps[-1:], *run.epochs[-1:]]
    step = max(one["step"] for one in last)
    parts = [f"run={run.name}", f"epoch={max(one['epoch'] for one in last)}", f"step={step}"]
    if run.best is not None:
        best = run.best
        parts += [f"best_epoch={best['epoch']}", f"dev_wer={100 * best['dev_wer']:.4f}"]
    if run.average is not None:
        parts += [f"averaged_epochs={run.average[0]}", f"average_dev_wer={100 * run.average[1]:.4f}"]
    return " ".join(parts)


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
    from asr.pages import assemble
    from asr.pages import inputs as given

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
    from asr.scoring.output import check_gate

    failed = []
    for system in page.systems:
        try:
            check_gate(system.results.report, limit_percent)
        except ScoringError as error:
            failed.append(f"{system.name}: {error}" if len(page.systems) > 1 else str(error))
    if failed:
        raise ScoringError("; ".join(failed))
