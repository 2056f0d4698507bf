"""Encoders of self-attention: the Transformer, and the Conformer, which adds a convolution to each layer.

In: ``(batch, frames, input_size)`` and lengths. Out: ``(batch, frames, hidden_size)``, zero beyond each length. Every
frame attends to every other one, in parallel, at a cost that grows with the square of the length. Padding is zeroed
before the first layer (and before each convolution, as the edges of an utterance alone are) and its keys get a weight
of exactly 0, so it never reaches a valid frame.

Positions are relative: a learned bias for each head and bucket of distance is added to the attention's logits, one
table for all layers. Near distances have buckets of their own, far ones share them, all beyond ``max_distance`` the
last: no length is unseen. The table is initialised to slopes of distance, so that heads start with windows from a few
frames to all. Where recognition cuts long recordings the whole input is a window of 56 s.

A Conformer layer has a convolution in its middle and half a feed-forward part at either end. The paper normalises the
convolution's output over the batch, which would depend on padding and on the other utterances; here it is layer
normalisation, so that a batch computes what each utterance computes alone. Its positions are those of Transformer-XL;
here they are the Transformer's.

Sources: Vaswani et al. 2017; Xiong et al. 2020 (normalisation before each part); Raffel et al. 2020 (T5: the buckets);
Press et al. 2022 (ALiBi: the slopes); Gulati et al. 2020, "Conformer: Convolution-augmented Transformer for Speech
Recognition".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr.lengths import valid_mask
from asr.models.encoder import EncoderConfig
from asr.schema import check

MASKED = -30000.0  # e to it is 0 in every precision, yet finite in float16: a row of padding alone gives no NaN
BUCKETS, EXACT = 16, 8  # buckets for the distances to one side, and how many of them hold one distance each


@dataclass(kw_only=True, slots=True)
class TransformerConfig(EncoderConfig):
    """``hidden_size``: the width of the encoder, a multiple of ``heads``. ``feedforward_factor``: of the inner width.

    ``dropout`` acts on what each part adds and inside the feed-forward part. ``max_distance`` in encoder frames: see
    the module's text.
    """

    name: str = "transformer"
    num_layers: int = 8
    hidden_size: int = 256  # the encoder's width, a multiple of heads
    dropout: float = 0.1  # on each residual branch and inside the feed-forward part
    heads: int = 4
    feedforward_factor: int = 4  # inner width of the feed-forward part, as a multiple of hidden_size
    max_distance: int = 128  # in encoder frames; larger distances share one position

    def __post_init__(self) -> None:
        EncoderConfig.__post_init__(self)  # no super(): the class that slots=True makes is another one
        check(self.heads >= 1, f"model.heads={self.heads} must be at least 1")
        fits = self.hidden_size % self.heads == 0
        check(fits, f"model.hidden_size={self.hidden_size} must be a multiple of model.heads={self.heads}")
        check(self.feedforward_factor >= 1, f"model.feedforward_factor={self.feedforward_factor} must be at least 1")
        check(self.max_distance > EXACT, f"model.max_distance={self.max_distance} must be above {EXACT}")


class RelativeBias(nn.Module):
    """A bias for each head and each bucket of the distance from query to key."""

    def __init__(self, heads: int, max_distance: int) -> None:
        super().__init__()
        self.max_distance = max_distance
        slopes = 2.0 ** (-8.0 * torch.arange(1, heads + 1) / heads)
        nearest = torch.arange(BUCKETS).float()
        nearest[EXACT:] = EXACT * (max_distance / EXACT) ** ((nearest[EXACT:] - EXACT) / (BUCKETS - EXACT))
        self.table = nn.Parameter((-nearest.unsqueeze(1) * slopes).repeat(2, 1))  # (before and after, heads)

    def forward(self, valid: Tensor) -> Tensor:
        """``(batch, frames)`` bool -> the bias added to the logits ``(batch, heads, queries, keys)``."""
        frames = valid.size(1)
        offsets = torch.arange(1 - frames, frames, device=valid.device)  # key minus query
        by_offset = self.table[self.bucket(offsets)].T  # (heads, 2 * frames - 1)
        bias = by_offset.unfold(1, frames, 1).flip(1)  # row q holds the offsets -q .. frames - 1 - q
        return bias.unsqueeze(0).masked_fill(~valid[:, None, None, :], MASKED)

    def bucket(self, offsets: Tensor) -> Tensor:
        """The table's row for each offset (key minus query), whatever its size."""
        distance = offsets.abs()
        share = (distance.clamp(min=EXACT) / EXACT).log() / math.log(self.max_distance / EXACT)
        far = (EXACT + (share * (BUCKETS - EXACT)).long()).clamp(max=BUCKETS - 1)
        return torch.where(distance < EXACT, distance, far) + BUCKETS * (offsets > 0)


