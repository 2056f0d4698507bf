"""The stack that the whole recurrent family shares: any cell, one direction or both, exact on padded batches.

In: ``(batch, frames, input_size)`` and lengths. Out: ``(batch, frames, output_size)``, zero beyond each length. A
*direction* is a module that runs over ``(batch, frames, size)`` from the first frame to the last and keeps nothing
between calls. The backward one reads each utterance reversed inside its own length, so padding comes last for both and
never reaches a valid frame. Nothing is packed (packing makes the CPU backward 2.1x slower: benchmarks/lstm_step.py).

In one direction a frame depends on the frames before it; in both directions on the whole utterance. Where recognition
cuts long recordings, the state builds up over the 8 s of context before each window (asr/recognition/windows.py).
Live sound comes in chunks with some look-ahead: the forward directions carry their state from chunk to chunk, and the
backward ones begin at the end of the look-ahead (``Carried``). Training for it computes the same for all chunks of a
batch at once (``Windows``).

Sources: Elman 1990 (recurrence); Graves & Schmidhuber 2005 (both directions); Zhang et al. 2016, "Highway long
short-term memory RNNs for distant speech recognition" (latency-controlled: chunks with look-ahead).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr.lengths import reversal_index, reverse_frames, valid_mask
from asr.models.directions import run_both
from asr.models.encoder import ConvSubsampling, EncoderConfig


@dataclass(kw_only=True, slots=True)
class StackConfig(EncoderConfig):
    """The configuration of every recurrent stack. ``hidden_size`` is per direction.

    ``dropout`` acts on each layer's output but the last. ``residual`` adds a layer's input to its output where sizes
    agree, ``layer_norm`` normalises each layer's input and the last one's output.
    """

    residual: bool = False
    layer_norm: bool = False

    @property
    def directions(self) -> int:
        """2: each layer has a forward and a backward direction."""
        return 2


C = TypeVar("C", bound=StackConfig)


@dataclass(kw_only=True, slots=True)
class RecurrentConfig(StackConfig):
    """A stack that runs in one direction, or with ``bidirectional`` in both."""

    bidirectional: bool = False  # true: both directions

    @property
    def directions(self) -> int:
        """2 where each layer has a backward direction, too, else 1."""
        return 2 if self.bidirectional else 1


@dataclass(slots=True)
class Carried:
    """What a chunk hands to the next one: the state of each layer's forward direction after the chunk's last frame.

    ``keep``: frames of the chunk; the input frames behind them are look-ahead, and end where the next chunk's may.
    """

    keep: int = 0
    states: dict[int, Any] = field(default_factory=dict)  # by layer

    def run(self, layer: "RecurrentLayer", number: int, inputs: Tensor) -> Tensor:
        """The output of ``layer``, the stack's ``number``-th, for the chunk; its state is kept for the next chunk."""
        outputs, self.states[number] = layer.chunk(inputs, self.keep, self.states.get(number))
        return outputs


