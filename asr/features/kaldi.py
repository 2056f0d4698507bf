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
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from asr.errors import ConfigError
from asr.features.frontend import Features, FeaturesConfig, check_batch
from asr.features.log_mel import empty_filters
from asr.schema import check, check_choice
from asr.torchaudio_door import require_torchaudio

WINDOWS = ("povey", "hanning", "hamming", "blackman", "rectangular")
FULL_SCALE = 32768.0  # Kaldi reads 16-bit samples as they are
LOG_FLOOR = math.log(torch.finfo(torch.float32).eps)


@dataclass(kw_only=True, slots=True)
class KaldiFbankConfig(FeaturesConfig):
    """See ``FeaturesConfig``; Kaldi's names for its keys are ``--num-mel-bins``, ``--frame-length``,
    ``--frame-shift`` (in milliseconds there), ``--low-freq`` and ``--high-freq``.

    ``window_type``, ``preemphasis`` (``--preemphasis-coefficient``, 0 for none) and ``remove_dc_offset`` are Kaldi's.
    Frame 0 is centred half a window after the start of the recording (less the edge padding).
    """

    name: str = "kaldi"
    window_type: str = "povey"  # povey | hanning | hamming | blackman | rectangular
    preemphasis: float = 0.97
    remove_dc_offset: bool = True

    def __post_init__(self) -> None:
        FeaturesConfig.__post_init__(self)
        check_choice("features.window_type", self.window_type, WINDOWS)
        check(0 <= self.preemphasis <= 1, f"features.preemphasis={self.preemphasis} must be in [0, 1]")
        check(self.n_mels > 3, f"features.n_mels={self.n_mels} must be above 3 with features=kaldi")

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next; Kaldi rounds down."""
        return int(self.sample_rate * (self.frame_shift_s * 1000) * 0.001)

    @property
    def window_length(self) -> int:
        """Samples under the window; Kaldi rounds down."""
        return int(self.sample_rate * (self.window_s * 1000) * 0.001)

    @property
    def reads(self) -> tuple[int, int]:
        """A window that begins on the grid."""
        return 0, self.window_length


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
        if empty := int((bank.amax(dim=1) == 0).sum()):
            raise ConfigError(empty_filters(config, empty))

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Frames for samples: the windows that fit, ``1 + (samples + 2 * edge_samples - window_length) // hop_length``,
        at least one; 0 samples give 0 frames.
        """
        rest = lengths + (2 * self.config.edge_samples - self.config.window_length)
        fitting = rest.div(self.config.hop_length, rounding_mode="floor") + 1
        return torch.where(lengths > 0, fitting.clamp_min(1), 0)

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