class SelfAttention(nn.Module):
    """Multi-head self-attention with a bias on its logits, through torch's scaled dot product."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """``(batch, frames, size)`` and ``(batch, heads, queries, keys)`` -> ``(batch, frames, size)``."""
        query, key, value = self._split(hidden)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def weights(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """The attention weights, ``(batch, heads, queries, keys)``: for inspection, not for speed."""
        query, key, _ = self._split(hidden)
        return (query @ key.transpose(2, 3) / math.sqrt(query.size(3)) + bias).softmax(dim=3)

    def _split(self, hidden: Tensor) -> tuple[Tensor, ...]:
        parts = self.project(hidden).unflatten(2, (3, self.heads, -1))
        return parts.permute(2, 0, 3, 1, 4).unbind(0)  # type: ignore[no-any-return]  # (batch, heads, frames, width)


class FeedForward(nn.Sequential):
    """Normalise, widen, SiLU, narrow: each frame by itself."""

    def __init__(self, size: int, factor: int, dropout: float) -> None:
        inner = size * factor
        super().__init__(
            nn.LayerNorm(size), nn.Linear(size, inner), nn.SiLU(), nn.Dropout(dropout), nn.Linear(inner, size)
        )


class TransformerLayer(nn.Module):
    """Attention, then feed-forward, each on normalised input and added to it."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size)
        self.attention = SelfAttention(config.hidden_size, config.heads)
        self.feedforward = FeedForward(config.hidden_size, config.feedforward_factor, config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, bias: Tensor, valid: Tensor) -> Tensor:
        """``(batch, frames, size)``, the logits' bias, ``(batch, frames)`` bool -> ``(batch, frames, size)``."""
        hidden = hidden + self.dropout(self.attention(self.attention_norm(hidden), bias))
        return hidden + self.dropout(self.feedforward(hidden))  # type: ignore[no-any-return]


C = TypeVar("C", bound=TransformerConfig)


class AttentionEncoder(nn.Module, Generic[C]):
    """A map to the encoder's width, then layers that share one ``RelativeBias``; zero beyond each length.

    Initial weights: Xavier for all matrices, zero biases.
    """

    def __init__(self, input_size: int, config: C) -> None:
        super().__init__()
        self.input = nn.Linear(input_size, config.hidden_size)
        self.bias = RelativeBias(config.heads, config.max_distance)
        self.layers = nn.ModuleList(self.make_layer(config) for _ in range(config.num_layers))
        self.final_norm: nn.Module = nn.LayerNorm(config.hidden_size)
        self.input_dropout, self.output_dropout = nn.Dropout(config.input_dropout), nn.Dropout(config.output_dropout)
        self.output_size = config.hidden_size
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)

    def make_layer(self, config: C) -> nn.Module:
        """A module ``(hidden, bias, valid) -> hidden``."""
        raise NotImplementedError

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """``(batch, frames, input_size)``, ``(batch,)`` int64 -> ``(batch, frames, hidden_size)``."""
        return self.outputs(inputs, lengths, [len(self.layers)])[0]

    def outputs(self, inputs: Tensor, lengths: Tensor, after: Sequence[int]) -> list[Tensor]:
        """What ``forward`` would give if the stack ended ``after`` so many layers, for each of these rising numbers."""
        valid = valid_mask(lengths, inputs.size(1))
        padding = ~valid.unsqueeze(2)
        hidden = self.input(self.input_dropout(inputs.masked_fill(padding, 0.0)))
        bias, found = self.bias(valid), []
        for count, layer in enumerate(self.layers, start=1):
            hidden = layer(hidden, bias, valid)
            if count in after:
                found.append(self.output_dropout(self.final_norm(hidden)).masked_fill(padding, 0.0))
        return found


class Transformer(AttentionEncoder[TransformerConfig]):
    """The stack of Transformer layers."""

    def make_layer(self, config: TransformerConfig) -> nn.Module:
        """A Transformer layer."""
        return TransformerLayer(config)


@dataclass(kw_only=True, slots=True)
class ConformerConfig(TransformerConfig):
    """As the Transformer's; ``kernel_size``: frames that the convolution spans, odd."""

    name: str = "conformer"
    num_layers: int = 4
    kernel_size: int = 15  # encoder frames that the convolution spans

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
