"""What all encoders share: their configuration, and the convolutional subsampling before the first layer.

In: log-mel ``(batch, frames, mels)`` and lengths. Out: ``(batch, ceil(frames / factor), output_size)`` and exact
lengths. Two or three 3x3 convolutions; padding is zeroed before each, so a batch computes what each utterance computes
alone.
"""

from dataclasses import dataclass, field
from typing import TypeVar

from torch import Tensor, nn

from asr.lengths import valid_mask
from asr.schema import check
from asr.subsampling import TIME_STRIDES, SubsamplingConfig

Count = TypeVar("Count", int, Tensor)


class ConvSubsampling(nn.Module):
    """Strided 3x3 convolutions over (time, mel), each halving the mel axis, then a linear map and layer
    normalisation.
    """

    def __init__(self, n_mels: int, config: SubsamplingConfig) -> None:
        super().__init__()
        self.factor = config.factor
        self.strides = TIME_STRIDES[config.factor]
        self.convolutions = nn.ModuleList()
        channels, mels = 1, n_mels
        for stride in self.strides:
            self.convolutions.append(nn.Conv2d(channels, config.channels, 3, stride=(stride, 2), padding=1))
            channels, mels = config.channels, (mels + 1) // 2
        self.activation = nn.SiLU()
        self.linear = nn.Linear(channels * mels, config.output_size)
        self.norm = nn.LayerNorm(config.output_size)
        self.dropout = nn.Dropout(config.dropout)
        self.output_size = config.output_size

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """Output frames for input frames: ``(batch,)`` int64 -> ``(batch,)`` int64."""
        for stride in self.strides:
            lengths = (lengths + stride - 1).div(stride, rounding_mode="floor")
        return lengths

    def frames_needed(self, outputs: Count) -> Count:
        """Input frames after which the first so many output frames, at least 1, do not change any more: a number, or a
        tensor of them.
        """
        for stride in reversed(self.strides):  # frame t reads frames t * stride - 1 to t * stride + 1
            outputs = (outputs - 1) * stride + 2
        return outputs

    def forward(self, log_mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, frames, mels)``, ``(batch,)`` -> ``(batch, frames', output_size)``, ``(batch,)``."""
        hidden = log_mel.unsqueeze(1)  # (batch, 1, frames, mels)
        for convolution, stride in zip(self.convolutions, self.strides, strict=True):
            padding = ~valid_mask(lengths, hidden.size(2))
            hidden = self.activation(convolution(hidden.masked_fill(padding[:, None, :, None], 0.0)))
            lengths = (lengths + stride - 1).div(stride, rounding_mode="floor")
        hidden = hidden.transpose(1, 2).flatten(2)  # (batch, frames', channels * mels')
        return self.dropout(self.norm(self.linear(hidden))), lengths


@dataclass(kw_only=True, slots=True)
class EncoderConfig:
    """``dropout`` acts inside; ``input_dropout`` before the first layer, ``output_dropout`` after the last."""

    name: str = ""
    num_layers: int = 3
    hidden_size: int = 320  # per direction
    dropout: float = 0.2  # between layers
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    subsampling: SubsamplingConfig = field(default_factory=SubsamplingConfig)

    def __post_init__(self) -> None:
        # a model directory from elsewhere must not keep the machine busy building layers before its weights are seen
        check(1 <= self.num_layers <= 64, f"model.num_layers={self.num_layers} must be 1 to 64")
        check(self.hidden_size >= 1, f"model.hidden_size={self.hidden_size} must be at least 1")
        for key in ("dropout", "input_dropout", "output_dropout"):
            share = getattr(self, key)
            check(0.0 <= share < 1.0, f"model.{key}={share} must be in [0, 1)")
