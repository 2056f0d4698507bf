"""CTC: paths and what they spell, alignment, and in asr/ctc/loss.py, the only module with torch, the checked loss."""

from asr.ctc.paths import best_path, collapse, frames_needed

__all__ = ["best_path", "collapse", "frames_needed"]