@dataclass(frozen=True, slots=True)
class Windows:
    """The chunks of whole utterances, each with its look-ahead: ``(batch, chunks, width, size)``.

    ``keep``: frames of a chunk; those behind them are look-ahead. ``reversal``: the ``reversal_index`` of each window,
    ``(batch * chunks, width)``. ``last``: the number of the stack's last layer.
    """

    keep: int
    width: int
    reversal: Tensor
    last: int

    @classmethod
    def of(
        cls, subsampling: ConvSubsampling, frames: Tensor, longest: int, chunk: int, look_ahead: int, layers: int
    ) -> "Windows":
        """Of utterances of so many log-mel ``frames``, ``(batch,)``, the longest with ``longest`` output frames.

        ``chunk`` and ``look_ahead`` are output frames. A stream computes a chunk when the frames up to the end of its
        look-ahead are complete, and all that is left when the recording ends: a window that an utterance does not fill
        with complete frames reaches to the end of the utterance.
        """
        keep = min(chunk, longest)
        beyond = int(subsampling.output_lengths(torch.tensor(subsampling.frames_needed(1) - 1))) - 1
        width = min(keep + look_ahead + beyond, longest)
        starts = torch.arange(0, longest, keep, device=frames.device)
        ends, frames = starts + chunk + look_ahead, frames.unsqueeze(1)
        ends = torch.where(subsampling.frames_needed(ends) <= frames, ends, subsampling.output_lengths(frames))
        lengths = (ends - starts).clamp(min=0).flatten()  # 0: behind the end of the utterance
        return cls(keep, width, reversal_index(lengths, width), layers)

    def cut(self, inputs: Tensor) -> Tensor:
        """``(batch, frames, size)`` -> ``(batch, chunks, width, size)``, with zeros behind the last frame."""
        chunks = len(self.reversal) // len(inputs)
        missing = self.keep * chunks + self.width - self.keep - inputs.size(1)
        return _overlapping(F.pad(inputs, (0, 0, 0, missing)), self.width, self.keep)

    def joined(self, outputs: Tensor, frames: int) -> Tensor:
        """The chunks one after the other: ``(batch, chunks, width, size)`` -> ``(batch, frames, size)``."""
        return outputs[:, :, : self.keep].flatten(1, 2)[:, :frames]

    def run(self, layer: "RecurrentLayer", number: int, inputs: Tensor) -> Tensor:
        """The output of ``layer``, the stack's ``number``-th, for all windows."""
        return layer.windows(inputs, self.keep, self.reversal, number == 1, number == self.last)


class RecurrentLayer(nn.Module):
    """One layer: ``forward_KIND`` and, where it is bidirectional, ``backward_KIND``; outputs concatenated.

    Args: ``kind`` names the cell in the weights' names; ``make`` makes one direction; ``size`` is a direction's width.
    """

    def __init__(self, kind: str, make: Callable[[], nn.Module], size: int, directions: int) -> None:
        super().__init__()
        self.names = [f"{way}_{kind}" for way in ("forward", "backward")[:directions]]
        for name in self.names:
            self.add_module(name, make())
        self.output_size = size * directions

    @property
    def directions(self) -> list[nn.Module]:
        """The forward direction, and the backward one where there is one."""
        return [self.get_submodule(name) for name in self.names]

    def forward(self, inputs: Tensor, reversal: Tensor) -> Tensor:
        """``(batch, frames, input_size)`` and its ``reversal_index`` -> ``(batch, frames, output_size)``."""
        if len(self.names) == 1:
            return _run(self.directions[0], inputs)
        ahead, back = self.directions
        both = (
            lambda values: _run(ahead, values),
            lambda values: reverse_frames(_run(back, reverse_frames(values, reversal)), reversal),
        )
        return torch.cat(run_both(both, [list(one.parameters()) for one in (ahead, back)], inputs), dim=2)

    def chunk(self, inputs: Tensor, keep: int, state: Any) -> tuple[Tensor, Any]:
        """A chunk of ``keep`` frames and its look-ahead, ``(batch, frames, input_size)``, none of it padding.

        ``state``: the forward direction's after the chunk before, None at the start. Returns ``(batch, frames,
        output_size)``, and the state after ``keep`` frames.
        """
        ahead, *back = self.directions
        outputs, state = _run_from(ahead, inputs[:, :keep], state)
        if inputs.size(1) > keep:
            outputs = torch.cat((outputs, _run_from(ahead, inputs[:, keep:], state)[0]), dim=1)
        backward = [_run(direction, inputs.flip(1)).flip(1) for direction in back]
        return torch.cat((outputs, *backward), dim=2), state

    def windows(self, inputs: Tensor, keep: int, reversal: Tensor, first: bool, last: bool) -> Tensor:
        """What ``chunk`` gives for each window of ``Windows``, ``(batch, chunks, width, input_size)``, at once.

        ``first``: windows have the same input in the frames that they share. ``last``: nobody reads the outputs of
        look-ahead, and those of the forward direction are zeros. Only between these does the forward direction stop at
        each chunk's end, for the state from which the look-ahead goes on.
        """
        ahead, back = self.directions

        def forward(values: Tensor) -> Tensor:
            kept, width = values[:, :, :keep], values.size(2)
            if last or width == keep:
                joined = _run(ahead, kept.flatten(1, 2))
                return F.pad(joined.unflatten(1, kept.shape[1:3]), (0, 0, 0, width - keep))
            if first:
                return _overlapping(_run(ahead, torch.cat((kept.flatten(1, 2), values[:, -1, keep:]), 1)), width, keep)
            outputs, states = list[Tensor](), list[Any]([None])
            for chunk in kept.unbind(1):
                output, state = _run_from(ahead, chunk, states[-1])
                outputs.append(output)
                states.append(state)
            beyond, _ = _run_from(ahead, values[:, :, keep:].flatten(0, 1), _stacked(states[1:]))
            return torch.cat((torch.stack(outputs, 1), beyond.unflatten(0, values.shape[:2])), 2)

        def backward(values: Tensor) -> Tensor:
            outputs = _run(back, reverse_frames(values.flatten(0, 1), reversal))
            return reverse_frames(outputs, reversal).view(*values.shape[:3], -1)

        return torch.cat(run_both((forward, backward), [list(one.parameters()) for one in (ahead, back)], inputs), 3)

    def load_torch(self, source: nn.RNNBase, layer: int = 0) -> None:
        """Take the weights of layer ``layer`` of a ``torch.nn`` RNN, GRU or LSTM of the same kind, sizes and
        directions. On packed input that module then computes what this layer computes.
        """
        for direction, suffix in zip(self.directions, ("", "_reverse"), strict=False):
            _copy_weights(source, f"_l{layer}{suffix}", direction, "_l0")

    def store_torch(self, target: nn.RNNBase, layer: int = 0) -> None:
        """Write this layer's weights into layer ``layer`` of a ``torch.nn`` module such as ``load_torch`` reads."""
        for direction, suffix in zip(self.directions, ("", "_reverse"), strict=False):
            _copy_weights(direction, "_l0", target, f"_l{layer}{suffix}")


