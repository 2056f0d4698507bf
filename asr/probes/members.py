"""The family's members that the experiments on random or made-up input compare, at about equally many weights.

In: a member's name. Out: its encoder, without subsampling and head. They are the encoders of asr/models, initialised as
those are: Xavier input weights, orthogonal recurrent ones.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from asr.errors import UsageError
from asr.models import ENCODERS, build_model_config
from asr.schema import nearest

MEMBERS: dict[str, dict[str, Any]] = {
    "rnn": {"name": "rnn"},
    "gru": {"name": "gru"},
    "gru-2": {"name": "gru", "update_bias": 2.0},
    "gru-5": {"name": "gru", "update_bias": 5.0},
    "lstm-0": {"name": "lstm", "forget_bias": 0.0},
    "lstm-1": {"name": "lstm", "forget_bias": 1.0},
    "lstm-2": {"name": "lstm", "forget_bias": 2.0},
    "lstm-5": {"name": "lstm", "forget_bias": 5.0},
    "minlstm": {"name": "minlstm", "bidirectional": False},
    "transformer": {"name": "transformer", "heads": 4, "feedforward_factor": 2},
}
LABELS = {
    "rnn": "RNN", "gru": "GRU", "gru-2": "GRU, update bias 2", "gru-5": "GRU, update bias 5",
    "lstm-0": "LSTM, forget bias 0", "lstm-1": "LSTM, forget bias 1", "lstm-2": "LSTM, forget bias 2",
    "lstm-5": "LSTM, forget bias 5", "minlstm": "minLSTM", "transformer": "Transformer",
}  # fmt: skip
STEP = 4  # hidden sizes are multiples of it, as the heads of attention require
NO_DROPOUT = {"dropout": 0.0, "input_dropout": 0.0, "output_dropout": 0.0}


def check_members(names: Sequence[str]) -> None:
    """Raise UsageError for a name that is none of ``MEMBERS``."""
    for name in names:
        if name not in MEMBERS:
            raise UsageError(f"unknown network {name!r}{nearest(name, list(MEMBERS))}")


def make_encoder(name: str, input_size: int, hidden_size: int, num_layers: int = 1) -> nn.Module:
    """The encoder of member ``name``, in training mode; torch's generator gives its weights. No dropout."""
    sizes = {"num_layers": num_layers, "hidden_size": hidden_size}
    config = build_model_config({**MEMBERS[name], **sizes, **NO_DROPOUT})
    return ENCODERS[config.name][1](input_size, config)


@contextmanager
def allow_backward(model: nn.Module) -> Iterator[None]:
    """Within the context a gradient of ``model`` in evaluation mode can be computed, on a GPU too.

    cuDNN computes gradients of a recurrent layer only in training mode. Ours are single layers without dropout of
    their own, so both modes give the same.
    """
    parts = [one for one in model.modules() if isinstance(one, nn.RNNBase) and not one.training]
    for part in parts:
        part.train()
    try:
        yield
    finally:
        for part in parts:
            part.eval()


def fit_hidden_size(name: str, input_size: int, parameters: int, num_layers: int = 1) -> int:
    """The multiple of STEP with which member ``name`` comes nearest to ``parameters`` weights."""
    return fit_size(lambda size: count_weights(make_encoder(name, input_size, size, num_layers)), parameters, STEP)


def fit_size(weights: Callable[[int], int], parameters: int, step: int, least: int = 0) -> int:
    """The size ``least + step * n``, n >= 1, with which the growing ``weights(size)`` is nearest to ``parameters``."""
    low, high = 1, 1
    while weights(least + step * high) < parameters:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if weights(least + step * middle) < parameters else (low, middle)
    best = min((low, high), key=lambda n: abs(weights(least + step * n) - parameters))
    return least + step * best


def count_weights(model: nn.Module) -> int:
    """The number of trainable weights."""
    return sum(weight.numel() for weight in model.parameters())
