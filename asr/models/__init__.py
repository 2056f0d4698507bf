"""Acoustic models: subsampling, the recurrent family, the CTC head. Knows nothing of training, decoding or files."""

from asr.models.acoustic import ENCODERS, AcousticModel, ModelConfig, build_model_config
from asr.models.cell import ElmanCell, ElmanTrace, GruCell, GruTrace, LstmCell, LstmTrace
from asr.models.conformer import Conformer, ConformerConfig
from asr.models.gru import Gru, GruConfig, Rnn, RnnConfig
from asr.models.ligru import LiGru, LiGruConfig
from asr.models.lnlstm import LnLstm, LnLstmConfig
from asr.models.lstm import BiLstm, BiLstmConfig, Lstm, LstmConfig
from asr.models.minlstm import MinLstm, MinLstmConfig
from asr.models.recurrent import RecurrentLayer, RecurrentStack
from asr.models.subsampling import ConvSubsampling, SubsamplingConfig
from asr.models.transformer import Transformer, TransformerConfig

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
    "RecurrentLayer",
    "RecurrentStack",
    "Rnn",
    "RnnConfig",
    "SubsamplingConfig",
    "Transformer",
    "TransformerConfig",
    "build_model_config",
]
