"""Which transcripts are likely wrong, judged by a trained model.

In: a model's emissions for each utterance, and its transcript. Out: a `Ranking` of ``Suspect``s,
the most suspicious first. Two kinds of evidence are added, each per character of the given text:

- edits: the characters by which the model's best path differs from the text (CER against the text);
- nats: how much less likely the text is than the model's best path, ``(log p(best path) - log p(text)) / characters``,
  where ``log p(text)`` sums over all alignments (CTC). It is small where the model nearly recognised the text.

``score = edits + nats / NATS_PER_EDIT``. Both are measured against the *given* text, because that makes a truncated
text suspicious: little text, much recognised. A text that the model cannot spell is the most suspicious of all.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

import torch
from rapidfuzz.distance import Levenshtein

from asr.ctc import best_path, collapse, frames_needed
from asr.ctc.loss import ctc_loss
from asr.data.manifest import Utterance
from asr.data.quality import Finding
from asr.errors import AsrError, TextError
from asr.files import finite, write_text
from asr.recognition.recognizer import Recognizer
from asr.recognition.windows import Emissions
from asr.terminal import shorten
from asr.text.normalize import get_normalizer, normalize_basic
from asr.text.tokenizer import Tokenizer

NATS_PER_EDIT = (
    3.0  # about ln of an alphabet's size: the least that a character costs which the model did not recognise
)
Normalize = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """How badly a transcript fits its sound.

    Attributes:
        utterance: with the text under suspicion.
        hypothesis: what the model recognises.
        score: the higher, the more suspicious; 0 where the model recognises just the text, infinite where it cannot be
            spelled.
        edits: character errors between `hypothesis` and the text, per character of the text.
        nats: by which the text is less likely than the best path, per character of the text.
        note: why no nats could be computed, or empty.
    """

    utterance: Utterance
    hypothesis: str
    score: float
    edits: float
    nats: float
    note: str = ""


class SuspectRow(TypedDict):
    """A line of the ranked list; a number that is infinite is null."""

    rank: int
    id: str
    score: float | None
    edits: float | None
    nats: float | None
    text: str
    hypothesis: str
    note: str
    speaker: str | None
    audio: str
    start_s: float
    duration_s: float


@dataclass(slots=True)
class Ranking:
    """``suspects``: all transcripts, the most suspicious first. ``failed``: utterances that could not be recognised."""

    suspects: list[Suspect] = field(default_factory=list)
    failed: list[tuple[Utterance, AsrError]] = field(default_factory=list)

    @property
    def threshold(self) -> float:
        """The score above which a transcript is an outlier: the median and 5 robust standard deviations, at least 0.3.

        An aid for reading the list, fitted to nothing: how many wrong ones are above it depends on the model.
        """
        scores = sorted(one.score for one in self.suspects if math.isfinite(one.score))
        if not scores:
            return 0.3
        middle = scores[len(scores) // 2]
        spread = sorted(abs(score - middle) for score in scores)[len(scores) // 2]
        return max(0.3, middle + 5 * 1.4826 * spread)

    @property
    def outliers(self) -> int:
        """Transcripts above the threshold."""
        threshold = self.threshold
        return sum(one.score > threshold for one in self.suspects)

    def of(self, utterances: Iterable[Utterance]) -> "Ranking":
        """Of several manifests' ranking, the part of one manifest."""
        own = {id(utterance) for utterance in utterances}
        return Ranking([one for one in self.suspects if id(one.utterance) in own])


def load_judge(model: Path, device: str) -> Recognizer:
    """The recogniser that judges transcripts."""
    return Recognizer.from_pretrained(model, device=device, speech_gate=False, words=False, decoding={"name": "greedy"})


def rank_transcripts(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    on_utterance: Callable[[float], None] = lambda seconds: None,
) -> Ranking:
    """Judge every transcript. ``on_utterance`` is called with the duration in seconds of each."""
    normalize = get_normalizer(str(recognizer.facts.get("normalizer", "basic")))
    return rank_suspects(utterances, recognizer.emissions(utterances), recognizer.tokenizer, normalize, on_utterance)


