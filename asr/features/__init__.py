"""Features: log-mel on the model's device, normalisation, and augmentation. Knows nothing of data files."""

from asr.features.augment import AugmentConfig, SpecAugmentConfig, augment_waveform, spec_augment
from asr.features.log_mel import LogMel, LogMelConfig, NormalisationStatistics

__all__ = [
    "AugmentConfig",
    "LogMel",
    "LogMelConfig",
    "NormalisationStatistics",
    "SpecAugmentConfig",
    "augment_waveform",
    "spec_augment",
]
