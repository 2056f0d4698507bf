"""Which hypothesis belongs to which reference, and what becomes of those that have no partner.

In: two ``TextFile``s. Out: a ``Matched``: texts of both sides under the same ids. Words with times are assigned to the
references' segments by their middle, as sclite does; whole ids are matched as they are, or by the name of the file they
point at. A missing or extra id is an error unless an option says what to do with it, and then the report says how many
there were.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from asr.errors import ScoringError
from asr.scoring.formats import Segment, TimedWord, bare_name, words_as_json
from asr.scoring.read import TextFile
from asr.scoring.report import first_ids

Missing = Literal["error", "as-deletions", "skip"]
Extra = Literal["error", "skip"]
_SHOWN_IDS = 100

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Texts under the same ids, in the references' order; ``missing`` and ``extra``: what had no partner, treated.

    ``recognised``: the hypotheses' file with its metadata under the same ids.
    """

    references: dict[str, str]
    hypotheses: dict[str, str]
    recognised: TextFile
    how: str
    missing: list[str] = field(default_factory=list)
    missing_treatment: Missing = "error"
    extra: list[str] = field(default_factory=list)
    total: int = 0
    outside_words: int = 0

    def notes(self) -> list[str]:
        """What a reader of the figures has to know, a sentence each; empty where every id had its partner."""
        treated = {"as-deletions": "all their words count as deletions", "skip": "they are not scored"}
        notes = []
        if self.missing:
            notes.append(
                f"no hypothesis for {len(self.missing)} of {self.total} references: {treated[self.missing_treatment]}"
            )
        if self.extra:
            notes.append(f"no reference for {len(self.extra)} of the hypotheses: they are not scored")
        if self.outside_words:
            notes.append(
                f"{self.outside_words} words are outside every segment; each is assigned to the next segment, or to "
                "the last one"
            )
        return notes

    def figures(self) -> dict[str, Any]:
        """The same for summary.json; empty where there is nothing to say."""
        found: dict[str, Any] = {}
        if self.missing:
            found["missing_hypotheses"] = {
                "count": len(self.missing),
                "treatment": self.missing_treatment,
                "ids": self.missing[:_SHOWN_IDS],
            }
        if self.extra:
            found["extra_hypotheses"] = {
                "count": len(self.extra),
                "treatment": "skip",
                "ids": self.extra[:_SHOWN_IDS],
            }
        return found


def match(references: TextFile, hypotheses: TextFile, *, missing: Missing = "error", extra: Extra = "error") -> Matched:
    """Bring both sides under the same ids.

    With "error", ids without partner stay in, and ``score_texts`` refuses them by name. Raises ScoringError where
    segments are to be compared with recordings whose words have no times.
    """
    _require_times(references, hypotheses)
    wanted = {key: text for key, text in references.texts.items() if not _is_ignored(references, key)}
    recognised, how, outside = hypotheses, "matched by id", 0
    if _needs_times(references, hypotheses):
        recognised, outside = _by_time(references, hypotheses)
        ignored = references.texts.keys() - wanted.keys()
        recognised = replace(
            recognised, texts={key: text for key, text in recognised.texts.items() if key not in ignored}
        )
        how = "words assigned to segments by their middle"
    elif not wanted.keys() & recognised.texts.keys():
        names = _by_name(wanted), _by_name(recognised.texts)
        if names[0] and names[1] and names[0].keys() & names[1].keys():
            recognised = _renamed(recognised, {key: names[0].get(name, key) for name, key in names[1].items()})
            how = "matched by file name"
    given = dict(recognised.texts)
    without_hypothesis = [key for key in wanted if key not in given]
    without_reference = [key for key in given if key not in wanted]
    if missing == "skip":
        wanted = {key: text for key, text in wanted.items() if key in given}
    elif missing == "as-deletions":
        given |= dict.fromkeys(without_hypothesis, "")
    if extra == "skip":
        given = {key: text for key, text in given.items() if key in wanted}
    return Matched(
        references=wanted,
        hypotheses=given,
        recognised=recognised,
        how=how,
        missing=without_hypothesis if missing != "error" else [],
        missing_treatment=missing,
        extra=without_reference if extra != "error" else [],
        total=len(wanted) + (len(without_hypothesis) if missing == "skip" else 0),
        outside_words=outside,
    )


