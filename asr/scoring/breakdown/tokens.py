"""The error by word and by character, and where in an utterance words are inserted and deleted.

In: alignments of ``asr.scoring.counts`` and, where the recogniser gave them, word times. Out: ``TokenBreakdown`` (how
often each token is right, what it is confused with, deleted and inserted) and ``Places`` (at the edges, next to a
pause, or in running speech: insertions at edges and pauses come from noise and breath, deletions at edges from
recordings cut too close). Where several alignments have equally few errors, one of them decides which word was deleted
or confused: counts of one word may differ from another tool's, their sum not.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr.files import finite
from asr.scoring.breakdown.groups import number
from asr.scoring.counts import AlignedSpan

TRAINING_BINS = ((0, "0"), (1, "1 to 4"), (5, "5 to 49"), (50, "50 or more"))


@dataclass(frozen=True, slots=True)
class TokenErrors:
    """One word or character: how often it was right, and how it was wrong.

    Said, but ``substituted`` by another or ``deleted``; recognised, but ``mistaken`` for another or ``inserted``.
    """

    token: str
    hits: int
    substituted: int
    deleted: int
    mistaken: int
    inserted: int

    @property
    def said(self) -> int:
        """How often it is in the references."""
        return self.hits + self.substituted + self.deleted

    @property
    def recognised(self) -> int:
        """How often it is in the hypotheses."""
        return self.hits + self.mistaken + self.inserted

    @property
    def recall(self) -> float:
        """The share of its occurrences in references that were right; NaN where it was never said."""
        return self.hits / self.said if self.said else math.nan

    @property
    def precision(self) -> float:
        """The share of its occurrences in hypotheses that were right; NaN where it was never recognised."""
        return self.hits / self.recognised if self.recognised else math.nan

    @property
    def missed(self) -> int:
        """How often it was said and not recognised."""
        return self.substituted + self.deleted


@dataclass(frozen=True, slots=True)
class Confusion:
    """``hypothesis`` was recognised ``count`` times where ``reference`` was said."""

    reference: str
    hypothesis: str
    count: int


@dataclass(frozen=True, slots=True)
class TokenBreakdown:
    """``tokens``: most often missed first; ``confusions``: most frequent first."""

    tokens: tuple[TokenErrors, ...]
    confusions: tuple[Confusion, ...]

    def most_deleted(self) -> list[TokenErrors]:
        """Those that were deleted, most often first."""
        return sorted((one for one in self.tokens if one.deleted), key=lambda one: (-one.deleted, one.token))

    def most_inserted(self) -> list[TokenErrors]:
        """Those that were inserted, most often first."""
        return sorted((one for one in self.tokens if one.inserted), key=lambda one: (-one.inserted, one.token))


@dataclass(frozen=True, slots=True)
class TrainingBin:
    """Reference words by how often the training text holds them: ``different`` ones, ``said`` so often, ``hits``."""

    label: str
    different: int
    said: int
    hits: int

    @property
    def recall(self) -> float:
        """The share that was right; NaN where there is none."""
        return self.hits / self.said if self.said else math.nan


def break_down_tokens(alignments: Iterable[Sequence[AlignedSpan]]) -> TokenBreakdown:
    """Count over all utterances, each given by its alignment."""
    hits, deleted, inserted = Counter[str](), Counter[str](), Counter[str]()
    pairs = Counter[tuple[str, str]]()
    for spans in alignments:
        for operation, reference, hypothesis in spans:
            if operation == "hit":
                hits.update(reference)
            elif operation == "substitution":
                pairs.update(zip(reference, hypothesis, strict=True))
            elif operation == "deletion":
                deleted.update(reference)
            else:
                inserted.update(hypothesis)
    substituted, mistaken = Counter[str](), Counter[str]()
    for (reference_token, hypothesis_token), count in pairs.items():
        substituted[reference_token] += count
        mistaken[hypothesis_token] += count
    counters = (hits, substituted, deleted, mistaken, inserted)
    tokens = [TokenErrors(token, *(counter[token] for counter in counters)) for token in set().union(*counters)]
    confusions = [Confusion(*pair, count) for pair, count in pairs.items()]
    return TokenBreakdown(
        tuple(sorted(tokens, key=lambda one: (-one.missed, -one.inserted, -one.said, one.token))),
        tuple(sorted(confusions, key=lambda one: (-one.count, one.reference, one.hypothesis))),
    )


def keyword_errors(alignments: Iterable[Sequence[AlignedSpan]], keywords: Sequence[str]) -> tuple[TokenErrors, ...]:
    """Recall and precision of words and phrases; those missed most often first.

    One is right where all its words are right, with nothing inserted between them.
    """
    wanted: dict[str, list[tuple[str, ...]]] = {}
    for keyword in keywords:
        words = tuple(keyword.split())
        wanted.setdefault(words[0], []).append(words)
    said, heard, right = Counter[str](), Counter[str](), Counter[str]()
    for spans in alignments:
        references, hypotheses = ([word for span in spans for word in span[side]] for side in (1, 2))
        partner: dict[int, int] = {}  # of the words that are right
        i = j = 0
        for operation, one, other in spans:
            partner |= {i + step: j + step for step in range(len(one))} if operation == "hit" else {}
            i, j = i + len(one), j + len(other)
        for place, phrase in _occurrences(references, wanted):
            said[" ".join(phrase)] += 1
            first = partner.get(place, -1)
            right[" ".join(phrase)] += first >= 0 and all(
                partner.get(place + step) == first + step for step in range(len(phrase))
            )
        heard.update(" ".join(phrase) for _, phrase in _occurrences(hypotheses, wanted))
    found = [
        TokenErrors(word, right[word], 0, said[word] - right[word], 0, heard[word] - right[word]) for word in keywords
    ]
    return tuple(sorted(found, key=lambda one: (-one.missed, -one.inserted, -one.said, one.token)))


def _occurrences(
    words: Sequence[str], wanted: Mapping[str, Sequence[tuple[str, ...]]]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    for place, word in enumerate(words):
        for phrase in wanted.get(word, ()):
            if tuple(words[place : place + len(phrase)]) == phrase:
                yield place, phrase


KEYWORD_HEADER = ("keyword", "said", "recognised", "right", "recall", "precision")


def keyword_rows(found: Sequence[TokenErrors]) -> list[list[str]]:
    """All keywords together, then each, under ``KEYWORD_HEADER``."""
    return [
        [one.token, *(f"{count:,}" for count in (one.said, one.recognised, one.hits))]
        + ["–" if math.isnan(share) else f"{100 * share:.1f}%" for share in (one.recall, one.precision)]
        for one in (_together(found), *found)
    ]


def keyword_figures(found: Sequence[TokenErrors]) -> dict[str, Any]:
    """For summary.json: recall and precision in percent over all keywords and of each; null where there is none."""
    whole, *each = (
        {"said": one.said, "recognised": one.recognised, "right": one.hits}
        | {name: finite(100 * getattr(one, name), 4) for name in ("recall", "precision")}
        for one in (_together(found), *found)
    )
    words = [{"keyword": one.token} | row for one, row in zip(found, each, strict=True)]
    return {"keywords": whole | {"words": words}}


def _together(found: Sequence[TokenErrors]) -> TokenErrors:
    names = ("hits", "substituted", "deleted", "mistaken", "inserted")
    return TokenErrors("all", *(sum(getattr(one, name) for one in found) for name in names))


def by_training_count(words: TokenBreakdown, training_counts: Mapping[str, int]) -> tuple[TrainingBin, ...]:
    """Recall of words never seen in training, rare ones and frequent ones, by ``TRAINING_BINS``."""
    members: dict[str, list[TokenErrors]] = {label: [] for _, label in TRAINING_BINS}
    for one in words.tokens:
        if one.said:
            members[_training_label(training_counts.get(one.token, 0))].append(one)
    return tuple(
        TrainingBin(label, len(group), sum(one.said for one in group), sum(one.hits for one in group))
        for label, group in members.items()
    )


def _training_label(count: int) -> str:
    return next(label for least, label in reversed(TRAINING_BINS) if count >= least)


PAUSE_S = 0.3  # without a recognised word, on either side of an inserted one


@dataclass(frozen=True, slots=True)
class Places:
    """Counts of insertions that add up to all, and of deletions likewise.

    ``inserted_where_nothing_was_said``: the reference is empty; ``..._beside_pause``: at least 0.3 s from the word
    before or after, known for ``utterances_with_times`` of the utterances only.
    """

    inserted_where_nothing_was_said: int = 0
    inserted_at_start: int = 0
    inserted_at_end: int = 0
    inserted_beside_pause: int = 0
    inserted_in_speech: int = 0
    deleted_where_nothing_was_recognised: int = 0
    deleted_at_start: int = 0
    deleted_at_end: int = 0
    deleted_in_speech: int = 0
    utterances_with_times: int = 0


def find_places(utterances: Sequence[tuple[Sequence[AlignedSpan], Mapping[str, Any]]]) -> Places:
    """Sum over utterances, each given by its word alignment and its extras."""
    totals = dict.fromkeys(Places.__dataclass_fields__, 0)
    for spans, extras in utterances:
        times = word_times(extras, sum(len(span.hypothesis) for span in spans))
        totals["utterances_with_times"] += times is not None
        position = 0
        for index, span in enumerate(spans):
            if span.operation == "insertion":
                for offset in range(len(span.hypothesis)):
                    totals[f"inserted_{_inserted_place(spans, index, times, position + offset)}"] += 1
            elif span.operation == "deletion":
                totals[f"deleted_{_edge(spans, index, 'where_nothing_was_recognised')}"] += len(span.reference)
            position += len(span.hypothesis)
    return Places(**totals)


def word_times(extras: Mapping[str, Any], words: int) -> list[tuple[float, float]] | None:
    """Start and end of each word of the hypothesis as compared; None unless the recogniser's words are as many."""
    given = extras.get("words")
    if not isinstance(given, list) or not given or len(given) != words:
        return None
    times = [
        (number(word.get("start_s")), number(word.get("end_s"))) if isinstance(word, Mapping) else (None, None)
        for word in given
    ]
    known = [(start, end) for start, end in times if start is not None and end is not None]
    return known if len(known) == words else None


def _inserted_place(
    spans: Sequence[AlignedSpan], index: int, times: list[tuple[float, float]] | None, position: int
) -> str:
    place = _edge(spans, index, "where_nothing_was_said")
    if place != "in_speech" or times is None:
        return place
    around = times[max(position - 1, 0) : position + 2]
    gaps_s = [after[0] - before[1] for before, after in itertools.pairwise(around)]
    return "beside_pause" if max(gaps_s, default=0.0) >= PAUSE_S else place


def _edge(spans: Sequence[AlignedSpan], index: int, alone: str) -> str:
    if len(spans) == 1:
        return alone
    return "at_start" if index == 0 else "at_end" if index == len(spans) - 1 else "in_speech"
