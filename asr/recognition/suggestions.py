"""Which untranscribed recordings to transcribe next: those whose transcripts would teach a model the most.

In: ``Candidate``s, each with a draft and its confidence, and the texts that are transcribed already. Out:
``Suggestion``s, the most useful first, with the reasons.

Lowest confidence first (Riccardi and Hakkani-Tür, IEEE TSAP 13(4), 2005) tends to choose noise and many recordings of
one kind, so confidence is combined with diversity, as in Malhotra et al. (Interspeech 2019). The value of a set is

    sum over u of pool(u) * log(1 + known(u) + sum over its candidates of doubt * count(u))

where u is a trigram of a word's letters, or a speaker, who counts once for each letter drafted of their speech; pool(u)
is its count in all drafts, known(u) that in the transcribed texts. With equal doubts this draws the distribution of u
in what is transcribed to that of the pool (Shinohara, ICASSP 2014): what the texts have seldom and the drafts often
counts most, and what a single draft has hardly counts. The value is submodular: a greedy choice by gain per second is
near the best (Lin and Bilmes, Interspeech 2009). ``doubt`` is 1 - confidence, or its mean with the disagreement of two
models.
"""

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rapidfuzz.distance import Levenshtein
from rapidfuzz.fuzz import ratio

from asr.data.alphabet import RARE
from asr.data.quality.texts import LONG_WORDS
from asr.text.tokenizer import split_graphemes

EDGE = "#"  # stands for a word's beginning or end in a trigram
OVERHEAD_S = 1.0  # every recording costs its duration and this: to open it, and to read the draft
UNSURE = 0.5  # doubt where neither a confidence nor a second draft is known
NEAR_PERCENT, NEAR_DURATION = 90.0, 0.1  # nearly the same drafts of nearly the same length
SAME_S, SAME_CONFIDENCE = 1e-3, 1e-4  # the same draft with these is a copy of the recording
KEYS = 3  # the rarest trigrams of a draft, by which nearly equal ones are found
SHOWN = 3  # rare trigrams among the reasons


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An untranscribed recording, or a segment of one, with what a model recognises in it.

    Attributes:
        id: the caller's name of it.
        duration_s: in seconds, above 0.
        text: the draft, normalised as the transcribed texts are; empty where nothing was recognised.
        confidence: expected share of right words in the draft, 0 to 1; None where it is not known.
        second_text: the draft of another model; None without one.
        speaker: None where not known.
    """

    id: str
    duration_s: float
    text: str
    confidence: float | None = None
    second_text: str | None = None
    speaker: str | None = None

    @cached_property
    def disagreement(self) -> float | None:
        """Word errors between the two drafts per word of the longer, 0 to 1; None without a second draft."""
        if self.second_text is None:
            return None
        words, others = self.text.split(), self.second_text.split()
        return Levenshtein.distance(words, others) / max(1, len(words), len(others))

    @cached_property
    def doubt(self) -> float:
        """How wrong the draft is expected to be, 0 to 1."""
        sure = None if self.confidence is None else 1 - self.confidence
        known = [one for one in (sure, self.disagreement) if one is not None]
        return min(1.0, max(0.0, sum(known) / len(known))) if known else UNSURE

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each unit of the value occurs in it."""
        return count_units(self.text, self.speaker)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A candidate in its place.

    Attributes:
        score: gain of value per second when it was chosen; comparable within one ranking only.
        within_budget: chosen within the budget.
        rare: up to ``SHOWN`` trigrams of the draft that the transcribed texts have fewer than ``RARE`` times and the
            drafts more than once, those that gain most first; ``EDGE`` is a word's beginning or end.
        new_speaker: nothing of the speaker is transcribed or ranked before.
        duplicate_of: id of a candidate with (nearly) the same draft, or None.
    """

    candidate: Candidate
    score: float
    within_budget: bool
    rare: tuple[str, ...] = ()
    new_speaker: bool = False
    duplicate_of: str | None = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is where it is, each in a few words."""
        one = self.candidate
        found = [
            f"nearly as {self.duplicate_of}" if self.duplicate_of is not None else "",
            "nothing recognised" if not one.text.strip() else "",
            f"new speaker {one.speaker}" if self.new_speaker else "",
            f"confidence {one.confidence:.2f}" if one.confidence is not None else "",
            f"models differ in {one.disagreement:.0%}" if one.disagreement is not None else "",
            f"rare: {' '.join(self.rare)}" if self.rare else "",
        ]
        return tuple(filter(None, found))


def rank_untranscribed(
    candidates: Sequence[Candidate],
    known: Iterable[tuple[str, str | None]] = (),
    budget_s: float = math.inf,
) -> list[Suggestion]:
    """All candidates, the most useful first; near-duplicates last, before them those in which nothing is recognised.

    Args:
        candidates: ids distinct; of near-duplicates the first counts.
        known: text and speaker of what is transcribed, normalised as the drafts are.
        budget_s: seconds of audio to choose; what no longer fits comes behind what does.
    """
    twins = _near_duplicates(candidates)
    first = [one for one in candidates if one.id not in twins]
    heard = [one for one in first if one.text.strip()]
    silent = sorted((one for one in first if not one.text.strip()), key=lambda one: -one.doubt)
    ranking = _Ranking(heard, known, budget_s)
    for group in (heard, silent, [one for one in candidates if one.id in twins]):
        ranking.add(group, twins)
    return ranking.chosen


