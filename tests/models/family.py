"""The family in small sizes, for tests: every encoder in the forms that differ in code."""

from typing import Any

import torch
from torch import Tensor, nn

from asr.lengths import valid_mask
from asr.models import AcousticModel, SubsamplingConfig, build_model_config

N_MELS, VOCAB = 20, 11
FAMILY: dict[str, dict[str, Any]] = {
    "rnn": {"name": "rnn"},
    "rnn both ways": {"name": "rnn", "bidirectional": True},
    "gru": {"name": "gru", "update_bias": 1.0},
    "gru both ways": {"name": "gru", "bidirectional": True, "residual": True, "layer_norm": True},
    "lstm": {"name": "lstm"},
    "lstm both ways, projected": {"name": "lstm", "bidirectional": True, "projection_size": 10},
    "bilstm": {"name": "bilstm"},
    "bilstm, layers normalised": {"name": "bilstm", "layer_norm": True},
    "lnlstm": {"name": "lnlstm"},
    "lnlstm one way": {"name": "lnlstm", "bidirectional": False},
    "ligru": {"name": "ligru"},
    "ligru, recurrent part normalised": {"name": "ligru", "recurrent_norm": True},
    "minlstm": {"name": "minlstm"},
    "minlstm one way": {"name": "minlstm", "bidirectional": False},
    "transformer": {"name": "transformer", "max_distance": 12},
    "conformer": {"name": "conformer", "max_distance": 12, "kernel_size": 7},
}


def make_model(form: str, factor: int = 2, **options: Any) -> AcousticModel:
    """A recogniser of a few thousand weights with the encoder ``form``."""
    torch.manual_seed(5)
    subsampling = SubsamplingConfig(factor=factor, channels=4, output_size=16)
    values = {"num_layers": 2, "hidden_size": 16, "subsampling": subsampling, **FAMILY[form], **options}
    return AcousticModel(build_model_config(values), N_MELS, VOCAB).eval()


def make_batch(size: int = 16, longest: int = 90) -> tuple[Tensor, Tensor]:
    """Random frames and lengths, the longest and the shortest possible among them."""
    generator = torch.Generator().manual_seed(6)
    lengths = torch.randint(2, longest, (size,), generator=generator)
    lengths[:4] = torch.tensor([longest, 1, 7, 8])[:size]
    log_mel = torch.randn(size, longest, N_MELS, generator=generator)
    return log_mel.masked_fill(~valid_mask(lengths, longest).unsqueeze(2), 0.0), lengths


def layers_of(stack: nn.Module) -> list[Any]:
    """The layers of a stack; untyped, because tests look at weights that only a layer's own class declares."""
    layers = stack.layers
    assert isinstance(layers, nn.ModuleList)
    return list(layers)
