"""What a training starts from: ``training.init_from=auto`` becomes a model or nothing before the config is written.

In: the settings of a run, the keys that the user gave on the command line, and the settings with which the run has
begun, if it has. Out: settings that hold the architecture and features of the model that the training starts from, and
a line for the user. ``init_from=auto`` takes the model that comes with the package, whatever the language: its encoder
learns a new one faster than one that starts from nothing (recipes/mboshi), and where it lacks letters the head is made
anew. A run that has begun keeps what was chosen then, whatever is installed now.
"""

from collections.abc import Collection
from dataclasses import asdict, fields, replace
from pathlib import Path

from asr.config.typed import changed_keys
from asr.errors import ConfigError, ModelError
from asr.features import AnyFeaturesConfig
from asr.models import ModelConfig, build_model_config
from asr.pretrained import describe_pretrained
from asr.shipped import STARTER, find_starter, model_directory
from asr.training.config import AUTO, TrainSettings

NOTHING = "the training starts from nothing"


def choose_start(
    settings: TrainSettings, given: Collection[str], begun: TrainSettings | None = None
) -> tuple[TrainSettings, str]:
    """The settings to train with, and what to say ("" where there is nothing to say).

    ``given``: the keys on the command line, such as "model.hidden_size" or "model"; a model never replaces them.
    Raises ConfigError where they contradict the model with which the run has begun.
    """
    if settings.training.init_from != AUTO:
        return settings, ""
    if begun is None:
        return _automatic(settings, given)
    adopted = _as_begun(settings, begun)
    if clash := _clash(settings, adopted, given) if adopted.training.init_from else "":
        raise ConfigError(f"training.init_from={adopted.training.init_from}, with which this run began: {clash}")
    return adopted, ""


def _as_begun(settings: TrainSettings, begun: TrainSettings) -> TrainSettings:
    """Settings of a run that goes on: what it began with, if the user still means the same."""
    chosen = begun.training.init_from
    if chosen is None:
        return _with_start(settings, None)
    if chosen != STARTER and Path(chosen) != find_starter():
        return settings
    return _adopt(settings, chosen, begun.features, begun.model)


def _automatic(settings: TrainSettings, given: Collection[str]) -> tuple[TrainSettings, str]:
    starter = find_starter()
    if starter is None:
        return _with_start(settings, None), f"this installation comes without the model {STARTER!r}: {NOTHING}"
    adopted = _adopt(settings, _name_of(starter), *describe_pretrained(starter))
    if reason := _clash(settings, adopted, given):
        return _with_start(settings, None), f"not started from the model {STARTER!r} ({reason}): {NOTHING}"
    return adopted, f"{_started(settings, adopted)} (training.init_from=null: from nothing)"


def _name_of(starter: Path) -> str:
    """The starter's name, or its path where a folder in the working directory has the same name."""
    try:
        return STARTER if model_directory(STARTER) == starter else str(starter)
    except ModelError:
        return str(starter)


def _with_start(settings: TrainSettings, init_from: str | None) -> TrainSettings:
    return replace(settings, training=replace(settings.training, init_from=init_from))


def _adopt(settings: TrainSettings, init_from: str, features: AnyFeaturesConfig, model: ModelConfig) -> TrainSettings:
    """``settings`` with the architecture and features of another model; the dropouts stay their own."""
    adopted, own = asdict(model), asdict(settings.model)
    for there, here in ((adopted, own), (adopted["subsampling"], own["subsampling"])):
        there |= {key: here[key] for key in there.keys() & here.keys() if key.endswith("dropout")}
    return replace(_with_start(settings, init_from), features=features, model=build_model_config(adopted))


def _clash(settings: TrainSettings, adopted: TrainSettings, given: Collection[str]) -> str:
    """The first key on the command line that the model would replace, with both values; "" where there is none."""
    groups = {"model": "model.name", "features": "features.name"}
    for key in sorted({groups.get(key, key) for key in given} & set(_replaced(settings, adopted))):
        return f"{key}={_value(settings, key)} is asked for, and it has {_value(adopted, key)}"
    return ""


def _replaced(settings: TrainSettings, adopted: TrainSettings) -> list[str]:
    return [key for key in changed_keys(settings, adopted) if key.startswith(("model.", "features."))]


def _value(settings: TrainSettings, key: str) -> object:
    value: object = settings
    for name in key.split("."):
        known = {one.name for one in fields(value)}  # type: ignore[arg-type]
        value = getattr(value, name) if name in known else "none"
    return value


def _started(settings: TrainSettings, adopted: TrainSettings) -> str:
    replaced = _replaced(settings, adopted)
    text = f"starts from the weights of {adopted.training.init_from}"
    return f"{text}; its {', '.join(replaced)} replace this recipe's" if replaced else text
