"""Log-mel frames of batches, on the model's device; of one recording as NumPy arrays, without torch's part of it, in
asr/features/recording.py. The formula is that of asr/features/spectrum.py for both.

In: padded waveforms ``(batch, samples)`` and integer lengths. Out: ``(batch, frames, n_mels)`` and frame counts. What a
frame reads never depends on the batch it came in.
"""

import torch
from torch import Tensor, nn

from asr.features.config import LogMelConfig
from asr.features.frontend import Features, check_batch
from asr.features.spectrum import hann_window, log_mel_filterbank, log_mel_power
from asr.lengths import valid_mask


class LogMel(Features):
    """Log-mel features with their normalisation."""

    config: LogMelConfig
    window: Tensor
    filterbank: Tensor

    def __init__(self, config: LogMelConfig) -> None:
        super().__init__(config)
        self.register_buffer("window", torch.from_numpy(hann_window(config)), persistent=False)
        self.register_buffer("filterbank", torch.from_numpy(log_mel_filterbank(config)), persistent=False)

    def unnormalised(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log-mel before normalisation; frames beyond a length hold the log of the floor."""
        check_batch(waveforms, lengths)
        silent = waveforms.float().masked_fill(~valid_mask(lengths, waveforms.size(1)), 0.0)
        edge = self.config.edge_samples + self.config.n_fft // 2
        silent = nn.functional.pad(silent, (edge, edge))
        log_mel: Tensor = log_mel_power(silent, self.window, self.filterbank, self.config)
        return log_mel, self.frame_lengths(lengths)
