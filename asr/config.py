"""Hydra's composed configuration into typed settings, and back into files that say what a run was told.

In: a composed config. Out: ``RunConfig``. With ``asr.commands`` and ``asr.cli`` this is the only place that knows OmegaConf.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from asr.errors import ConfigError, ModelError
from asr.files import write_text
from asr.models import build_model_config
from asr.schema import build, check, check_choice
from asr.text.normalize import NORMALIZERS
from asr.training.config import TrainSettings

STAGES = ("prepare", "train", "evaluate", "report")


@dataclass(kw_only=True, slots=True)
class DecodingConfig:
    """How log-probabilities become text."""

    name: str = "greedy"

    def __post_init__(self) -> None:
        check_choice("decoding.name", self.name, ("greedy",))


@dataclass(kw_only=True, slots=True)
class ScoringConfig:
    """How texts are compared: the ``normalizer`` for both, and how many of the ``worst`` utterances a report shows."""

    normalizer: str = "basic"
    worst: int = 10

    def __post_init__(self) -> None:
        check_choice("scoring.normalizer", self.normalizer, NORMALIZERS)
        check(self.worst >= 0, f"scoring.worst={self.worst} must not be negative")


@dataclass(kw_only=True, slots=True)
class RunConfig:
    """A recipe, whole: what to train and where, and what ``asr run`` does around it."""

    run_dir: Path
    train: TrainSettings
    corpus: str | None = None
    prepare: dict[str, Any] = field(default_factory=dict)
    stages: list[str] = field(default_factory=lambda: list(STAGES))
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)

    def __post_init__(self) -> None:
        for stage in self.stages:
            check_choice("stages", stage, STAGES)


def typed_config(composed: DictConfig | Mapping[str, Any]) -> RunConfig:
    """The typed form of a composed config. Raises ConfigError naming the key that is unknown, missing or wrong."""
    values = _plain(composed)
    own = {key: values.pop(key) for key in ("run_dir", "corpus", "prepare", "stages", "decoding", "scoring") if key in values}
    if not own.get("run_dir"):
        raise ConfigError("config: run_dir is not set; give a folder for this run (run_dir=runs/NAME)")
    model = values.pop("model", None)
    settings = build(TrainSettings, values)
    if model is not None:
        settings.model = build_model_config(model)
    own["run_dir"] = Path(str(own["run_dir"]))
    own["corpus"] = None if own.get("corpus") is None else str(own["corpus"])
    return build(RunConfig, {**own, "train": settings})


def save_config(composed: DictConfig, path: Path) -> None:
    """Write the composed config as YAML, interpolations resolved."""
    write_text(path, yaml.safe_dump(_plain(composed), sort_keys=False, allow_unicode=True))


def read_config(path: Path) -> RunConfig:
    """The config that ``save_config`` wrote. Raises ModelError when it cannot be read."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(f"{path}: the run's configuration cannot be read ({error})") from None
    if not isinstance(values, dict):
        raise ModelError(f"{path}: the run's configuration is not a mapping of keys")
    return typed_config(values)


def _plain(composed: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(composed, DictConfig):
        return dict(composed)
    try:
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"config: {str(error).splitlines()[0]}") from None
    return {str(key): value for key, value in values.items()}  # type: ignore[union-attr]