def rank_suspects(
    utterances: Sequence[Utterance],
    emissions: Iterable[Emissions | AsrError],
    tokenizer: Tokenizer,
    normalize: Normalize = normalize_basic,
    on_utterance: Callable[[float], None] = lambda seconds: None,
) -> Ranking:
    """As ``rank_transcripts``, from ``emissions``: one per utterance, in order, with the speech gate off."""
    ranking = Ranking()
    for utterance, result in zip(utterances, emissions, strict=True):
        if isinstance(result, AsrError):
            ranking.failed.append((utterance, result))
        else:
            ranking.suspects.append(judge_transcript(utterance, result, tokenizer, normalize))
        on_utterance(utterance.duration_s)
    ranking.suspects.sort(key=lambda one: -one.score)
    return ranking


def judge_transcript(
    utterance: Utterance, emissions: Emissions, tokenizer: Tokenizer, normalize: Normalize = normalize_basic
) -> Suspect:
    """How well one text fits what the model emits for its sound.

    ``normalize``: as the model's training texts were.
    """
    text = normalize(utterance.text)
    log_probs = torch.from_numpy(emissions.log_probs)[None]  # (1, frames, vocab)
    lengths = torch.tensor([log_probs.size(1)])
    (path,) = best_path(log_probs, lengths)
    hypothesis = tokenizer.decode(collapse(path))
    size = max(1, len(text))
    edits = Levenshtein.distance(text, hypothesis) / size
    nats, note = math.inf, ""
    try:
        target = tokenizer.encode(text)
    except TextError as error:
        note = shorten(str(error).split("\n")[0], 160)
    else:
        if not target:
            note = "the text is empty"
        elif frames_needed(target) > log_probs.size(1):
            note = "more text than the recording has frames"
        else:
            best = float(log_probs.max(dim=2).values.sum())
            nats = max(0.0, float(ctc_loss(log_probs, lengths, [target])[0]) + best) / size
    score = edits + nats / NATS_PER_EDIT
    return Suspect(utterance=utterance, hypothesis=hypothesis, score=score, edits=edits, nats=nats, note=note)


def most_suspicious(
    suspects: Sequence[Suspect], share: float | None = None, threshold: float | None = None
) -> list[Suspect]:
    """Of ranked suspects, the first ``share`` (0 to 1) of all, or those of at least ``threshold``; with both, those
    that meet both.
    """
    chosen = itertools.islice(suspects, len(suspects) if share is None else math.ceil(share * len(suspects)))
    return [one for one in chosen if threshold is None or one.score >= threshold]


def suspect_findings(suspects: Iterable[Suspect]) -> list[Finding]:
    """A finding for each, so that a cleaned manifest can leave it out."""
    return [
        Finding(
            severity="warning",
            kind="likely wrong transcript",
            where=one.utterance.id,
            message=f"score {one.score:.2f}; the model recognises: {one.hypothesis}",
            ids=(one.utterance.id,),
        )
        for one in suspects
    ]


def write_suspects(path: Path, suspects: Sequence[Suspect]) -> None:
    """One JSON line each, the most suspicious first."""
    lines = [json.dumps(suspect_row(rank, one), ensure_ascii=False) for rank, one in enumerate(suspects, start=1)]
    write_text(path, "".join(line + "\n" for line in lines))


def suspect_row(rank: int, suspect: Suspect) -> SuspectRow:
    """The suspect as JSON holds it."""
    utterance = suspect.utterance
    return {
        "rank": rank,
        "id": utterance.id,
        "score": finite(suspect.score, 4),
        "edits": finite(suspect.edits, 4),
        "nats": finite(suspect.nats, 4),
        "text": utterance.text,
        "hypothesis": suspect.hypothesis,
        "note": suspect.note,
        "speaker": utterance.speaker,
        "audio": utterance.audio,
        "start_s": utterance.start_s,
        "duration_s": utterance.duration_s,
    }
