"""SpecAugment: bands of mels and spans of time masked in training. Every draw comes from a given generator.

Sources: Park et al. 2019 (arXiv 1904.08779), with the number of time masks growing with length as in its follow-up
(arXiv 1912.05533).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from asr.devices import upload
from asr.lengths import valid_mask
from asr.schema import check


@dataclass(kw_only=True, slots=True)
class SpecAugmentConfig:
    """``time_masks`` per started ``time_mask_every_frames`` of the utterance's own frames.

    No time mask is longer than ``time_mask_max_share`` of the utterance nor than ``time_mask_max_frames``.
    """

    frequency_masks: int = 2
    frequency_mask_max_mels: int = 27
    time_masks: int = 2  # per time_mask_every_frames
    time_mask_max_frames: int = 40
    time_mask_max_share: float = 0.15
    time_mask_every_frames: int = 1000

    def __post_init__(self) -> None:
        for key in ("frequency_masks", "frequency_mask_max_mels", "time_masks", "time_mask_max_frames"):
            check(getattr(self, key) >= 0, f"augment.spec_augment.{key}={getattr(self, key)} must not be negative")
        check(0 <= self.time_mask_max_share <= 1, "augment.spec_augment.time_mask_max_share must be in [0, 1]")
        check(self.time_mask_every_frames >= 1, "augment.spec_augment.time_mask_every_frames must be at least 1")

    @property
    def masks_anything(self) -> bool:
        """Whether an utterance may be masked at all."""
        spans = self.time_masks and self.time_mask_max_frames and self.time_mask_max_share
        return bool(spans or (self.frequency_masks and self.frequency_mask_max_mels))


def spec_augment(log_mel: Tensor, lengths: Tensor, config: SpecAugmentConfig, generator: torch.Generator) -> Tensor:
    """Mask bands of mels and spans of time with 0, the mean of normalised features.

    ``log_mel`` (batch, frames, mels), ``lengths`` (batch,) -> a new tensor of the same shape. ``generator`` lives on
    the CPU, so that the same seed masks the same spans on every device. So should ``lengths``: lengths on a GPU are
    read back, which waits for it.
    """
    batch, frames, mels = log_mel.shape
    lengths_cpu = lengths.cpu()
    all_mels, mel_masks = torch.full((batch,), mels), torch.full((batch,), config.frequency_masks)
    keep_mels = _masks(all_mels, mels, mel_masks, torch.full((batch,), config.frequency_mask_max_mels), generator)
    longest = (lengths_cpu.double() * config.time_mask_max_share).long().clamp_max(config.time_mask_max_frames)
    repeats = lengths_cpu.sub(1).div(config.time_mask_every_frames, rounding_mode="floor").add(1).clamp_min(1)
    keep_time = _masks(lengths_cpu, frames, config.time_masks * repeats, longest, generator)
    keep = keep_time.unsqueeze(2) & keep_mels.unsqueeze(1)
    return log_mel.masked_fill(upload(~keep, log_mel.device), 0.0)


def _masks(sizes: Tensor, width: int, counts: Tensor, longest: Tensor, generator: torch.Generator) -> Tensor:
    """True where nothing is masked, ``(batch, width)``: ``counts`` spans, each of 0 to ``longest``, inside ``sizes``.

    A row's ``counts``, ``longest`` and ``sizes``, all ``(batch,)``, are its own, so that the batch's longest utterance
    does not mask the others more.
    """
    sizes, longest = sizes.unsqueeze(1), torch.minimum(longest, sizes).unsqueeze(1)
    drawn = (sizes.size(0), int(counts.max()) if counts.numel() else 0)
    span = (torch.rand(drawn, generator=generator) * (longest + 1)).long()
    span = span.masked_fill(~valid_mask(counts, drawn[1]), 0)
    start = (torch.rand(drawn, generator=generator) * (sizes - span + 1)).long()
    position = torch.arange(width).view(1, 1, -1)
    masked = (position >= start.unsqueeze(2)) & (position < (start + span).unsqueeze(2))
    return ~masked.any(dim=1)
