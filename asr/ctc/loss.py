"""The CTC loss with every precondition checked per utterance, and losses beside it.

In: log-probabilities with lengths and target ids. Out: one loss per utterance, in nats. torch's own loss reads out of
bounds for labels outside the vocabulary (pytorch#193794), accepts a blank inside a target, and with ``zero_infinity``
turns what cannot be spelled into 0; here each is an error that gives the utterance's index.

Source: Graves et al. 2006, "Connectionist Temporal Classification".
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from asr.ctc.paths import frames_needed
from asr.devices import upload
from asr.errors import TrainingError
from asr.lengths import valid_mask
from asr.text.tokenizer import BLANK_ID


def check_targets(targets: Sequence[Sequence[int]], lengths: Sequence[int], vocab_size: int) -> None:
    """Raise TrainingError for the first target that has a label outside ``1 .. vocab_size - 1`` or too few frames."""
    if len(targets) != len(lengths):
        raise TrainingError(f"CTC: {len(targets)} targets for {len(lengths)} utterances; there must be one each")
    for index, (target, frames) in enumerate(zip(targets, lengths, strict=True)):
        for label in target:
            if not BLANK_ID < label < vocab_size:
                kind = "the blank" if label == BLANK_ID else "outside the vocabulary"
                raise TrainingError(
                    f"CTC: target {index} has label {label}, {kind}; labels must be 1 to {vocab_size - 1}"
                )
        if frames < max(1, frames_needed(target)):
            need = max(1, frames_needed(target))
            raise TrainingError(
                f"CTC: target {index} needs {need} frames (labels and repeats) but has {frames}; see 'asr check'"
            )


def penalise_blank(log_probs: Tensor, nats: float) -> Tensor:
    """The log-probabilities that the same model gives once the blank's logit is ``nats`` lower; shapes as given.

    Trained so at first, a model has to explain every frame by a label, as in the flat start of a hidden Markov model.
    From an even start the blank, which is in every utterance, soon wins nearly all frames and leaves a label one peak,
    before it is known where that label fits best (Zeyer et al. 2021, arXiv 2105.14849): at the very beginning, for
    instance, where a network in one direction has not seen it yet, and from where no gradient leads away.
    """
    penalty = log_probs.new_zeros(log_probs.size(-1))
    penalty[BLANK_ID] = nats
    return torch.log_softmax(log_probs - penalty, dim=-1)


def ctc_loss(log_probs: Tensor, lengths: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
    """Negative log-likelihood of each target: ``(batch, frames, vocab)``, ``(batch,)``, lists of ids -> ``(batch,)``
    nats.

    ``lengths`` should be on the CPU wherever ``log_probs`` are: they are read here, and reading them from a GPU waits
    for it. Raises TrainingError for what CTC cannot spell. Log-probabilities that are not numbers give a loss that is
    not one either.
    """
    _, frames, vocab_size = log_probs.shape
    lengths_list = lengths.tolist()
    check_targets(targets, lengths_list, vocab_size)
    if max(lengths_list, default=0) > frames:
        raise TrainingError(f"CTC: a length of {max(lengths_list)} exceeds the {frames} frames of the batch")
    flat = torch.tensor([label for target in targets for label in target], dtype=torch.long)
    sizes = torch.tensor([len(target) for target in targets], dtype=torch.long)
    losses = functional.ctc_loss(
        log_probs.transpose(0, 1),
        upload(flat, log_probs.device),
        lengths.cpu(),
        sizes,
        blank=BLANK_ID,
        reduction="none",
    )
    return losses


def consistency_loss(log_probs: Tensor, lengths: Tensor) -> Tensor:
    """How far two views of each utterance disagree: ``(2 * batch, frames, vocab)``, ``(batch,)`` -> ``(batch,)`` nats.

    Row ``i`` and row ``batch + i`` are views of utterance ``i``. Summed over its frames: half of D(b || a) + D(a || b),
    the Kullback-Leibler divergences in which the first distribution is a target that gets no gradient (Yao et al. 2024,
    arXiv 2410.05101: its L_CR).
    """
    batch = len(log_probs) // 2
    targets = log_probs.detach().roll(batch, dims=0)
    divergence = functional.kl_div(log_probs, targets, reduction="none", log_target=True).sum(dim=2)
    valid = valid_mask(upload(lengths, log_probs.device), log_probs.size(1)).repeat(2, 1)
    return 0.5 * divergence.masked_fill(~valid, 0.0).sum(dim=1).view(2, batch).sum(dim=0)
