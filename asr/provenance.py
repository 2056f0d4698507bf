"""What a result came from: the command, the commit of the code, library versions, the machine, the time.

Nothing goes in. Out: short texts for run.json, model directories and the results of experiments, so that a figure can
be repeated, or doubted. torch is imported only to describe the machine.
"""

import functools
import importlib.metadata
import platform
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import torch

LIBRARIES = ("torch", "torchaudio", "librosa", "soundfile", "numpy", "jiwer", "hydra-core")


@dataclass(frozen=True, slots=True)
class Invocation:
    """The command that was given, and the commit of the code that ran it."""

    command: str
    commit: str

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Self:
        """``asr`` with these arguments, by the code of this checkout."""
        return cls("asr " + shlex.join(arguments), commit())


def commit() -> str:
    """The git commit of the code that runs, with ``+`` where it has uncommitted changes.

    "unknown" outside a checkout.
    """
    folder = Path(__file__).resolve().parent
    try:
        command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def library_versions() -> dict[str, str]:
    """Versions of the libraries that matter for repeating a result; those not installed are left out."""
    return {name: version for name in LIBRARIES if (version := _version(name))}


@functools.cache  # every export of a model asks, and each answer is parsed from a file of many lines
def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def processor_name() -> str:
    """The processor's model name as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def processor_flags() -> set[str]:
    """The processor's instructions as Linux names them, such as ``avx2``; none where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith(("flags", "Features"))), set())


def hardware(device: "torch.device | str") -> str:
    """The GPU or processor that ``device`` is, and torch's threads: ``AMD EPYC 7B13, 2 threads``."""
    import torch

    device = torch.device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    return f"{name}, {torch.get_num_threads()} threads"


def local_time() -> str:
    """Now, in local time with its offset from UTC, to the second (ISO 8601)."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
