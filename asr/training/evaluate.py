"""The dev pass of an epoch: greedy texts, their WER, CER and loss over all processes, and the errors of each utterance.

In: the model and the dev batches. Out: a ``DevResult``, and a line in dev_utterances.jsonl: its first line names the
utterances and the number of words in their references, in the manifest's order; then one line an epoch holds the word
errors of every utterance and the hypotheses of the worst. A dev set of 2,700 utterances takes about 10 KB an epoch.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple, dataclass
from typing import TypeVar

import torch

from asr.cores import usable_cores
from asr.ctc import best_path, frames_needed
from asr.ctc.loss import ctc_loss as compute_ctc_loss
from asr.data.dataset import Batch
from asr.data.manifest import Utterance
from asr.decoding import greedy_texts
from asr.devices import upload
from asr.errors import TextError
from asr.features import Features
from asr.files import append_line
from asr.models import AcousticModel
from asr.scoring.counts import ErrorCounts, count_character_errors, count_word_errors
from asr.text.basic import split_unspaced
from asr.text.tokenizer import BLANK_ID, Tokenizer
from asr.training.distributed import Processes
from asr.training.run_dir import RunDir

WORST = 20  # utterances whose texts are kept
LONGEST_TEXT = 300  # characters of such a text
PLATEAU_EPOCHS = 3  # epochs of nothing but blanks, or of one text for all, before a warning
T = TypeVar("T")
LEAST_ALIKE = 5  # wrong texts that are the same, before that is no chance


@dataclass(frozen=True, slots=True)
class DevUtterances:
    """By place in the manifest: ``words`` of the references, word ``errors``, and ``hypotheses`` of the worst."""

    words: list[int]
    errors: list[int]
    hypotheses: dict[int, str]


class UtteranceErrors:
    """Collects the errors of one process's share of the dev set, then those of all processes."""

    def __init__(self, count: int) -> None:
        self._counts = torch.zeros(2, count, dtype=torch.int64)
        self._hypotheses: dict[int, str] = {}

    def add(self, index: int, words: ErrorCounts, hypothesis: str) -> None:
        """Count one utterance."""
        self._counts[0, index], self._counts[1, index] = words.reference_length, words.errors
        self._hypotheses[index] = hypothesis

    def gather(self, processes: Processes) -> DevUtterances:
        """The same in every process. Texts are exchanged as code points, so that a sum is the only exchange needed."""
        words, errors = processes.sum(self._counts.to(processes.device)).tolist()
        worst = sorted((index for index, count in enumerate(errors) if count), key=lambda index: -errors[index])[:WORST]
        letters = torch.zeros(len(worst), LONGEST_TEXT, dtype=torch.int64)
        for row, index in enumerate(worst):
            for column, letter in enumerate(self._hypotheses.get(index, "")[:LONGEST_TEXT]):
                letters[row, column] = ord(letter)
        rows = processes.sum(letters.to(processes.device)).tolist()
        texts = {index: "".join(chr(one) for one in row if one) for index, row in zip(worst, rows, strict=True)}
        return DevUtterances(words, errors, texts)


def append_dev_utterances(
    run: RunDir, step: int, epoch: int, found: DevUtterances, utterances: Sequence[Utterance]
) -> None:
    """Add the line of an epoch to dev_utterances.jsonl, after that of the names where the file is new."""
    if not run.dev_utterances.exists() or not run.dev_utterances.stat().st_size:
        names = {"ids": [one.id for one in utterances], "words": found.words}
        append_line(run.dev_utterances, json.dumps({"kind": "utterances", "step": 0, **names}))
    worst = [
        {
            "index": index,
            "reference": utterances[index].text[:LONGEST_TEXT],
            "hypothesis": text,
            "errors": found.errors[index],
        }
        for index, text in found.hypotheses.items()
    ]
    line = {"kind": "epoch", "step": step, "epoch": epoch, "errors": found.errors, "worst": worst}
    append_line(run.dev_utterances, json.dumps(line))


@dataclass(frozen=True, slots=True, kw_only=True)
class DevResult:
    """``wer`` and ``cer`` as fractions.

    ``loss`` in nats per utterance that can be spelled; ``blank_share`` of frames; ``empty_share`` of hypotheses;
    ``utterances``: the errors of each.
    """

    wer: float
    cer: float
    loss: float
    blank_share: float
    empty_share: float
    utterances: DevUtterances | None = None


