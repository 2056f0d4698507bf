"""The stacked bidirectional LSTM, exact on padded batches and without packing.

In: ``(batch, frames, input_size)`` and lengths. Out: ``(batch, frames, output_size)``, zero beyond each length. One
single-direction ``torch.nn.LSTM`` per direction runs over the padded batch; the backward one reads each utterance
reversed inside its own length, so padding comes last for both and never reaches a valid frame. This equals
``pack_padded_sequence`` to rounding and trains faster (benchmarks/lstm_step.py; packing makes the CPU backward 2.1x
slower).

Sources: Hochreiter & Schmidhuber 1997 (cell); Gers et al. 2000 (forget gate); Graves & Schmidhuber 2005 (both
directions).
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from asr.lengths import gather_frames, reversal_index, valid_mask
from asr.models.subsampling import SubsamplingConfig
from asr.schema import check

GATES = ("input", "forget", "cell", "output")  # the order of torch's stacked gate weights


@dataclass(kw_only=True, slots=True)
class BiLstmConfig:
    """A stack of bidirectional LSTM layers. ``hidden_size`` is per direction.

    ``dropout`` acts on each layer's output but the last; ``input_dropout`` before the first layer, ``output_dropout``
    after the last. ``projection_size`` (per direction, None: none) is torch's ``proj_size``. ``residual`` adds a
    layer's input to its output where sizes agree, ``layer_norm`` normalises each layer's input. ``forget_bias`` is the
    *sum* of torch's two biases.
    """

    name: str = "bilstm"
    num_layers: int = 3
    hidden_size: int = 320
    projection_size: int | None = None
    dropout: float = 0.2
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    residual: bool = False
    layer_norm: bool = False
    forget_bias: float = 1.0
    subsampling: SubsamplingConfig = field(default_factory=SubsamplingConfig)

    def __post_init__(self) -> None:
        # a model directory from elsewhere must not keep the machine busy building layers before its weights are seen
        check(1 <= self.num_layers <= 64, f"model.num_layers={self.num_layers} must be 1 to 64")
        check(self.hidden_size >= 1, f"model.hidden_size={self.hidden_size} must be at least 1")
        for key in ("dropout", "input_dropout", "output_dropout"):
            check(0.0 <= getattr(self, key) < 1.0, f"model.{key}={getattr(self, key)} must be in [0, 1)")
        if self.projection_size is not None:
            fits = 0 < self.projection_size < self.hidden_size
            check(fits, f"model.projection_size={self.projection_size} must lie between 1 and hidden_size - 1")


class BiLstmLayer(nn.Module):
    """One bidirectional layer: ``forward_lstm`` and ``backward_lstm`` side by side, outputs concatenated.

    With ``layer.load_torch(torch.nn.LSTM(..., bidirectional=True))`` it computes what that module computes on packed
    input.
    """

    def __init__(self, input_size: int, hidden_size: int, projection_size: int | None = None) -> None:
        super().__init__()
        projection = projection_size or 0
        self.forward_lstm = nn.LSTM(input_size, hidden_size, batch_first=True, proj_size=projection)
        self.backward_lstm = nn.LSTM(input_size, hidden_size, batch_first=True, proj_size=projection)
        self.output_size = 2 * (projection_size or hidden_size)

    def forward(self, inputs: Tensor, reversal: Tensor) -> Tensor:
        """``(batch, frames, input_size)`` and its ``reversal_index`` -> ``(batch, frames, output_size)``."""
        forward_out, _ = self.forward_lstm(inputs)
        backward_out, _ = self.backward_lstm(gather_frames(inputs, reversal))
        return torch.cat((forward_out, gather_frames(backward_out, reversal)), dim=2)

    def load_torch(self, lstm: nn.LSTM, layer: int = 0) -> None:
        """Take the weights of layer ``layer`` of a bidirectional ``torch.nn.LSTM`` of the same sizes."""
        for direction, suffix in ((self.forward_lstm, ""), (self.backward_lstm, "_reverse")):
            _copy_weights(lstm, f"_l{layer}{suffix}", direction, "_l0")

    def store_torch(self, lstm: nn.LSTM, layer: int = 0) -> None:
        """Write this layer's weights into layer ``layer`` of a bidirectional ``torch.nn.LSTM`` of the same sizes."""
        for direction, suffix in ((self.forward_lstm, ""), (self.backward_lstm, "_reverse")):
            _copy_weights(direction, "_l0", lstm, f"_l{layer}{suffix}")


class BiLstm(nn.Module):
    """The stack: normalisation, layer, residual and dropout, ``num_layers`` times; zero beyond each length."""

    def __init__(self, input_size: int, config: BiLstmConfig) -> None:
        super().__init__()
        self.residual = config.residual
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        size = input_size
        for _ in range(config.num_layers):
            layer = BiLstmLayer(size, config.hidden_size, config.projection_size)
            self.norms.append(nn.LayerNorm(size) if config.layer_norm else nn.Identity())
            self.layers.append(layer)
            size = layer.output_size
        self.final_norm = nn.LayerNorm(size) if config.layer_norm else nn.Identity()
        self.input_dropout, self.dropout = nn.Dropout(config.input_dropout), nn.Dropout(config.dropout)
        self.output_dropout = nn.Dropout(config.output_dropout)
        self.output_size = size
        initialise_lstm(self, config.forget_bias)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """``(batch, frames, input_size)``, ``(batch,)`` int64 -> ``(batch, frames, output_size)``."""
        reversal = reversal_index(lengths, inputs.size(1))
        hidden = self.input_dropout(inputs)
        for index, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True)):
            outputs = layer(norm(hidden), reversal)
            if self.residual and outputs.shape == hidden.shape:
                outputs = outputs + hidden
            hidden = self.dropout(outputs) if index + 1 < len(self.layers) else outputs
        padding = ~valid_mask(lengths, hidden.size(1)).unsqueeze(2)
        return self.output_dropout(self.final_norm(hidden)).masked_fill(padding, 0.0)  # type: ignore[no-any-return]


def initialise_lstm(module: nn.Module, forget_bias: float) -> None:
    """Xavier input weights, orthogonal recurrent weights gate by gate, zero biases, and the forget bias.

    torch adds two bias vectors; their *sum* is what counts (NeMo parts/rnn.py), so one holds ``forget_bias`` and the
    other 0.
    """
    for lstm in (part for part in module.modules() if isinstance(part, nn.LSTM)):
        for name, weight in lstm.named_parameters():
            _initialise_weight(name, weight, lstm.hidden_size, forget_bias)


@torch.no_grad()
def _initialise_weight(name: str, weight: Tensor, hidden_size: int, forget_bias: float) -> None:
    if name.startswith("bias"):
        weight.zero_()
        if name.startswith("bias_ih"):
            weight[hidden_size : 2 * hidden_size] = forget_bias
    elif name.startswith("weight_hr"):
        nn.init.xavier_uniform_(weight)
    else:
        fill = nn.init.orthogonal_ if name.startswith("weight_hh") else nn.init.xavier_uniform_
        for gate in weight.split(hidden_size, dim=0):
            fill(gate)


@torch.no_grad()
def _copy_weights(source: nn.LSTM, source_suffix: str, target: nn.LSTM, target_suffix: str) -> None:
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] + (["weight_hr"] if source.proj_size else [])
    for name in names:
        getattr(target, name + target_suffix).copy_(getattr(source, name + source_suffix))
