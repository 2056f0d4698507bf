"""A recurrent acoustic model over a recording that is still going on: chunk after chunk, each with some look-ahead.

In: normalised frames of a chunk, with the few before it that the convolutions read and the look-ahead after it. Out:
the chunk's log-probabilities. In each layer the forward direction goes on from its state at the end of the last chunk;
the backward one begins at the end of the look-ahead, whose output is discarded and computed again with the next chunk.
With all that follows as look-ahead the result is that of the whole recording; in one direction it is with none.

Source: Zhang et al. 2016, "Highway long short-term memory RNNs for distant speech recognition" (section 3.3); no
training for it is needed, though the end of a look-ahead is an end that training never had in mid-word.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from asr.errors import ConfigError
from asr.models.acoustic import AcousticModel
from asr.models.recurrent import Carried, RecurrentStack

CONTEXT = 2  # output frames before a chunk whose input the convolutions read


def in_frames(chunk_s: float, look_ahead_s: float, frame_s: float) -> tuple[int, int]:
    """Output frames of a chunk, at least 1, and of its look-ahead."""
    return max(1, round(chunk_s / frame_s)), math.ceil(look_ahead_s / frame_s - 1e-6)


class ModelStream:
    """One recording."""

    def __init__(self, model: AcousticModel) -> None:
        """Raises ConfigError for encoders that attend to the whole recording."""
        self.model, encoder = model, model.encoder
        if not isinstance(encoder, RecurrentStack):
            raise ConfigError(
                f"streaming: model={model.config.name} looks at whole recordings and cannot be given parts; use a"
                " recurrent model, such as bilstm or lstm"
            )
        self.encoder: RecurrentStack = encoder  # type: ignore[type-arg]
        self.factor = model.subsampling.factor
        self._carried = Carried()

    @property
    def looks_ahead(self) -> bool:
        """Whether what follows changes the output: there is a backward direction."""
        return self.model.config.directions == 2  # type: ignore[union-attr]

    def frames_needed(self, outputs: int) -> int:
        """Log-mel frames of the recording after which its first so many output frames, at least 1, are complete."""
        return self.model.subsampling.frames_needed(outputs)

    @torch.inference_mode()
    def chunk(
        self, log_mel: NDArray[np.float32], skip: int, keep: int | None, look_ahead: int = 0
    ) -> NDArray[np.float32]:
        """``(frames, mels)`` -> log-probabilities ``(keep, vocab + phones)`` of the next ``keep`` output frames.

        ``skip``: output frames of context at the beginning of ``log_mel``: 0 in the first chunk, else ``CONTEXT`` or
        more. ``keep`` None: all to the end of the recording; else as much ``look_ahead`` follows, in output frames.
        """
        inputs = torch.from_numpy(log_mel).to(self.model.head.weight.device)[None]
        hidden, _ = self.model.subsampling(inputs, torch.tensor([len(log_mel)], device=inputs.device))
        hidden = hidden[:, skip:] if keep is None else hidden[:, skip : skip + keep + look_ahead]
        self._carried.keep = hidden.size(1) if keep is None else keep
        encoded = self.encoder.chunk(hidden, self._carried)[0, : self._carried.keep]
        found: NDArray[np.float32] = self.model.log_probs(encoded, phones=True).cpu().numpy()
        return found