@dataclass(slots=True)
class DevCounts:
    """Sums over dev utterances. ``loss`` is the sum over the ``spelled`` ones, whose text CTC can spell."""

    word_errors: float = 0.0
    words: float = 0.0
    character_errors: float = 0.0
    characters: float = 0.0
    empty_texts: float = 0.0
    texts: float = 0.0
    blank_frames: float = 0.0
    frames: float = 0.0
    loss: float = 0.0
    spelled: float = 0.0

    def count_text(self, words: ErrorCounts, characters: ErrorCounts, hypothesis: str) -> None:
        """Count one utterance's text."""
        self.word_errors += words.errors
        self.words += words.reference_length
        self.character_errors += characters.errors
        self.characters += characters.reference_length
        self.empty_texts += not hypothesis
        self.texts += 1

    def summed(self, processes: Processes) -> "DevCounts":
        """The counts of all processes together, the same in each."""
        values = torch.tensor(astuple(self), dtype=torch.float64, device=processes.device)
        return DevCounts(*processes.sum(values).tolist())

    def result(self, utterances: DevUtterances) -> DevResult:
        """The rates."""
        return DevResult(
            wer=self.word_errors / max(self.words, 1),
            cer=self.character_errors / max(self.characters, 1),
            loss=self.loss / max(self.spelled, 1),
            blank_share=self.blank_frames / max(self.frames, 1),
            empty_share=self.empty_texts / max(self.texts, 1),
            utterances=utterances,
        )


@torch.no_grad()
def evaluate_dev(
    features: Features,
    model: AcousticModel,
    tokenizer: Tokenizer,
    batches: Iterable[Batch],
    texts: Sequence[str],
    processes: Processes,
) -> DevResult:
    """Decode this process's ``batches`` and sum the counts over all processes.

    ``texts[index]`` is the reference of an utterance.
    """
    was_training = model.training
    model.eval()
    counts, errors = DevCounts(), UtteranceErrors(len(texts))

    @torch.no_grad()  # a mode of the thread
    def compute(batch: Batch) -> tuple[Batch, list[list[int]], tuple[float, int]]:
        log_mel, frames = features(upload(batch.waveforms, processes.device), upload(batch.lengths, processes.device))
        log_probs, _ = model(log_mel, frames)
        lengths = model.output_lengths(features.frame_lengths(batch.lengths))  # on the CPU: read without waiting
        references = [texts[index] for index in batch.indices]
        return batch, best_path(log_probs, lengths), _loss(log_probs, lengths, references, tokenizer)

    for batch, paths, (loss, spelled) in _on_all_cores(compute, batches, processes.device):
        references = [texts[index] for index in batch.indices]
        for index, reference, hypothesis in zip(batch.indices, references, greedy_texts(paths, tokenizer), strict=True):
            words = count_word_errors(split_unspaced(reference), split_unspaced(hypothesis))
            counts.count_text(words, count_character_errors(reference, hypothesis), hypothesis)
            errors.add(index, words, hypothesis)
        counts.blank_frames += sum(path.count(BLANK_ID) for path in paths)
        counts.frames += sum(map(len, paths))
        counts.loss += loss
        counts.spelled += spelled
    model.train(was_training)
    return counts.summed(processes).result(errors.gather(processes))


def _on_all_cores(compute: Callable[[Batch], T], batches: Iterable[Batch], device: torch.device) -> Iterator[T]:
    """``compute`` of each of ``batches``, in their order: on the CPU in as many threads as there are cores."""
    cores = usable_cores() if device.type == "cpu" and torch.get_num_threads() == 1 else 1
    if cores == 1:
        yield from map(compute, batches)
        return
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(cores, "dev", initializer=torch.set_num_threads, initargs=(1,)) as threads:
        for batch in batches:
            waiting.append(threads.submit(compute, batch))
            if len(waiting) > cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


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
    chosen = torch.tensor(rows)
    losses = compute_ctc_loss(log_probs[upload(chosen, log_probs.device)], lengths[chosen], targets)
    return float(losses.sum()), len(rows)


def plateau_warning(epoch: int, dev: DevResult) -> str | None:
    """A warning where dev texts are still empty, or still one and the same, after ``PLATEAU_EPOCHS`` epochs."""
    if epoch != PLATEAU_EPOCHS:
        return None
    if dev.empty_share > 0.99:
        return (
            f"after {PLATEAU_EPOCHS} epochs dev texts are still empty (blank share {dev.blank_share:.1%}):"
            " CTC's blank-only plateau."
            " It often ends by itself after a few hundred steps; if not: more or longer warm-up, a lower"
            " optimizer.learning_rate, less dropout and masking, or smaller batches (more steps)"
        )
    wrong = dev.utterances.hypotheses if dev.utterances else {}
    texts = set(wrong.values())
    if len(texts) == 1 and len(wrong) >= LEAST_ALIKE and dev.wer > 0.5:
        return (
            f"after {PLATEAU_EPOCHS} epochs the worst {len(wrong)} dev recordings all have the same text,"
            f" {texts.pop()!r}: the model may ignore its input, and further training rarely helps."
            " If that stays so: training.flat_start_epochs=2, above all for a model in one direction;"
            " for model=rnn also model.input_gain=0.1"
        )
    return None


def average_warning(averaged: int, epochs: int) -> str | None:
    """A warning where the last ``averaged`` of ``epochs`` epochs include some of the first third."""
    averaged = min(averaged, epochs)
    if epochs - averaged + 1 > epochs / 3:
        return None
    return (
        f"the average of the last {averaged} of {epochs} epochs includes the first ones, which have learned little and"
        " may make it worse. Lower training.keep_last, train for more epochs, or set training.select=dev"
    )
