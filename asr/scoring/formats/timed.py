"""NIST's formats with times: ``stm`` (segments of a recording with their text) and ``ctm`` (words with times).

In: numbered lines. Out: entries; an stm segment has the id ``recording-channel-speaker-start-end`` (times in
hundredths of a second), a recording of a ctm has its words in order of time.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from asr.data.records import seconds_of, stm_fields
from asr.scoring.formats.entries import (
    Entry,
    Line,
    Parsed,
    Role,
    Segment,
    TimedWord,
    clean_id,
    confidence_of,
    filled,
    is_comment,
)
from asr.scoring.sclite import parse_marks

GAP_SPEAKER = "inter_segment_gap"
_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)
_ROUNDED_DOWN = re.compile(r"-0?\.0[0-5]\d*", re.ASCII)  # no duration, as some aligners round it
_CHANNELS = frozenset("012ABLRablr")  # as nearly all files name them


def parse_stm(lines: Sequence[Line], role: Role) -> Parsed:
    """``recording channel speaker start end [<labels>] text``; ``;;`` begins a comment line."""
    parsed = Parsed()
    for line in filled(lines):
        if is_comment(line):
            continue
        try:
            parsed.entries.append(_stm_entry(line, role))
        except ValueError as error:
            parsed.problems.append((line.number, str(error)))
    return parsed


def parse_ctm(lines: Sequence[Line], role: Role) -> Parsed:
    """``recording channel start duration word [confidence ...]``; one entry for each recording and channel.

    Where a recording has one channel only, its id is the recording's name; else ``recording-channel``. What lies
    between <ALT_BEGIN>, <ALT> and <ALT_END> is one word with sclite's marks: ``{ a b / c }``.
    """
    parsed = Parsed()
    words: dict[tuple[str, str], list[tuple[int, TimedWord]]] = {}
    block: _Alternatives | None = None
    for line in filled(lines):
        if is_comment(line):
            continue
        try:
            mark = _alternatives_mark(line)
            if mark is not None:
                block, word = _next_block(block, mark, line), None
                if mark == "<ALT_END>" and block is not None:
                    place, word, block = block.place, block.word(), None
            else:
                place, word = _ctm_word(line)
                if block is not None:
                    block.options[-1].append(word)
                    continue
        except ValueError as error:
            parsed.problems.append((line.number, str(error)))
            continue
        if word is not None:
            words.setdefault(place, []).append((line.number, word))
    if block is not None:
        parsed.problems.append((block.line, "begins alternatives with <ALT_BEGIN>, and no <ALT_END> follows"))
    for (recording, channel), found in words.items():
        alone = sum(name == recording for name, _ in words) == 1
        ordered = tuple(sorted((word for _, word in found), key=lambda word: word.start_s))
        parsed.entries.append(
            Entry(
                found[0][0],
                recording if alone else f"{recording}-{channel}",
                " ".join(word.text for word in ordered),
                segment=Segment(recording, channel, 0.0, max(word.end_s for word in ordered)),
                words=ordered,
            )
        )
    return parsed


@dataclass(slots=True)
class _Alternatives:
    """An <ALT_BEGIN> block that is being read."""

    line: int
    place: tuple[str, str]
    options: list[list[TimedWord]] = field(default_factory=lambda: [[]])

    def word(self) -> TimedWord | None:
        """All of it as one word with marks, its middle the latest of its words' (as sclite takes it); None if empty.

        Raises ValueError as ``parse_marks`` does.
        """
        words = [word for option in self.options for word in option]
        if not words:
            return None
        text = f"{{ {' / '.join(' '.join(word.text for word in option) or '@' for option in self.options)} }}"
        parse_marks(text)
        middle_s = max(word.middle_s for word in words)
        start_s = min(word.start_s for word in words)
        return TimedWord(text, start_s, 2 * middle_s - start_s)


def _alternatives_mark(line: Line) -> str | None:
    words = line.text.split()
    return words[4].upper() if len(words) >= 5 and words[4].upper().startswith("<ALT") else None


def _next_block(block: _Alternatives | None, mark: str, line: Line) -> _Alternatives:
    """The block after a line with a mark; raises ValueError for a mark out of place."""
    if (mark == "<ALT_BEGIN>") == (block is not None) or mark not in ("<ALT_BEGIN>", "<ALT>", "<ALT_END>"):
        raise ValueError(f"has {mark} in a wrong place: <ALT_BEGIN>, words, <ALT>, words, <ALT_END> is the order")
    recording, channel = line.text.split()[:2]
    block = block or _Alternatives(line.number, (clean_id(recording), channel))
    if mark == "<ALT>":
        block.options.append([])
    return block


def ctm_line(
    recording: str, channel: str, start_s: float, duration_s: float, word: str, confidence: float | None = None
) -> str:
    """``recording channel start duration word [confidence]``, times with three decimals; spaces become "_"."""
    names = "_".join(recording.split()), channel, f"{start_s:.3f}", f"{duration_s:.3f}", "_".join(word.split())
    return " ".join([*names, *([] if confidence is None else [f"{confidence:.3f}"])])


def looks_like_stm(text: str) -> bool:
    """Whether a line could be one of an stm: the fourth and fifth word are times, in order."""
    words = text.split(None, 5)
    return len(words) >= 5 and _are_times(words[3:5]) and float(words[3]) <= float(words[4]) and _may_be_timed(text)


def looks_like_ctm(text: str) -> bool:
    """Whether a line could be one of a ctm: the third and fourth word are times, a word and not much more follows."""
    words = text.split()
    timed = 5 <= len(words) <= 8 and _are_times(words[2:4]) and _may_be_timed(text)
    return timed or (len(words) == 5 and words[4].upper().startswith("<ALT"))


def has_decimal_times(text: str) -> bool:
    """Whether one of the columns of times has a decimal point: else it may be a text of spoken digits."""
    return any("." in word and _NUMBER.fullmatch(word) for word in text.split()[2:5])


def _may_be_timed(text: str) -> bool:
    """Nothing but digits and an odd channel: that is a text of spoken digits."""
    _, *words = text.split()
    return words[0] in _CHANNELS or has_decimal_times(text) or not _are_times(words)


def segment_id(segment: Segment, speaker: str) -> str:
    """``rec1-1-ann-0000000-0000250``: unique in a file, and in order of time when sorted."""
    times = (round(100 * value) for value in (segment.start_s, segment.end_s))
    return "-".join([segment.recording, segment.channel or "1", speaker, *(f"{time:07d}" for time in times)])


def _stm_entry(line: Line, role: Role) -> Entry:
    found = stm_fields(line.text)
    recording, channel, speaker = (clean_id(one) for one in (found.recording, found.channel, found.speaker))
    parse_marks(found.text)
    segment = Segment(recording, channel, found.start_s, found.end_s, found.ignored)
    known, text = None if speaker == GAP_SPEAKER else speaker, "" if found.ignored else found.text
    return Entry(line.number, segment_id(segment, speaker), text, known, found.end_s - found.start_s, segment)


def _ctm_word(line: Line) -> tuple[tuple[str, str], TimedWord]:
    words = line.text.split()
    if len(words) < 5:
        raise ValueError(f"has {len(words)} of the 5 columns: recording, channel, start, duration, word")
    start_s = seconds_of(words[2], "the start")
    duration_s = 0.0 if _ROUNDED_DOWN.fullmatch(words[3]) else seconds_of(words[3], "the duration")
    confidence = confidence_of(words[5]) if len(words) > 5 else None
    parse_marks(words[4])
    return (clean_id(words[0]), words[1]), TimedWord(words[4], start_s, start_s + duration_s, confidence)


def _are_times(words: Sequence[str]) -> bool:
    return all(_NUMBER.fullmatch(word) for word in words)
