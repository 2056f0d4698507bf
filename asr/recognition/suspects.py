"""Which transcripts are likely wrong, by what a trained model hears.

In: a model's emissions for each utterance, and the text that is said to belong to it. Out: ``Suspect``s, the most
suspicious first. Two kinds of evidence are added, each per character of the given text:

- edits: the characters by which what the model reads (its best path) differs from the text (CER against the text);
- nats: how much less likely the text is than the model's best path, ``(log p(best path) - log p(text)) / characters``,
  where ``log p(text)`` adds up all alignments (CTC). It forgives a model that nearly read what is written.

``score = edits + nats / NATS_PER_EDIT``. Both are measured against the *given* text, because that makes a truncated
text suspicious: little text, much heard. A text that the model cannot spell is the most suspicious of all.

The suspects of `asr check --model`: every transcript judged by a model, ranked, written.

In: a model directory and checked manifests. Out: suspects, the most suspicious first, and their JSON lines.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rapidfuzz.distance import Levenshtein

from asr.ctc import best_path, collapse, ctc_loss, frames_needed
from asr.data.manifest import Utterance
from asr.data.quality.checks import Checked
from asr.errors import AsrError, TextError
from asr.files import finite, write_text
from asr.recognition.recognizer import Recognizer
from asr.recognition.windows import Emissions
from asr.terminal import Progress
from asr.text.normalize import get_normalizer, normalize_basic
from asr.text.tokenizer import Tokenizer

NATS_PER_EDIT = 3.0  # about ln of the characters of an alphabet: what a character that was not heard costs at least
Normalize = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """How badly a transcript fits its sound.

    Attributes:
        utterance: with the text under suspicion.
        heard: what the model reads.
        score: the more, the more suspicious; 0 where the model reads just the text, and infinity where it cannot be
            spelled.
        edits: character errors between `heard` and the text, per character of the text.
        nats: by which the text is less likely than the best path, per character of the text.
        note: why no nats could be computed, or empty.
    """

    utterance: Utterance
    heard: str
    score: float
    edits: float
    nats: float
    note: str = ""


def judge_transcript(
    utterance: Utterance, emissions: Emissions, tokenizer: Tokenizer, normalize: Normalize = normalize_basic
) -> Suspect:
    """How well one text fits what the model says about its sound.

    ``normalize``: as the model's training texts were.
    """
    text = normalize(utterance.text)
    log_probs = torch.from_numpy(emissions.log_probs)[None]  # (1, frames, vocab)
    lengths = torch.tensor([log_probs.size(1)])
    (path,) = best_path(log_probs, lengths)
    heard = tokenizer.decode(collapse(path))
    size = max(1, len(text))
    edits = Levenshtein.distance(text, heard) / size
    try:
        target = tokenizer.encode(text)
    except TextError as error:
        return Suspect(
            utterance=utterance, heard=heard, score=math.inf, edits=edits, nats=math.inf, note=_first_line(error)
        )
    if not target or frames_needed(target) > log_probs.size(1):
        note = "the text is empty" if not target else "more text than the recording has frames"
        return Suspect(utterance=utterance, heard=heard, score=math.inf, edits=edits, nats=math.inf, note=note)
    best = float(log_probs.max(dim=2).values.sum())
    nats = max(0.0, float(ctc_loss(log_probs, lengths, [target])[0]) + best) / size
    return Suspect(utterance=utterance, heard=heard, score=edits + nats / NATS_PER_EDIT, edits=edits, nats=nats)


def rank_suspects(
    utterances: Sequence[Utterance],
    emissions: Iterable[Emissions | AsrError],
    tokenizer: Tokenizer,
    normalize: Normalize = normalize_basic,
    on_utterance: Callable[[float], None] = lambda seconds: None,
) -> tuple[list[Suspect], list[tuple[Utterance, AsrError]]]:
    """All transcripts, the most suspicious first, and the utterances that could not be heard.

    ``emissions``: one per utterance, in order, with the speech gate off. ``on_utterance(seconds)`` after each.
    """
    found: list[Suspect] = []
    failed: list[tuple[Utterance, AsrError]] = []
    for utterance, said in zip(utterances, emissions, strict=True):
        if isinstance(said, AsrError):
            failed.append((utterance, said))
        else:
            found.append(judge_transcript(utterance, said, tokenizer, normalize))
        on_utterance(utterance.duration_s)
    return sorted(found, key=lambda one: -one.score), failed


def clear_threshold(suspects: Sequence[Suspect]) -> float:
    """The score beyond which a transcript stands apart: the median and 5 robust standard deviations, at least 0.3.

    A help for the eye, fitted to nothing: how many wrong ones lie beyond depends on the model.
    """
    scores = sorted(one.score for one in suspects if math.isfinite(one.score))
    if not scores:
        return 0.3
    middle = scores[len(scores) // 2]
    spread = sorted(abs(score - middle) for score in scores)[len(scores) // 2]
    return max(0.3, middle + 5 * 1.4826 * spread)


def suspicious(
    suspects: Sequence[Suspect], share: float | None = None, threshold: float | None = None
) -> list[Suspect]:
    """Of ranked suspects, the first ``share`` (0 to 1) of all, or those of at least ``threshold``; both: those of
    both.
    """
    chosen = itertools.islice(suspects, len(suspects) if share is None else math.ceil(share * len(suspects)))
    return [one for one in chosen if threshold is None or one.score >= threshold]


def _first_line(error: AsrError) -> str:
    line = str(error).split("\n")[0]
    return line if len(line) <= 160 else line[:157] + "..."


def load_judge(model: Path, device: str) -> Recognizer:
    """The recogniser that judges; loaded before anything is heard, so that what is wrong with it is said at once."""
    return Recognizer.from_pretrained(
        model, device=device, speech_gate=False, words=False, decoding={"name": "greedy"}
    )  # fmt: skip


def rank(recognizer: Recognizer, checked: Sequence[Checked]) -> tuple[list[Suspect], list[tuple[Utterance, AsrError]]]:
    """All transcripts of all manifests, and the utterances that could not be heard."""
    normalize = get_normalizer(str(recognizer.facts.get("normalizer", "basic")))
    utterances = [utterance for one in checked for utterance in one.utterances]
    total_s = sum(utterance.duration_s for utterance in utterances)
    with Progress(round(total_s), "judging transcripts", "s of audio") as progress:
        emissions = recognizer.emissions(utterances)
        return rank_suspects(utterances, emissions, recognizer.tokenizer, normalize, progress.update)


def write_suspects(path: Path, ranked: Sequence[Suspect]) -> None:
    """One JSON line each, the most suspicious first."""
    lines = [json.dumps(fields(place, one), ensure_ascii=False) for place, one in enumerate(ranked, start=1)]
    write_text(path, "".join(line + "\n" for line in lines))


def fields(place: int, suspect: Suspect) -> dict[str, Any]:
    """Plain values; a score that is infinite is null."""
    utterance = suspect.utterance
    return {
        "rank": place,
        "id": utterance.id,
        "score": finite(suspect.score, 4),
        "edits": finite(suspect.edits, 4),
        "nats": finite(suspect.nats, 4),
        "text": utterance.text,
        "heard": suspect.heard,
        "note": suspect.note,
        "speaker": utterance.speaker,
        "audio": utterance.audio,
        "start_s": utterance.start_s,
        "duration_s": utterance.duration_s,
    }
