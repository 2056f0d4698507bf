"""Which hypothesis belongs to which reference, and what becomes of those that have no partner.

In: two ``TextFile``s. Out: a ``Matched``: texts of both sides under the same ids. Words with times are assigned to the
references' segments by their middle, as sclite does; a recording without word times belongs to its one segment; whole
ids are matched as they are, or by the name of the file they point at. A missing or extra id is an error unless an
option says what to do with it, and then the report says how many there were.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from asr.errors import ScoringError
from asr.scoring.formats import Segment, TimedWord, bare_name, words_as_json
from asr.scoring.read import TextFile
from asr.scoring.report import first_ids

Missing = Literal["error", "as-deletions", "skip"]
Extra = Literal["error", "skip"]
Reduce = Literal["nothing", "references", "hypotheses", "both"]
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
    time_notes: tuple[str, ...] = ()

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
        return [*notes, *self.time_notes]

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


def match(
    references: TextFile,
    hypotheses: TextFile,
    *,
    missing: Missing = "error",
    extra: Extra = "error",
    ignore_case: bool = False,
    reduce: Reduce = "nothing",
) -> Matched:
    """Bring both sides under the same ids.

    With "error", ids without partner stay in, and ``score_texts`` refuses them by name. ``ignore_case``: ids and names
    of recordings match without regard to case. ``reduce``: which side is cut to the time that the other covers, as
    sclite's -m does it. Raises ScoringError where segments are to be compared with recordings whose words have no
    times, and where two ids differ in case only.
    """
    same: Callable[[str], str] = str.casefold if ignore_case else str
    if ignore_case:
        hypotheses = _renamed(hypotheses, _in_case_of(references, hypotheses))
    wanted = {key: text for key, text in references.texts.items() if not _is_ignored(references, key)}
    recognised, how, time_notes = hypotheses, "matched by id", []
    if _is_by_recording(references, hypotheses, same):
        found = _by_recording(references, hypotheses, same, reduce)
        ignored = (references.texts.keys() - wanted.keys()) | found.dropped
        wanted = {key: text for key, text in wanted.items() if key not in ignored}
        heard = {key: text for key, text in found.texts.items() if key not in ignored}
        recognised = replace(hypotheses, texts=heard, metadata=found.metadata)
        how = "words assigned to segments by their middle" if hypotheses.words else "matched by recording"
        time_notes = [*found.notes(), *_overlap_notes(references, wanted)]
    elif reduce != "nothing":
        raise ScoringError("--reduce needs references with segments, and hypotheses of recordings with word times")
    elif not wanted.keys() & recognised.texts.keys():
        names = _by_name(wanted, same), _by_name(recognised.texts, same)
        if names[0] and names[1] and names[0].keys() & names[1].keys():
            recognised = _renamed(recognised, {key: names[0].get(name, key) for name, key in names[1].items()})
            how = "matched by file name"
        else:
            _refuse_other_segments(references, hypotheses, same)
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
        time_notes=tuple(time_notes),
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


def _is_by_recording(references: TextFile, hypotheses: TextFile, same: Callable[[str], str]) -> bool:
    """Whether the hypotheses are whole recordings, and the references segments of them."""
    if not references.segments or references.texts.keys() & hypotheses.texts.keys():
        return False
    names = {same(bare_name(segment.recording)) for segment in references.segments.values()}
    return bool(hypotheses.words) or any(same(bare_name(key)) in names for key in hypotheses.texts)


@dataclass(slots=True)
class _ByRecording:
    """Texts and metadata by the references' ids; what has no segment keeps its own id.

    ``dropped``: segments outside the time that the hypotheses cover; ``outside``, ``cut``: numbers of words.
    """

    texts: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)
    outside: int = 0
    cut: int = 0

    def notes(self) -> list[str]:
        notes = []
        if self.outside:
            notes.append(
                f"{self.outside} words are outside every segment; each is assigned to the next segment, or to the "
                "last one"
            )
        if self.dropped or self.cut:
            notes.append(
                f"{len(self.dropped)} segments and {self.cut} recognised words are outside the time that the other "
                "side covers: they are not scored (--reduce)"
            )
        return notes


def _by_recording(
    references: TextFile, hypotheses: TextFile, same: Callable[[str], str], reduce: Reduce
) -> _ByRecording:
    places: dict[tuple[str, str | None], dict[str, Segment]] = {}
    for key, segment in references.segments.items():
        places.setdefault((segment.recording, segment.channel), {})[key] = segment
    out = _ByRecording(metadata=dict(hypotheses.metadata))
    untimed = []
    for key, text in hypotheses.texts.items():
        place = hypotheses.segments.get(key)
        recording, channel = (place.recording, place.channel) if place else (key, None)
        found = [
            segments
            for (name, other), segments in places.items()
            if same(recording) in (same(name), same(bare_name(name)))
            and (channel is None or other is None or channel.casefold() == other.casefold())  # A in ctm, a in stm
        ]
        scored = [own for segments in found for own, segment in segments.items() if not segment.ignored]
        words = hypotheses.words.get(key, ())
        if len(found) == 1 and (words or not text):
            _assign(out, words, found[0], reduce)
        elif len(scored) == 1:
            out.texts[scored[0]] = text
            out.metadata[scored[0]] = out.metadata.get(key, {})
        else:  # no such recording, several channels, or no times
            out.texts[key] = text
            untimed += [key] if found and text and not words else []
    if untimed:
        raise ScoringError(
            f"{hypotheses.path}: {len(untimed)} recordings have no word times, without which they cannot be assigned "
            f"to the segments of {references.path}: {first_ids(untimed)}. whisper writes them with "
            "--word_timestamps True, OpenAI's API with timestamp_granularities=['word']"
        )
    return out


def _assign(out: _ByRecording, words: Sequence[TimedWord], segments: Mapping[str, Segment], reduce: Reduce) -> None:
    """The words of one recording to its segments, as far as ``reduce`` leaves both."""
    if words and reduce in ("references", "both"):
        kept = {
            key: one for key, one in segments.items() if words[0].start_s < one.end_s and words[-1].end_s > one.start_s
        }
        out.dropped |= segments.keys() - kept.keys()
        segments = kept
    if reduce in ("hypotheses", "both"):
        first_s = min((one.start_s for one in segments.values()), default=0.0)
        last_s = max((one.end_s for one in segments.values()), default=0.0)
        inside = [word for word in words if word.start_s <= last_s and word.end_s >= first_s]
        out.cut += len(words) - len(inside)
        words = inside
    if not segments:
        return
    assigned, outside = assign_words(words, segments)
    for own, found in assigned.items():
        out.texts[own] = " ".join(word.text for word in found)
        out.metadata[own] = {"words": words_as_json(found, segments[own].start_s)}
    out.outside += outside


def _refuse_other_segments(references: TextFile, hypotheses: TextFile, same: Callable[[str], str]) -> None:
    """Raises ScoringError where both sides are segments of the same recordings, each with its own borders."""
    sides = [{same(bare_name(one.recording)) for one in side.segments.values()} for side in (references, hypotheses)]
    if sides[0] & sides[1]:
        raise ScoringError(
            f"{references.path} and {hypotheses.path} are both segments of recordings, and no segment is in both; "
            "--conversation compares them by speaker (cpWER), else give hypotheses with word times (ctm)"
        )


def _overlap_notes(references: TextFile, scored: Iterable[str]) -> list[str]:
    """A warning where speakers talk at the same time: a word goes to one segment only."""
    count = 0
    latest: dict[tuple[str, str | None], dict[str, float]] = {}  # by recording and speaker: when speech ends
    for key in sorted(scored, key=lambda key: references.segments[key].start_s if key in references.segments else 0.0):
        segment, speaker = references.segments.get(key), references.speakers.get(key, "")
        if segment is not None:
            ends = latest.setdefault((segment.recording, segment.channel), {})
            count += any(end_s > segment.start_s for other, end_s in ends.items() if other != speaker)
            ends[speaker] = max(ends.get(speaker, 0.0), segment.end_s)
    if not count:
        return []
    return [
        f"{count} of the segments begin while another speaker talks; a word goes to one of them only, and may count as "
        "an error there. --conversation (cpWER) keeps speakers apart"
    ]


def _in_case_of(references: TextFile, hypotheses: TextFile) -> dict[str, str]:
    """The hypotheses' ids in the case of the references'; raises ScoringError where that makes two the same."""
    by_fold = {key.casefold(): key for key in references.texts}
    ids = {key: by_fold.get(key.casefold(), key) for key in hypotheses.texts}
    for file, different in ((references, len(by_fold)), (hypotheses, len({key.casefold() for key in ids}))):
        if different < len(file.texts):
            raise ScoringError(
                f"{file.path}: {len(file.texts) - different} of {len(file.texts)} ids differ from another in case only,"
                " so --ignore-id-case cannot match them; leave it out, or rename them"
            )
    return ids


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


def _by_name(texts: Mapping[str, str], same: Callable[[str], str]) -> dict[str, str]:
    """Ids by the bare name of the file they point at; empty where two have the same name."""
    names = {same(bare_name(key)): key for key in texts}
    return names if len(names) == len(texts) else {}
