"""Hydra's composed configuration into typed settings, and back into the config.yaml of a run.

In: a composed config. Out: ``RunConfig``. With ``asr.commands`` and ``asr.cli`` this is the only place that knows
OmegaConf.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from asr.config.recipes import with_epochs_as_given
from asr.decoding.config import DecodingConfig
from asr.errors import ConfigError, ModelDamagedError, UsageError
from asr.files import write_text
from asr.models import build_model_config
from asr.schema import build, check, check_choice, to_plain
from asr.stored import stored_model
from asr.text.normalize import NORMALIZERS
from asr.training.config import AUTO, TrainSettings

FREE_KEYS = (
    frozenset(  # what a run may go on with otherwise: none changes a result, and the data's fingerprint is checked
        (
            "data.dir",
            "data.workers",
            "data.cache_dir",
            "data.cache_mb",
            "training.save_every_steps",
            "training.dry_run",
            "training.tensorboard",
        )
    )
)
# What a run may be continued with otherwise: its end. It is then trained on from where it is.
END_KEYS = frozenset(("training.epochs", "training.patience", "training.max_steps", "training.least_steps"))
STAGES = ("prepare", "train", "self-train", "evaluate", "report")


@dataclass(kw_only=True, slots=True)
class ScoringConfig:
    """How texts are compared: the ``normalizer`` for both, and how many of the ``worst`` utterances a report shows."""

    normalizer: str = "basic"  # none, basic or english: both texts go through it before they are compared
    worst: int = 10  # worst utterances shown in the report

    def __post_init__(self) -> None:
        check_choice("scoring.normalizer", self.normalizer, NORMALIZERS)
        check(self.worst >= 0, f"scoring.worst={self.worst} must not be negative")


@dataclass(kw_only=True, slots=True)
class SelfTrainingConfig:
    """Rounds of training on untranscribed recordings with the model's own texts (asr/pipeline/self_training.py).

    ``keep``: share of the recognised sound that is trained on, the most confident of it. ``min_confidence``: of an
    utterance, the expected share of right words. ``epochs``: of a round; None: as many as make it hear half as much
    sound as the training before the rounds.
    """

    rounds: int = 3  # at most; a round that does not improve dev is the last
    keep: float = 0.8  # share of the recognised sound to train on, the most confident first
    min_confidence: float = 0.2  # expected share of right words, below which an utterance is left out
    epochs: int | None = None  # of a round; null: half the sound of the training before

    def __post_init__(self) -> None:
        check(self.rounds >= 1, f"self_training.rounds={self.rounds} must be at least 1")
        check(0 < self.keep <= 1, f"self_training.keep={self.keep} must be more than 0, and at most 1")
        check(
            0 <= self.min_confidence <= 1,
            f"self_training.min_confidence={self.min_confidence} must be 0 to 1",
        )
        epochs = self.epochs
        check(epochs is None or epochs >= 1, f"self_training.epochs={epochs} must be at least 1, or null")


@dataclass(kw_only=True, slots=True)
class RunConfig:
    """A recipe, whole: what to train and where, and what ``asr run`` does around it."""

    run_dir: Path
    train: TrainSettings
    corpus: str | None = None
    untranscribed: str | None = None
    previous: str | None = None
    prepare: dict[str, Any] = field(default_factory=dict)
    stages: list[str] = field(default_factory=lambda: list(STAGES))
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    self_training: SelfTrainingConfig = field(default_factory=SelfTrainingConfig)

    def __post_init__(self) -> None:
        for stage in self.stages:
            check_choice("stages", stage, STAGES)


def typed_config(composed: DictConfig | Mapping[str, Any]) -> RunConfig:
    """The typed form of a composed config. Raises ConfigError naming the key that is unknown, missing or wrong."""
    values = plain_config(composed)
    paths = ("corpus", "untranscribed", "previous")
    names = ("run_dir", *paths, "prepare", "stages", "decoding", "scoring", "self_training")
    own: dict[str, Any] = {name: values.pop(name) for name in names if name in values}
    if not own.get("run_dir"):
        raise ConfigError("config: run_dir is not set; give a folder for this run (run_dir=runs/NAME)")
    if isinstance(values.get("data"), Mapping):  # a folder may be called 2026
        folders = {
            key: str(values["data"][key]) for key in ("dir", "cache_dir") if type(values["data"].get(key)) is int
        }
        values["data"] = {**values["data"], **folders}
    model = values.pop("model", None)
    settings = build(TrainSettings, values)
    if model is not None:
        settings.model = build_model_config(model)
    own["run_dir"] = Path(str(own["run_dir"]))
    for key in paths:
        own[key] = None if own.get(key) is None else str(own[key])
    return build(RunConfig, {**own, "train": settings})


def with_source_sizes(values: dict[str, Any], words: Sequence[str]) -> dict[str, Any]:
    """``values`` with the encoder's sizes of ``training.init_from``, but for what the command line itself gives.

    ``words``: the arguments after the recipe. Dropout is no size: it stays as composed. A run that has begun keeps the
    sizes that it began with. Another kind of encoder is left as it is; training refuses it. Raises ModelError where
    there is no model to start from.
    """
    training, model = values.get("training"), values.get("model")
    source = training.get("init_from") if isinstance(training, Mapping) else None
    if not source or source == AUTO or not isinstance(model, Mapping):
        return values  # auto: once the training text is there (asr/pipeline/start_from.py)
    run_dir = Path(str(values.get("run_dir") or ""))
    if _has_begun(run_dir):
        stored = asdict(read_config(run_dir / "config.yaml").train.model)
    else:
        stored = stored_model(str(source))
    if stored.get("name") != model.get("name"):
        return values
    given = {word.lstrip("+").partition("=")[0] for word in words} - {"model"}
    return {**values, "model": _sized(model, stored, given, "model")}


def _sized(own: Mapping[str, Any], source: Mapping[str, Any], given: Collection[str], where: str) -> dict[str, Any]:
    sized: dict[str, Any] = {}
    for key in {**own, **source}:
        dotted, value = f"{where}.{key}", own.get(key)
        if dotted in given or key.endswith("dropout") or key not in source:
            sized[key] = value
        elif isinstance(value, Mapping) and isinstance(source[key], Mapping):
            sized[key] = _sized(value, source[key], given, dotted)
        else:
            sized[key] = source[key]
    return sized


def _has_begun(run_dir: Path) -> bool:
    return (run_dir / "checkpoints" / "last.ckpt").exists() and (run_dir / "config.yaml").exists()


def changed_since_begun(run_dir: Path, settings: TrainSettings) -> list[str]:
    """The keys in which ``settings`` differ from those of the training that has begun in ``run_dir``, if one has; those
    that only say when it ends are left out.
    """
    begun = begun_with(run_dir)
    changed = [] if begun is None else changed_keys(begun, settings)
    return [key for key in changed if key not in END_KEYS]


def begun_with(run_dir: Path) -> TrainSettings | None:
    """The settings of the training that has begun in ``run_dir``, or None. Raises ModelError as ``read_config``."""
    return read_config(run_dir / "config.yaml").train if _has_begun(run_dir) else None


def changed_keys(one: TrainSettings, other: TrainSettings) -> list[str]:
    """The dotted keys, sorted, in which two settings differ and that bear on the result."""
    first, second = _flat(to_plain(one)), _flat(to_plain(other))
    return sorted(key for key in {*first, *second} - FREE_KEYS if first.get(key) != second.get(key))


def save_config(composed: DictConfig | Mapping[str, Any], path: Path) -> None:
    """Write the composed config as YAML, interpolations resolved and data folders absolute: a run resumes from any
    folder.
    """
    values = plain_config(composed)
    for key in ("dir", "cache_dir"):
        if values["data"].get(key):
            values["data"][key] = os.path.abspath(str(values["data"][key]))
    write_text(path, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def read_config(path: Path) -> RunConfig:
    """The config that ``save_config`` wrote. Raises ModelError when it cannot be read."""
    return typed_config(_stored_values(path))


def _stored_values(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise ModelDamagedError(f"{path}: the run's configuration cannot be read ({why})") from None
    if not isinstance(values, dict):
        raise ModelDamagedError(f"{path}: the run's configuration is not a mapping of keys")
    if isinstance(values.get("data"), dict):
        values["data"].pop("keep_mb", None)  # of runs begun before data.cache_mb
    if isinstance(values.get("features"), dict):
        values["features"].setdefault("level_db", None)  # of runs begun before features.level_db
    return values


def with_overrides(path: Path, words: Sequence[str]) -> dict[str, Any]:
    """The values of a run's config.yaml with ``words`` (key=value) of its end and of what changes no result.

    As in the beginning, ``training.epochs`` alone lifts ``training.least_steps``. Raises UsageError for any other key.
    """
    allowed = END_KEYS | FREE_KEYS
    if wrong := [word for word in words if word.partition("=")[0] not in allowed or "=" not in word]:
        raise UsageError(
            f"a run resumes with the configuration it began with; leave out: {' '.join(wrong)}"
            f" (only these may change: {', '.join(sorted(allowed))})"
        )
    values = _stored_values(path)
    for word in with_epochs_as_given(words):
        group, _, key = word.partition("=")[0].partition(".")
        try:
            value = yaml.safe_load(word.partition("=")[2])
        except (yaml.YAMLError, ValueError):
            raise UsageError(f"{word}: cannot be read as key=value") from None
        values[group] = {**values.get(group, {}), key: value}
    return values


def set_data_dir(composed: DictConfig) -> DictConfig:
    """``composed`` with ``data.dir`` set to ``run_dir``/data where it is not set: where `asr run` prepares."""
    if not (composed.data.get("dir") or "") and (OmegaConf.select(composed, "run_dir") or ""):
        with open_dict(composed):
            composed.data.dir = str(Path(composed.run_dir) / "data")
    return composed


def plain_config(composed: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """The composed config as plain values, interpolations resolved. Raises ConfigError for a key without a value."""
    if not isinstance(composed, DictConfig):
        return dict(composed)
    try:
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = str(error.full_key or error.key or "a key")
        hint = "a folder for this run (run_dir=runs/NAME)" if key == "run_dir" else "it a value"
        raise ConfigError(f"config: {key} is not set; give {hint}") from None
    except OmegaConfBaseException as error:
        raise ConfigError(f"config: {str(error).splitlines()[0]}") from None
    return {str(key): value for key, value in values.items()}  # type: ignore[union-attr]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
