"""CTC: the checked loss and the collapse. Knows nothing of models."""

from asr.ctc.loss import best_path, check_targets, collapse, consistency_loss, ctc_loss, frames_needed, penalise_blank

__all__ = [
    "best_path",
    "check_targets",
    "collapse",
    "consistency_loss",
    "ctc_loss",
    "frames_needed",
    "penalise_blank",
]
