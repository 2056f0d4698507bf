"""The layer-normalised LSTM: layer normalisation inside the cell, at every frame.

In: ``(batch, frames, input_size)`` and lengths. Out: ``(batch, frames, output_size)``, zero beyond each length. What
depends on the input alone is computed for all frames at once; the loop over frames is our own, because torch's fused
LSTM cannot normalise within a step. The statistics are those of one frame of one utterance, so neither padding nor
batch enters them.

Source: Ba, Kiros & Hinton 2016, "Layer Normalization", equations 20 to 22 (all four summed inputs normalised together,
the recurrent and the input part each by itself, and the cell state before it is read). Of the paper's three biases of
the summed inputs one is kept: their sum is what counts.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr.models.lstm import GATES
from asr.models.recurrent import RecurrentConfig, RecurrentStack, fill_gates

# At 1 the normalised recurrence blows a small state up and begins chaotic: rounding of 1e-7 grew to 9e-5 within 45
# frames. Cooijmans et al. 2017 ("Recurrent Batch Normalization") start their gains at 0.1 for the same reason.
RECURRENT_GAIN = 0.1


@dataclass(kw_only=True, slots=True)
class LnLstmConfig(RecurrentConfig):
    """A stack of layer-normalised LSTM layers. ``forget_bias`` is the forget gate's bias at the start.

    ``layer_norm`` is, as everywhere in the family, that *between* layers; the cell's own is always there.
    """

    name: str = "lnlstm"
    bidirectional: bool = True
    forget_bias: float = 1.0


class LnLstmDirection(nn.Module):
    """One direction. Gates are stacked in torch's order: input, forget, cell, output."""

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(len(GATES), hidden_size).flatten())
        self.input_norm = nn.LayerNorm(4 * hidden_size, bias=False)
        self.recurrent_norm = nn.LayerNorm(4 * hidden_size, bias=False)
        self.cell_norm = nn.LayerNorm(hidden_size)
        fill_gates(self.weight_ih, hidden_size, recurrent=False)
        fill_gates(self.weight_hh, hidden_size, recurrent=True)
        with torch.no_grad():
            self.bias.view(len(GATES), hidden_size)[GATES.index("forget")] = forget_bias
            self.recurrent_norm.weight.fill_(RECURRENT_GAIN)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(batch, frames, input_size)`` -> ``(batch, frames, hidden_size)``."""
        from_input = self.input_norm(F.linear(inputs, self.weight_ih)) + self.bias
        hidden = cell = from_input.new_zeros(len(inputs), self.hidden_size)
        outputs = []
        for summed in from_input.transpose(0, 1).contiguous().unbind(0):  # (batch, 4 * hidden_size) a frame
            gates = summed + self.recurrent_norm(F.linear(hidden, self.weight_hh))
            input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)
            cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * candidate.tanh()
            hidden = output_gate.sigmoid() * self.cell_norm(cell).tanh()
            outputs.append(hidden)
        return torch.stack(outputs, dim=1)


class LnLstm(RecurrentStack[LnLstmConfig]):
    """The stack. Start: Xavier input, orthogonal recurrent weights gate by gate, gains 1 but the recurrent one
    (RECURRENT_GAIN), biases 0 but the forget gate's.
    """

    kind: ClassVar[str] = "lnlstm"

    def make_direction(self, input_size: int, config: LnLstmConfig) -> nn.Module:
        """A single direction of it."""
        return LnLstmDirection(input_size, config.hidden_size, config.forget_bias)
