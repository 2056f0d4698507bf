"""The record of a scoring: every utterance with its counts, and the sums over corpus and speakers.

In: texts by id. Out: a ``ScoreReport``, computed once; pages, tables and files are views of it. Raw counts (NFC and
single spaces only) are kept next to the normalised ones, because a normaliser can hide errors as well as quibbles.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from asr.errors import ScoringError
from asr.scoring.changes import AlignedTexts, NormalizationChange, count_changes, normalization_changes
from asr.scoring.counts import (
    NO_COUNTS,
    ErrorCounts,
    count_characters,
    count_mixed,
    count_spans,
    count_written,
    word_alignments,
)
from asr.scoring.measures import format_rate
from asr.text.normalize import Normalizer, normalize_none

Result = TypeVar("Result")
# References and hypotheses in, the counts of each utterance out, as ``count_words_as_sclite`` does.
CountWords = Callable[[Sequence[str], Sequence[str]], list[ErrorCounts]]
# The counts of an utterance and of a report, by the names of their fields.
COUNTS = ("words", "characters", "raw_words", "raw_characters", "mixed", "punctuation", "capitals")
_SHOWN_IDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceScore:
    """One utterance: its texts as given and as compared, and its errors (``words``, ``characters``: as compared).

    ``mixed``, ``punctuation`` and ``capitals`` are empty where the texts have none.
    """

    id: str
    reference: str
    hypothesis: str
    reference_normalized: str
    hypothesis_normalized: str
    words: ErrorCounts
    characters: ErrorCounts
    raw_words: ErrorCounts
    raw_characters: ErrorCounts
    mixed: ErrorCounts = NO_COUNTS
    punctuation: ErrorCounts = NO_COUNTS
    capitals: ErrorCounts = NO_COUNTS
    speaker: str | None = None
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupScore:
    """The sums over some utterances, for instance those of one speaker, on normalised text."""

    utterances: int
    words: ErrorCounts
    characters: ErrorCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport:
    """A scored test set. ``normalizer`` is the label of what made the normalised text, such as "basic v1".

    ``changes``: the words whose outcome it changed, and how often, most frequent first; None where it was not
    available.
    """

    normalizer: str
    utterances: tuple[UtteranceScore, ...]
    words: ErrorCounts
    characters: ErrorCounts
    raw_words: ErrorCounts
    raw_characters: ErrorCounts
    mixed: ErrorCounts
    punctuation: ErrorCounts
    capitals: ErrorCounts
    by_speaker: Mapping[str, GroupScore]
    changes: tuple[tuple[NormalizationChange, int], ...] | None = field(default=None, compare=False)

    @property
    def wer(self) -> float:
        """The word error rate as a fraction; NaN where no reference holds a word."""
        return self.words.rate

    @property
    def cer(self) -> float:
        """The character error rate as a fraction."""
        return self.characters.rate

    def __repr__(self) -> str:
        rates = f"WER {format_rate(self.words)}, CER {format_rate(self.characters)}"
        return (
            f"ScoreReport({rates}, {self.words.errors:,} errors in {self.words.reference_length:,} words,"
            f" {len(self.utterances):,} utterances, normalizer {self.normalizer})"
        )

    @property
    def audio_s(self) -> float | None:
        """Seconds of audio, or None unless every utterance's duration is known."""
        durations = [u.duration_s for u in self.utterances if u.duration_s is not None]
        return sum(durations) if len(durations) == len(self.utterances) else None

    @property
    def without_reference_words(self) -> tuple[UtteranceScore, ...]:
        """Utterances whose normalised reference is empty: words recognised in them are insertions over nothing."""
        return tuple(u for u in self.utterances if u.words.reference_length == 0)

    def worst(self, count: int) -> list[UtteranceScore]:
        """The utterances with most word errors (then the highest rate, then by id), those with reference words only."""
        wrong = [u for u in self.utterances if u.words.errors and u.words.reference_length]
        return sorted(wrong, key=lambda u: (-u.words.errors, -u.words.rate, u.id))[: max(count, 0)]


