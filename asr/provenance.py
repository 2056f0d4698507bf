"""Which code runs: the git commit of this checkout, for what a command leaves behind."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path


def commit() -> str:
    """The git commit of the code that runs, with ``+`` where it has uncommitted changes.

    "unknown" outside a checkout.
    """
    folder = Path(__file__).resolve().parent
    try:
        words = ["git", "-C", str(folder), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


LIBRARIES = ("torch", "torchaudio", "librosa", "soundfile", "numpy", "jiwer", "hydra-core")


def library_versions() -> dict[str, str]:
    """Versions of the libraries that matter for repeating a result; absent ones are left out."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def processor_name() -> str:
    """The processor's model name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
