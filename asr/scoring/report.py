"""The record of a scoring: every utterance with its counts, and the sums over corpus and speakers.

In: texts by id. Out: a ``ScoreReport``, computed once; pages, tables and files are thin views of it. Raw figures (NFC
and single spaces only) stand beside the normalised ones, because a normaliser can hide errors as well as quibbles.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from asr.errors import ScoringError
from asr.scoring.counts import ErrorCounts, count_character_errors, count_word_errors
from asr.scoring.verdicts import Change, count_changes, verdict_changes
from asr.text.normalize import Normalizer, normalize_none

_SHOWN_IDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class UtteranceScore:
    """One utterance: its texts as given and as compared, and its errors (``words``, ``characters``: as compared)."""

    id: str
    reference: str
    hypothesis: str
    reference_normalized: str
    hypothesis_normalized: str
    words: ErrorCounts
    characters: ErrorCounts
    raw_words: ErrorCounts
    raw_characters: ErrorCounts
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

    ``changes``: the words whose verdict it changed, with how often, most frequent first; None where it was not at hand.
    """

    normalizer: str
    utterances: tuple[UtteranceScore, ...]
    words: ErrorCounts
    characters: ErrorCounts
    raw_words: ErrorCounts
    raw_characters: ErrorCounts
    by_speaker: Mapping[str, GroupScore]
    changes: tuple[tuple[Change, int], ...] | None = field(default=None, compare=False)

    @property
    def audio_s(self) -> float | None:
        """Seconds of audio, or None unless every utterance's duration is known."""
        durations = [u.duration_s for u in self.utterances if u.duration_s is not None]
        return sum(durations) if len(durations) == len(self.utterances) else None

    @property
    def without_reference_words(self) -> tuple[UtteranceScore, ...]:
        """Utterances whose normalised reference is empty: what is heard in them counts as insertions over nothing."""
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
    count_words: Callable[[str, str], ErrorCounts] = count_word_errors,
) -> ScoreReport:
    """Score each hypothesis against the reference of the same id, in the references' order.

    ``speakers`` and ``durations_s`` (seconds) may lack ids; ``count_words`` is how words are aligned and counted.
    Raises ScoringError where the two sides do not hold exactly the same ids, or hold none: a hypothesis that is missing
    would otherwise make the figure better (sclite gives 0%).
    """
    _require_same_ids(references, hypotheses)
    utterances = [
        _score_utterance(
            key,
            (reference, hypotheses[key]),
            normalizer,
            count_words,
            (speakers or {}).get(key),
            (durations_s or {}).get(key),
        )
        for key, reference in references.items()
    ]
    changes = count_changes(change for utterance in utterances for change in _changes(utterance, normalizer))
    return replace(build_report(utterances, normalizer.label), changes=tuple(changes))


def build_report(utterances: Iterable[UtteranceScore], normalizer_label: str) -> ScoreReport:
    """Sum scored utterances (just counted, or read back from results.jsonl) into a report."""
    scores = tuple(utterances)
    return ScoreReport(
        normalizer=normalizer_label,
        utterances=scores,
        words=ErrorCounts.total(u.words for u in scores),
        characters=ErrorCounts.total(u.characters for u in scores),
        raw_words=ErrorCounts.total(u.raw_words for u in scores),
        raw_characters=ErrorCounts.total(u.raw_characters for u in scores),
        by_speaker=group_scores(scores, lambda u: u.speaker),
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
    """A mapping from (id, text) pairs; raises ScoringError naming ids that come twice (``side``: "references")."""
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


def _score_utterance(
    key: str,
    texts: tuple[str, str],
    normalizer: Normalizer,
    count_words: Callable[[str, str], ErrorCounts],
    speaker: str | None,
    duration_s: float | None,
) -> UtteranceScore:
    reference, hypothesis = texts
    raw = normalize_none(reference), normalize_none(hypothesis)
    normalized = normalizer(raw[0]), normalizer(raw[1])
    raw_counts = count_words(*raw), count_character_errors(*raw)
    same = normalized == raw
    return UtteranceScore(
        id=key,
        reference=reference,
        hypothesis=hypothesis,
        reference_normalized=normalized[0],
        hypothesis_normalized=normalized[1],
        words=raw_counts[0] if same else count_words(*normalized),
        characters=raw_counts[1] if same else count_character_errors(*normalized),
        raw_words=raw_counts[0],
        raw_characters=raw_counts[1],
        speaker=speaker,
        duration_s=duration_s,
    )


def _changes(utterance: UtteranceScore, normalizer: Normalizer) -> list[Change]:
    if not utterance.raw_words.errors and not utterance.words.errors:
        return []
    raw = normalize_none(utterance.reference), normalize_none(utterance.hypothesis)
    return verdict_changes(raw, (utterance.reference_normalized, utterance.hypothesis_normalized), normalizer)


def _require_same_ids(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> None:
    missing = [key for key in references if key not in hypotheses]
    surplus = [key for key in hypotheses if key not in references]
    if missing or surplus:
        parts = [f"{len(references)} references and {len(hypotheses)} hypotheses do not hold the same ids"]
        if missing:
            parts.append(f"{len(missing)} without a hypothesis: {first_ids(missing)}")
        if surplus:
            parts.append(f"{len(surplus)} without a reference: {first_ids(surplus)}")
        raise ScoringError(
            "; ".join(parts) + ". Give each reference id one hypothesis (an empty text where nothing was recognised) "
            "and take out what is not to be scored, or say to `asr score` what becomes of them: --missing, --surplus"
        )
    if not references:
        raise ScoringError("there is nothing to score: 0 references and 0 hypotheses")


def first_ids(ids: Sequence[str]) -> str:
    """The first five ids, quoted, and how many more there are: for messages."""
    shown = ", ".join(repr(key) for key in ids[:_SHOWN_IDS])
    return shown if len(ids) <= _SHOWN_IDS else f"{shown}, … ({len(ids) - _SHOWN_IDS} more)"
