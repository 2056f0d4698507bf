"""Training on a corpus that has grown: from the model of an earlier run, with its dev and test sets unchanged.

In: an earlier run's folder, the configuration of this one, and the manifests that its recipe has just made. Out:
settings that train on from that model with a quarter of the epochs; manifests in which whatever the earlier run held
out is held out again, with the texts of then, so that both models are tested alike. What is new is trained on, unless
it is of a recording or speaker that was held out; what the earlier run was trained on, too, whether or not the corpus
still has it, so that a corpus may hold the new transcripts alone.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from asr.config.typed import read_config
from asr.data.known_sound import KnownSound
from asr.data.manifest import Utterance, read_manifest, with_unique_ids, write_manifest
from asr.data.splits import Splits, write_splits
from asr.errors import ConfigError, DataError
from asr.pipeline.self_training import RATE_FACTOR
from asr.schema import to_plain

TRAIN, NEW = "train", "new.jsonl"
SHARE_OF_EPOCHS = 0.25
Parts = dict[str, Sequence[Utterance]]


def with_previous(values: Mapping[str, Any], given: Collection[str]) -> tuple[dict[str, Any], str]:
    """``values`` of a composed configuration, to train on from the run that ``previous`` names, and what was changed.

    ``given``: the keys on the command line, which stay as they are: one of the model or the features replaces that of
    the earlier run, and with ``training.init_from`` nothing is changed. Raises ConfigError where that is no finished
    run.
    """
    previous, run_dir = Path(str(values["previous"])), Path(str(values.get("run_dir")))
    model = previous / "model"
    if not (model / "config.json").is_file() or not (previous / "config.yaml").is_file():
        raise ConfigError(f"config: previous={previous}: not a training that is done (model/, config.yaml)")
    if previous.resolve() == run_dir.resolve():
        raise ConfigError(f"config: previous={previous} is run_dir; give another run_dir, e.g. {run_dir}-2")
    begun = to_plain(read_config(previous / "config.yaml").train)
    if "training.init_from" in given:
        return dict(values), f"keeps the dev and test sets of {previous} and is compared with it"
    groups = [group for group in ("features", "model") if not {group, f"{group}.name"} & set(given)]
    changed = dict(values) | {group: begun[group] for group in groups}
    for group, *path, key in (one.split(".") for one in given if one.startswith(tuple(f"{one}." for one in groups))):
        place, own = changed[group], values[group]
        for name in path:
            place, own = place.setdefault(name, {}), own[name]
        place[key] = own[key]
    training, optimizer = dict(values["training"]), dict(values["optimizer"])
    shorter = {key: training[key] and math.ceil(SHARE_OF_EPOCHS * training[key]) for key in ("epochs", "least_steps")}
    slow_start = {"freeze_epochs": 0.0, "flat_start_epochs": 0.0, "evaluate_from_epoch": 1}
    for key, value in {"init_from": str(model), **shorter, **slow_start}.items():
        if f"training.{key}" not in given:
            training[key] = value
    if "optimizer.learning_rate" not in given:
        optimizer["learning_rate"] = RATE_FACTOR * optimizer["learning_rate"]
    said = f"trains on from {model}: {training['epochs']} epochs, learning rate {optimizer['learning_rate']:g}"
    return changed | {"training": training, "optimizer": optimizer}, said


def keep_parts(previous: Path, data: Path) -> str:
    """Deal the manifests in ``data`` again, and return the summary.

    Dev and the test sets are those of the earlier run, line by line; of all other utterances those are trained on that
    share no sound, recording or speaker with these, the latter two where the earlier run kept them apart. New ones are
    in new.jsonl, too. Raises DataError where a recording of the earlier run is gone.
    """
    before = _read(earlier_data(previous))
    held_out = {name: part for name, part in before.items() if name != TRAIN}
    speakers = _speakers([one for part in held_out.values() for one in part])
    apart = not speakers & _speakers(before[TRAIN])
    known = KnownSound(before)
    everything = [one for part in _read(data).values() for one in part]
    train: list[Utterance] = []
    new: list[Utterance] = []
    counts = {"recording": 0, "speaker": 0, "text": 0, "kept": 0}
    texts = {(one.audio, one.start_s): one.text for part in held_out.values() for one in part}
    for one in everything:
        if known.overlapping(one) & held_out.keys():
            counts["text"] += texts.get((one.audio, one.start_s), one.text) != one.text
        elif known.splits_of(one.audio) - {TRAIN} and TRAIN not in known.splits_of(one.audio):
            counts["recording"] += 1
        elif apart and one.speaker in speakers:
            counts["speaker"] += 1
        else:
            train.append(one)
            new += [] if known.repeating(one) else [one]
    present = KnownSound({TRAIN: everything})
    kept = [one for one in before[TRAIN] if not present.repeating(one)]
    counts["kept"] = len(kept)
    train = with_unique_ids([*train, *kept])
    for path in data.glob("test-*.jsonl"):
        if path.stem not in held_out:
            path.unlink()  # trained on, like all that the earlier run did not hold out
    (data / NEW).unlink(missing_ok=True)
    if new:
        write_manifest(data / NEW, with_unique_ids(new))
    others = {name: part for name, part in held_out.items() if name not in ("dev", "test")}
    notes = _notes(previous, len(new), counts)
    return write_splits(
        data,
        Splits(train=train, dev=held_out.get("dev", []), test=held_out.get("test", []), others=others, notes=notes),
    )


def _notes(previous: Path, new: int, counts: Mapping[str, int]) -> list[str]:
    notes = [f"Dev and test are those of {previous}; {new:,} utterances of train are new."]
    for what in ("recording", "speaker"):
        if counts[what]:
            notes.append(f"{counts[what]:,} new utterances are left out: their {what} is in dev or test.")
    if counts["kept"]:
        notes.append(f"{counts['kept']:,} utterances of the earlier training, not in the corpus, stay in train.")
    if counts["text"]:
        notes.append(f"{counts['text']:,} utterances of dev and test have another text now; that of then is kept.")
    return notes


def check_held_out(previous: Path, data: Path) -> None:
    """Raise DataError where the training data holds sound that the earlier run held out."""
    held_out = {name: part for name, part in _read(earlier_data(previous)).items() if name != TRAIN}
    known = KnownSound(held_out)
    shared = [one.id for one in read_manifest(data / "train.jsonl") if known.overlapping(one)]
    if shared:
        raise DataError(
            f"{data / 'train.jsonl'}: {len(shared)} utterances are in the dev or test set of {previous}"
            f" ({', '.join(shared[:10])}); a model must not learn what it is compared by. Prepare the data with"
            f" asr run ... previous={previous}, or take them out"
        )


def earlier_data(previous: Path) -> Path:
    """The folder of the manifests that the earlier run was trained on."""
    return Path(read_config(previous / "config.yaml").train.data.dir)


def _read(data: Path) -> Parts:
    names = [TRAIN, "dev", "test", *sorted(path.stem for path in data.glob("test-*.jsonl"))]
    parts = {name: read_manifest(data / f"{name}.jsonl") for name in names if (data / f"{name}.jsonl").is_file()}
    if TRAIN not in parts:
        raise DataError(f"{data}: no train.jsonl in it, which tells what the earlier run learned; restore the folder")
    return parts


def _speakers(utterances: Sequence[Utterance]) -> set[str]:
    return {one.speaker for one in utterances if one.speaker is not None}
