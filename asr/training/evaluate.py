"""The dev pass of each epoch: greedy texts, WER, CER and loss, over all processes, and each utterance's errors."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from asr.ctc import best_path, frames_needed
from asr.ctc import ctc_loss as compute_ctc_loss
from asr.data.dataset import Batch
from asr.decoding import greedy_texts
from asr.errors import TextError
from asr.features import LogMel
from asr.models import AcousticModel
from asr.scoring.counts import count_character_errors, count_word_errors
from asr.text.tokenizer import BLANK_ID, Tokenizer
from asr.training.dev_utterances import DevUtterances, Tally
from asr.training.distributed import Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class DevResult:
    """``wer`` and ``cer`` as fractions.

    ``loss`` in nats per utterance that can be spelled; ``blank_share`` of frames; ``utterances``: what each cost.
    """

    wer: float
    cer: float
    loss: float
    blank_share: float
    empty_share: float
    utterances: DevUtterances | None = None


@torch.no_grad()
def evaluate_dev(
    features: LogMel,
    model: AcousticModel,
    tokenizer: Tokenizer,
    batches: Iterable[Batch],
    texts: list[str],
    processes: Processes,
) -> DevResult:
    """Decode this process's ``batches`` and add the counts over all.

    ``texts[index]`` is the reference of an utterance.
    """
    was_training = model.training
    model.eval()
    totals, tally = torch.zeros(10, dtype=torch.float64), Tally(texts)
    for batch in batches:
        log_mel, frames = features(batch.waveforms.to(processes.device), batch.lengths.to(processes.device))
        log_probs, lengths = model(log_mel, frames)
        paths = best_path(log_probs, lengths)
        references = [texts[index] for index in batch.indices]
        totals += _count_texts(batch.indices, references, greedy_texts(paths, tokenizer), tally)
        totals[6] += sum(path.count(BLANK_ID) for path in paths)
        totals[7] += sum(map(len, paths))
        loss, counted = _loss(log_probs, lengths, references, tokenizer)
        totals[8] += loss
        totals[9] += counted
    model.train(was_training)
    total = processes.sum(totals.to(processes.device) if processes.device.type == "cuda" else totals).tolist()
    word_errors, words, character_errors, characters, empty, texts_seen, blanks, all_frames, loss_sum, counted_all = (
        total
    )
    return DevResult(
        wer=word_errors / max(words, 1),
        cer=character_errors / max(characters, 1),
        loss=loss_sum / max(counted_all, 1),
        blank_share=blanks / max(all_frames, 1),
        empty_share=empty / max(texts_seen, 1),
        utterances=tally.over_all(processes),
    )


def _count_texts(indices: list[int], references: list[str], hypotheses: list[str], tally: Tally) -> torch.Tensor:
    totals = torch.zeros(10, dtype=torch.float64)
    for index, reference, hypothesis in zip(indices, references, hypotheses, strict=True):
        words, characters = count_word_errors(reference, hypothesis), count_character_errors(reference, hypothesis)
        row = [words.errors, words.reference_length, characters.errors, characters.reference_length, not hypothesis, 1]
        totals[:6] += torch.tensor(row, dtype=torch.float64)
        tally.add(index, words, hypothesis)
    return totals


def _loss(
    log_probs: torch.Tensor, lengths: torch.Tensor, references: list[str], tokenizer: Tokenizer
) -> tuple[float, int]:
    """Summed loss of the utterances that the vocabulary and the frames can spell, and their number."""
    rows, targets = [], []
    for row, (reference, frames) in enumerate(zip(references, lengths.tolist(), strict=True)):
        try:
            target = tokenizer.encode(reference)
        except TextError:
            continue
        if target and frames >= frames_needed(target):
            rows.append(row)
            targets.append(target)
    if not rows:
        return 0.0, 0
    chosen = torch.tensor(rows, device=log_probs.device)
    return float(compute_ctc_loss(log_probs[chosen], lengths[chosen], targets).sum()), len(rows)
