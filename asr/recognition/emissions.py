"""What the model says about whole recordings: windows through the model in batches, and joined again.

In: windows of log-mel. Out: ``Emissions``, from which a decoder makes text and an aligner word times. They are small
(10 MB for an hour of characters), so one set can be kept and decoded many times.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from asr.features import LogMelConfig
from asr.models import AcousticModel
from asr.recognition.bounds import SpeechLevel
from asr.recognition.windows import Window

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Emissions:
    """``log_probs`` float32 ``(frames, vocab)``, natural logarithms, of one whole recording of ``duration_s``.

    Frame ``t`` is centred on ``t * frame_s - edge_s`` seconds into the recording; ``edge_s`` is the silence that
    the model was given in front. ``level``: where speech is, for word times; None where none are wanted.
    """

    log_probs: Array
    frame_s: float
    edge_s: float
    duration_s: float
    level: SpeechLevel | None = None


def frame_seconds(features: LogMelConfig, factor: int) -> float:
    """From one output frame to the next, exactly: hop length times ``factor`` over the rate."""
    return features.hop_length * factor / features.sample_rate


@torch.inference_mode()
def compute_windows(model: AcousticModel, windows: Sequence[Window]) -> list[Array]:
    """One batch through the model -> for each window the kept frames ``(frames, vocab)``."""
    log_mel = pad_sequence([window.log_mel for window in windows], batch_first=True)  # (batch, frames, mels)
    frames = torch.tensor([len(window.log_mel) for window in windows], device=log_mel.device)
    log_probs, _ = model(log_mel, frames)
    kept = zip(windows, log_probs, strict=True)
    return [row[window.skip : window.skip + window.keep].cpu().numpy().copy() for window, row in kept]


def stitch(parts: list[Array], vocab_size: int) -> Array:
    """The kept frames of all windows, in order, as one ``(frames, vocab)``; ``parts`` is emptied, as it would else be
    held twice (10 MB of an hour) while the text is decoded.
    """
    whole = np.concatenate(parts) if parts else np.zeros((0, vocab_size), np.float32)
    parts.clear()
    return whole