class RecurrentStack(nn.Module, Generic[C]):
    """Normalisation, layer, residual and dropout, ``num_layers`` times; zero beyond each length.

    A subclass gives its ``kind``, makes one ``direction``, and sets the initial weights.
    """

    kind: ClassVar[str]

    def __init__(self, input_size: int, config: C) -> None:
        super().__init__()
        self.residual = config.residual
        self.layers, self.norms = nn.ModuleList(), nn.ModuleList()
        size = input_size
        for _ in range(config.num_layers):
            layer = self._make_layer(size, config)
            self.norms.append(nn.LayerNorm(size) if config.layer_norm else nn.Identity())
            self.layers.append(layer)
            size = layer.output_size
        self.final_norm = nn.LayerNorm(size) if config.layer_norm else nn.Identity()
        self.input_dropout, self.dropout = nn.Dropout(config.input_dropout), nn.Dropout(config.dropout)
        self.output_dropout = nn.Dropout(config.output_dropout)
        self.output_size = size

    def make_direction(self, input_size: int, config: C) -> nn.Module:
        """A module from ``(batch, frames, input_size)`` to ``(batch, frames, direction_size(config))``."""
        raise NotImplementedError

    def direction_size(self, config: C) -> int:
        """The width of a direction's output."""
        return config.hidden_size

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """``(batch, frames, input_size)``, ``(batch,)`` int64 -> ``(batch, frames, output_size)``."""
        return self.outputs(inputs, lengths, [len(self.layers)])[0]

    def chunk(self, inputs: Tensor, carried: Carried) -> Tensor:
        """What ``forward`` gives for a chunk of ``carried.keep`` frames and its look-ahead, ``(batch, frames,
        input_size)``; ``carried`` then holds the states after the chunk.
        """
        lengths = torch.full((len(inputs),), inputs.size(1), device=inputs.device)
        return self.outputs(inputs, lengths, [len(self.layers)], carried)[0]

    def outputs(
        self, inputs: Tensor, lengths: Tensor, after: Sequence[int], parts: Carried | Windows | None = None
    ) -> list[Tensor]:
        """What ``forward`` would give if the stack ended ``after`` so many layers, for each of these rising numbers.

        ``parts``: of a recording that still goes on (see ``chunk``), or the windows in which a stream would compute
        ``inputs``. None: the whole at once.
        """
        hidden, found = self.input_dropout(inputs), []
        reversal = reversal_index(lengths, hidden.size(1))
        if isinstance(parts, Windows):
            hidden = parts.cut(hidden)
        for count, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True), start=1):
            if parts is None:
                outputs = layer(norm(hidden), reversal)
            else:
                assert isinstance(layer, RecurrentLayer)
                outputs = parts.run(layer, count, norm(hidden))
            if self.residual and outputs.shape == hidden.shape:
                outputs = outputs + hidden
            if count in after:
                joined = parts.joined(outputs, inputs.size(1)) if isinstance(parts, Windows) else outputs
                padding = ~valid_mask(lengths, joined.size(1)).unsqueeze(2)
                found.append(self.output_dropout(self.final_norm(joined)).masked_fill(padding, 0.0))
            hidden = self.dropout(outputs) if count < len(self.layers) else outputs
        return found

    def _make_layer(self, input_size: int, config: C) -> RecurrentLayer:
        return RecurrentLayer(
            self.kind,
            lambda: self.make_direction(input_size, config),
            self.direction_size(config),
            config.directions,
        )


