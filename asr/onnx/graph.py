"""The acoustic model as an ONNX graph, written node by node: subsampling, the recurrent stack, head, log-softmax.

In: the settings and weights of an ``AcousticModel`` whose directions are torch's LSTM, GRU or RNN; torch is not needed.
Out: a ``ModelProto`` with dynamic batch and time that computes what the model computes. The backward direction is a
forward node between two ``ReverseSequence`` nodes, which reverse each utterance inside its own length, so that padding
comes last for both, as in asr/models/recurrent.py, and a runtime needs to know nothing of lengths inside its recurrent
nodes. Tensors of the stack are time-major, ``(frames, batch, size)``, as ONNX's recurrent nodes are implemented
everywhere.

Names of inputs and outputs are those of sherpa-onnx's zipformer2_ctc models: ``x``, ``x_lens``, ``log_probs``,
``log_probs_len``.

int8: an LSTM becomes onnxruntime's ``DynamicQuantizeLSTM``: a scale for each row of a weight (a gate of a unit),
symmetric; inputs and states are quantised when they are known. Subsampling, the first layer and the head stay float32:
of the shipped model's frames 0.47 % then have another best token than in float32, with the first layer in int8 0.89 %.
The integers are written as uint8 around 128, with which processors without VNNI compute the same.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import ConfigError, ModelError
from asr.schema import build
from asr.subsampling import TIME_STRIDES, SubsamplingConfig

HEADS = {"head": "log_probs", "phone_head": "phone_log_probs"}  # of a model, and the outputs that they become
OPSET = 17  # the first with LayerNormalization
IR_VERSION = 8  # of opset 17: older runtimes refuse what they do not know
INT8_MAX, INT8_ZERO = 127, 128
KINDS = {"bilstm": "lstm", "lstm": "lstm", "gru": "gru", "rnn": "rnn"}  # of encoders: as in the names of weights
# Where torch keeps the blocks of its stacked weights that ONNX wants in its own order.
NODES: dict[str, tuple[str, tuple[int, ...]]] = {
    "lstm": ("LSTM", (0, 3, 1, 2)),  # torch: input, forget, cell, output; ONNX: input, output, forget, cell
    "gru": ("GRU", (1, 0, 2)),  # torch: reset, update, candidate; ONNX: update, reset, candidate
    "rnn": ("RNN", (0,)),
}
NORM_EPSILON = 1e-5  # torch's default
Array = NDArray[Any]
Weights = Mapping[str, Array]
Operand = str | Array | np.generic | Sequence[int]


def require_onnx() -> Any:
    """The package ``onnx``. Raises ConfigError where it is not installed."""
    try:
        import onnx
    except ImportError as error:
        raise ConfigError(
            f"ONNX graphs need the package onnx ({error}); install it with: pip install 'asr-bilstm[onnx]'"
        ) from None
    return onnx


def has_onnx_form(model: Mapping[str, Any]) -> bool:
    """Whether ONNX's recurrent nodes can express an encoder. ``model``: its settings, as in config.json, unchecked."""
    return isinstance(model, Mapping) and str(model.get("name")) in KINDS and not model.get("projection_size")


def check_exportable(model: Mapping[str, Any], *, int8: bool = False) -> str:
    """The kind of an encoder's cells. Raises ModelError for one that ONNX's recurrent nodes cannot express, or not in
    int8. ``model``: as for ``has_onnx_form``.
    """
    name = str(model.get("name"))
    if not has_onnx_form(model):
        what = f"model={name}" + (" with a projection" if model.get("projection_size") else "")
        raise ModelError(
            f"{what} has no ONNX form here: bilstm, lstm, gru and rnn without projection_size have one; use"
            " backend torch"
        )
    if int8 and KINDS[name] != "lstm":
        raise ModelError(f"model={name}: int8 is for bilstm and lstm; use backend onnx, in float32")
    return KINDS[name]


def acoustic_graph(model: Mapping[str, Any], weights: Weights, n_mels: int, *, int8: bool = False) -> Any:
    """The ``onnx.ModelProto`` of a model: its settings, as in config.json, and its ``weights`` by torch's names.

    Inputs ``x`` ``(N, T, mels)`` float32 and ``x_lens`` ``(N,)`` int64; outputs ``log_probs`` ``(N, T', vocab)``
    float32, ``log_probs_len`` ``(N,)`` int64 and, of a model with phones, ``phone_log_probs`` ``(N, T', phones)``.
    Raises ModelError (see ``check_exportable``, and where weights and
    settings do not fit together), or ConfigError where the package onnx is absent.
    """
    kind = check_exportable(model, int8=int8)
    settings = build(SubsamplingConfig, model.get("subsampling", {}), "model.subsampling")
    graph = _Graph(weights, kind, int8)
    strides = TIME_STRIDES[settings.factor]
    mels = math.ceil(n_mels / 2 ** len(strides))  # each convolution halves them
    graph.expect("subsampling.linear.weight", settings.channels * mels, "model.subsampling.channels, features.n_mels")
    hidden, lengths = graph.subsampling(strides, "x", "x_lens")
    hidden = graph.stack(model, hidden, lengths)
    for head, name in HEADS.items():
        if f"{head}.weight" in weights:
            logits = graph.linear(hidden, head)
            graph.add("Transpose", graph.add("LogSoftmax", logits, axis=2), perm=[1, 0, 2], name=name)
    graph.add("Identity", lengths, name="log_probs_len")
    return graph.finished(n_mels)


