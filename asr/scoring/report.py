"""The record of a scoring: every utterance with its counts, and the sums over corpus and speakers.

In: texts by id. Out: a ``ScoreReport``, computed once; pages, tables and files are thin views of it. Raw figures (NFC
and single spaces only) stand beside the normalised ones, because a normaliser can hide errors as well as quibbles.

The words whose verdict the normaliser changed: wrong as written but right as compared, or the other way round.

In: an utterance's texts, raw and normalised. Out: changes, counted over the corpus. They say what the difference
between the raw and the normalised figure consists of, so that a reader can judge whether it hides errors. Words are
followed through the normaliser by normalising each alone; where the whole text came out otherwise (twenty one is 21),
the stretch that differs is followed as a whole.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from rapidfuzz.distance import Levenshtein

from asr.errors import ScoringError
from asr.scoring.counts import AlignedPair, ErrorCounts, align_words, count_character_errors, count_word_errors
from asr.text.normalize import Normalizer, normalize_none

SHOWN_CHANGES = 30  # in a page
_SUMMARIZED = 200


@dataclass(frozen=True, slots=True)
class Change:
    """Words of the reference and of the hypothesis (either may be empty), as written; ``forgiven``: now right."""

    reference: str
    hypothesis: str
    forgiven: bool


def verdict_changes(
    raw: tuple[str, str], normalized: tuple[str, str], normalizer: Callable[[str], str]
) -> list[Change]:
    """The changes of one utterance; ``raw`` and ``normalized`` are (reference, hypothesis)."""
    if raw == normalized:
        return []
    pairs = align_words(*raw)
    wrong = _wrong_words(align_words(*normalized), normalized)
    still = [_followed(side, whole, bad, normalizer) for side, whole, bad in zip(raw, normalized, wrong, strict=True)]
    changed: list[tuple[AlignedPair, bool | None]] = []
    i = j = 0
    for pair in pairs:
        now_wrong = (pair.reference is not None and still[0][i]) or (pair.hypothesis is not None and still[1][j])
        was_wrong = pair.operation != "hit"
        changed.append((pair, was_wrong if was_wrong != now_wrong else None))
        i += pair.reference is not None
        j += pair.hypothesis is not None
    runs = groupby(changed, key=lambda item: item[1])
    return [
        change for forgiven, run in runs if forgiven is not None for change in _changed_words(run, forgiven, normalizer)
    ]


def count_changes(changes: Iterable[Change]) -> list[tuple[Change, int]]:
    """Most frequent first, then those that became wrong, then by alphabet."""
    counts = Counter(changes)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0].forgiven, item[0].reference, item[0].hypothesis))


def summarize_changes(changes: Sequence[tuple[Change, int]] | None) -> dict[str, Any] | None:
    """For summary.json: how many verdicts changed, and the most frequent words; None where it is not known."""
    if changes is None:
        return None
    return {
        "wrong_now_right": sum(count for change, count in changes if change.forgiven),
        "right_now_wrong": sum(count for change, count in changes if not change.forgiven),
        "words": [
            {
                "reference": change.reference,
                "hypothesis": change.hypothesis,
                "verdict": "wrong, now right" if change.forgiven else "right, now wrong",
                "times": count,
            }
            for change, count in changes[:_SUMMARIZED]
        ],
    }


def _changed_words(
    run: Iterable[tuple[AlignedPair, bool | None]], forgiven: bool, normalizer: Callable[[str], str]
) -> list[Change]:
    """Word by word; but where words were joined or parted (It's, it is), the stretch as a whole."""
    out: list[Change] = []
    for settled, group in groupby((pair for pair, _ in run), key=lambda pair: _is_settled(pair, normalizer)):
        members = list(group)
        out += [_change([pair], forgiven) for pair in members] if settled else [_change(members, forgiven)]
    return out


def _is_settled(pair: AlignedPair, normalizer: Callable[[str], str]) -> bool:
    """Whether the pair explains itself: the same words once normalised, each alone."""
    return pair.operation == "hit" or normalizer(pair.reference or "") == normalizer(pair.hypothesis or "")


def _change(pairs: Sequence[AlignedPair], forgiven: bool) -> Change:
    reference = " ".join(pair.reference for pair in pairs if pair.reference is not None)
    hypothesis = " ".join(pair.hypothesis for pair in pairs if pair.hypothesis is not None)
    return Change(reference, hypothesis, forgiven)


def _wrong_words(pairs: Sequence[AlignedPair], texts: tuple[str, str]) -> tuple[list[bool], list[bool]]:
    """For each word of both normalised texts whether it is part of an error."""
    reference = [pair.operation != "hit" for pair in pairs if pair.reference is not None]
    hypothesis = [pair.operation != "hit" for pair in pairs if pair.hypothesis is not None]
    return reference, hypothesis


def _followed(raw: str, normalized: str, wrong: Sequence[bool], normalizer: Callable[[str], str]) -> list[bool]:
    """For each raw word whether any of what became of it is wrong; a word of which nothing is left is not."""
    pieces: list[str] = []
    owners: list[int] = []
    words = raw.split()
    for index, word in enumerate(words):
        own = normalizer(word).split()
        pieces += own
        owners += [index] * len(own)
    whole = normalized.split()
    steps = Levenshtein.opcodes(pieces, whole)
    bad = [False] * len(words)
    for kind, run in groupby(steps, key=lambda step: step.tag == "equal"):
        members = list(run)
        for step in members if kind else []:
            for offset in range(step.src_end - step.src_start):
                bad[owners[step.src_start + offset]] |= wrong[step.dest_start + offset]
        if not kind:
            first, last = members[0], members[-1]
            for owner in owners[first.src_start : last.src_end]:
                bad[owner] |= any(wrong[first.dest_start : last.dest_end])
    return bad


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
