"""Three variants of the recurrent cell with our own loops: light GRU, layer-normalised LSTM, minLSTM.

In: ``(batch, frames, input_size)`` and lengths. Out: ``(batch, frames, output_size)``, zero beyond each length. What
depends on the input alone is computed for all frames at once; only the recurrence runs over frames. Normalisation uses
the statistics of one frame of one utterance, so neither padding nor the rest of the batch changes a result.

Light GRU (Ravanelli et al. 2018, "Light Gated Recurrent Units for Speech Recognition"): one gate, a rectified
candidate, normalised input. The paper normalises over the batch, which would depend on padding and on the other
utterances; here it is layer normalisation, which SpeechBrain offers as a choice. A rectified state is unbounded;
``recurrent_norm`` normalises the recurrent part, too, and bounds it (SLi-GRU: Moumen & Parcollet 2023, "Stabilising and
Accelerating Light Gated Recurrent Units for Automatic Speech Recognition").

Layer-normalised LSTM (Ba, Kiros & Hinton 2016, "Layer Normalization", equations 20 to 22): the four summed inputs are
normalised together, the recurrent and the input part each by itself, and the cell state before it is output. Of the
paper's three biases of the summed inputs one is kept: only their sum matters. torch's fused LSTM cannot do this.

minLSTM (Feng et al. 2024, "Were RNNs All We Needed?", arXiv 2410.01201, with gates that sum to 1 and the positive
candidate of its appendix B): no recurrent weights, so gates and candidate depend on the input alone, and the recurrence
``h[t] = a[t] h[t-1] + b[t]`` is an associative scan (Blelloch 1990): ``scan`` takes about ``8 log8(frames)`` steps over
whole tensors where an LSTM takes ``frames``. The paper scans in log space, as cumulated sums of the log forget gates;
in float32 these lose digits as they grow. ``a`` is in (0, 1) and ``b`` is finite, so scanning the numbers themselves
needs no logarithm and is exact to rounding at any length (measured over 1,500 frames in tests/models/test_minlstm.py).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from asr.models.lstm import GATES
from asr.models.recurrent import RecurrentConfig, RecurrentStack, fill_gates


@dataclass(kw_only=True, slots=True)
class LiGruConfig(RecurrentConfig):
    """A stack of light GRU layers.

    ``update_bias``: of the update gate at the start, above 0 to keep the old state. ``recurrent_norm``: normalise the
    recurrent part, too.
    """

    name: str = "ligru"
    hidden_size: int = 456  # per direction
    bidirectional: bool = True  # true: both directions
    update_bias: float = 0.0  # above 0: a longer memory at the start
    recurrent_norm: bool = False  # true: also normalise the recurrent part (SLi-GRU), for when training diverges


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
        return self.run_from(inputs, None)[0]

    def run_from(self, inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """As ``forward`` but from the state ``(batch, hidden_size)`` of an earlier call, None for zeros; also the state
        after the last frame.
        """
        from_input = self.input_norm(F.linear(inputs, self.weight_ih))
        hidden = from_input.new_zeros(len(inputs), self.hidden_size) if state is None else state
        outputs = []
        for summed in from_input.transpose(0, 1).contiguous().unbind(0):  # (batch, 2 * hidden_size) a frame
            gates = summed + self.recurrent_norm(F.linear(hidden, self.weight_hh))
            update, candidate = gates.chunk(2, dim=1)
            hidden = torch.lerp(candidate.relu(), hidden, update.sigmoid())
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), hidden


class LiGru(RecurrentStack[LiGruConfig]):
    """The stack.

    Initial weights: Xavier input, orthogonal recurrent weights gate by gate, gains 1, biases 0 but the update gate's.
    """

    kind: ClassVar[str] = "ligru"

    def make_direction(self, input_size: int, config: LiGruConfig) -> nn.Module:
        """A single direction of it."""
        return LiGruDirection(input_size, config)


# At 1 the normalised recurrence amplifies a small state and is chaotic at first: rounding of 1e-7 grew to 9e-5 in 45
# frames. Cooijmans et al. 2017 ("Recurrent Batch Normalization") start their gains at 0.1 for the same reason.
RECURRENT_GAIN = 0.1


@dataclass(kw_only=True, slots=True)
class LnLstmConfig(RecurrentConfig):
    """A stack of layer-normalised LSTM layers. ``forget_bias`` is the forget gate's bias at the start.

    ``layer_norm`` is, as everywhere in the family, that *between* layers; the cell's own is always there.
    """

    name: str = "lnlstm"
    bidirectional: bool = True  # true: both directions
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
        return self.run_from(inputs, None)[0]

    def run_from(self, inputs: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As ``forward`` but from the output and the cell state of an earlier call, ``(batch, hidden_size)`` each, None
        for zeros; also those after the last frame.
        """
        from_input = self.input_norm(F.linear(inputs, self.weight_ih)) + self.bias
        zeros = from_input.new_zeros(len(inputs), self.hidden_size)
        hidden, cell = (zeros, zeros) if state is None else state
        outputs = []
        for summed in from_input.transpose(0, 1).contiguous().unbind(0):  # (batch, 4 * hidden_size) a frame
            gates = summed + self.recurrent_norm(F.linear(hidden, self.weight_hh))
            input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)
            cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * candidate.tanh()
            hidden = output_gate.sigmoid() * self.cell_norm(cell).tanh()
            outputs.append(hidden)
        return torch.stack(outputs, dim=1), (hidden, cell)