class _Graph:
    """Nodes and constants so far. Operands are names, or values that become constants."""

    def __init__(self, weights: Weights, kind: str, int8: bool) -> None:
        self.onnx, self.weights, self.kind, self.int8 = require_onnx(), weights, kind, int8
        self.unused = set(weights)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, *operands: Operand, name: str = "", **attributes: Any) -> str:
        """A node; the name of its (first) output."""
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        names = [one if isinstance(one, str) else self._constant(one) for one in operands]
        self.nodes.append(self.onnx.helper.make_node(kind, names, [name], name, **attributes))
        return name

    def _constant(self, values: Array | np.generic | Sequence[int]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(np.asarray(values)), name))
        return name

    def weight(self, name: str) -> Array:
        """A weight in float32. Raises ModelError where there is none of that name."""
        if name not in self.weights:
            raise ModelError(f"model: the weights have no {name}, which the settings ask for; they do not fit together")
        self.unused.discard(name)
        return self.weights[name].astype(np.float32, copy=False)

    def expect(self, name: str, columns: int, key: str) -> None:
        """Raise ModelError unless a weight has as many columns as a setting, ``key``, asks for."""
        if (shape := self.weight(name).shape)[-1] != columns:
            raise ModelError(f"model: {name} is {shape}, and {key} asks for {columns} columns; they do not fit")

    def finished(self, n_mels: int) -> Any:
        """The model."""
        if self.unused:
            raise ModelError(f"model: the settings do not ask for the weight {min(self.unused)}; they do not fit")
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        inputs = [("x", kinds.FLOAT, ["N", "T", n_mels]), ("x_lens", kinds.INT64, ["N"])]
        tokens, *phones = [
            (name, kinds.FLOAT, ["N", "T_out", len(self.weights[f"{head}.bias"])])
            for head, name in HEADS.items()
            if f"{head}.bias" in self.weights
        ]
        outputs = [tokens, ("log_probs_len", kinds.INT64, ["N"]), *phones]
        described = [[helper.make_tensor_value_info(*one) for one in side] for side in (inputs, outputs)]
        graph = helper.make_graph(self.nodes, "acoustic_model", *described, self.constants)
        versions = [helper.make_opsetid("", OPSET), *([helper.make_opsetid("com.microsoft", 1)] * self.int8)]
        return helper.make_model(graph, opset_imports=versions, ir_version=IR_VERSION, producer_name="asr-bilstm")

    def linear(self, hidden: str, name: str) -> str:
        """``W x + b`` over the last axis."""
        return self.add("Add", self.add("MatMul", hidden, self.weight(f"{name}.weight").T), self.weight(f"{name}.bias"))

    def norm(self, hidden: str, name: str) -> str:
        """Layer normalisation."""
        scale, shift = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.add("LayerNormalization", hidden, scale, shift, axis=-1, epsilon=NORM_EPSILON)

    def masked(self, hidden: str, lengths: str, *, time: int, axes: list[int]) -> str:
        """``hidden`` with 0 beyond each length; ``time`` is its axis of frames, ``axes`` those that are neither
        frames nor batch.
        """
        mask = self.add("Unsqueeze", self.valid(hidden, lengths, time), axes)
        return self.add("Where", mask, hidden, np.float32(0))

    def valid(self, hidden: str, lengths: str, time: int) -> str:
        """True where a frame is real: time-major, ``(frames, batch)``, for ``time`` 0, else ``(batch, frames)``."""
        stop = self.add("Squeeze", self.add("Shape", hidden, start=time, end=time + 1), [0])
        frames = self.add("Range", np.int64(0), stop, np.int64(1))
        at, of = ([1], [0]) if time == 0 else ([0], [1])
        return self.add("Less", self.add("Unsqueeze", frames, at), self.add("Unsqueeze", lengths, of))

    def shortened(self, lengths: str, stride: int) -> str:
        """``ceil(lengths / stride)``."""
        return self.add("Div", self.add("Add", lengths, np.int64(stride - 1)), np.int64(stride))

    def subsampling(self, strides: Sequence[int], log_mel: str, lengths: str) -> tuple[str, str]:
        """``ConvSubsampling.forward``; the output is time-major."""
        hidden = self.add("Unsqueeze", log_mel, [1])  # (batch, 1, frames, mels)
        for count, stride in enumerate(strides):
            weight, bias = (self.weight(f"subsampling.convolutions.{count}.{part}") for part in ("weight", "bias"))
            hidden = self.masked(hidden, lengths, time=2, axes=[1, 3])
            hidden = self.add("Conv", hidden, weight, bias, strides=[stride, 2], pads=[1] * 4)
            hidden = self.add("Mul", hidden, self.add("Sigmoid", hidden))
            lengths = self.shortened(lengths, stride)
        hidden = self.add("Transpose", hidden, perm=[2, 0, 1, 3])  # (frames', batch, channels, mels')
        hidden = self.add("Reshape", hidden, [0, 0, -1])
        return self.norm(self.linear(hidden, "subsampling.linear"), "subsampling.norm"), lengths

    def stack(self, model: Mapping[str, Any], hidden: str, lengths: str) -> str:
        """``RecurrentStack.forward``, time-major."""
        layers, normalised, width = (
            model["num_layers"],
            model["layer_norm"],
            len(self.weight("subsampling.linear.bias")),
        )
        for count in range(layers):
            normed = self.norm(hidden, f"encoder.norms.{count}") if normalised else hidden
            int8 = self.int8 and (count > 0 or layers == 1)
            recurrent = f"encoder.layers.{count}.forward_{self.kind}.weight_hh_l0"
            self.expect(recurrent, model["hidden_size"], "model.hidden_size")
            outputs, size = self.layer(f"encoder.layers.{count}", normed, lengths, int8=int8)
            if model["residual"] and size == width:
                outputs = self.add("Add", outputs, hidden)
            hidden, width = outputs, size
        hidden = self.norm(hidden, "encoder.final_norm") if normalised else hidden
        return self.masked(hidden, lengths, time=0, axes=[2])

    def layer(self, name: str, hidden: str, lengths: str, *, int8: bool) -> tuple[str, int]:
        """``RecurrentLayer.forward``, time-major: both directions, the backward one between two reversals; and the
        width of the output.
        """
        outputs = []
        for way in ("forward", "backward"):
            direction = f"{name}.{way}_{self.kind}"
            if way == "backward" and f"{direction}.weight_hh_l0" not in self.weights:
                continue
            inputs = self.reversed(hidden, lengths) if way == "backward" else hidden
            found = self.recurrent(direction, inputs, int8=int8)  # (frames, 1, batch, size)
            found = self.add("Squeeze", found, [1])
            outputs.append(self.reversed(found, lengths) if way == "backward" else found)
        size = self.weight(f"{name}.forward_{self.kind}.weight_hh_l0").shape[1] * len(outputs)
        return (outputs[0] if len(outputs) == 1 else self.add("Concat", *outputs, axis=2)), size

    def reversed(self, hidden: str, lengths: str) -> str:
        """Every utterance reversed inside its own length."""
        return self.add("ReverseSequence", hidden, lengths, time_axis=0, batch_axis=1)

    def recurrent(self, direction: str, hidden: str, *, int8: bool) -> str:
        """The node of a direction."""
        kind, order = NODES[self.kind]
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        weights = [_reordered(self.weight(f"{direction}.{name}"), order) for name in names]
        bias = np.concatenate(weights[2:])[None]
        options: dict[str, Any] = {"hidden_size": weights[1].shape[1]}
        if kind == "GRU":
            options["linear_before_reset"] = 1
        if not int8:
            return self.add(kind, hidden, weights[0][None], weights[1][None], bias, **options)
        (w, w_scale), (r, r_scale) = map(quantised, weights[:2])
        zeros = np.full_like(w_scale, INT8_ZERO, np.uint8)[None]
        absent = ("", "", "", "")  # lengths, initial states, peepholes
        scales = (w_scale[None], zeros, r_scale[None], zeros)
        options["domain"] = "com.microsoft"
        return self.add("DynamicQuantizeLSTM", hidden, w.T[None], r.T[None], bias, *absent, *scales, **options)


def quantised(weight: Array) -> tuple[Array, Array]:
    """``(rows, columns)`` float32 -> uint8 of the same shape, and the scale of each row, ``(rows,)`` float32."""
    scale = np.maximum(np.abs(weight).max(axis=1), np.finfo(np.float32).tiny) / np.float32(INT8_MAX)
    rounded = np.rint(weight / scale[:, None]).clip(-INT8_MAX, INT8_MAX) + INT8_ZERO
    return rounded.astype(np.uint8), scale.astype(np.float32)


def _reordered(stacked: Array, order: tuple[int, ...]) -> Array:
    blocks = np.split(stacked, len(order))
    return np.concatenate([blocks[index] for index in order])
