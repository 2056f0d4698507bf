"""``asr probe family`` and ``asr probe directions``: many trainings by recipe, side by side, then one table.

In: a recipe folder, data, seeds. Out: ``DIR/runs/MEMBER-SEED`` for each training, made by ``asr run`` in a process of
its own; ``DIR/family.json``, ``family.md`` and a plot. The same command again goes on: what stands is skipped and a
half-finished training continues exactly, as ``asr run`` does. Where the data or a setting is no longer what a training
in DIR began with, all is refused before anything is trained: one table is of one budget.
"""

import argparse
import dataclasses
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from asr.commands._side_by_side import Key, train_all
from asr.errors import DataError, ModelError, TrainingError, UsageError
from asr.files import check_output_folder, write_text
from asr.schema import nearest

if TYPE_CHECKING:
    from asr.config import RunConfig

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
    from asr.commands._compose import run_composed
    from asr.config import typed_config

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
    from asr.commands import _stages as work
    from asr.commands._stage_ledger import Ledger, Stage

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
    from asr.commands import _stages as work

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
    from asr.commands._commit import commit
    from asr.probes.cost import CostSettings
    from asr.probes.differences import difference_rows
    from asr.probes.family import draw_family, family_row, memory_rows, read_reports, render_table
    from asr.probes.record import Record
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
