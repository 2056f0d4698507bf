"""Acoustic models: subsampling, the recurrent family, the CTC head. Knows nothing of training, decoding or files."""

from asr.models.acoustic import ENCODERS, AcousticModel, ModelConfig, build_model_config
from asr.models.lstm import BiLstm, BiLstmConfig, BiLstmLayer
from asr.models.subsampling import ConvSubsampling, SubsamplingConfig

__all__ = [
    "ENCODERS",
    "AcousticModel",
    "BiLstm",
    "BiLstmConfig",
    "BiLstmLayer",
    "ConvSubsampling",
    "ModelConfig",
    "SubsamplingConfig",
    "build_model_config",
]
