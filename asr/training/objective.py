"""What training computes beyond the model's own log-probabilities: an intermediate CTC loss, chunks as of live sound,
and which weights learn.

In: the acoustic model and ``LossConfig``. Out: ``TrainedModel``, the module that is trained (and distributed over
processes). Recognition knows nothing of it: a model directory holds the acoustic model alone.

Sources: intermediate CTC, Lee & Watanabe 2021 (arXiv 2102.03216); consistency-regularised CTC, Yao et al. 2024 (arXiv
2410.05101).
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from asr.errors import ConfigError
from asr.models import AcousticModel
from asr.models.recurrent import Windows
from asr.schema import check, check_choice

VIEWS = 2  # of an utterance, where consistency_weight is above 0
HEADS = ("shared", "own")


@dataclass(kw_only=True, slots=True)
class LossConfig:
    """``intermediate_weight`` w: the loss is (1 - w) CTC of the model + w CTC of the encoder as it would be if it ended
    after ``intermediate_layer`` layers (None: half of them, as in the paper), through the model's head ("shared", as in
    the paper) or one of its ``own`` that begins as a copy of it and is not stored with the model. Its targets are the
    model's tokens, or (with a new head of its own, which may be on the last layer, too) ``intermediate_pieces``
    sub-words or the phones of ``intermediate_lexicon``; utterances with a word that the lexicon lacks have no
    intermediate loss. Phones on the last layer are stored with the model, for ``decoding.pronunciations``.

    ``consistency_weight`` α: each utterance is masked twice (SpecAugment; dropout differs, too), and the loss is the
    mean of both CTC losses + α times what ``asr.ctc.consistency_loss`` gives (paper: 0.2). That costs twice the time
    and memory, so ``data.batching`` and the seconds of audio in a run's records count each utterance twice.
    ``consistency_mask_factor`` multiplies the number of time masks then (paper: 2.5 times as much is masked).
    """

    intermediate_weight: float = 0.0  # of a CTC loss in the middle of the encoder; 0: none; paper: 0.3
    intermediate_layer: int | None = None  # after so many layers; null: half of them
    intermediate_head: str = "shared"  # shared (the model's) | own
    intermediate_pieces: int | None = None  # its targets: so many sub-words, blank included (sentencepiece)
    intermediate_lexicon: str | None = (
        None  # or the phones of its words in this file (cmudict); null: the model's tokens
    )
    consistency_weight: float = 0.0  # of the divergence between two views of each utterance; 0: none; paper: 0.2
    consistency_mask_factor: float = 2.5  # multiplies the number of time masks then

    def __post_init__(self) -> None:
        weight = self.intermediate_weight
        check(0 <= weight < 1, f"training.loss.intermediate_weight={weight} must be in [0, 1)")
        layer = self.intermediate_layer
        check(layer is None or layer >= 1, f"training.loss.intermediate_layer={layer} must be at least 1, or null")
        check_choice("training.loss.intermediate_head", self.intermediate_head, HEADS)
        pieces = self.intermediate_pieces
        check(pieces is None or pieces >= 2, f"training.loss.intermediate_pieces={pieces} must be at least 2, or null")
        one = pieces is None or self.intermediate_lexicon is None
        check(one, "training.loss.intermediate_pieces and intermediate_lexicon are a choice: set one of them to null")
        for key in ("consistency_weight", "consistency_mask_factor"):
            check(getattr(self, key) >= 0, f"training.loss.{key}={getattr(self, key)} must not be negative")

    @property
    def views(self) -> int:
        """How often each utterance is computed in a step."""
        return VIEWS if self.consistency_weight else 1


@dataclass(kw_only=True, slots=True)
class ChunkingConfig:
    """Batches that a bidirectional recurrent model computes as it would compute live sound: in chunks, each with some
    look-ahead behind it (asr/models/streaming.py). So the backward directions learn to begin in mid-word.

    ``probability``: the share of batches; the others are computed whole. Each batch has a chunk and a look-ahead of
    its own, drawn evenly from ``chunk_s`` and ``look_ahead_s``, lowest and highest, in seconds. The encoder then takes
    1 + look-ahead / chunk times the memory, and nearly that many times the operations, in fewer steps.
    """

    probability: float = 0.0  # share of batches computed in chunks, as live sound is; 0: none
    chunk_s: list[float] = field(default_factory=lambda: [0.2, 2.0])  # seconds: from, to
    look_ahead_s: list[float] = field(default_factory=lambda: [0.0, 1.0])  # seconds behind each chunk: from, to

    def __post_init__(self) -> None:
        where, share = "training.chunking", self.probability
        check(0 <= share <= 1, f"{where}.probability={share} must be in [0, 1]")
        for key, least in (("chunk_s", "above 0"), ("look_ahead_s", "0 or more")):
            ends = getattr(self, key)
            fits = len(ends) == 2 and 0 <= ends[0] <= ends[1] < math.inf and (ends[0] > 0 or key == "look_ahead_s")
            check(fits, f"{where}.{key}={ends} must be two numbers of seconds, {least}, the lower one first")

    def draw(self, generator: np.random.Generator) -> tuple[float, float] | None:
        """Seconds of chunk and look-ahead for a batch; None: it is computed whole."""
        if generator.random() >= self.probability:
            return None
        chunk_s, look_ahead_s = (generator.uniform(low, high) for low, high in (self.chunk_s, self.look_ahead_s))
        return chunk_s, look_ahead_s

    @property
    def largest(self) -> tuple[float, float] | None:
        """Those of the draws that take the most memory."""
        return (self.chunk_s[0], self.look_ahead_s[1]) if self.probability else None


class TrainedModel(nn.Module):
    """``acoustic`` with the intermediate loss's own head, if it has one; ``vocab_size``: of its own tokens, if any. A
    model with phones has that head itself.

    Raises ConfigError where the encoder has no such layer.
    """

    def __init__(
        self, acoustic: AcousticModel, config: LossConfig | None = None, vocab_size: int | None = None
    ) -> None:
        super().__init__()
        config = config or LossConfig()
        self.acoustic = acoustic
        self.layers: list[int] = []  # after which there is a loss, where there is an intermediate one
        self.own_head: nn.Linear | None = None
        if config.intermediate_weight:
            depth = acoustic.config.num_layers
            last = depth - (vocab_size is None)
            layer = config.intermediate_layer or max(1, depth // 2)
            if not 1 <= layer <= last:
                layers = f"the encoder has {depth} layer{'s' if depth > 1 else ''}"
                if not last:
                    raise ConfigError(
                        f"training.loss.intermediate_weight={config.intermediate_weight} needs a layer below the last,"
                        f" and {layers}; raise model.num_layers, or set the weight to 0"
                    )
                raise ConfigError(f"training.loss.intermediate_layer={layer} must be 1 to {last}: {layers}")
            self.layers = [layer, depth]
            if acoustic.phone_head is not None:
                self.own_head = acoustic.phone_head
            elif vocab_size is not None:
                self.own_head = nn.Linear(acoustic.head.in_features, vocab_size).to(acoustic.head.weight.device)
            elif config.intermediate_head == "own":
                self.own_head = copy.deepcopy(acoustic.head)
        self.frozen = False

    def forward(
        self, log_mel: Tensor, frames: Tensor, chunks: tuple[int, int] | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """``(batch, frames, mels)``, ``(batch,)`` -> log_probs ``(batch, frames', vocab)`` of the model, then those of
        the intermediate layer ``(batch, frames', its vocab)`` if there is a loss on it; and ``(batch,)``.

        ``chunks``: of a chunk and of its look-ahead the output frames, to compute what a stream of them computes.
        """
        if not self.layers and chunks is None:
            log_probs, lengths = self.acoustic(log_mel, frames)
            return [log_probs], lengths
        subsampling, depth = self.acoustic.subsampling, self.acoustic.config.num_layers
        hidden, lengths = subsampling(log_mel, frames)
        parts = () if chunks is None else (Windows.of(subsampling, frames, hidden.size(1), *chunks, layers=depth),)
        outputs = self.acoustic.encoder.outputs(hidden, lengths, self.layers or [depth], *parts)  # type: ignore[operator]
        logits = [self.acoustic.head(outputs[-1])]
        if self.layers:
            logits.append((self.own_head or self.acoustic.head)(outputs[0]))
        return [one.float().log_softmax(dim=2) for one in logits], lengths

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """The weights of subsampling and encoder: what a new head leaves as it was."""
        yield from self.acoustic.subsampling.parameters()
        yield from self.acoustic.encoder.parameters()

    def freeze(self, frozen: bool) -> None:
        """Whether subsampling and encoder keep their weights; only the heads learn then."""
        self.frozen = frozen
        for parameter in self.encoder_parameters():
            parameter.requires_grad_(not frozen)
