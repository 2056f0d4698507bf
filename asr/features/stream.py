"""Log-mel of a waveform that comes in blocks, so that a recording of any length needs the memory of one block.

In: blocks ``(samples,)`` in order. Out: unnormalised log-mel frames, which joined equal ``LogMel.unnormalised`` of the
whole (a block keeps what the next one's first windows reach back to; only rounding differs). A recording that comes in
one block goes through the very same computation as the whole, bit for bit.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.features.log_mel import LogMel

Waveform = NDArray[np.float32]
SLICE_S = 8.0


def stream_log_mel(features: LogMel, blocks: Iterable[Waveform]) -> Iterator[Tensor]:
    """Blocks ``(samples,)`` at the features' rate -> unnormalised ``(frames, n_mels)`` pieces, none empty."""
    stream = LogMelStream(features)
    waiting, alone = None, True
    for block in blocks:
        if waiting is not None:
            alone = False
            yield from _pieces(stream, waiting, last=False, whole=False)
        waiting = block
    if waiting is not None:
        yield from _pieces(stream, waiting, last=True, whole=alone)


def _pieces(stream: "LogMelStream", block: Waveform, last: bool, whole: bool) -> Iterator[Tensor]:
    """The block's frames: at once where it is the ``whole`` recording, else in slices, which need less memory."""
    size = len(block) if whole else round(SLICE_S * stream.features.config.sample_rate)
    for start in range(0, len(block), max(1, size)):
        log_mel = stream.push(block[start : start + size], last and start + size >= len(block))
        if len(log_mel):
            yield log_mel


def recording_mean(features: LogMel, blocks: Iterable[Waveform]) -> Tensor | None:
    """The mean of all log-mel frames, ``(1, 1, n_mels)``, summed in float64; None where there is no frame."""
    total, frames = torch.zeros(features.config.n_mels, dtype=torch.float64), 0
    for log_mel in stream_log_mel(features, blocks):
        total += log_mel.double().sum(dim=0).cpu()
        frames += len(log_mel)
    return (total / frames).float().view(1, 1, -1) if frames else None


class LogMelStream:
    """Frames as soon as the samples under their windows are there."""

    def __init__(self, features: LogMel) -> None:
        self.features = features
        self._held: Waveform = np.zeros(0, np.float32)
        self._first_sample = 0  # of what is held; a multiple of the hop length, so that frames stay on the grid
        self._next_frame = 0

    @torch.inference_mode()
    def push(self, block: Waveform, last: bool = False) -> Tensor:
        """The frames ``(frames, n_mels)`` that ``block`` completes; all that are left where it is the ``last``."""
        self._held = np.concatenate((self._held, block)) if len(self._held) else block
        stop = self._stop_frame(last)
        count = stop - self._next_frame
        if count <= 0:
            return torch.zeros(0, self.features.config.n_mels)
        device = self.features.mean.device
        waveform = torch.from_numpy(np.ascontiguousarray(self._held)).to(device)[None]
        log_mel, _ = self.features.unnormalised(waveform, torch.tensor([len(self._held)], device=device))
        # frame t of the whole is centred on sample t * hop - edge, so the held part's frame j is the whole's j + offset
        skip = self._next_frame - self._first_sample // self.features.config.hop_length
        self._next_frame = stop
        self._forget()
        return log_mel[0, skip : skip + count]

    def _stop_frame(self, last: bool) -> int:
        """How many frames of the whole are complete; the trailing silence of the edge comes with the last block."""
        config = self.features.config
        samples = self._first_sample + len(self._held)
        if last:
            return 1 + (samples + 2 * config.edge_samples) // config.hop_length if samples else 0
        return max(0, 1 + (samples + config.edge_samples - config.n_fft // 2) // config.hop_length)

    def _forget(self) -> None:
        """Drop the samples that no further frame sees."""
        config = self.features.config
        needed = self._next_frame * config.hop_length - config.edge_samples - config.n_fft // 2
        drop = max(0, needed // config.hop_length * config.hop_length - self._first_sample)
        self._held = self._held[drop:].copy()
        self._first_sample += drop
