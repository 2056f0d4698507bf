"""Which device a computation runs on."""

import torch

from asr.errors import ConfigError


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """``auto``: a GPU where there is one, else the CPU. Raises ConfigError for a device that this machine lacks."""
    has_gpu = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if has_gpu else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"device {name!r} is unknown; use auto, cpu, cuda or cuda:0") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"device {name}: only cpu and cuda are supported; use auto, cpu, cuda or cuda:0")
    if device.type == "cuda" and not has_gpu:
        raise ConfigError(f"device {name}: torch {torch.__version__} sees no GPU here; use auto or cpu")
    if name == "cuda":  # without a number
        device = torch.device("cuda", local_rank)
    if device.type == "cuda" and device.index >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        present = ", ".join(f"cuda:{index}" for index in range(count))
        remedy = "use one of these" if ":" in name else f"start at most {count} processes here"
        raise ConfigError(f"device {device}: torch sees only {present} here; {remedy}")
    return device
