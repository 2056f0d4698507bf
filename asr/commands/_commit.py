"""Which code runs: the git commit of this checkout, for what a command leaves behind."""

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
