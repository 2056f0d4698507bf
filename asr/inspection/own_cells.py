"""Readable cells for the members of the family whose loops are our own: every gate of every frame, by its name.

In: one direction and its input ``(batch, frames, input_size)``. Out: arrays ``(batch, frames, hidden_size)`` by name.
The classic cells (LSTM, GRU, Elman) stand in asr/models/cell.py with their equations; σ, x, W, U and the gates are
those of that page, LN is layer normalisation.

    layer-normalised LSTM   all summed inputs are LN(W x[t]) + LN(U h[t-1]) + b; then f, i, g, c, o as in the LSTM, and
                            h[t] = o[t] · tanh(LN(c[t]))
    light GRU               z[t] = σ(LN(W_z x[t]) + U_z h[t-1]);  n[t] = relu(LN(W_n x[t]) + U_n h[t-1])
                            h[t] = z[t] · h[t-1] + (1 - z[t]) · n[t]
    minLSTM                 f' = σ(W_f x[t] + b_f), i' = σ(W_i x[t] + b_i): no h[t-1] in them
                            f[t] = f' / (f' + i'), i[t] = i' / (f' + i'), h[t] = f[t] · h[t-1] + i[t] · g[t]
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from asr.models.ligru import LiGruDirection
from asr.models.lnlstm import LnLstmDirection
from asr.models.minlstm import MinLstmDirection

Frames = dict[str, Tensor]


def read_lnlstm(direction: LnLstmDirection, inputs: Tensor) -> Frames:
    """Gates, candidate, cell state and output."""
    c = h = inputs.new_zeros(len(inputs), direction.hidden_size)
    steps: list[Frames] = []
    for x in inputs.unbind(1):
        summed = direction.input_norm(F.linear(x, direction.weight_ih)) + direction.bias
        summed = summed + direction.recurrent_norm(F.linear(h, direction.weight_hh))
        to_i, to_f, to_g, to_o = summed.chunk(4, dim=1)
        f, i, g, o = torch.sigmoid(to_f), torch.sigmoid(to_i), torch.tanh(to_g), torch.sigmoid(to_o)
        c = f * c + i * g
        h = o * torch.tanh(direction.cell_norm(c))
        steps.append(
            {"cell_state": c, "forget_gate": f, "input_gate": i, "output_gate": o, "candidate": g, "hidden": h}
        )
    return _stacked(steps)


def read_ligru(direction: LiGruDirection, inputs: Tensor) -> Frames:
    """Update gate, candidate and output."""
    h = inputs.new_zeros(len(inputs), direction.hidden_size)
    steps: list[Frames] = []
    for x in inputs.unbind(1):
        from_input = direction.input_norm(F.linear(x, direction.weight_ih))
        to_z, to_n = (from_input + direction.recurrent_norm(F.linear(h, direction.weight_hh))).chunk(2, dim=1)
        z, n = torch.sigmoid(to_z), torch.relu(to_n)
        h = z * h + (1 - z) * n
        steps.append({"update_gate": z, "candidate": n, "hidden": h})
    return _stacked(steps)


def read_minlstm(direction: MinLstmDirection, inputs: Tensor) -> Frames:
    """Forget and input gate (they sum to 1), candidate, and the state, which is the output."""
    to_f, to_i, to_g = direction.linear(inputs).chunk(3, dim=2)
    f, i = torch.sigmoid(to_f), torch.sigmoid(to_i)
    f, i = f / (f + i), i / (f + i)
    g = torch.where(to_g >= 0, to_g + 0.5, torch.sigmoid(to_g))
    h = torch.zeros_like(g[:, 0])
    hidden = []
    for t in range(inputs.size(1)):
        h = f[:, t] * h + i[:, t] * g[:, t]
        hidden.append(h)
    return {"forget_gate": f, "input_gate": i, "candidate": g, "hidden": torch.stack(hidden, dim=1)}


def _stacked(steps: list[Frames]) -> Frames:
    return {name: torch.stack([step[name] for step in steps], dim=1) for name in steps[0]}
