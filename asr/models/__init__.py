"""Acoustic models: subsampling, the recurrent family, the CTC head. Knows nothing of training, decoding or files."""

from asr.models.acoustic import ENCODERS, AcousticModel, ModelConfig, build_model_config
from asr.models.cell import ElmanCell, ElmanTrace, GruCell, GruTrace, LstmCell, LstmTrace
from asr.models.encoder import ConvSubsampling
from asr.models.lstm import BiLstm, BiLstmConfig, Gru, GruConfig, Lstm, LstmConfig, Rnn, RnnConfig
from asr.models.recurrent import RecurrentLayer, RecurrentStack, StackConfig
from asr.models.streaming import ModelStream
from asr.models.transformer import Conformer, ConformerConfig, Transformer, TransformerConfig
from asr.models.variants import LiGru, LiGruConfig, LnLstm, LnLstmConfig, MinLstm, MinLstmConfig
from asr.subsampling import SubsamplingConfig

__all__ = [
    "ENCODERS",
    "AcousticModel",
    "BiLstm",
    "BiLstmConfig",
    "Conformer",
    "ConformerConfig",
    "ConvSubsampling",
    "ElmanCell",
    "ElmanTrace",
    "Gru",
    "GruCell",
    "GruConfig",
    "GruTrace",
    "LiGru",
    "LiGruConfig",
    "LnLstm",
    "LnLstmConfig",
    "Lstm",
    "LstmCell",
    "LstmConfig",
    "LstmTrace",
    "MinLstm",
    "MinLstmConfig",
    "ModelConfig",
    "ModelStream",
    "RecurrentLayer",
    "RecurrentStack",
    "Rnn",
    "RnnConfig",
    "StackConfig",
    "SubsamplingConfig",
    "Transformer",
    "TransformerConfig",
    "build_model_config",
]