def score_texts(
    references: Mapping[str, str],
    hypotheses: Mapping[str, str],
    *,
    normalizer: Normalizer,
    speakers: Mapping[str, str] | None = None,
    durations_s: Mapping[str, float] | None = None,
    count: CountWords | None = None,
    left_out: Mapping[str, str] | None = None,
) -> ScoreReport:
    """Score each hypothesis against the reference of the same id, in the references' order.

    ``speakers`` and ``durations_s`` (seconds) may lack ids; ``count`` counts the words, where not jiwer; ``left_out``:
    by id, words that were neither said nor recognised and count as right (optional words, as in ``sclite -D``).
    Raises ScoringError where the two sides do not hold exactly the same ids, or hold none: a hypothesis that is missing
    would otherwise make the figure better (sclite gives 0%).
    """
    _require_same_ids(references, hypotheses)
    given = [(key, reference, hypotheses[key]) for key, reference in references.items()]
    raw = [(normalize_none(reference), normalize_none(hypothesis)) for _, reference, hypothesis in given]
    normalized = [(normalizer(reference), normalizer(hypothesis)) for reference, hypothesis in raw]
    alignments = [_apply(pairs, word_alignments) for pairs in (raw, normalized)]
    raw_words, words = (
        [count_spans(spans) for spans in found] if count is None else _apply(pairs, count)
        for pairs, found in zip((raw, normalized), alignments, strict=True)
    )
    for place, (key, *_) in enumerate(given):
        if more := (left_out or {}).get(key):
            raw_words[place] += ErrorCounts(hits=len(more.split()))
            words[place] += ErrorCounts(hits=len(normalizer(more).split()))
    counts = (words, _apply(normalized, count_characters), raw_words, _apply(raw, count_characters))
    utterances = [
        UtteranceScore(
            id=key,
            reference=reference,
            hypothesis=hypothesis,
            reference_normalized=normalized[place][0],
            hypothesis_normalized=normalized[place][1],
            speaker=(speakers or {}).get(key),
            duration_s=(durations_s or {}).get(key),
            **dict(zip(COUNTS, found, strict=True)),
        )
        for place, ((key, reference, hypothesis), *found) in enumerate(
            zip(given, *counts, _apply(normalized, count_mixed), *_apply(raw, count_written), strict=True)
        )
    ]
    as_written, as_compared = map(AlignedTexts, raw, alignments[0]), map(AlignedTexts, normalized, alignments[1])
    changes = count_changes(
        change
        for utterance, written, compared in zip(utterances, as_written, as_compared, strict=True)
        if utterance.raw_words.errors or utterance.words.errors
        for change in normalization_changes(written, compared, normalizer)
    )
    return replace(build_report(utterances, normalizer.label), changes=tuple(changes))


def build_report(utterances: Iterable[UtteranceScore], normalizer_label: str) -> ScoreReport:
    """Sum scored utterances (just counted, or read back from results.jsonl) into a report."""
    scores = tuple(utterances)
    counts: dict[str, Any] = {name: ErrorCounts.total(getattr(u, name) for u in scores) for name in COUNTS}
    return ScoreReport(
        normalizer=normalizer_label,
        utterances=scores,
        by_speaker=group_scores(scores, lambda u: u.speaker),
        **counts,
    )


def group_scores(
    utterances: Iterable[UtteranceScore], key: Callable[[UtteranceScore], str | None]
) -> dict[str, GroupScore]:
    """Sums by what ``key`` gives, sorted by name; utterances for which it gives None belong to no group."""
    groups: dict[str, list[UtteranceScore]] = {}
    for utterance in utterances:
        name = key(utterance)
        if name is not None:
            groups.setdefault(name, []).append(utterance)
    return {
        name: GroupScore(
            utterances=len(members),
            words=ErrorCounts.total(u.words for u in members),
            characters=ErrorCounts.total(u.characters for u in members),
        )
        for name, members in sorted(groups.items())
    }


def texts_by_id(pairs: Iterable[tuple[str, str]], side: str) -> dict[str, str]:
    """A mapping from (id, text) pairs; raises ScoringError naming ids given more than once (``side``: "references")."""
    texts: dict[str, str] = {}
    twice: dict[str, None] = {}
    count = 0
    for key, text in pairs:
        count += 1
        if key in texts:
            twice[key] = None
        texts[key] = text
    if twice:
        raise ScoringError(
            f"{count} {side} have only {len(texts)} different ids; given more than once: {first_ids(list(twice))}. "
            "Give every utterance an id of its own"
        )
    return texts


def _apply(pairs: Sequence[tuple[str, str]], function: Callable[[Sequence[str], Sequence[str]], Result]) -> Result:
    return function([reference for reference, _ in pairs], [hypothesis for _, hypothesis in pairs])


def _require_same_ids(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> None:
    missing = [key for key in references if key not in hypotheses]
    extra = [key for key in hypotheses if key not in references]
    if missing or extra:
        parts = [f"{len(references)} references and {len(hypotheses)} hypotheses do not hold the same ids"]
        if missing:
            parts.append(f"{len(missing)} without a hypothesis: {first_ids(missing)}")
        if extra:
            parts.append(f"{len(extra)} without a reference: {first_ids(extra)}")
        raise ScoringError(
            "; ".join(parts) + ". Give each reference id one hypothesis (an empty text where nothing was recognised) "
            "and remove what is not to be scored, or choose what `asr score` does with them: --missing, --extra"
        )
    if not references:
        raise ScoringError("there is nothing to score: 0 references and 0 hypotheses")


def first_ids(ids: Sequence[str]) -> str:
    """The first five ids, quoted, and how many more there are: for messages."""
    shown = ", ".join(repr(key) for key in ids[:_SHOWN_IDS])
    return shown if len(ids) <= _SHOWN_IDS else f"{shown}, … ({len(ids) - _SHOWN_IDS} more)"
