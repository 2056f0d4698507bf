"""Stacks of torch's own recurrent cells: LSTM (one direction or both), GRU, and Elman's plain network.

In: ``(batch, frames, input_size)`` and lengths. Out: ``(batch, frames, output_size)``, zero beyond each length. Each
direction is a single-direction ``torch.nn.LSTM``, ``GRU`` or ``RNN`` over the padded batch, without packing
(asr/models/recurrent.py explains how), equal to ``pack_padded_sequence`` up to rounding. asr/models/cell.py spells out
the equations.

Sources: Hochreiter & Schmidhuber 1997 (LSTM); Gers et al. 2000 (forget gate); Graves & Schmidhuber 2005 (both
directions); Sak et al. 2014 (projection); Jozefowicz et al. 2015 (forget bias 1); Cho et al. 2014 (GRU, in torch's form
with the reset gate after the recurrent product); Elman 1990; Chen, Pennington & Schoenholz 2018, "Dynamical Isometry
and a Mean Field Theory of RNNs" (an orthogonal recurrence).
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from asr.models.recurrent import RecurrentConfig, RecurrentStack, StackConfig, initialise
from asr.schema import check

# the order of torch's stacked gate weights
GATES = ("input", "forget", "cell", "output")
GRU_GATES = ("reset", "update", "candidate")


@dataclass(kw_only=True, slots=True)
class BiLstmConfig(StackConfig):
    """A stack of bidirectional LSTM layers.

    ``projection_size`` (per direction, None: none) is torch's ``proj_size``. ``forget_bias`` is the *sum* of torch's
    two biases.
    """

    name: str = "bilstm"
    projection_size: int | None = None  # per direction; null: none
    forget_bias: float = 1.0  # the sum of torch's two biases

    def __post_init__(self) -> None:
        StackConfig.__post_init__(self)  # no super(): the class that slots=True makes is another one
        _check_projection(self.projection_size, self.hidden_size)


@dataclass(kw_only=True, slots=True)
class LstmConfig(RecurrentConfig):
    """A stack of LSTM layers in one direction; with ``bidirectional`` it is the ``bilstm``. Keys as in BiLstmConfig."""

    name: str = "lstm"
    hidden_size: int = 544  # per direction
    projection_size: int | None = None  # per direction; null: none
    forget_bias: float = 1.0  # the sum of torch's two biases

    def __post_init__(self) -> None:
        RecurrentConfig.__post_init__(self)
        _check_projection(self.projection_size, self.hidden_size)


class Lstm(RecurrentStack[BiLstmConfig | LstmConfig]):
    """The stack of ``torch.nn.LSTM`` directions. Initial weights: see ``initialise``, and the forget bias."""

    kind: ClassVar[str] = "lstm"

    def __init__(self, input_size: int, config: BiLstmConfig | LstmConfig) -> None:
        super().__init__(input_size, config)
        initialise(self, {GATES.index("forget"): config.forget_bias})

    def make_direction(self, input_size: int, config: BiLstmConfig | LstmConfig) -> nn.Module:
        """A single-direction ``torch.nn.LSTM``."""
        return nn.LSTM(input_size, config.hidden_size, batch_first=True, proj_size=config.projection_size or 0)

    def direction_size(self, config: BiLstmConfig | LstmConfig) -> int:
        """The projection's width where there is one."""
        return config.projection_size or config.hidden_size


class BiLstm(Lstm):
    """The bidirectional stack, the recogniser's default."""


def _check_projection(projection_size: int | None, hidden_size: int) -> None:
    if projection_size is not None:
        fits = 0 < projection_size < hidden_size
        check(fits, f"model.projection_size={projection_size} must be between 1 and hidden_size - 1")


@dataclass(kw_only=True, slots=True)
class RnnConfig(RecurrentConfig):
    """A stack of Elman layers: ``h = tanh(W x + U h + b)``.

    ``input_gain`` scales the Xavier input weights at the start. Well below 1 the states are small at first, where
    tanh is nearly linear and an orthogonal U passes the gradient on undiminished.
    """

    name: str = "rnn"
    hidden_size: int = 1104  # per direction
    input_gain: float = 1.0  # scale of the initial input weights; 0.1 keeps tanh in its linear range at first

    def __post_init__(self) -> None:
        RecurrentConfig.__post_init__(self)  # no super(): the class that slots=True makes is another one
        check(self.input_gain > 0, f"model.input_gain={self.input_gain} must be above 0")


@dataclass(kw_only=True, slots=True)
class GruConfig(RecurrentConfig):
    """A stack of GRU layers.

    ``update_bias`` is the *sum* of torch's two biases of the update gate, which in torch's form keeps the old state
    where it is near 1: above 0 a unit remembers at first, as an LSTM does with ``forget_bias``.
    """

    name: str = "gru"
    hidden_size: int = 624  # per direction
    update_bias: float = 0.0  # the sum of torch's two biases; above 0: a longer memory at the start


class Rnn(RecurrentStack[RnnConfig]):
    """The stack of ``torch.nn.RNN`` directions with tanh. Initial weights: see ``initialise``."""

    kind: ClassVar[str] = "rnn"

    def __init__(self, input_size: int, config: RnnConfig) -> None:
        super().__init__(input_size, config)
        initialise(self, {}, config.input_gain)

    def make_direction(self, input_size: int, config: RnnConfig) -> nn.Module:
        """A single-direction ``torch.nn.RNN``."""
        return nn.RNN(input_size, config.hidden_size, batch_first=True)


class Gru(RecurrentStack[GruConfig]):
    """The stack of ``torch.nn.GRU`` directions. Initial weights: see ``initialise``, and the update gate's bias."""

    kind: ClassVar[str] = "gru"

    def __init__(self, input_size: int, config: GruConfig) -> None:
        super().__init__(input_size, config)
        initialise(self, {GRU_GATES.index("update"): config.update_bias})

    def make_direction(self, input_size: int, config: GruConfig) -> nn.Module:
        """A single-direction ``torch.nn.GRU``."""
        return nn.GRU(input_size, config.hidden_size, batch_first=True)
