"""Recordings and transcripts for tests of what reads corpora."""

from pathlib import Path

import numpy as np
import soundfile


def write_tone(path: Path, duration_s: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(int(duration_s * 8000)) / 5), 8000)
    return path


def write_pair(stem: Path, text: str = "good day") -> None:
    write_tone(stem.with_name(stem.name + ".wav"))
    stem.with_name(stem.name + ".txt").write_text(text, encoding="utf-8")
