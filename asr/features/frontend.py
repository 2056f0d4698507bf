"""What all features have in common: frame counts, normalisation, and recordings that come in blocks.

In: padded waveforms ``(batch, samples)`` with integer lengths, or blocks of one recording. Out: frames ``(batch,
frames, n_mels)`` with their counts. Training and transcription share this code. A kind of features is a subclass that
computes ``unnormalised`` frames and a config that says which samples a frame reads.

A recording of any length is computed in the memory of one block: a block keeps the samples that the next one's first
frames read too, so the joined frames equal those of the whole up to rounding. A recording that comes in one block goes
through the very same computation as the whole, bit for bit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from asr.features.level import Level, set_level
from asr.lengths import valid_mask
from asr.schema import check, check_choice

NORMALIZATIONS = ("global", "utterance", "none")
MINIMUM_STD = 1e-3  # a mel bin that never varies in training must not be scaled up
SLICE_S = 8.0  # of a long recording, computed at a time
Waveform = NDArray[np.float32]


@dataclass(kw_only=True, slots=True)
class FeaturesConfig:
    """``window_s`` and ``frame_shift_s`` in seconds; ``f_max_hz`` None means half the sample rate.

    ``normalization``: "global" (mean and standard deviation per mel bin, learned from training data), "utterance" (each
    recording's own mean is subtracted first, which removes the channel; then the global scale), or "none".
    ``level_db``: first each recording's constant offset is removed and its speech set to this level, in dB of full
    scale (``asr.features.level``), so that neither changes a word; None: as recorded. ``edge_padding_s`` of silence is
    put before and after each recording: closely trimmed ones leave CTC too few frames to spell in.
    """

    sample_rate: int = 16000  # everything is resampled to it
    window_s: float = 0.025
    frame_shift_s: float = 0.010
    n_mels: int = 80
    f_min_hz: float = 20.0
    f_max_hz: float | None = None  # null: half the sample rate
    normalization: str = "global"  # global | utterance | none
    level_db: float | None = -35.0  # each recording's level, after its DC offset is removed; null: as recorded
    edge_padding_s: float = 0.0  # silence put before and after each recording, where trimming leaves CTC too few frames

    def __post_init__(self) -> None:
        check(4000 <= self.sample_rate <= 384_000, f"features.sample_rate={self.sample_rate} must be 4000 to 384000")
        check(self.frame_shift_s > 0, f"features.frame_shift_s={self.frame_shift_s} must be above 0")
        check(self.window_s >= self.frame_shift_s, "features.window_s must be at least features.frame_shift_s")
        check(
            self.hop_length >= 1,
            f"features.frame_shift_s={self.frame_shift_s} is less than one sample at {self.sample_rate} Hz",
        )
        check(1 <= self.n_mels <= 256, f"features.n_mels={self.n_mels} must be 1 to 256")
        good = 0 <= self.f_min_hz < self.top_hz <= self.sample_rate / 2
        check(
            good,
            f"features.f_min_hz={self.f_min_hz} and f_max_hz={self.top_hz} must satisfy"
            " 0 <= f_min < f_max <= sample_rate / 2",
        )
        check(0 <= self.edge_padding_s <= 10, f"features.edge_padding_s={self.edge_padding_s} must be 0 to 10")
        check(
            self.level_db is None or -80 <= self.level_db <= 0,
            f"features.level_db={self.level_db} must be -80 to 0 dB of full scale, or null",
        )
        check_choice("features.normalization", self.normalization, NORMALIZATIONS)

    @property
    def top_hz(self) -> float:
        """``f_max_hz``, or half the sample rate."""
        return self.sample_rate / 2 if self.f_max_hz is None else self.f_max_hz

    @property
    def hop_length(self) -> int:
        """Samples from one frame to the next."""
        return round(self.frame_shift_s * self.sample_rate)

    @property
    def window_length(self) -> int:
        """Samples under the window."""
        return round(self.window_s * self.sample_rate)

    @property
    def n_fft(self) -> int:
        """The power of two that holds the window."""
        return 1 << (self.window_length - 1).bit_length()

    @property
    def edge_samples(self) -> int:
        """Samples of silence before and after each recording: a whole number of frame shifts."""
        return round(self.edge_padding_s / self.frame_shift_s) * self.hop_length

    @property
    def reads(self) -> tuple[int, int]:
        """Frame t reads samples ``t * hop_length - edge_samples`` plus these two (first, one after the last)."""
        raise NotImplementedError

    @property
    def first_frame_s(self) -> float:
        """The moment of the recording, in seconds, that frame 0 is centred on; negative with edge padding."""
        return (sum(self.reads) / 2 - self.edge_samples) / self.sample_rate


class Features(nn.Module):
    """Features with their normalisation; ``mean`` and ``std`` ``(n_mels,)`` are saved with the model."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: FeaturesConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.n_mels))
        self.register_buffer("std", torch.ones(config.n_mels))

    def unnormalised(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, samples)`` float32, ``(batch,)`` int64 -> frames before normalisation ``(batch, frames, n_mels)``,
        ``(batch,)``; frames beyond a length hold the log of the floor. The samples count as they are: see ``levelled``.
        """
        raise NotImplementedError

    def forward(self, waveforms: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, samples)`` float32, ``(batch,)`` int64 -> normalised frames ``(batch, frames, n_mels)``,
        ``(batch,)``.
        """
        return self.normalise(*self.unnormalised(self.levelled(waveforms, lengths), lengths))

    def levelled(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """``(batch, samples)`` whole recordings at the level that the model was trained on."""
        check_batch(waveforms, lengths)
        if self.config.level_db is None:
            return waveforms
        return set_level(waveforms, lengths, self.config.sample_rate, self.config.level_db)

    def frame_lengths(self, lengths: Tensor) -> Tensor:
        """Frames for samples, ``(batch,)`` int64 each; 0 samples give 0 frames."""
        raise NotImplementedError

    def normalise(self, log_mel: Tensor, frames: Tensor, own_mean: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What ``unnormalised`` gives, on the scale that the model was trained on; zero beyond each length.

        ``own_mean`` ``(batch, 1, n_mels)``: each recording's own mean, where ``log_mel`` holds only a part of it.
        """
        mask = valid_mask(frames, log_mel.size(1)).unsqueeze(2)
        if self.config.normalization == "utterance":
            log_mel = log_mel - (utterance_mean(log_mel, frames, mask) if own_mean is None else own_mean)
        if self.config.normalization != "none":
            log_mel = (log_mel - self.mean) / self.std
        return log_mel.masked_fill(~mask, 0.0), frames

    def set_normalisation(self, mean: Tensor, std: Tensor) -> None:
        """Store the mean and standard deviation, each ``(n_mels,)``, learned by ``NormalisationStatistics``."""
        self.mean.copy_(mean)
        self.std.copy_(std.clamp_min(MINIMUM_STD))


def check_batch(waveforms: Tensor, lengths: Tensor) -> None:
    """Raise ValueError unless the shapes are ``(batch, samples)`` and ``(batch,)``."""
    if waveforms.dim() != 2 or lengths.shape != waveforms.shape[:1]:
        raise ValueError(f"expected waveforms (batch, samples) and lengths (batch,), got {tuple(waveforms.shape)}")


class NormalisationStatistics:
    """Mean and standard deviation per mel bin over the frames of the training data, summed in float64."""

    def __init__(self, features: Features) -> None:
        self.features = features
        size = features.config.n_mels
        self.frames = 0
        self.total = torch.zeros(size, dtype=torch.float64)
        self.squares = torch.zeros(size, dtype=torch.float64)

    def add(self, waveforms: Tensor, lengths: Tensor) -> None:
        """Count a padded batch: ``(batch, samples)``, ``(batch,)``."""
        values, frames = self.features.unnormalised(self.features.levelled(waveforms, lengths), lengths)
        mask = valid_mask(frames, values.size(1))
        if self.features.config.normalization == "utterance":
            values = values - utterance_mean(values, frames, mask.unsqueeze(2))
        valid = values[mask].double().cpu()
        self.frames += valid.size(0)
        self.total += valid.sum(0)
        self.squares += valid.square().sum(0)

    def store(self) -> None:
        """Set the features' normalisation from what was counted; nothing is changed when nothing was."""
        if self.frames:
            mean = self.total / self.frames
            variance = (self.squares / self.frames - mean.square()).clamp_min(0.0)
            self.features.set_normalisation(mean.float(), variance.sqrt().float())


def utterance_mean(log_mel: Tensor, frames: Tensor, mask: Tensor) -> Tensor:
    """Each utterance's mean over its valid frames: ``(batch, 1, n_mels)``."""
    total = log_mel.masked_fill(~mask, 0.0).sum(dim=1, keepdim=True)
    return total / frames.clamp_min(1).view(-1, 1, 1)


def stream_features(features: Features, blocks: Iterable[Waveform]) -> Iterator[Tensor]:
    """Blocks ``(samples,)`` at the features' rate and level -> unnormalised ``(frames, n_mels)`` pieces, none empty."""
    stream = FeatureStream(features)
    waiting, alone = None, True
    for block in blocks:
        if waiting is not None:
            alone = False
            yield from _pieces(stream, waiting, last=False, whole=False)
        waiting = block
    if waiting is not None:
        yield from _pieces(stream, waiting, last=True, whole=alone)


def _pieces(stream: "FeatureStream", block: Waveform, last: bool, whole: bool) -> Iterator[Tensor]:
    """The block's frames: at once where it is the ``whole`` recording, else in slices, which need less memory."""
    size = len(block) if whole else round(SLICE_S * stream.features.config.sample_rate)
    for start in range(0, len(block), max(1, size)):
        log_mel = stream.push(block[start : start + size], last and start + size >= len(block))
        if len(log_mel):
            yield log_mel


def recording_mean(features: Features, blocks: Iterable[Waveform]) -> Tensor | None:
    """The mean of all frames before normalisation, ``(1, 1, n_mels)``, summed in float64; None where there is none."""
    total, frames = torch.zeros(features.config.n_mels, dtype=torch.float64), 0
    for log_mel in stream_features(features, blocks):
        total += log_mel.double().sum(dim=0).cpu()
        frames += len(log_mel)
    return (total / frames).float().view(1, 1, -1) if frames else None


class FeatureStream:
    """Frames as soon as the samples that they read are there."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self._held: Waveform = np.zeros(0, np.float32)
        self._first_sample = 0  # of what is held; a multiple of the hop length, so that frames stay on the grid
        self._next_frame = 0

    def push(self, block: Waveform, last: bool = False) -> Tensor:
        """The frames ``(frames, n_mels)`` that ``block`` completes; all that are left where it is the ``last``."""
        self.append(block)
        log_mel = self.frames(last)
        self.drop(len(log_mel))
        return log_mel

    def append(self, block: Waveform) -> None:
        """Take the next ``(samples,)``; ``frames`` and ``drop`` do the rest of ``push``."""
        self._held = np.concatenate((self._held, block)) if len(self._held) else block

    @torch.inference_mode()
    def frames(self, last: bool = False, level: Level | None = None) -> Tensor:
        """All complete frames that were not dropped, ``(frames, n_mels)``, of the samples at ``level``."""
        count = self._stop_frame(last) - self._next_frame
        if count <= 0:
            return torch.zeros(0, self.features.config.n_mels)
        device = self.features.mean.device
        held = self._held if level is None else level.apply(self._held)
        waveform = torch.from_numpy(np.ascontiguousarray(held)).to(device)[None]
        log_mel, _ = self.features.unnormalised(waveform, torch.tensor([len(held)], device=device))
        # the held part begins on the grid of frames, so its frame j is the whole's frame j + offset
        skip = self._next_frame - self._first_sample // self.features.config.hop_length
        return log_mel[0, skip : skip + count]

    def drop(self, count: int) -> None:
        """Drop the first ``count`` frames, and the samples that no other one reads."""
        if count > 0:
            self._next_frame += count
            self._drop_read()

    def samples_needed(self, frames: int) -> int:
        """Samples of the recording after which its first so many frames, at least 1, are complete."""
        config = self.features.config
        return max(1, (frames - 1) * config.hop_length + config.reads[1] - config.edge_samples)

    def _stop_frame(self, last: bool) -> int:
        """How many frames of the whole are complete; the trailing silence of the edge comes with the last block."""
        config = self.features.config
        samples = self._first_sample + len(self._held)
        if last:
            return int(self.features.frame_lengths(torch.tensor([samples]))[0])
        return max(0, 1 + (samples + config.edge_samples - config.reads[1]) // config.hop_length)

    def _drop_read(self) -> None:
        """Drop the samples that no further frame reads."""
        config = self.features.config
        needed = self._next_frame * config.hop_length - config.edge_samples + config.reads[0]
        drop = max(0, needed // config.hop_length * config.hop_length - self._first_sample)
        self._held = self._held[drop:].copy()
        self._first_sample += drop
