"""The trainings of ``asr probe family`` and ``asr probe directions``: many recipes and seeds in parallel, one table.

In: ``TrainingsOptions``: a recipe folder, data, seeds. Out: ``DIR/runs/MEMBER-SEED`` for each training, made by
``asr run`` in a process of its own, which logs to ``log.txt`` there; then ``DIR/NAME.json``, ``NAME.md`` and a plot.

Safe to interrupt; the same command resumes. One table is of one budget: if the data or a setting differs from what a
training in DIR began with, nothing is trained and all is refused.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.config.compose import run_composed
from asr.config.typed import RunConfig, changed_since_begun, plain_config, typed_config, with_source_sizes
from asr.errors import DataError, ModelError, TrainingError, UsageError
from asr.files import check_output_folder, write_text
from asr.pipeline import stages
from asr.pipeline.preparation import prepare, unchanged_manifests
from asr.probes.cost import VOCAB_SIZE, CostOptions
from asr.probes.family import (
    difference_rows,
    draw_family,
    family_row,
    fit_model,
    memory_rows,
    read_reports,
    render_table,
)
from asr.probes.processes import Key, Say, train_all
from asr.probes.record import Record
from asr.schema import nearest
from asr.terminal import Progress
from asr.training.config import AUTO, TrainSettings
from asr.training.run_dir import RunDir
from asr.training.start import checkpoint_to_resume

SAME_FOR_ALL = ("stages=[train,evaluate]", "training.threads=1", "data.workers=0")
ANY_SIZE = 20_160  # 4 x 5040: divisible by most numbers of heads, above any projection; valid until the size is known
OWN_KEYS = {"seed": "--seeds", "run_dir": "--out", "data.dir": "--data", "corpus": "--corpus", "stages": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingsOptions:
    """What to train, on what, and where to put it.

    ``members``: recipes of the folder, None for all. One of ``data`` (prepared manifests) and ``corpus`` (prepared into
    ``out``/data first) is given. ``changes``: KEY=VALUE overrides for all trainings. ``parameters``: weights of each
    recogniser, reached by its hidden size. Memory is measured at ``lengths_s``. ``jobs`` run in parallel.
    """

    recipes: Path
    out: Path
    data: Path | None = None
    corpus: Path | None = None
    members: Sequence[str] | None = None
    seeds: Sequence[int] = (1, 2, 3)
    jobs: int = 1
    changes: Sequence[str] = ()
    parameters: int | None = None
    lengths_s: Sequence[float] = (1.0, 10.0)
    format: str = "png"


@dataclass(frozen=True, slots=True)
class TableFiles:
    """The table as Markdown, and the files that hold its figures and itself."""

    text: str
    figures: Path
    table: Path


def train_and_compare(name: str, options: TrainingsOptions, command: str, say: Say) -> TableFiles:
    """Run the trainings that are not done yet, then write the table; ``say`` gets a line as each training ends."""
    members = chosen_members(options.recipes, options.members)
    runs = train_members(options, members, say)
    return _write_table(name, options, members, runs, command)


def chosen_members(recipes: Path, chosen: Sequence[str] | None) -> list[str]:
    """The chosen recipes of the folder, by default all. Raises UsageError."""
    known = sorted(path.stem for path in recipes.glob("[!_]*.yaml"))
    if not known:
        raise UsageError(f"{recipes}: has no recipes (*.yaml); give a recipe folder, such as recipes/fsdd")
    for member in chosen or ():
        if member not in known:
            raise UsageError(f"{recipes} has no {member}.yaml{nearest(member, known)}")
    return list(chosen or known)


def train_members(options: TrainingsOptions, members: Sequence[str], say: Say) -> dict[Key, Path]:
    """Check everything before anything is trained, then train each member with each seed; returns the run folders."""
    _check_overrides(options)
    check_output_folder(options.out)
    if options.data is not None:
        check_prepared(options.data, options.recipes)
    composed = {member: member_config(options, member) for member in members}
    configs = {member: config for member, (config, _) in composed.items()}
    runs = {(one, seed): options.out / "runs" / f"{one}-{seed}" for seed in options.seeds for one in members}
    recipes = {member: options.recipes / f"{member}.yaml" for member in members}
    first = dataclasses.replace(configs[members[0]], corpus=None if options.corpus is None else str(options.corpus))
    data = options.data or prepare_data(recipes[members[0]], first, options.out, say)
    check_prepared(data, options.recipes)
    check_begun({(one, seed): settings_on(configs[one].train, data, seed) for one, seed in runs}, runs)
    commands = {
        (member, seed): run_arguments(recipes[member], folder, data, seed, composed[member][1])
        for (member, seed), folder in runs.items()
    }
    say(f"{len(runs)} trainings, {options.jobs} at a time, in {options.out / 'runs'}")
    train_all(commands, runs, options.jobs, say)
    return runs


def _check_overrides(options: TrainingsOptions) -> None:
    """Raise UsageError for a --set that is no KEY=VALUE, or whose key each training sets itself."""
    for change in options.changes:
        key, equals, value = change.lstrip("+~").partition("=")
        if not equals or change.startswith("-"):
            raise UsageError(f"--set {change}: give KEY=VALUE, such as training.epochs=10")
        if key in OWN_KEYS:
            option = OWN_KEYS[key]
            instead = f"use {option}" if option else "leave it out"
            raise UsageError(f"--set {change}: each training sets this itself; {instead}")
        sets_size = key == "model.hidden_size" or (key == "model" and "hidden_size" in value)
        if sets_size and options.parameters is not None:
            raise UsageError(f"--set {change}: --parameters sets the hidden size; give one of the two")


def check_prepared(data: Path, recipes: Path) -> None:
    """Raise DataError where one of the three manifests is not in ``data``."""
    for file in ("train.jsonl", "dev.jsonl", "test.jsonl"):
        if not (data / file).is_file():
            raise DataError(f"{data}: no {file} in it; prepare it with: asr prepare {recipes} CORPUS {data}")


def run_arguments(recipe: Path, run_dir: Path, data: Path, seed: int, changes: Sequence[str]) -> list[str]:
    """The arguments of ``asr`` for one training.

    A command line, because each training is a process of its own: it is then stopped, resumed and logged like any other
    training, and the user can repeat it by hand.
    """
    own = [f"run_dir={run_dir}", f"data.dir={data}", f"seed={seed}"]
    return ["run", str(recipe), *own, *SAME_FOR_ALL, *changes]


def member_config(options: TrainingsOptions, member: str) -> tuple[RunConfig, list[str]]:
    """The configuration that the member's trainings share, and the overrides of the recipe that give it.

    With ``parameters`` its hidden size is the one that comes nearest. Raises UsageError or ConfigError.
    """
    overrides = list(options.changes)
    any_size = [] if options.parameters is None else [f"model.hidden_size={ANY_SIZE}"]
    config = _composed(options, member, [*overrides, *any_size])
    if config.train.training.init_from == AUTO:
        overrides.append("training.init_from=null")  # members are compared from nothing
        config = _composed(options, member, [*overrides, *any_size])
    if options.parameters is None:
        return config, overrides
    train = config.train
    vocab_size = train.tokenizer.vocab_size if train.tokenizer.name == "sentencepiece" else VOCAB_SIZE
    size = fit_model(member, train.model, train.features.n_mels, vocab_size, options.parameters)
    changed: dict[str, Any] = {"hidden_size": size}
    train = dataclasses.replace(train, model=dataclasses.replace(train.model, **changed))
    return dataclasses.replace(config, train=train), [*overrides, f"model.hidden_size={size}"]


def _composed(options: TrainingsOptions, member: str, overrides: Sequence[str]) -> RunConfig:
    return composed_config(options.recipes / f"{member}.yaml", options.out, overrides)


def composed_config(recipe: Path, run_dir: Path, overrides: Sequence[str]) -> RunConfig:
    """The configuration of a training by ``recipe`` with these overrides, as ``asr run`` has it.

    Raises UsageError, ConfigError, or ModelError where there is no model to start from.
    """
    words = [f"run_dir={run_dir}", *SAME_FOR_ALL, *overrides]

    def typed(composed: Any) -> RunConfig:
        return typed_config(with_source_sizes(plain_config(composed), words))

    config: RunConfig = run_composed(recipe, words, typed)[0]
    return config


def prepare_data(recipe: Path, config: RunConfig, out: Path, say: Say) -> Path:
    """The manifests of ``config.corpus`` in OUT/data, made with the recipe's options; made again if either has changed.

    Raises UsageError if a training has begun there and would be on other data; the manifests are then unchanged.
    """
    data = out / "data"
    config = dataclasses.replace(config, train=settings_on(config.train, data, config.train.seed))
    begun = any((out / "runs").glob("*/checkpoints/last.ckpt"))
    stage = stages.Stage(
        "prepare",
        lambda: stages.prepare_inputs(recipe, config),
        lambda: stages.prepare_outputs(config),
        lambda: say(_prepare_again(out, recipe, config) if begun else prepare(recipe, config)),
    )
    records = stages.StageRecords(out / "stages.json")
    records.run(stage, lambda name, up_to_date: say(f"{name}: up to date, skipped" if up_to_date else name))
    return data


def _prepare_again(out: Path, recipe: Path, config: RunConfig) -> str:
    with unchanged_manifests(out / "data") as changed:
        summary = prepare(recipe, config)
        if changed():
            raise UsageError(
                f"the trainings in {out / 'runs'} began on other data than {config.corpus} now gives. The manifests in"
                f" {out / 'data'} are unchanged. Give another --out; or that folder in place of the corpus, to go on"
                " with the old data"
            )
    return summary


def settings_on(settings: TrainSettings, data: Path, seed: int) -> TrainSettings:
    """``settings`` with another data folder and seed."""
    return dataclasses.replace(settings, seed=seed, data=dataclasses.replace(settings.data, dir=str(data)))


def check_begun(trainings: Mapping[Key, TrainSettings], runs: Mapping[Key, Path]) -> None:
    """Raise UsageError if any training that has begun would refuse to resume: before the others are trained."""
    refused = {}
    for (member, seed), settings in trainings.items():
        folder = runs[member, seed]
        try:
            keys = changed_since_begun(folder, settings)
            checkpoint_to_resume(RunDir(folder), settings)
        except TrainingError:
            keys = [*keys, f"the manifests in {settings.data.dir}"]
        except ModelError:  # damaged: its own training reports that, and the others are not affected
            continue
        if keys:
            refused[f"{member}, seed {seed}"] = keys
    if refused:
        first, keys = next(iter(refused.items()))
        raise UsageError(
            f"{len(refused)} of {len(runs)} trainings in {next(iter(runs.values())).parent} began with other settings "
            "or data"
            f" (the first is {first}: {', '.join(keys[:10])}); nothing was started. Repeat the command that started"
            " them, or give another --out"
        )


def _write_table(
    name: str, options: TrainingsOptions, members: Sequence[str], runs: Mapping[Key, Path], command: str
) -> TableFiles:
    """Write NAME.json, NAME.md and the plot."""
    record = Record(name, command, "cpu")
    folders = {member: [runs[member, seed] for seed in options.seeds] for member in members}
    reports = {member: read_reports(folders[member]) for member in sorted(members)}
    rows = [family_row(member, folders[member], reports[member], options.seeds) for member in members]
    cost = CostOptions(lengths_s=options.lengths_s, batches=[1], rounds=3)
    with Progress(len(cost.lengths_s), "memory", "lengths") as progress:
        memory = memory_rows(folders, cost, progress.update)
    found = {"seeds": list(options.seeds), "rows": rows, "differences": difference_rows(reports), "memory": memory}
    settings = {
        key: str(value) if isinstance(value, Path) else value for key, value in dataclasses.asdict(options).items()
    }
    files = TableFiles(render_table(found), options.out / f"{name}.json", options.out / f"{name}.md")
    record.write(files.figures, settings, found)
    write_text(files.table, f"{files.text}\nMade by `{command}`.\n")
    draw_family(found, options.out / f"{name}.{options.format}")
    return files
