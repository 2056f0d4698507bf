"""Which dev utterances are hard, epoch by epoch. In: the counts and texts of a dev pass. Out: dev_utterances.jsonl.

Its first line names the utterances and the words in their references, in the manifest's order; then a line an epoch
holds every utterance's word errors and what was heard in the worst of them. A dev set of 2,700 utterances takes about
10 KB an epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from asr.data.utterance import Utterance
from asr.scoring.counts import ErrorCounts
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
