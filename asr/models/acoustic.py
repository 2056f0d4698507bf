"""The acoustic model: log-mel frames in, log-probabilities over tokens out.

``AcousticModel`` = subsampling + encoder + linear head. Encoders come from a closed list (``ENCODERS``): a new
encoder is a class with ``(input_size, config)``, ``output_size`` and ``forward(inputs, lengths)``, and one line here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from asr.models.encoder import ConvSubsampling
from asr.models.lstm import BiLstm, BiLstmConfig, Gru, GruConfig, Lstm, LstmConfig, Rnn, RnnConfig
from asr.models.transformer import Conformer, ConformerConfig, Transformer, TransformerConfig
from asr.models.variants import LiGru, LiGruConfig, LnLstm, LnLstmConfig, MinLstm, MinLstmConfig
from asr.schema import build_named

ENCODERS: dict[str, tuple[type[Any], type[nn.Module]]] = {
    "bilstm": (BiLstmConfig, BiLstm),
    "lstm": (LstmConfig, Lstm),
    "gru": (GruConfig, Gru),
    "rnn": (RnnConfig, Rnn),
    "lnlstm": (LnLstmConfig, LnLstm),
    "ligru": (LiGruConfig, LiGru),
    "minlstm": (MinLstmConfig, MinLstm),
    "transformer": (TransformerConfig, Transformer),
    "conformer": (ConformerConfig, Conformer),
}
ModelConfig: TypeAlias = (
    BiLstmConfig
    | LstmConfig
    | GruConfig
    | RnnConfig
    | LnLstmConfig
    | LiGruConfig
    | MinLstmConfig
    | TransformerConfig
    | ConformerConfig
)


def build_model_config(values: Mapping[str, Any]) -> ModelConfig:
    """The typed config of the encoder that ``values["name"]`` names. Raises ConfigError on an unknown name or key."""
    config: ModelConfig = build_named([config for config, _ in ENCODERS.values()], values, "model")
    return config


class AcousticModel(nn.Module):
    """Subsampling, encoder, CTC head.

    Args: ``n_mels`` input mel bins; ``vocab_size`` tokens with the blank as id 0; ``config`` one of ``ModelConfig``;
    ``phones``: of a second CTC head beside that of the tokens, the blank first; none where it is empty.
    """

    def __init__(self, config: ModelConfig, n_mels: int, vocab_size: int, phones: Sequence[str] = ()) -> None:
        super().__init__()
        self.config, self.n_mels, self.vocab_size = config, n_mels, vocab_size
        self.phone_tokens = tuple(phones)
        self.subsampling = ConvSubsampling(n_mels, config.subsampling)
        self.encoder = ENCODERS[config.name][1](self.subsampling.output_size, config)
        output_size: int = self.encoder.output_size  # type: ignore[assignment]
        self.head = nn.Linear(output_size, vocab_size)
        self.phone_head = nn.Linear(output_size, len(phones)) if phones else None

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Output frames for log-mel frames: ``(batch,)`` int64 -> ``(batch,)`` int64."""
        return self.subsampling.output_lengths(lengths)

    def forward(self, log_mel: Tensor, lengths: Tensor, *, phones: bool = False) -> tuple[Tensor, Tensor]:
        """``(batch, frames, mels)`` float, ``(batch,)`` int64 -> log_probs ``(batch, frames', vocab)`` float32,
        ``(batch,)``; with ``phones`` those of the phones, where there are any, behind the tokens'.

        Raises ValueError when the shapes do not fit.
        """
        if log_mel.dim() != 3 or log_mel.size(2) != self.n_mels or lengths.shape != log_mel.shape[:1]:
            raise ValueError(
                f"expected log_mel (batch, frames, {self.n_mels}) and lengths (batch,), got {log_mel.shape}"
            )
        hidden, lengths = self.subsampling(log_mel, lengths)
        return self.log_probs(self.encoder(hidden, lengths), phones=phones), lengths

    def log_probs(self, encoded: Tensor, *, phones: bool = False) -> Tensor:
        """``(..., encoder's output)`` -> ``(..., vocab)`` or, with ``phones``, ``(..., vocab + phones)``, float32."""
        heads = [self.head] if self.phone_head is None or not phones else [self.head, self.phone_head]
        parts = [torch.log_softmax(head(encoded).float(), dim=-1) for head in heads]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
