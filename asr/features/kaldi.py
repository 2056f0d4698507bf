"""Kaldi's filterbank features (``compute-fbank-feats``), by torchaudio.compliance.kaldi.

In: padded waveforms ``(batch, samples)`` from -1 to 1 and integer lengths. Out: ``(batch, frames, n_mels)`` and frame
counts. Equal to Kaldi's with ``--dither=0 --snip-edges=true``: the waveform on the scale of 16-bit samples, each
window's mean subtracted, pre-emphasis, a Povey window, power spectrum, natural log. For comparison with models and
figures of Kaldi, ESPnet, WeNet, icefall.

Differences: no dither, as features must not be random (Kaldi adds noise of amplitude 1; silence is the log of the
smallest float32 step instead); no energy column; and a recording shorter than a window gives one frame, of the
recording and zeros, where Kaldi gives none.
"""

import math
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from asr.features.config import KaldiFbankConfig
from asr.features.frontend import Features, check_batch
from asr.features.spectrum import check_filters
from asr.torchaudio_door import require_torchaudio

FULL_SCALE = 32768.0  # Kaldi reads 16-bit samples as they are
LOG_FLOOR = math.log(torch.finfo(torch.float32).eps)


def _kaldi() -> ModuleType:
    module: ModuleType = require_torchaudio("features=kaldi").compliance.kaldi
    return module


class KaldiFbank(Features):
    """Kaldi's filterbank features with their normalisation. Raises ConfigError where torchaudio cannot be used."""

    config: KaldiFbankConfig

    def __init__(self, config: KaldiFbankConfig) -> None:
        super().__init__(config)
        bank, _ = _kaldi().get_mel_banks(
            config.n_mels, config.n_fft, config.sample_rate, config.f_min_hz, config.top_hz, 100.0, -500.0, 1.0
        )
        check_filters(config, bank.numpy())

    def unnormalised(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Log filterbank energies before normalisation; frames beyond a length hold the log of the floor."""
        check_batch(waveforms, lengths)
        frames = self.frame_lengths(lengths)
        rows = [self._frames(row[:length]) for row, length in zip(waveforms.float(), lengths.tolist(), strict=True)]
        return pad_sequence(rows, batch_first=True, padding_value=LOG_FLOOR), frames

    def _frames(self, waveform: Tensor) -> Tensor:
        """``(samples,)`` -> ``(frames, n_mels)``; one at a time, so that padding cannot reach a frame."""
        config = self.config
        if not len(waveform):
            return waveform.new_zeros(0, config.n_mels)
        edge = config.edge_samples
        missing = max(0, config.window_length - len(waveform) - 2 * edge)
        frames: Tensor = _kaldi().fbank(
            nn.functional.pad(waveform, (edge, edge + missing))[None] * FULL_SCALE,
            dither=0.0,
            frame_length=config.window_s * 1000,
            frame_shift=config.frame_shift_s * 1000,
            high_freq=config.top_hz,
            low_freq=config.f_min_hz,
            num_mel_bins=config.n_mels,
            preemphasis_coefficient=config.preemphasis,
            remove_dc_offset=config.remove_dc_offset,
            sample_frequency=float(config.sample_rate),
            window_type=config.window_type,
        )
        return frames
