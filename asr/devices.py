"""Which device, precision and how many threads a computation runs with.

In: values of the configuration (``auto``, ``cuda:1``, ``bf16``). Out: torch's objects, or a ConfigError for what
this machine does not have.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

from asr.errors import ConfigError
from asr.provenance import processor_flags

AUTOCAST_TYPES: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = tuple(AUTOCAST_TYPES)
FASTER_IN_BF16 = {"amx_bf16", "avx512_bf16", "bf16"}  # instructions; the last of Arm


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


def check_precision(device: torch.device, precision: str) -> str | None:
    """A warning where ``device`` computes slowly in ``precision``, None where not.

    Raises ConfigError where it does not compute in it: the CPU has fp32 and bf16.
    """
    if device.type == "cpu" and precision == "fp16":
        raise ConfigError(
            "config: training.precision=fp16 is for GPUs and this run is on the CPU; use training.precision=fp32, or"
            " bf16 on a CPU with AMX"
        )
    flags = processor_flags()
    if device.type == "cpu" and precision == "bf16" and flags and not flags & FASTER_IN_BF16:
        return (
            "training.precision=bf16: this processor has no instructions for it (AMX, AVX512-BF16), which makes the"
            " training many times slower than with training.precision=fp32"
        )
    return None


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """A context in which a model on ``device`` computes in ``precision``, one of ``PRECISIONS``."""
    kind = AUTOCAST_TYPES[precision]
    return torch.autocast(device.type, dtype=kind) if kind else contextlib.nullcontext()


def allow_tf32(allowed: bool) -> None:
    """Whether a GPU may round the factors of fp32 products and convolutions to TF32's 10 bits."""
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed  # torch's own default is to allow it here, and not in products


def upload(values: Tensor, device: torch.device) -> Tensor:
    """``values`` on ``device``; on a GPU without waiting for what it still computes, which needs pinned memory."""
    if device.type != "cuda" or values.is_cuda:
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def set_threads(count: int | None) -> None:
    """Let torch compute with ``count`` threads on the CPU; None leaves torch's own choice."""
    if count:
        torch.set_num_threads(count)


@contextlib.contextmanager
def torch_as_before(device: torch.device) -> Iterator[None]:
    """Inside, torch's threads, TF32 and default generators, also that of ``device``, may be set; then they are back."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    tf32 = torch.backends.cudnn.allow_tf32
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_float32_matmul_precision(precision)
            torch.backends.cudnn.allow_tf32 = tf32
