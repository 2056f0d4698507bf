"""`asr report`: results.jsonl files or a training run as a page, and a line for each on stdout.

`asr report RESULTS...`: results.jsonl files (or the folders that hold them), one a system, all of one test set, as an
HTML page with audio, as Markdown, JSON or CSV. `--fail-above WER` gives exit code 1 where a WER is higher.

`asr report RUN_DIR`: the curves and settings of a training run, alone or compared with another one (`--against`).
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands.options import add_gate, whole_number
from asr.commands.parser import Parser
from asr.errors import DataError, ScoringError, UsageError
from asr.files import check_output_file
from asr.pages.run_data import READ_FILES, RunData, load_run
from asr.shipped import model_directory

if TYPE_CHECKING:
    from asr.pages import PageData

BESIDE = Path("report.html")  # --html without a FILE: this name, next to the results or in the run's folder
_RESULTS_ONLY = ("markdown", "json", "csv", "fail_above", "audio", "manifest", "model")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """The arguments of `asr report`."""

    inputs: list[Path]
    html: Path | None
    markdown: Path | None
    json: Path | None
    csv: Path | None
    title: str | None
    name: list[str]
    worst: int
    fail_above: float | None
    against: Path | None
    audio: str | None
    manifest: Path | None
    clips: int
    model: Path | None
    device: str


def build_parser() -> argparse.ArgumentParser:
    """The arguments of `asr report`."""
    parser = Parser(
        prog="asr report",
        description="Show the errors in results.jsonl files, several side by side; or the curves of a training run.",
    )
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="RESULTS",
        help="results.jsonl of asr evaluate or asr score, or its folder; or the run folder of a training",
    )
    outputs = parser.add_argument_group("outputs")
    outputs.add_argument(
        "--html", type=Path, nargs="?", const=BESIDE, metavar="FILE",
        help="an HTML page that opens from disk (without FILE: report.html next to the results)",
    )  # fmt: skip
    outputs.add_argument("--markdown", type=Path, metavar="FILE", help="the report as Markdown")
    outputs.add_argument("--json", type=Path, metavar="FILE", help="the figures, with intervals, as JSON")
    outputs.add_argument("--csv", type=Path, metavar="FILE", help="a row per utterance")
    outputs.add_argument("--title", metavar="TEXT", help="the page's title")
    outputs.add_argument(
        "--name", action="append", default=[], metavar="NAME", help="the name of a system; once for each, in order"
    )
    outputs.add_argument(
        "--worst",
        type=whole_number,
        default=10,
        metavar="N",
        help="how many of the worst utterances --markdown shows (default: 10)",
    )
    add_gate(outputs)
    outputs.add_argument(
        "--against",
        type=Path,
        metavar="RUN_DIR",
        help="compare with this other training run: its curves over those of RUN_DIR",
    )
    sound = parser.add_argument_group("audio in the page")
    sound.add_argument(
        "--audio", choices=("embed", "link", "none"),
        help="embed recordings, link to their files, or neither (default: embed if their files are known)",
    )  # fmt: skip
    sound.add_argument(
        "--manifest",
        type=Path,
        metavar="FILE",
        help="the manifest of the recordings, if the results do not name their files",
    )
    sound.add_argument(
        "--clips", type=whole_number, default=40, metavar="N",
        help="utterances with audio and spectrogram: the N worst, and N/4 others at random (default: 40)",
    )  # fmt: skip
    sound.add_argument(
        "--model", type=model_directory, metavar="MODEL", help="also show the CTC posteriors of this model"
    )
    sound.add_argument("--device", default="auto", help="where the model runs: auto, cpu, cuda (default: auto)")
    return parser


def run(arguments: list[str]) -> int:
    """Report; returns 0. Raises an AsrError for what cannot be read or written, or where --fail-above says so."""
    options = ReportOptions(**vars(build_parser().parse_args(arguments)))
    kinds = {_kind(path) for path in options.inputs}
    if kinds == {"results"}:
        if options.against is not None:
            raise UsageError("--against compares training runs; to compare results, give them one after the other")
        return _report_results(options)
    if kinds == {"run"}:
        return _report_run(options)
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


def _report_results(options: ReportOptions) -> int:
    from asr.pages import assemble
    from asr.pages.report_input import SoundOptions, default_title, load_systems, with_sound

    options = _with_checked_outputs(options)
    systems = load_systems(options.inputs, options.name)
    page = assemble(systems, title=options.title or default_title(systems))
    if options.html is not None:
        sound = SoundOptions(
            folder=options.html.parent,
            audio=options.audio,
            manifest=options.manifest,
            clips=options.clips,
            model=options.model,
            device=options.device,
        )
        page = with_sound(page, sound)
    _write(page, options)
    _print_lines(page)
    _check_gate(page, options.fail_above)
    return 0


def _with_checked_outputs(options: ReportOptions) -> ReportOptions:
    """The options with the path of --html filled in. Raises UsageError for outputs that cannot be written."""
    if len(options.name) > len(options.inputs):
        raise UsageError(f"--name is given {len(options.name)} times for {len(options.inputs)} results")
    if options.html == BESIDE:
        first = options.inputs[0]
        options = dataclasses.replace(options, html=(first if first.is_dir() else first.parent) / BESIDE)
    inputs = [one for path in options.inputs for one in (path, path / "results.jsonl")]
    inputs += [] if options.manifest is None else [options.manifest]
    written = [path for path in (options.html, options.markdown, options.json, options.csv) if path is not None]
    for path in written:
        check_output_file(path, inputs)
    if len({path.resolve() for path in written}) < len(written):
        raise UsageError("two outputs have the same file; give each its own")
    return options


def _write(page: "PageData", options: ReportOptions) -> None:
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


def _report_run(options: ReportOptions) -> int:
    """A line for each run, and the page if one is asked for."""
    folders = _folders(options)
    runs = [load_run(folder, name) for folder, name in zip(folders, _names(folders, options.name), strict=True)]
    if options.html is not None:
        from asr.files import write_text
        from asr.pages.run import render_run

        title = options.title or " and ".join(
            f"Training {run.name}" if n == 0 else run.name for n, run in enumerate(runs)
        )
        path = folders[0] / BESIDE if options.html == BESIDE else options.html
        check_output_file(path, [folder / name for folder in folders for name in READ_FILES])
        write_text(path, render_run(runs, title))
    for run in runs:
        print(_line(run))
    return 0


def _folders(options: ReportOptions) -> list[Path]:
    if len(options.inputs) > 1:
        raise UsageError("give one run folder; the one to compare it with goes after --against")
    for name in _RESULTS_ONLY:
        if getattr(options, name) is not None:
            raise UsageError(
                f"--{name.replace('_', '-')} is for results.jsonl files; for a training run there is --html"
            )
    if options.against is None:
        return options.inputs
    if not (options.against / "metrics.jsonl").is_file():
        raise DataError(
            f"{options.against}: not the folder of a training run (no metrics.jsonl); --against takes such a folder"
        )
    return [*options.inputs, options.against]


def _names(folders: Sequence[Path], chosen: Sequence[str]) -> list[str]:
    """The given names, then those of the folders, with as many parent folders as make them different."""
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