class LnLstm(RecurrentStack[LnLstmConfig]):
    """The stack.

    Initial weights: Xavier input, orthogonal recurrent weights gate by gate, gains 1 but the recurrent one
    (RECURRENT_GAIN), biases 0 but the forget gate's.
    """

    kind: ClassVar[str] = "lnlstm"

    def make_direction(self, input_size: int, config: LnLstmConfig) -> nn.Module:
        """A single direction of it."""
        return LnLstmDirection(input_size, config.hidden_size, config.forget_bias)


RADIX = 8  # frames of a group; groups run in parallel, the frames of each one after another
MIN_GATES = ("forget", "input", "candidate")  # the order of the stacked gate weights


@dataclass(kw_only=True, slots=True)
class MinLstmConfig(RecurrentConfig):
    """A stack of minLSTM layers. ``forget_bias`` is the forget gate's bias at the start.

    Without recurrent weights only depth mixes units: residual connections and normalisation, as in the paper, are on.
    """

    name: str = "minlstm"
    hidden_size: int = 480  # per direction
    bidirectional: bool = True  # true: both directions
    residual: bool = True
    layer_norm: bool = True
    forget_bias: float = 1.0


class MinLstmDirection(nn.Module):
    """One direction."""

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, len(MIN_GATES) * hidden_size)
        fill_gates(self.linear.weight, hidden_size, recurrent=False)
        nn.init.zeros_(self.linear.bias)
        with torch.no_grad():
            self.linear.bias[:hidden_size] = forget_bias

    def forward(self, inputs: Tensor) -> Tensor:
        """``(batch, frames, input_size)`` -> ``(batch, frames, hidden_size)``."""
        return self.run_from(inputs, None)[0]

    def run_from(self, inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """As ``forward`` but from the state ``(batch, hidden_size)`` of an earlier call, None for zeros; also the state
        after the last frame.
        """
        keep, fresh = self.gates(inputs)
        if state is not None:
            fresh = torch.cat((fresh[:, :1] + keep[:, :1] * state.unsqueeze(1), fresh[:, 1:]), dim=1)
        outputs: Tensor = LinearScan.apply(keep, fresh)  # type: ignore[no-untyped-call]
        return outputs, outputs[:, -1]

    def gates(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The share of the state that is kept, in (0, 1), and what is added: each ``(batch, frames, hidden_size)``."""
        summed = self.linear(inputs)
        summed = summed.to(torch.promote_types(summed.dtype, torch.float32))  # under autocast: no scan in halves
        forget, enter, candidate = summed.chunk(len(MIN_GATES), dim=2)
        balance = F.logsigmoid(forget) - F.logsigmoid(enter)  # σ(f) / (σ(f) + σ(i)) = σ(log σ(f) - log σ(i))
        positive = torch.where(candidate >= 0, candidate + 0.5, candidate.sigmoid())
        return balance.sigmoid(), (-balance).sigmoid() * positive


class LinearScan(torch.autograd.Function):
    """``h[t] = a[t] h[t-1] + b[t]`` from ``h[-1] = 0``, along axis 1 of ``(batch, frames, size)``.

    Its gradient is the same scan from the last frame to the first; only ``a`` and ``h`` are kept for it.
    """

    @staticmethod
    def forward(ctx: Any, keep: Tensor, fresh: Tensor) -> Tensor:
        """``a`` and ``b`` -> ``h``."""
        hidden = scan(keep, fresh)
        ctx.save_for_backward(keep, hidden)
        return hidden

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of ``h`` -> those of ``a`` and ``b``."""
        keep, hidden = ctx.saved_tensors
        following = F.pad(keep[:, 1:], (0, 0, 0, 1))
        to_fresh = scan(following.flip(1), gradient.flip(1)).flip(1)
        return to_fresh * F.pad(hidden[:, :-1], (0, 0, 1, 0)), to_fresh


def scan(keep: Tensor, fresh: Tensor) -> Tensor:
    """The scan of ``LinearScan``: within groups of RADIX frames, over the groups' ends, and from those into the groups.

    Work is proportional to the frames. Zero frames of padding at the end change nothing before them.
    """
    batch, frames, size = fresh.shape
    groups = -(-frames // RADIX)
    padding = (0, 0, 0, groups * RADIX - frames)
    keep = F.pad(keep, padding).view(batch, groups, RADIX, size).clone()
    hidden = F.pad(fresh, padding).view(batch, groups, RADIX, size).clone()
    for place in range(1, RADIX):
        hidden[:, :, place] += keep[:, :, place] * hidden[:, :, place - 1]
        keep[:, :, place] *= keep[:, :, place - 1]
    if groups > 1:
        ends = scan(keep[:, :, -1], hidden[:, :, -1])
        hidden[:, 1:] += keep[:, 1:] * ends[:, :-1].unsqueeze(2)
    return hidden.view(batch, -1, size)[:, :frames]


class MinLstm(RecurrentStack[MinLstmConfig]):
    """The stack. Initial weights: Xavier weights gate by gate, biases 0 but the forget gate's."""

    kind: ClassVar[str] = "minlstm"

    def make_direction(self, input_size: int, config: MinLstmConfig) -> nn.Module:
        """A single direction of it."""
        return MinLstmDirection(input_size, config.hidden_size, config.forget_bias)
