"""The Conformer: a Transformer layer with a convolution in its middle and half a feed-forward part at either end.

In: ``(batch, frames, input_size)`` and lengths. Out: ``(batch, frames, hidden_size)``, zero beyond each length.
Positions, masking and context as in asr/models/transformer.py. Padding is zeroed before the convolution over time,
which pads an utterance that stands alone with zeros too.

The paper normalises the convolution's output by batch; those statistics would depend on the other utterances of a batch
and on the padding. Here they are those of one frame (layer normalisation), so that a batch computes what each utterance
computes alone.

Source: Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech Recognition". Its positions are
those of Transformer-XL; here they are the Transformer's.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from asr.models.transformer import AttentionEncoder, FeedForward, SelfAttention, TransformerConfig
from asr.schema import check


@dataclass(kw_only=True, slots=True)
class ConformerConfig(TransformerConfig):
    """As the Transformer's; ``kernel_size``: frames that the convolution spans, odd."""

    name: str = "conformer"
    num_layers: int = 4
    kernel_size: int = 15

    def __post_init__(self) -> None:
        TransformerConfig.__post_init__(self)
        fits = self.kernel_size >= 1 and self.kernel_size % 2 == 1
        check(fits, f"model.kernel_size={self.kernel_size} must be odd and at least 1")


class ConvolutionModule(nn.Module):
    """Normalise, gate, convolve each channel over time, normalise, SiLU, mix."""

    def __init__(self, size: int, kernel_size: int) -> None:
        super().__init__()
        self.norm, self.gate = nn.LayerNorm(size), nn.Linear(size, 2 * size)
        self.depthwise = nn.Conv1d(size, size, kernel_size, padding=kernel_size // 2, groups=size)
        self.inner_norm, self.out = nn.LayerNorm(size), nn.Linear(size, size)

    def forward(self, hidden: Tensor, valid: Tensor) -> Tensor:
        """``(batch, frames, size)``, ``(batch, frames)`` bool -> ``(batch, frames, size)``."""
        gated = F.glu(self.gate(self.norm(hidden)), dim=2).masked_fill(~valid.unsqueeze(2), 0.0)
        convolved = self.depthwise(gated.transpose(1, 2)).transpose(1, 2)
        return self.out(F.silu(self.inner_norm(convolved)))  # type: ignore[no-any-return]


class ConformerLayer(nn.Module):
    """Half a feed-forward part, attention, convolution, half a feed-forward part, each added; then normalised."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.feedforward_in = FeedForward(size, config.feedforward_factor, config.dropout)
        self.attention_norm, self.attention = nn.LayerNorm(size), SelfAttention(size, config.heads)
        self.convolution = ConvolutionModule(size, config.kernel_size)
        self.feedforward_out = FeedForward(size, config.feedforward_factor, config.dropout)
        self.final_norm, self.dropout = nn.LayerNorm(size), nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, bias: Tensor, valid: Tensor) -> Tensor:
        """``(batch, frames, size)``, the logits' bias, ``(batch, frames)`` bool -> ``(batch, frames, size)``."""
        hidden = hidden + 0.5 * self.dropout(self.feedforward_in(hidden))
        hidden = hidden + self.dropout(self.attention(self.attention_norm(hidden), bias))
        hidden = hidden + self.dropout(self.convolution(hidden, valid))
        return self.final_norm(hidden + 0.5 * self.dropout(self.feedforward_out(hidden)))  # type: ignore[no-any-return]


class Conformer(AttentionEncoder[ConformerConfig]):
    """The stack of Conformer layers."""

    def __init__(self, input_size: int, config: ConformerConfig) -> None:
        super().__init__(input_size, config)
        self.final_norm = nn.Identity()  # each layer ends with its own

    def make_layer(self, config: ConformerConfig) -> nn.Module:
        """A Conformer layer."""
        return ConformerLayer(config)
