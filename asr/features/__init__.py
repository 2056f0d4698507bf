"""Features: log-mel and Kaldi's fbank on the model's device, augmentation. Knows nothing of manifests."""

from asr.features.augment import AugmentConfig, WaveformAugment
from asr.features.build import AnyFeaturesConfig, build_features, build_features_config
from asr.features.frontend import (
    Features,
    FeaturesConfig,
    NormalisationStatistics,
    recording_mean,
    stream_features,
)
from asr.features.kaldi import KaldiFbank, KaldiFbankConfig
from asr.features.log_mel import LogMel, LogMelConfig
from asr.features.spec_augment import SpecAugmentConfig, spec_augment

__all__ = [
    "AnyFeaturesConfig",
    "AugmentConfig",
    "Features",
    "FeaturesConfig",
    "KaldiFbank",
    "KaldiFbankConfig",
    "LogMel",
    "LogMelConfig",
    "NormalisationStatistics",
    "SpecAugmentConfig",
    "WaveformAugment",
    "build_features",
    "build_features_config",
    "recording_mean",
    "spec_augment",
    "stream_features",
]
