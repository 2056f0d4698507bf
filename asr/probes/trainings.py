"""``asr probe family`` and ``asr probe directions``: many trainings by recipe, side by side, then one table.

In: a recipe folder, data, seeds. Out: ``DIR/runs/MEMBER-SEED`` for each training, made by ``asr run`` in a process of
its own; ``DIR/family.json``, ``family.md`` and a plot. The same command again goes on: what stands is skipped and a
half-finished training continues exactly, as ``asr run`` does. Where the data or a setting is no longer what a training
in DIR began with, all is refused before anything is trained: one table is of one budget.

Trainings side by side: each a command of ``asr`` in a process of its own, some at a time.

In: commands and run folders. Out: finished runs; what each process said is in ``FOLDER/log.txt``. Ctrl-C and SIGTERM
let all trainings save first, and so does the end of this process, whatever ended it.
"""

import argparse
import ctypes
import dataclasses
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from asr.errors import AsrError, DataError, Interrupted, ModelError, TrainingError, UsageError
from asr.files import check_output_folder, write_text
from asr.schema import nearest

if TYPE_CHECKING:
    from asr.config import RunConfig


POLL_S = 0.2
Key = tuple[str, int]  # member, seed
PR_SET_PDEATHSIG = 1


def train_all(commands: Mapping[Key, list[str]], runs: Mapping[Key, Path], jobs: int) -> None:
    """Every command in a process of its own, ``jobs`` at a time; their words go to FOLDER/log.txt.

    Raises TrainingError once all are through where some failed, Interrupted after a signal.
    """
    waiting, running, failed = list(commands), dict[Key, "subprocess.Popen[bytes]"](), list[str]()
    passed_on = 0
    with _noted() as signals:
        while running or (waiting and not signals):
            while waiting and len(running) < jobs and not signals:
                key = waiting.pop(0)
                running[key] = _start(commands[key], runs[key])
            time.sleep(POLL_S)
            for number in signals[passed_on:]:  # here and not in the handler, which one just started would miss
                passed_on += 1
                for process in running.values():
                    process.send_signal(number)
            for key in [key for key, process in running.items() if process.poll() is not None]:
                code = running.pop(key).returncode
                what = "done" if code == 0 else f"ended with {code}"
                print(
                    f"{key[0]}, seed {key[1]}: {what}; {len(waiting) + len(running)} left", file=sys.stderr, flush=True
                )
                if code and not signals:
                    failed.append(f"{key[0]}, seed {key[1]}: {_last_line(runs[key] / 'log.txt')}")
    if signals:
        raise Interrupted("stopped; the trainings are saved and go on with the same command", signals[0])
    if failed:
        raise TrainingError("\n  ".join(["trainings failed; the same command tries them again:", *failed]))


def _start(words: list[str], folder: Path) -> "subprocess.Popen[bytes]":
    folder.mkdir(parents=True, exist_ok=True)
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # looked up here: after the fork there is little that is safe
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
            # killed, we pass nothing on, and the same command again would find the folders in use
            preexec_fn=(lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM)) if prctl else None,
        )


@contextmanager
def _noted() -> Iterator[list[int]]:
    """The numbers of signals that ask us to stop, as they come."""
    seen: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, _frame: seen.append(number)) for number in numbers]
    try:
        yield seen
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise AsrError(f"{log}: cannot be read ({error.strerror})") from None
    return next((line.removeprefix("asr: error: ") for line in reversed(lines) if line.strip()), str(log))


SAME_FOR_ALL = ("stages=[train,evaluate]", "training.threads=1", "data.workers=0")
ANY_SIZE = 20_160  # 4 x 5040: what many numbers of heads divide, and above a projection: legal until the size is known
OWN_KEYS = {"seed": "--seeds", "run_dir": "--out", "data.dir": "--data", "corpus": "--corpus", "stages": None}


def run(name: str, options: argparse.Namespace, words: list[str]) -> int:
    """Train what is not trained yet, and write the table; returns 0 or raises an AsrError."""
    members = _members(options)
    changes = {member: [*options.changes, *_size(options, member)] for member in members}
    configs = {member: _config(options, member, changes[member]) for member in members}
    check_output_folder(options.out)
    runs = {(one, seed): options.out / "runs" / f"{one}-{seed}" for seed in options.seeds for one in members}
    data = options.data or _prepare(options, members[0], configs[members[0]])
    for file in ("train.jsonl", "dev.jsonl", "test.jsonl"):  # before hours of training, not after them
        if not (data / file).is_file():
            raise DataError(f"{data}: no {file} in it; prepare it with: asr prepare {options.recipes} CORPUS {data}")
    _check_begun(configs, runs, data)
    commands = {
        (member, seed): _command(options, member, seed, data, folder, changes[member])
        for (member, seed), folder in runs.items()
    }
    print(f"{len(runs)} trainings, {options.jobs} at a time, in {options.out / 'runs'}", file=sys.stderr)
    train_all(commands, runs, options.jobs)
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


def _size(options: argparse.Namespace, member: str) -> list[str]:
    """The hidden size that --parameters asks for, as a word of the configuration; none without it."""
    if options.parameters is None:
        return []
    from asr.probes.cost import VOCAB_SIZE
    from asr.probes.family import fit_model

    for word in options.changes:
        key, _, value = word.lstrip("+~").partition("=")
        if key == "model.hidden_size" or (key == "model" and "hidden_size" in value):
            raise UsageError(f"--set {word}: --parameters sets the hidden size; give one of the two")
    train = _config(options, member, [*options.changes, f"model.hidden_size={ANY_SIZE}"]).train
    vocab_size = train.tokenizer.vocab_size if train.tokenizer.name == "sentencepiece" else VOCAB_SIZE
    size = fit_model(member, train.model, train.features.n_mels, vocab_size, options.parameters)
    return [f"model.hidden_size={size}"]


