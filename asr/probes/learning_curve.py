"""The trainings of ``asr learning-curve``: one recipe on nested parts of a training set, all tested on the same test.

In: ``CurveOptions``: a recipe, the parts' minutes of speech, seeds, models to start from. Out: ``Curve``: the trainings
that are done, each in ``OUT/runs/START-PART-SEED``, made by ``asr run`` in a process of its own; with a language model
also their errors with that. Parts are in ``OUT/parts``; a seed chooses the part as well as everything random in the
training, so that differences between seeds show both.

Budget: a recipe's epochs are meant for all of the training set. The steps of a shorter part shrink with it down to
``min_steps`` (half of the steps on everything, unless given) and no further: a part whose epochs hold fewer steps gets
more epochs. What the recipe counts in epochs (warm-up, flat start, ...) is stretched alike, and dev is evaluated as
often as in the recipe, after the last epochs.

Safe to interrupt; the same command resumes, and one with more parts or seeds adds theirs.
"""

import dataclasses
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.config.typed import RunConfig, changed_keys
from asr.data.batching import plan_epoch
from asr.data.manifest import Utterance, read_manifest, write_manifest
from asr.data.splits import nested_parts
from asr.errors import DataError, UsageError
from asr.files import check_output_folder
from asr.pretrained import from_pretrained
from asr.probes.processes import Key, Say, train_all
from asr.probes.trainings import (
    check_begun,
    check_prepared,
    composed_config,
    prepare_data,
    run_arguments,
    settings_on,
)
from asr.schema import to_plain
from asr.shipped import STARTER, find_starter
from asr.terminal import format_duration
from asr.training.config import AUTO, TrainSettings
from asr.training.setup import epochs_for

