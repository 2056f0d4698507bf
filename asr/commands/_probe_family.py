"""``asr probe family`` and ``asr probe directions``: many trainings by recipe, side by side, then one table.

In: a recipe folder, data, seeds. Out: ``DIR/runs/MEMBER-SEED`` for each training, made by ``asr run`` in a process of
its own; ``DIR/family.json``, ``family.md`` and a plot. The same command again goes on: what stands is skipped and a
half-finished training continues exactly, as ``asr run`` does. Ctrl-C and SIGTERM let all trainings save first.
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asr.errors import AsrError, DataError, Interrupted, TrainingError, UsageError
from asr.files import write_text
from asr.schema import nearest

POLL_S = 0.2


def run(name: str, options: argparse.Namespace, words: list[str]) -> int:
    """Train what is not trained yet, and write the table; returns 0 or raises an AsrError."""
    members = _members(options)
    data = options.data or _prepare(options)
    for file in ("train.jsonl", "dev.jsonl", "test.jsonl"):  # before hours of training, not after them
        if not (data / file).is_file():
            raise DataError(f"{data}: no {file} in it; prepare it with: asr prepare {options.recipes} CORPUS {data}")
    runs = {(one, seed): options.out / "runs" / f"{one}-{seed}" for seed in options.seeds for one in members}
    commands = {key: _command(options, key[0], key[1], data, folder) for key, folder in runs.items()}
    print(f"{len(runs)} trainings, {options.jobs} at a time, in {options.out / 'runs'}", file=sys.stderr)
    _train_all(commands, runs, options.jobs)
    _write(name, options, members, runs, words)
    return 0


def _members(options: argparse.Namespace) -> list[str]:
    """The recipes that are asked for, by default all of the folder. Raises UsageError."""
    known = sorted(path.stem for path in options.recipes.glob("[!_]*.yaml"))
    if not known:
        raise UsageError(f"{options.recipes}: no recipe folder; give one that holds recipes, such as recipes/fsdd")
    for member in options.members or ():
        if member not in known:
            raise UsageError(f"{options.recipes} has no {member}.yaml{nearest(member, known)}")
    return list(options.members or known)


def _prepare(options: argparse.Namespace) -> Path:
    """The corpus's manifests in DIR/data, with the options that the recipes name. Made once for all trainings."""
    from asr.commands._compose import run_composed
    from asr.config import typed_config
    from asr.data.prepare import run_prepare

    data: Path = options.out / "data"
    if not (data / "test.jsonl").is_file():
        recipe = options.recipes / f"{_members(options)[0]}.yaml"
        (config,) = run_composed(recipe, [f"run_dir={options.out}", *options.changes], typed_config)
        print(run_prepare(options.recipes, options.corpus, data, config.prepare))
    return data


def _command(options: argparse.Namespace, member: str, seed: int, data: Path, folder: Path) -> list[str]:
    words = ["run", str(options.recipes / f"{member}.yaml"), f"run_dir={folder}", f"data.dir={data}", f"seed={seed}"]
    return [*words, "stages=[train,evaluate]", "training.threads=1", "data.workers=0", *options.changes]


def _train_all(commands: dict[tuple[str, int], list[str]], runs: dict[tuple[str, int], Path], jobs: int) -> None:
    """Every command in a process of its own, ``jobs`` at a time; their words go to FOLDER/log.txt.

    Raises TrainingError once all are through where some failed, Interrupted after a signal.
    """
    waiting, running, failed = list(commands), dict[tuple[str, int], "subprocess.Popen[bytes]"](), list[str]()
    with _passed_on(running) as stopped:
        while waiting or running:
            while waiting and len(running) < jobs and not stopped:
                key = waiting.pop(0)
                running[key] = _start(commands[key], runs[key])
            time.sleep(POLL_S)
            for key in [key for key, process in running.items() if process.poll() is not None]:
                code = running.pop(key).returncode
                what = "done" if code == 0 else f"ended with {code}"
                print(
                    f"{key[0]}, seed {key[1]}: {what}; {len(waiting) + len(running)} left", file=sys.stderr, flush=True
                )
                if code and not stopped:
                    failed.append(f"{key[0]}, seed {key[1]}: {_last_line(runs[key] / 'log.txt')}")
            if stopped and not running:
                raise Interrupted("stopped; the trainings are saved and go on with the same command", stopped[0])
    if failed:
        raise TrainingError("\n  ".join(["trainings failed; the same command tries them again:", *failed]))


def _start(words: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("ab") as log:
        log.write(f"asr {shlex.join(words)}\n".encode())
        log.flush()
        return subprocess.Popen(
            [sys.executable, "-m", "asr", *words],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # a Ctrl-C reaches us alone, and we pass it on once
        )


@contextmanager
def _passed_on(running: "dict[tuple[str, int], subprocess.Popen[bytes]]") -> Iterator[list[int]]:
    """Signals that ask us to stop go to all trainings, which save; the list then holds the first signal's number."""
    seen: list[int] = []

    def note(number: int, _frame: object) -> None:
        seen.append(number)
        for process in running.values():
            process.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield seen
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _write(
    name: str,
    options: argparse.Namespace,
    members: list[str],
    runs: dict[tuple[str, int], Path],
    words: list[str],
) -> None:
    """NAME.json, NAME.md and the plot; the table on stdout."""
    from asr.commands._commit import commit
    from asr.probes.cost import CostSettings
    from asr.probes.family import draw_family, family_row, memory_rows, render_table
    from asr.probes.record import Record
    from asr.terminal import Progress

    told = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    record = Record(name, "asr " + shlex.join(words), commit(), told, "cpu")
    folders = {member: [runs[member, seed] for seed in options.seeds] for member in members}
    rows = [family_row(member, folders[member], options.seeds) for member in members]
    settings = CostSettings(lengths_s=options.lengths_s or [1.0, 10.0], batches=[1], rounds=3)
    with Progress(len(settings.lengths_s), "memory", "lengths") as progress:
        memory = memory_rows(folders, settings, progress.update)
    found = {"seeds": options.seeds, "rows": rows, "memory": memory}
    record.write(options.out / f"{name}.json", found)
    page = render_table(found)
    write_text(options.out / f"{name}.md", f"{page}\nMade by `{record.facts['command']}`.\n")
    draw_family(found, options.out / f"{name}.{options.format}")
    print(page)
    print(f"figures: {options.out / f'{name}.json'}\ntable: {options.out / f'{name}.md'}")


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise AsrError(f"{log}: cannot be read ({error.strerror})") from None
    return next((line.removeprefix("asr: error: ") for line in reversed(lines) if line.strip()), str(log))