def _config(options: argparse.Namespace, member: str, changes: list[str]) -> "RunConfig":
    """What the member's trainings are told but seed and folders. Raises UsageError or ConfigError for a bad --set."""
    from asr.config import typed_config
    from asr.config.compose import run_composed

    for word in changes:
        key, equals, _ = word.lstrip("+~").partition("=")
        if not equals or word.startswith("-"):
            raise UsageError(f"--set {word}: give KEY=VALUE, such as training.epochs=10")
        if key in OWN_KEYS:
            raise UsageError(f"--set {word}: each training has its own; {_instead(key)}")
    words = [f"run_dir={options.out}", *SAME_FOR_ALL, *changes]
    config: RunConfig = run_composed(options.recipes / f"{member}.yaml", words, typed_config)[0]
    return config


def _instead(key: str) -> str:
    option = OWN_KEYS[key]
    return f"use {option}" if option else "leave it out"


def _prepare(options: argparse.Namespace, member: str, config: "RunConfig") -> Path:
    """The corpus's manifests in DIR/data, with the options that the recipes name; again where either has changed.

    Raises UsageError where a training has begun there and would be on other data; the manifests then stay.
    """
    from asr.pipeline import stages as work
    from asr.pipeline.stages import Ledger, Stage

    data: Path = options.out / "data"
    settings = dataclasses.replace(config.train, data=dataclasses.replace(config.train.data, dir=str(data)))
    config = dataclasses.replace(config, corpus=str(options.corpus), train=settings)
    recipe = options.recipes / f"{member}.yaml"
    begun = any((options.out / "runs").glob("*/checkpoints/last.ckpt"))
    stage = Stage(
        "prepare",
        lambda: work.prepare_inputs(recipe, config),
        lambda: work.prepare_outputs(config),
        lambda: _prepare_again(options.out, recipe, config) if begun else work.prepare(recipe, config),
    )
    Ledger(options.out / "stages.json").run(stage)
    return data


def _prepare_again(out: Path, recipe: Path, config: "RunConfig") -> None:
    from asr.pipeline import stages as work

    with work.unchanged_manifests(out / "data") as changed:
        work.prepare(recipe, config)
        if changed():
            raise UsageError(
                f"the trainings in {out / 'runs'} began on other data than {config.corpus} now gives. The manifests"
                f" in {out / 'data'} are as they were. Give another --out; or go on with the old: --data {out / 'data'}"
            )


def _check_begun(configs: "dict[str, RunConfig]", runs: dict[Key, Path], data: Path) -> None:
    """Raise UsageError where any training that has begun would be refused: before the others are trained."""
    from asr.config import changed_since_begun
    from asr.training.run import read_state
    from asr.training.run_dir import RunDir

    refused = {}
    for (member, seed), folder in runs.items():
        train = configs[member].train
        settings = dataclasses.replace(train, seed=seed, data=dataclasses.replace(train.data, dir=str(data)))
        try:
            keys = changed_since_begun(folder, settings)
            read_state(RunDir(folder), settings)
        except TrainingError:
            keys = [*keys, f"the manifests in {data}"]
        except ModelError:  # damaged: its own training will say so, and the others go on
            continue
        if keys:
            refused[f"{member}, seed {seed}"] = keys
    if refused:
        first, keys = next(iter(refused.items()))
        raise UsageError(
            f"{len(refused)} of {len(runs)} trainings in {next(iter(runs.values())).parent} began with something else"
            f" (the first is {first}: {', '.join(keys[:10])}); nothing was started. Repeat the command that they began"
            " with, or give another --out"
        )


def _command(
    options: argparse.Namespace, member: str, seed: int, data: Path, folder: Path, changes: list[str]
) -> list[str]:
    words = ["run", str(options.recipes / f"{member}.yaml"), f"run_dir={folder}", f"data.dir={data}", f"seed={seed}"]
    return [*words, *SAME_FOR_ALL, *changes]


def _write(
    name: str,
    options: argparse.Namespace,
    members: list[str],
    runs: dict[Key, Path],
    words: list[str],
) -> None:
    """NAME.json, NAME.md and the plot; the table on stdout."""
    from asr.probes.cost import CostSettings
    from asr.probes.family import difference_rows, draw_family, family_row, memory_rows, read_reports, render_table
    from asr.probes.record import Record
    from asr.provenance import commit
    from asr.terminal import Progress

    told = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
    record = Record(name, "asr " + shlex.join(words), commit(), told, "cpu")
    folders = {member: [runs[member, seed] for seed in options.seeds] for member in members}
    reports = {member: read_reports(folders[member]) for member in sorted(members)}
    rows = [family_row(member, folders[member], reports[member], options.seeds) for member in members]
    settings = CostSettings(lengths_s=options.lengths_s or [1.0, 10.0], batches=[1], rounds=3)
    with Progress(len(settings.lengths_s), "memory", "lengths") as progress:
        memory = memory_rows(folders, settings, progress.update)
    found = {"seeds": options.seeds, "rows": rows, "differences": difference_rows(reports), "memory": memory}
    record.write(options.out / f"{name}.json", found)
    page = render_table(found)
    write_text(options.out / f"{name}.md", f"{page}\nMade by `{record.facts['command']}`.\n")
    draw_family(found, options.out / f"{name}.{options.format}")
    print(page)
    print(f"figures: {options.out / f'{name}.json'}\ntable: {options.out / f'{name}.md'}")