@torch.no_grad()
def initialise(module: nn.Module, biases: dict[int, float], input_gain: float = 1.0) -> None:
    """Set the initial weights of every ``torch.nn`` RNN, GRU and LSTM in ``module``: Xavier input weights times
    ``input_gain``, orthogonal recurrent weights gate by gate (Saxe et al. 2014), zero biases but for the gates in
    ``biases`` (gate number: value).

    torch adds two bias vectors and only their *sum* matters (NeMo parts/rnn.py): one holds the value, the other 0.
    """
    for part in (one for one in module.modules() if isinstance(one, nn.RNNBase)):
        for name, weight in part.named_parameters():
            if name.startswith("bias"):
                weight.zero_()
                for gate, value in biases.items() if name.startswith("bias_ih") else ():
                    weight[gate * part.hidden_size : (gate + 1) * part.hidden_size] = value
            elif name.startswith("weight_hr"):
                nn.init.xavier_uniform_(weight)
            else:
                recurrent = name.startswith("weight_hh")
                fill_gates(weight, part.hidden_size, recurrent=recurrent)
                weight.mul_(1.0 if recurrent else input_gain)


@torch.no_grad()
def fill_gates(weight: Tensor, hidden_size: int, *, recurrent: bool) -> None:
    """Orthogonal (``recurrent``) or Xavier values for each gate's block of rows of a stacked weight, in place."""
    for gate in weight.split(hidden_size, dim=0):
        (nn.init.orthogonal_ if recurrent else nn.init.xavier_uniform_)(gate)


def _run(direction: nn.Module, inputs: Tensor) -> Tensor:
    outputs = direction(inputs)
    return outputs[0] if isinstance(direction, nn.RNNBase) else outputs  # type: ignore[no-any-return]


def _run_from(direction: nn.Module, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
    """As ``_run`` but from a state, None for zeros; also the state after the last frame."""
    own: Any = direction
    run = own if isinstance(direction, nn.RNNBase) else own.run_from
    outputs: tuple[Tensor, Any] = run(inputs, state)
    return outputs


def _stacked(states: Sequence[Any]) -> Any:
    """The states after each chunk, ``(batch, size)`` or ``(1, batch, size)`` or tuples of them, as one of ``batch *
    chunks`` rows.
    """
    if isinstance(states[0], tuple):
        return tuple(_stacked(one) for one in zip(*states, strict=True))
    return torch.stack(tuple(states), -2).flatten(-3, -2)


def _overlapping(values: Tensor, width: int, step: int) -> Tensor:
    """``(batch, frames, size)`` -> ``(batch, windows, width, size)``, a window every ``step`` frames."""
    return values.unfold(1, width, step).transpose(2, 3)


@torch.no_grad()
def _copy_weights(source: nn.Module, source_suffix: str, target: nn.Module, target_suffix: str) -> None:
    if not isinstance(source, nn.RNNBase) or type(source) is not type(target):
        raise TypeError(f"cannot copy weights from {type(source).__name__} to {type(target).__name__}")
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] + (["weight_hr"] if source.proj_size else [])
    for name in names:
        getattr(target, name + target_suffix).copy_(getattr(source, name + source_suffix))
