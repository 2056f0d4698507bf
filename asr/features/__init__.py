"""Features: log-mel and Kaldi fbank on the model's device, augmentation. Knows nothing of manifests.

What computes in torch is imported when it is used: recognition by onnxruntime starts without torch.
"""

from typing import TYPE_CHECKING, Any

from asr.features.config import AnyFeaturesConfig, FeaturesConfig, KaldiFbankConfig, LogMelConfig, build_features_config
from asr.features.level import Level, LevelMeter
from asr.features.recording import ArrayLogMel, RecordingFeatures, recording_mean, stream_features
from asr.features.streaming import StreamingFeatures

if TYPE_CHECKING:
    from asr.features.augment import AugmentConfig, WaveformAugment
    from asr.features.frontend import Features, NormalisationStatistics
    from asr.features.kaldi import KaldiFbank
    from asr.features.log_mel import LogMel
    from asr.features.masking import SpecAugmentConfig, spec_augment

_IN_TORCH = {
    "augment": ("AugmentConfig", "WaveformAugment"),
    "frontend": ("Features", "NormalisationStatistics"),
    "kaldi": ("KaldiFbank",),
    "log_mel": ("LogMel",),
    "masking": ("SpecAugmentConfig", "spec_augment"),
}

__all__ = [
    "AnyFeaturesConfig",
    "ArrayLogMel",
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
    "RecordingFeatures",
    "SpecAugmentConfig",
    "StreamingFeatures",
    "WaveformAugment",
    "build_features",
    "build_features_config",
    "recording_mean",
    "spec_augment",
    "stream_features",
]


def build_features(config: AnyFeaturesConfig) -> "Features":
    """The features of ``config`` in torch. Raises ConfigError where they cannot be computed here."""
    from asr.features.kaldi import KaldiFbank
    from asr.features.log_mel import LogMel

    return KaldiFbank(config) if isinstance(config, KaldiFbankConfig) else LogMel(config)


if not TYPE_CHECKING:  # a type checker would take every misspelt name for one of these

    def __getattr__(name: str) -> Any:
        """Import what needs torch when it is first used."""
        for module, names in _IN_TORCH.items():
            if name in names:
                from importlib import import_module

                return getattr(import_module(f"asr.features.{module}"), name)
        raise AttributeError(f"module 'asr.features' has no attribute {name!r}")