def count_units(text: str, speaker: str | None) -> Counter[str]:
    """The trigrams of the text's words, and the speaker once for each of them."""
    counts: Counter[str] = Counter()
    for word in text.split():
        letters = [EDGE, *split_graphemes(word), EDGE]
        counts.update("".join(letters[place : place + 3]) for place in range(len(letters) - 2))
    if speaker is not None and counts:
        counts[_speaker_unit(speaker)] = counts.total()
    return counts


def _speaker_unit(speaker: str) -> str:
    return f" {speaker}"  # no trigram begins with a space


class _Ranking:
    """The greedy choice: ``chosen`` so far."""

    def __init__(self, pool: Iterable[Candidate], known: Iterable[tuple[str, str | None]], budget_s: float) -> None:
        self._pool: Counter[str] = Counter()
        for one in pool:
            self._pool.update(one.counts)
        self._known: Counter[str] = Counter()
        for text, speaker in known:
            self._known.update(count_units(text, speaker))
        self._have: dict[str, float] = defaultdict(float, self._known)
        self._speakers = {unit for unit in self._known if unit.startswith(" ")}
        self._left_s = budget_s + 1e-6  # what rounding may take
        self.chosen: list[Suggestion] = []

    def add(self, group: Sequence[Candidate], twins: Mapping[str, str]) -> None:
        """Rank ``group`` behind what is ranked; the budget ends with a group of which something does not fit."""
        if over := self._greedy(group, twins):
            self._left_s = -math.inf
            self._greedy(over, twins)

    def _greedy(self, group: Sequence[Candidate], twins: Mapping[str, str]) -> list[Candidate]:
        """Take the candidate of the largest gain per second, again and again; returns those over budget.

        A gain only falls while others are taken: the largest of those computed before is computed again, and is the
        largest of all where it stays above the next (Minoux 1978).
        """
        heap = [(-self._rate(one), place, len(self.chosen)) for place, one in enumerate(group)]
        heapq.heapify(heap)
        over: list[int] = []
        while heap:
            rate, place, at = heapq.heappop(heap)
            one = group[place]
            if 0 <= self._left_s < one.duration_s:
                over.append(place)
            elif at < len(self.chosen):
                heapq.heappush(heap, (-self._rate(one), place, len(self.chosen)))
            else:
                self._take(one, -rate, twins.get(one.id))
        return [group[place] for place in sorted(over)]

    def _rate(self, one: Candidate) -> float:
        return sum(self._gains(one).values()) / (one.duration_s + OVERHEAD_S)

    def _gains(self, one: Candidate) -> dict[str, float]:
        doubt, pool, have = one.doubt, self._pool, self._have
        return {
            unit: pool[unit] * math.log1p(doubt * count / (1 + have.get(unit, 0.0)))
            for unit, count in one.counts.items()
        }

    def _take(self, one: Candidate, rate: float, twin: str | None) -> None:
        gains = self._gains(one)
        rare = [
            unit
            for unit in sorted(gains, key=lambda unit: (-gains[unit], unit))
            if self._known[unit] < RARE and self._pool[unit] > 1 and not unit.startswith(" ")
        ]
        unit = None if one.speaker is None else _speaker_unit(one.speaker)
        self.chosen.append(
            Suggestion(
                candidate=one,
                score=rate,
                within_budget=self._left_s >= 0,
                rare=tuple(rare[:SHOWN]) if self._known else (),
                new_speaker=unit is not None and unit not in self._speakers,
                duplicate_of=twin,
            )
        )
        self._left_s -= one.duration_s
        if unit is not None:
            self._speakers.add(unit)
        for name, count in one.counts.items():
            self._have[name] += one.doubt * count


def _near_duplicates(candidates: Sequence[Candidate]) -> dict[str, str]:
    """For each near-duplicate the id of the candidate before it that it is like.

    Drafts of fewer than ``LONG_WORDS`` words are alike by chance, and those of two speakers are no duplicates.
    """
    frequency: Counter[str] = Counter()
    for one in candidates:
        frequency.update(one.counts.keys())
    buckets: dict[str, list[Candidate]] = defaultdict(list)
    found: dict[str, str] = {}
    for one in candidates:
        shared = [unit for unit in one.counts if frequency[unit] > 1 and not unit.startswith(" ")]
        rarest = sorted(shared, key=lambda unit: (frequency[unit], unit))[:KEYS]
        same = [f"{round(one.duration_s / SAME_S)} {one.text}"] if one.text.strip() else []
        keys = [*same, *rarest] if len(one.text.split()) >= LONG_WORDS else same
        before = {other.id: other for key in keys for other in buckets[key]}
        twin = next((other.id for other in before.values() if _alike(one, other)), None)
        if twin is not None:
            found[one.id] = twin
            continue
        for key in keys:
            buckets[key].append(one)
    return found


def _alike(one: Candidate, other: Candidate) -> bool:
    if None not in (one.speaker, other.speaker) and one.speaker != other.speaker:
        return False
    apart_s = abs(one.duration_s - other.duration_s)
    sure, other_sure = one.confidence or 0.0, other.confidence or 0.0
    same = one.text == other.text and one.second_text == other.second_text
    if same and apart_s <= SAME_S and abs(sure - other_sure) <= SAME_CONFIDENCE:
        return True
    if min(len(one.text.split()), len(other.text.split())) < LONG_WORDS:
        return False
    near = apart_s <= NEAR_DURATION * max(one.duration_s, other.duration_s)
    return near and ratio(one.text, other.text, score_cutoff=NEAR_PERCENT) > 0
