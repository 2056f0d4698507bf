"""Features by name, out of a closed list: what ``features`` in a config or a model directory selects."""

from collections.abc import Mapping
from typing import Any

from asr.features.frontend import Features
from asr.features.kaldi import KaldiFbank, KaldiFbankConfig
from asr.features.log_mel import LogMel, LogMelConfig
from asr.schema import build_named

AnyFeaturesConfig = LogMelConfig | KaldiFbankConfig


def build_features_config(values: Mapping[str, Any]) -> AnyFeaturesConfig:
    """The config of ``values["name"]``, log-mel without one (model directories of earlier versions have none).

    Raises ConfigError for an unknown name, key or value.
    """
    choices: tuple[type[AnyFeaturesConfig], ...] = (LogMelConfig, KaldiFbankConfig)
    return build_named(choices, values, "features")


def build_features(config: AnyFeaturesConfig) -> Features:
    """The features of ``config``. Raises ConfigError where they cannot be computed here."""
    return KaldiFbank(config) if isinstance(config, KaldiFbankConfig) else LogMel(config)
