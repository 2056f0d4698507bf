"""Features: log-mel and Kaldi's fbank on the model's device, augmentation. Knows nothing of manifests."""

from collections.abc import Mapping
from typing import Any

from asr.features.augment import AugmentConfig, WaveformAugment
from asr.features.frontend import (
    Features,
    FeaturesConfig,
    NormalisationStatistics,
    recording_mean,
    stream_features,
)
from asr.features.kaldi import KaldiFbank, KaldiFbankConfig
from asr.features.level import Level, LevelMeter
from asr.features.log_mel import LogMel, LogMelConfig
from asr.features.spec_augment import SpecAugmentConfig, spec_augment
from asr.features.streaming import StreamingFeatures
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


__all__ = [
    "AnyFeaturesConfig",
    "AugmentConfig",
    "Features",
    "FeaturesConfig",
    "KaldiFbank",
    "KaldiFbankConfig",
    "Level",
    "LevelMeter",
    "LogMel",
    "LogMelConfig",
    "NormalisationStatistics",
    "SpecAugmentConfig",
    "StreamingFeatures",
    "WaveformAugment",
    "build_features",
    "build_features_config",
    "recording_mean",
    "spec_augment",
    "stream_features",
]
