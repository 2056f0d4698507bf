"""Annotations to segments that can be trained on: what is left out and why, what is joined, where it is cut.

In: the annotations of one recording and ``SegmentRules``. Out: segments, and for each annotation that is left out its
reason. Silence is added around a segment up to half of the pause to the next annotation, whoever speaks it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from asr.schema import check

LEAVE_OUT = "xxx,yyy,www,<unk>,[unk],(unk)"
REMOVE = "[*],<noise>,<laugh>,<laughter>,<breath>,<cough>,<music>,<sil>,<silence>"
OVERLAP_S = 0.1  # annotators' boundaries are not more exact
OVERHANG_S = 0.5  # an end so far behind the recording's is taken for it
LEAST_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRules:
    """``leave_out``: words (between commas, ``*`` for any characters) with which an annotation is left out: something
    was said that its text does not hold. ``remove``: marks of what is no speech, which are taken out of a text.

    ``overlap``: annotations during which somebody else speaks for more than 0.1 s. ``join``: an annotation shorter
    than so many seconds is joined with those of the same speaker before and after it, over pauses of at most ``pause``
    seconds, until ``longest`` seconds; what would be longer is cut at its longest pause. ``pad``: seconds of silence
    added on both sides.
    """

    leave_out: str = LEAVE_OUT
    remove: str = REMOVE
    overlap: Literal["drop", "keep"] = "drop"
    join: float = 1.0
    pause: float = 0.5
    longest: float = 20.0
    pad: float = 0.1

    def __post_init__(self) -> None:
        """Raises ConfigError."""
        for name in ("join", "pause", "pad"):
            check(getattr(self, name) >= 0, f"{name}={getattr(self, name)} must be 0 seconds or more")
        check(self.longest > LEAST_S, f"longest={self.longest} must be more than {LEAST_S} seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedSegment:
    """``text`` from ``start_s`` to ``end_s`` seconds of a recording; ``tier`` and the number of ``annotations`` it is
    made of. ``reason``: why it is left out; None where it is not.
    """

    start_s: float
    end_s: float
    text: str
    speaker: str | None
    tier: str
    annotations: int = 1
    reason: str | None = None

    @property
    def duration_s(self) -> float:
        """Its length in seconds."""
        return self.end_s - self.start_s


def make_segments(annotated: Sequence[TimedSegment], length_s: float, rules: SegmentRules) -> list[TimedSegment]:
    """The segments of one channel of a recording, in order of time, with those that are left out among them.

    Args:
        annotated: the annotations as they are, in any order; those with a reason only count as speech beside others.
        length_s: of the recording; infinite where it is not known.
        rules: what is left out, joined and cut.
    """
    marked = [_judged(one, length_s, rules) for one in annotated]
    # a pause may hold nothing or a noise: those annotations do not separate others
    spoken = sorted((one for one in marked if one.reason not in _NO_SPEECH), key=lambda one: (one.start_s, one.end_s))
    if rules.overlap == "drop":
        spoken = _without_overlaps(spoken)
    found = [piece for run in _runs(spoken, rules) for piece in _cut(run, rules.longest)]
    found = [_checked_length(one, rules) for one in found]
    padded = [_padded(found, place, length_s, rules.pad) for place in range(len(found))]
    silent = [one for one in marked if one.reason in _NO_SPEECH]
    return sorted([*padded, *silent], key=lambda one: (one.start_s, one.end_s))


NO_TEXT, ONLY_MARKS, MARKED = "no text", "only marks", "marked as unclear"
OVERLAP, SHORT, LONG = "overlapping speech", "too short", "too long"
OUTSIDE, NO_TIME, NOT_CHOSEN = "outside the recording", "no time", "in a tier that was not chosen"
_NO_SPEECH = (NO_TEXT, ONLY_MARKS)


def _judged(one: TimedSegment, length_s: float, rules: SegmentRules) -> TimedSegment:
    """With its text cleaned, its end inside the recording, or the reason to leave it out."""
    if one.reason is not None:
        return one
    if not one.text:
        return replace(one, reason=NO_TEXT)
    if _words_pattern(rules.leave_out).search(one.text):
        return replace(one, reason=MARKED)
    text = " ".join(_marks_pattern(rules.remove).sub(" ", one.text).split())
    if not re.search(r"\w", text):
        return replace(one, reason=ONLY_MARKS)
    if one.start_s < 0 or one.start_s >= length_s or one.end_s > length_s + OVERHANG_S:
        return replace(one, reason=OUTSIDE)
    if one.duration_s < 0:
        return replace(one, reason=SHORT)
    return replace(one, text=text, end_s=min(one.end_s, length_s))


def _words_pattern(patterns: str) -> re.Pattern[str]:
    found = "|".join(_as_regex(patterns)) or "(?!)"
    return re.compile(rf"(?<!\w)(?:{found})(?!\w)", re.IGNORECASE)


def _marks_pattern(patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(_as_regex(patterns)) or "(?!)", re.IGNORECASE)


def _as_regex(patterns: str) -> Iterator[str]:
    """A star does not reach over brackets: ``[*]`` is one pair of them."""
    for pattern in filter(None, (one.strip() for one in patterns.split(","))):
        yield re.escape(pattern).replace(r"\*", r"[^\[\]<>(){}]*")


def _without_overlaps(spoken: Sequence[TimedSegment]) -> list[TimedSegment]:
    """Those that overlap with another one by more than ``OVERLAP_S`` get the reason, whatever becomes of the other."""
    overlapping: set[int] = set()
    active: list[int] = []
    for place, one in enumerate(spoken):
        active = [other for other in active if spoken[other].end_s > one.start_s]
        for other in active:
            if min(spoken[other].end_s, one.end_s) - one.start_s > OVERLAP_S:
                overlapping |= {place, other}
        active.append(place)
    return [
        replace(one, reason=one.reason or OVERLAP) if place in overlapping else one for place, one in enumerate(spoken)
    ]


def _runs(spoken: Sequence[TimedSegment], rules: SegmentRules) -> Iterator[list[TimedSegment]]:
    """Neighbours in time that are one segment, unless it is too long; what is left out stays alone."""
    run: list[TimedSegment] = []
    for one in spoken:
        if run and not _belong_together(run[-1], one, rules):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _belong_together(first: TimedSegment, second: TimedSegment, rules: SegmentRules) -> bool:
    if first.reason or second.reason or (first.speaker, first.tier) != (second.speaker, second.tier):
        return False
    return second.start_s - first.end_s <= rules.pause and min(first.duration_s, second.duration_s) < rules.join


def _cut(run: list[TimedSegment], longest_s: float) -> Iterator[TimedSegment]:
    """The run as one segment, or cut at its longest pause (of equal ones the one nearest the middle) until it fits."""
    if len(run) == 1 or run[-1].end_s - run[0].start_s <= longest_s:
        yield replace(
            run[0],
            end_s=max(one.end_s for one in run),
            text=" ".join(one.text for one in run),
            annotations=sum(one.annotations for one in run),
        )
        return
    middle_s = (run[0].start_s + run[-1].end_s) / 2
    pauses = [
        (round(after.start_s - before.end_s, 3), -abs(before.end_s - middle_s), place)
        for place, (before, after) in enumerate(pairwise(run), start=1)
    ]
    place = max(pauses)[2]
    yield from _cut(run[:place], longest_s)
    yield from _cut(run[place:], longest_s)


def _checked_length(one: TimedSegment, rules: SegmentRules) -> TimedSegment:
    if one.reason is None and one.duration_s > rules.longest:
        return replace(one, reason=LONG)
    if one.reason is None and one.duration_s < LEAST_S:
        return replace(one, reason=SHORT)
    return one


def _padded(found: Sequence[TimedSegment], place: int, length_s: float, pad_s: float) -> TimedSegment:
    one = found[place]
    if one.reason:
        return one
    before_s = max((other.end_s for other in found[max(0, place - 3) : place]), default=one.start_s - 2 * pad_s)
    after_s = found[place + 1].start_s if place + 1 < len(found) else one.end_s + 2 * pad_s
    left_s = min(pad_s, max(0.0, (one.start_s - before_s) / 2))
    right_s = min(pad_s, max(0.0, (after_s - one.end_s) / 2))
    return replace(one, start_s=max(0.0, one.start_s - left_s), end_s=min(length_s, one.end_s + right_s))
