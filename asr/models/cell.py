"""The recurrent cells written out: every gate by its name, every equation on a line of its own.

In: ``(batch, frames, input_size)`` and the weights of a trained direction. Out: for each frame every gate, the state
and the output. Not for speed: these loops compute what ``torch.nn.LSTM``, ``GRU`` and ``RNN`` compute in one fused
call, for reading and for inspection.

The LSTM carries a *cell state* c from frame to frame. At each frame t the *forget gate* scales it down, the *input
gate* scales a new candidate that is added to it, and the *output gate* scales what of it is output, h. Each gate is a
number in (0, 1) for each unit. x is the input, W its weights; U are the weights of the last output.

    forget gate   f[t] = σ(W_f x[t] + U_f h[t-1] + b_f)        y^φ(t): Gers, Schmidhuber & Cummins 2000
    input gate    i[t] = σ(W_i x[t] + U_i h[t-1] + b_i)        y^in(t): Hochreiter & Schmidhuber 1997
    candidate     g[t] = tanh(W_g x[t] + U_g h[t-1] + b_g)     g(net_c(t))
    cell state    c[t] = f[t] · c[t-1] + i[t] · g[t]           s_c(t) = y^φ(t) s_c(t-1) + y^in(t) g(net_c(t))
    output gate   o[t] = σ(W_o x[t] + U_o h[t-1] + b_o)        y^out(t)
    output        h[t] = o[t] · tanh(c[t])                     y^c(t) = y^out(t) h(s_c(t))

Hochreiter and Schmidhuber's cell of 1997 has no forget gate: f is 1, nothing is forgotten. Between frames the state
is only scaled by f, so the gradient along the cell state is the product of the forget gates: near 1 they let it pass.
The GRU (Cho et al. 2014, in torch's form) has one state for both, and its update gate is forget and input gate in one.
Elman's network (1990) has no gate: each frame computes the whole state again.

    reset gate    r[t] = σ(W_r x[t] + U_r h[t-1] + b_r)
    update gate   z[t] = σ(W_z x[t] + U_z h[t-1] + b_z)
    candidate     n[t] = tanh(W_n x[t] + b_n + r[t] · (U_n h[t-1] + d_n))
    GRU           h[t] = z[t] · h[t-1] + (1 - z[t]) · n[t]
    Elman         h[t] = tanh(W x[t] + U h[t-1] + b)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Step = TypeVar("Step", bound="ElmanTrace")


@dataclass(frozen=True, slots=True)
class ElmanTrace:
    """``hidden``: the output h of each frame, ``(batch, frames, size)``."""

    hidden: Tensor


@dataclass(frozen=True, slots=True)
class GruTrace(ElmanTrace):
    """Also the gates and the candidate, each ``(batch, frames, hidden_size)``."""

    reset_gate: Tensor
    update_gate: Tensor
    candidate: Tensor


@dataclass(frozen=True, slots=True)
class LstmTrace(ElmanTrace):
    """Also the gates, the candidate and the cell state c, each ``(batch, frames, hidden_size)``."""

    forget_gate: Tensor
    input_gate: Tensor
    candidate: Tensor
    cell_state: Tensor
    output_gate: Tensor


class LstmCell:
    """One direction of an LSTM, read from a ``torch.nn.LSTM`` of one layer and direction (see ``Lstm``'s layers).

    ``fixed`` holds gates at a value in all frames, e.g. ``{"forget_gate": 1.0}``: a cell of 1997.
    """

    def __init__(self, lstm: nn.LSTM, fixed: Mapping[str, float] | None = None) -> None:
        _check_single(lstm, nn.LSTM)
        self.fixed = dict(fixed or {})
        unknown = sorted(self.fixed.keys() - {"forget_gate", "input_gate", "output_gate"})
        if unknown:
            raise ValueError(f"an LSTM has no gate {unknown[0]!r}; it has forget_gate, input_gate and output_gate")
        self.W_i, self.W_f, self.W_g, self.W_o = _weight(lstm, "weight_ih_l0").chunk(4)
        self.U_i, self.U_f, self.U_g, self.U_o = _weight(lstm, "weight_hh_l0").chunk(4)
        b, d = _weight(lstm, "bias_ih_l0"), _weight(lstm, "bias_hh_l0")  # torch has two: their sum is what counts
        self.b_i, self.b_f, self.b_g, self.b_o = (b + d).chunk(4)
        self.projection = _weight(lstm, "weight_hr_l0") if lstm.proj_size else None  # Sak et al. 2014

    def __call__(self, inputs: Tensor) -> LstmTrace:
        """``(batch, frames, input_size)`` -> every gate and state of every frame."""
        return _run(self._step, inputs, {"hidden": self.U_i.size(1), "cell_state": self.U_i.size(0)})

    def _step(self, x: Tensor, last: Mapping[str, Tensor]) -> LstmTrace:
        h, c = last["hidden"], last["cell_state"]
        f = self._gate("forget_gate", x @ self.W_f.T + h @ self.U_f.T + self.b_f)
        i = self._gate("input_gate", x @ self.W_i.T + h @ self.U_i.T + self.b_i)
        g = torch.tanh(x @ self.W_g.T + h @ self.U_g.T + self.b_g)
        c = f * c + i * g
        o = self._gate("output_gate", x @ self.W_o.T + h @ self.U_o.T + self.b_o)
        h = o * torch.tanh(c)
        if self.projection is not None:
            h = h @ self.projection.T
        return LstmTrace(hidden=h, forget_gate=f, input_gate=i, candidate=g, cell_state=c, output_gate=o)

    def _gate(self, name: str, summed: Tensor) -> Tensor:
        return torch.full_like(summed, self.fixed[name]) if name in self.fixed else torch.sigmoid(summed)


class GruCell:
    """One direction of a GRU, read from a ``torch.nn.GRU`` of one layer and direction (see ``Gru``'s layers)."""

    def __init__(self, gru: nn.GRU) -> None:
        _check_single(gru, nn.GRU)
        self.W_r, self.W_z, self.W_n = _weight(gru, "weight_ih_l0").chunk(3)
        self.U_r, self.U_z, self.U_n = _weight(gru, "weight_hh_l0").chunk(3)
        b, d = _weight(gru, "bias_ih_l0"), _weight(gru, "bias_hh_l0")
        self.b_r, self.b_z, _ = (b + d).chunk(3)
        self.b_n, self.d_n = b.chunk(3)[2], d.chunk(3)[2]

    def __call__(self, inputs: Tensor) -> GruTrace:
        """``(batch, frames, input_size)`` -> every gate and state of every frame."""
        return _run(self._step, inputs, {"hidden": self.U_r.size(1)})

    def _step(self, x: Tensor, last: Mapping[str, Tensor]) -> GruTrace:
        h = last["hidden"]
        r = torch.sigmoid(x @ self.W_r.T + h @ self.U_r.T + self.b_r)
        z = torch.sigmoid(x @ self.W_z.T + h @ self.U_z.T + self.b_z)
        n = torch.tanh(x @ self.W_n.T + self.b_n + r * (h @ self.U_n.T + self.d_n))
        h = z * h + (1 - z) * n
        return GruTrace(hidden=h, reset_gate=r, update_gate=z, candidate=n)


class ElmanCell:
    """One direction of a plain network, read from a ``torch.nn.RNN`` with tanh (see ``Rnn``'s layers)."""

    def __init__(self, rnn: nn.RNN) -> None:
        _check_single(rnn, nn.RNN)
        if rnn.nonlinearity != "tanh":
            raise ValueError(f"expected an RNN with tanh, not {rnn.nonlinearity}")
        self.W, self.U = _weight(rnn, "weight_ih_l0"), _weight(rnn, "weight_hh_l0")
        self.b = _weight(rnn, "bias_ih_l0") + _weight(rnn, "bias_hh_l0")

    def __call__(self, inputs: Tensor) -> ElmanTrace:
        """``(batch, frames, input_size)`` -> the state of every frame."""
        return _run(self._step, inputs, {"hidden": self.U.size(1)})

    def _step(self, x: Tensor, last: Mapping[str, Tensor]) -> ElmanTrace:
        return ElmanTrace(hidden=torch.tanh(x @ self.W.T + last["hidden"] @ self.U.T + self.b))


def _run(step: Callable[[Tensor, Mapping[str, Tensor]], Step], inputs: Tensor, sizes: Mapping[str, int]) -> Step:
    """Frame after frame from states of zero; what each frame gave, stacked along axis 1."""
    last: Mapping[str, Tensor] = {name: inputs.new_zeros(len(inputs), size) for name, size in sizes.items()}
    steps: list[Step] = []
    for x in inputs.unbind(1):  # (batch, input_size)
        steps.append(step(x, last))
        last = {name: getattr(steps[-1], name) for name in sizes}
    names = [field.name for field in fields(steps[0])]
    return type(steps[0])(**{name: torch.stack([getattr(one, name) for one in steps], dim=1) for name in names})


def _weight(module: nn.RNNBase, name: str) -> Tensor:
    weight: Tensor = getattr(module, name)
    return weight.detach()


def _check_single(module: Any, kind: type[nn.RNNBase]) -> None:
    if not isinstance(module, kind) or module.num_layers != 1 or module.bidirectional or not module.bias:
        raise ValueError(f"expected a torch.nn.{kind.__name__} of one layer and one direction, with biases")