ALL = "all"
HALVINGS = 4  # parts below the whole, where no minutes are given
SAME_SIZE = 0.95  # of the whole: a part at least as long is the whole
MIN_STEPS_SHARE = 0.5
OWN_LM = "own"
FROM_NOTHING = "none"
OWN_KEYS = {"run_dir": "--out", "seed": "--seeds", "stages": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveOptions:
    """What to train on how much speech, and where to put it.

    ``changes``: KEY=VALUE overrides for all trainings, ``corpus=FOLDER`` or ``data.dir=FOLDER`` among them.
    ``minutes``: of the parts, inf for everything; none for halves, quarters, ... ``starts``: model directories, "none"
    for no model; empty for what the recipe says. ``lm``: "own" for a model of each part's own texts, or a file.
    ``more``: minutes of further speech to predict for. ``jobs`` run in parallel.
    """

    recipe: Path
    out: Path
    changes: Sequence[str] = ()
    minutes: Sequence[float] = ()
    seeds: Sequence[int] = (1, 2, 3)
    starts: Sequence[str] = ()
    lm: str | None = None
    more: Sequence[float] = (60.0,)
    min_steps: int | None = None
    jobs: int = 1
    format: str = "png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the training set: ``size`` is its wanted length ("5", "all"), ``minutes`` its length."""

    size: str
    seed: int
    folder: Path
    minutes: float
    utterances: Sequence[Utterance]

    @property
    def speakers(self) -> int | None:
        """How many speakers are in it, where all are known."""
        known = {one.speaker for one in self.utterances}
        return None if None in known else len(known)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Training:
    """One training: what it starts from (``series``), its part, its settings, and the arguments of ``asr``."""

    series: str
    part: Part
    folder: Path
    settings: TrainSettings
    steps: int
    arguments: Sequence[str]

    @property
    def key(self) -> Key:
        """Its name among the others, for messages."""
        return f"{self.series}, {size_label(self.part.size)}", self.part.seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The trainings of a learning curve, done, their scoring and decoding, and remarks on the data."""

    trainings: Sequence[Training]
    config: RunConfig
    data: Path
    notes: Sequence[str]


def size_label(size: str) -> str:
    """``5 min`` or ``all``."""
    return size if size == ALL else f"{size} min"


def train_curve(options: CurveOptions, say: Say) -> Curve:
    """Check everything, cut the parts, and run the trainings that are not done.

    Raises UsageError, ConfigError or DataError before anything is trained; TrainingError, Interrupted.
    """
    _check_changes(options)
    check_output_folder(options.out)
    starts = [_start(options, model) for model in options.starts or (None,)]
    if len({one.name for one in starts}) < len(starts):
        raise UsageError(
            f"--init: the curves would be called {', '.join(one.name for one in starts)}; each needs a name of its own,"
            " which is that of the run's folder: rename or link one"
        )
    config = starts[0].config
    given = config.train.data.dir
    data = Path(given) if given else prepare_data(options.recipe, config, options.out, say)
    check_prepared(data, options.recipe.parent)
    everything, dev, test = (read_manifest(data / f"{name}.jsonl") for name in ("train", "dev", "test"))
    if not any(one.text.strip() for one in test):
        raise DataError(f"{data / 'test.jsonl'}: no utterance has a text, so there is no WER; add reference texts")
    sizes, notes = chosen_sizes(options.minutes, minutes_of(everything))
    trainings = [
        _training(options, start, _part(options.out, size, seed, utterances), everything, data)
        for start in starts
        for seed in options.seeds
        for size, utterances in zip(sizes, nested_parts(everything, list(sizes.values()), seed=seed), strict=True)
    ]
    runs = {one.key: one.folder for one in trainings}
    _write_parts(trainings, dev, test)
    check_begun({one.key: one.settings for one in trainings}, runs)
    for note in notes:
        say(f"note: {note}")
    audio_s = sum(60 * one.part.minutes * one.settings.training.epochs for one in trainings)
    say(
        f"{len(trainings)} trainings of {sum(one.steps for one in trainings):,} steps and {format_duration(audio_s)} of"
        f" audio in all, {options.jobs} at a time, in {options.out / 'runs'}"
    )
    ordered = sorted(trainings, key=lambda one: (one.part.seed, one.part.minutes))
    train_all({one.key: list(one.arguments) for one in ordered}, runs, options.jobs, say)
    return Curve(trainings=trainings, config=config, data=data, notes=[*notes, *_data_notes(everything, dev, test)])


def minutes_of(utterances: Sequence[Utterance]) -> float:
    """Their length together, in minutes."""
    return math.fsum(one.duration_s for one in utterances) / 60


def chosen_sizes(minutes: Sequence[float], whole: float) -> tuple[dict[str, float], list[str]]:
    """The parts to train on, by name ("5", "all"), shortest first, and notes on what was changed.

    Without ``minutes`` they are the whole and its halves, quarters, ...; those as long as the whole, or longer, are the
    whole. Raises UsageError where fewer than two remain.
    """
    wanted = sorted(set(minutes)) or [round_size(whole / 2**power) for power in range(HALVINGS, 0, -1)] + [math.inf]
    found = {f"{one:g}": one for one in wanted if one < SAME_SIZE * whole}
    longer = [f"{one:g}" for one in wanted if SAME_SIZE * whole <= one < math.inf]
    notes = []
    if longer:
        notes.append(
            f"the training set holds {whole:.3g} minutes of speech: {' and '.join(longer)} minutes are all of it"
        )
    if longer or math.inf in wanted:
        found[ALL] = math.inf
    if len(found) < 2:
        raise UsageError(
            f"a learning curve needs two parts or more, and the training set holds {whole:.3g} minutes of speech; leave"
            f" out --minutes, or give shorter parts: --minutes {whole / 8:.2g} {whole / 4:.2g} {whole / 2:.2g} all"
        )
    return found, notes


def round_size(minutes: float) -> float:
    """Two significant digits."""
    return float(f"{minutes:.2g}")


def _check_changes(options: CurveOptions) -> None:
    """Raise UsageError for what is no KEY=VALUE, or a key that each training sets itself."""
    for change in options.changes:
        key, equals, _ = change.lstrip("+~").partition("=")
        if not equals or change.startswith("-"):
            raise UsageError(f"{change}: give KEY=VALUE, such as training.epochs=10")
        if key in OWN_KEYS or (key == "training.init_from" and options.starts):
            option = "--init" if key == "training.init_from" else OWN_KEYS[key]
            raise UsageError(
                f"{change}: each training sets this itself; {f'use {option}' if option else 'leave it out'}"
            )
    if options.lm not in (None, OWN_LM) and not Path(str(options.lm)).is_file():
        raise UsageError(f"--lm {options.lm}: no such file; give a language model's file, or {OWN_LM}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """What the trainings of one curve start from: its name, in folders too, and their configuration."""

    name: str
    slug: str
    changes: Sequence[str]
    config: RunConfig


def _start(options: CurveOptions, model: str | None) -> _Start:
    """``model``: a model directory, "none", or None for what the recipe says. Raises ModelError where there is none."""
    changes = [] if model is None else [f"training.init_from={'null' if model == FROM_NOTHING else model}"]
    config = composed_config(options.recipe, options.out, [*options.changes, *changes])
    source = config.train.training.init_from
    if source == AUTO:  # one start for all parts, whichever letters each has
        return _start(options, STARTER if find_starter() else FROM_NOTHING)
    if source is None:
        return _Start(name="from scratch", slug="scratch", changes=changes, config=config)
    from_pretrained(Path(source))
    path = Path(source)
    name = path.parent.name if path.name == "model" and path.parent.name else path.name
    slug = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") + f"-{hashlib.sha256(source.encode()).hexdigest()[:4]}"
    return _Start(name=f"from {name}", slug=slug, changes=changes, config=config)


def _part(out: Path, size: str, seed: int, utterances: Sequence[Utterance]) -> Part:
    folder = out / "parts" / (size if size == ALL else f"{size}-{seed}")
    return Part(size=size, seed=seed, folder=folder, minutes=minutes_of(utterances), utterances=utterances)


def _training(
    options: CurveOptions, start: _Start, part: Part, everything: Sequence[Utterance], data: Path
) -> Training:
    plain = settings_on(start.config.train, part.folder, part.seed)
    per_epoch, per_whole = (_steps_per_epoch(one, plain) for one in (part.utterances, everything))
    least = plain.training.least_steps or 0  # holds for every training
    epochs = epochs_for(least, per_whole, plain.training.epochs)  # on everything, as asr run has it
    least = max(least, options.min_steps or math.ceil(MIN_STEPS_SHARE * epochs * per_whole))
    whole = dataclasses.replace(plain, training=dataclasses.replace(plain.training, epochs=epochs))
    settings = stretched(whole, epochs_for(least, per_epoch, epochs))
    folder = options.out / "runs" / f"{start.slug}-{part.size}-{part.seed}"
    changes = [*options.changes, *start.changes, f"data.cache_dir={plain.data.cache_dir or data}"]
    changes = [one for one in changes if one.lstrip("+").partition("=")[0] not in ("corpus", "data.dir")]
    values = to_plain(settings)
    for key in changed_keys(plain, settings):
        group, name = key.split(".")
        changes.append(f"{key}={'null' if values[group][name] is None else values[group][name]}")
    return Training(
        series=start.name,
        part=part,
        folder=folder,
        settings=settings,
        steps=settings.training.epochs * per_epoch,
        arguments=run_arguments(options.recipe, folder, part.folder, part.seed, changes),
    )


def _steps_per_epoch(utterances: Sequence[Utterance], settings: TrainSettings) -> int:
    durations_s = [one.duration_s for one in utterances]
    batching = settings.data.batching.of_views(settings.training.loss.views)
    batches = plan_epoch(
        durations_s,
        batching,
        seed=settings.seed,
        epoch=1,
        speeds=settings.augment.speeds,
        processes=settings.training.processes,
    )
    return math.ceil(len(batches) / settings.training.accumulate)


def stretched(settings: TrainSettings, epochs: int) -> TrainSettings:
    """``settings`` with so many epochs; warm-up and the like, which are counted in epochs, keep their shares.

    Dev is evaluated as often as before, after the last epochs; with the schedule "plateau", which needs it, after each.
    """
    training, schedule = settings.training, settings.schedule
    more = epochs / training.epochs
    changed: dict[str, Any] = {
        field.name: more * getattr(training, field.name)
        for field in dataclasses.fields(training)
        if field.name.endswith("_epochs")
    }
    changed["epochs"] = epochs
    patience = schedule.plateau_patience
    if schedule.name != "plateau":
        changed["evaluate_from_epoch"] = training.evaluate_from_epoch + epochs - training.epochs
    else:
        patience = math.ceil(more * patience)
        if training.patience is not None:
            changed["patience"] = math.ceil(more * training.patience)
    schedule = dataclasses.replace(schedule, warmup_epochs=more * schedule.warmup_epochs, plateau_patience=patience)
    return dataclasses.replace(settings, training=dataclasses.replace(training, **changed), schedule=schedule)


def _write_parts(trainings: Sequence[Training], dev: Sequence[Utterance], test: Sequence[Utterance]) -> None:
    """Write each part's manifests. Raises UsageError if one would change that a training has begun with."""
    begun = {one.part.folder for one in trainings if (one.folder / "checkpoints" / "last.ckpt").exists()}
    parts = {one.part.folder: one.part for one in trainings}
    written = {
        folder / f"{name}.jsonl": utterances
        for folder, part in parts.items()
        for name, utterances in (("train", part.utterances), ("dev", dev), ("test", test))
    }
    changed = [path for path, utterances in written.items() if not _holds(path, utterances)]
    for path in changed:
        if path.parent in begun:
            raise UsageError(
                f"{path.parent}: trainings on this part began with other data than there is now, so that the points of"
                " one curve would not compare; nothing was changed. Give another --out, or put the old data back"
            )
    for path in changed:
        write_manifest(path, written[path])


def _holds(path: Path, utterances: Sequence[Utterance]) -> bool:
    try:
        return read_manifest(path) == list(utterances)
    except DataError:
        return False


def _data_notes(everything: Sequence[Utterance], dev: Sequence[Utterance], test: Sequence[Utterance]) -> list[str]:
    """What the data means for the curve: who is in both train and test, and whether dev is a part of train."""
    notes = []
    speakers, tested = ({one.speaker for one in part if one.speaker is not None} for part in (everything, test))
    if shared := tested & speakers:
        notes.append(
            f"{len(shared)} of {len(tested)} speakers of the test set are in the training set as well: the curve is for"
            " speakers that the model knows"
        )
    unknown = sum(one.speaker is None for one in [*everything, *test])
    if unknown:
        notes.append(
            f"{unknown} of {len(everything) + len(test)} utterances have no speaker: parts are spread over recordings"
            " in place of speakers, and test speakers may be in the training set"
        )
    trained = {(one.audio, one.start_s, one.channel) for one in everything}
    if any((one.audio, one.start_s, one.channel) in trained for one in dev):
        notes.append(
            "utterances of dev are in the training set as well, so dev chooses the model no better than chance"
        )
    return notes
