"""The dev pass of each epoch: greedy texts, WER, CER and loss, over all processes, and each utterance's errors.

Which dev utterances are hard, epoch by epoch. In: the counts and texts of a dev pass. Out: dev_utterances.jsonl.

Its first line names the utterances and the words in their references, in the manifest's order; then a line an epoch
holds every utterance's word errors and what was heard in the worst of them. A dev set of 2,700 utterances takes about
10 KB an epoch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from asr.ctc import best_path, frames_needed
from asr.ctc import ctc_loss as compute_ctc_loss
from asr.data.dataset import Batch
from asr.data.manifest import Utterance
from asr.decoding import greedy_texts
from asr.errors import TextError
from asr.features import LogMel
from asr.models import AcousticModel
from asr.scoring.counts import ErrorCounts, count_character_errors, count_word_errors
from asr.text.tokenizer import BLANK_ID, Tokenizer
from asr.training.distributed import Processes
from asr.training.run_dir import RunDir, append_record

WORST = 20  # utterances whose texts are kept
LONGEST_TEXT = 300  # characters of such a text


@dataclass(frozen=True, slots=True)
class DevUtterances:
    """By place in the manifest: ``words`` of the references, word ``errors``, and ``heard`` texts of the worst."""

    words: list[int]
    errors: list[int]
    heard: dict[int, str]


class Tally:
    """Gathers the utterances of one process's share of the dev set, then those of all."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._counts = torch.zeros(2, len(texts), dtype=torch.int64)
        self._heard: dict[int, str] = {}

    def add(self, index: int, words: ErrorCounts, hypothesis: str) -> None:
        """Count one utterance."""
        self._counts[0, index], self._counts[1, index] = words.reference_length, words.errors
        self._heard[index] = hypothesis

    def over_all(self, processes: Processes) -> DevUtterances:
        """The same in every process. Texts travel as numbers: to add up is all that processes have to be able to."""
        words, errors = processes.sum(self._counts.to(processes.device)).tolist()
        worst = sorted((index for index, count in enumerate(errors) if count), key=lambda index: -errors[index])[:WORST]
        letters = torch.zeros(len(worst), LONGEST_TEXT, dtype=torch.int64)
        for row, index in enumerate(worst):
            for column, letter in enumerate(self._heard.get(index, "")[:LONGEST_TEXT]):
                letters[row, column] = ord(letter)
        rows = processes.sum(letters.to(processes.device)).tolist()
        heard = {index: "".join(chr(one) for one in row if one) for index, row in zip(worst, rows, strict=True)}
        return DevUtterances(words, errors, heard)


def append_dev_utterances(
    run: RunDir, epoch: dict[str, Any], found: DevUtterances | None, utterances: Sequence[Utterance]
) -> None:
    """The line of the epoch whose record is ``epoch``, after that of the names where it is missing."""
    if found is None:
        return
    if not run.dev_utterances.exists() or not run.dev_utterances.stat().st_size:
        names = {"ids": [one.id for one in utterances], "words": found.words}
        append_record(run.dev_utterances, {"kind": "utterances", "step": 0, **names})
    worst = [
        {
            "index": index,
            "reference": utterances[index].text[:LONGEST_TEXT],
            "heard": text,
            "errors": found.errors[index],
        }
        for index, text in found.heard.items()
    ]
    place = {key: epoch[key] for key in ("kind", "step", "epoch")}
    append_record(run.dev_utterances, {**place, "errors": found.errors, "worst": worst})


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