def assign_words(words: Iterable[TimedWord], segments: Mapping[str, Segment]) -> tuple[dict[str, list[TimedWord]], int]:
    """The words of each segment of one recording, and how many words are in none.

    A word belongs to the first segment that ends after the word's middle, and to the last one where none does: what
    sclite does. So a word between two segments counts in the later one, an error there unless it is right.
    """
    ordered = sorted(segments.items(), key=lambda item: (item[1].start_s, item[1].end_s))
    assigned: dict[str, list[TimedWord]] = {key: [] for key, _ in ordered}
    outside = 0
    for word in words:
        key, segment = next((item for item in ordered if word.middle_s < item[1].end_s), ordered[-1])
        assigned[key].append(word)
        outside += not segment.start_s <= word.middle_s <= segment.end_s
    return assigned, outside


def _is_ignored(references: TextFile, key: str) -> bool:
    return key in references.segments and references.segments[key].ignored


def _needs_times(references: TextFile, hypotheses: TextFile) -> bool:
    """Whether the hypotheses are whole recordings with word times, and the references segments of recordings."""
    return bool(hypotheses.words and references.segments) and not references.texts.keys() & hypotheses.texts.keys()


def _require_times(references: TextFile, hypotheses: TextFile) -> None:
    recordings = {bare_name(segment.recording) for segment in references.segments.values()} - references.texts.keys()
    untimed = [
        key for key, text in hypotheses.texts.items() if key in recordings and text and key not in hypotheses.words
    ]
    if untimed:
        raise ScoringError(
            f"{hypotheses.path}: {len(untimed)} recordings have no word times, without which they cannot be assigned "
            f"to the segments of {references.path}: {first_ids(untimed)}. whisper writes them with "
            "--word_timestamps True, OpenAI's API with timestamp_granularities=['word']"
        )


def _by_time(references: TextFile, hypotheses: TextFile) -> tuple[TextFile, int]:
    """Texts and words by the references' ids, recording by recording; what has no segment keeps its own id."""
    places: dict[tuple[str, str | None], dict[str, Segment]] = {}
    for key, segment in references.segments.items():
        places.setdefault((segment.recording, segment.channel), {})[key] = segment
    texts: dict[str, str] = {}
    metadata = dict(hypotheses.metadata)
    outside = 0
    for key, text in hypotheses.texts.items():
        words = hypotheses.words.get(key, ())
        place = hypotheses.segments.get(key)
        recording, channel = (place.recording, place.channel) if place else (key, None)
        found = [
            segments
            for (name, other), segments in places.items()
            if recording in (name, bare_name(name)) and (channel == other or channel is None or other is None)
        ]
        if len(found) != 1 or (text and not words):  # no such recording, several channels, or no times
            texts[key] = text
            continue
        assigned, count = assign_words(words, found[0])
        for own, inside in assigned.items():
            texts[own] = " ".join(word.text for word in inside)
            metadata[own] = {"words": words_as_json(inside, found[0][own].start_s)}
        outside += count
    return replace(hypotheses, texts=texts, metadata=metadata), outside


def _renamed(file: TextFile, ids: Mapping[str, str]) -> TextFile:
    """The same with other ids; ``ids``: the new one by the old one."""

    def under(values: Mapping[str, Value]) -> dict[str, Value]:
        return {ids[key]: value for key, value in values.items()}

    return replace(
        file,
        texts=under(file.texts),
        speakers=under(file.speakers),
        durations_s=under(file.durations_s),
        segments=under(file.segments),
        words=under(file.words),
        metadata=under(file.metadata),
    )


def _by_name(texts: Mapping[str, str]) -> dict[str, str]:
    """Ids by the bare name of the file they point at; empty where two have the same name."""
    names = {bare_name(key): key for key in texts}
    return names if len(names) == len(texts) else {}
