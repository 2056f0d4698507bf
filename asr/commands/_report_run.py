"""`asr report RUN_DIR`: a training as a page, alone or over another one, and in a line.

In: the options of `asr report`. Out: the page where one is asked for, and a line a run on stdout.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from asr.commands._run_files import READ_FILES, load_run
from asr.errors import DataError, UsageError
from asr.pages.run_data import RunData


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
