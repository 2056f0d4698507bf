"""The light GRU: one gate, a rectified candidate, and normalised input.

In: ``(batch, frames, input_size)`` and lengths. Out: ``(batch, frames, output_size)``, zero beyond each length. What
depends on the input alone is computed for all frames at once; the loop over frames is our own.

The paper normalises the input's part by batch: those statistics would depend on the other utterances of a batch and on
the padding, and differ between training and use, which the first law of this house forbids. Here they are those of one
frame (layer normalisation, which SpeechBrain's light GRU has as a choice). A rectified state without bound can grow;
``recurrent_norm`` normalises the recurrent part too and holds it (SLi-GRU).

Sources: Ravanelli et al. 2018, "Light Gated Recurrent Units for Speech Recognition"; Moumen & Parcollet 2023,
"Stabilising and Accelerating Light Gated Recurrent Units for Automatic Speech Recognition".
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr.models.recurrent import RecurrentConfig, RecurrentStack, fill_gates


@dataclass(kw_only=True, slots=True)
class LiGruConfig(RecurrentConfig):
    """A stack of light GRU layers. ``update_bias`` above 0 begins by remembering; ``recurrent_norm`` see above."""

    name: str = "ligru"
    hidden_size: int = 456
    bidirectional: bool = True
    update_bias: float = 0.0
    recurrent_norm: bool = False


class LiGruDirection(nn.Module):
    """One direction: ``z = σ(LN(W x) + U h)``, ``a = relu(LN(W x) + U h)``, ``h = z h + (1 - z) a``.

    Rows of the weights are stacked: update gate, candidate.
    """

    def __init__(self, input_size: int, config: LiGruConfig) -> None:
        super().__init__()
        size = self.hidden_size = config.hidden_size
        self.weight_ih = nn.Parameter(torch.empty(2 * size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(2 * size, size))
        self.input_norm = nn.LayerNorm(2 * size)
        self.recurrent_norm = nn.LayerNorm(2 * size, bias=False) if config.recurrent_norm else nn.Identity()
        fill_gates(self.weight_ih, size, recurrent=False)
        fill_gates(self.weight_hh, size, recurrent=True)
        with torch.no_grad():
            self.input_norm.bias[:size] = config.update_bias

    def forward(self, inputs: Tensor) -> Tensor:
        """``(batch, frames, input_size)`` -> ``(batch, frames, hidden_size)``."""
        from_input = self.input_norm(F.linear(inputs, self.weight_ih))
        hidden = from_input.new_zeros(len(inputs), self.hidden_size)
        outputs = []
        for summed in from_input.transpose(0, 1).contiguous().unbind(0):  # (batch, 2 * hidden_size) a frame
            gates = summed + self.recurrent_norm(F.linear(hidden, self.weight_hh))
            update, candidate = gates.chunk(2, dim=1)
            hidden = torch.lerp(candidate.relu(), hidden, update.sigmoid())
            outputs.append(hidden)
        return torch.stack(outputs, dim=1)


class LiGru(RecurrentStack[LiGruConfig]):
    """The stack. Start: Xavier input, orthogonal recurrent weights gate by gate, gains 1, biases 0 but the update
    gate's.
    """

    kind: ClassVar[str] = "ligru"

    def make_direction(self, input_size: int, config: LiGruConfig) -> nn.Module:
        """A single direction of it."""
        return LiGruDirection(input_size, config)
