"""Words with times to readable subtitles: where to break, how many lines, how long to show.

In: a hypothesis' word spans. Out: cues of at most 2 lines of 42 columns and 7 s, in order, never overlapping, never
empty. The breaks are those of least total cost (a shortest path over all break points, as in Knuth and Plass, 1981): a
cue costs, breaking where nobody pauses costs, a pause inside a cue costs, a cue too short to be read costs. The figures
of 42 columns, 2 lines and 7 s are those of the BBC's and Netflix' subtitle guidelines.

`word_spans` puts word times on the grid of files, whole milliseconds: in order, never overlapping, never empty. The
recogniser's times are so already; rounding, and words from elsewhere, may not be.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from asr.errors import TranscriptError
from asr.terminal import display_width

if TYPE_CHECKING:
    from asr.recognition.hypothesis import Hypothesis, Word


@dataclass(frozen=True, slots=True)
class Span:
    """``text`` without white space at its ends, from ``start_ms`` to before ``end_ms``."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None


def word_spans(hypothesis: "Hypothesis", format_name: str) -> list[Span]:
    """The words with whole milliseconds. A word gives way to the next one's start, and keeps at least 1 ms.

    Raises:
        TranscriptError: the text has no word times, or a time is not a number.
    """
    words = [word for word in hypothesis.words if word.text.strip()]
    if hypothesis.text.strip() and not words:
        raise TranscriptError(
            f"{format_name} needs word times, and this transcript has none; transcribe with words, or use txt"
        )
    for word in words:
        if not (math.isfinite(word.start_s) and math.isfinite(word.end_s)):
            raise TranscriptError(f"the word {word.text!r} has no finite times: {word.start_s} to {word.end_s} s")
    spans: list[Span] = []
    for index, word in enumerate(words):
        start_ms = max(spans[-1].end_ms if spans else 0, round(word.start_s * 1000))
        end_ms = max(start_ms + 1, round(min(word.end_s, _next_start_s(words, index)) * 1000))
        spans.append(Span(_one_line(word.text), start_ms, end_ms, word.confidence))
    return spans


def duration_ms(hypothesis: "Hypothesis", spans: Sequence[Span]) -> int:
    """The recording's length in milliseconds, not less than the last word's end."""
    known_ms = round(hypothesis.duration_s * 1000) if math.isfinite(hypothesis.duration_s) else 0
    return max(known_ms, spans[-1].end_ms if spans else 0)


def _next_start_s(words: "Sequence[Word]", index: int) -> float:
    return words[index + 1].start_s if index + 1 < len(words) else math.inf


def _one_line(text: str) -> str:
    return " ".join(text.split())


MAX_COLUMNS = 42
MAX_LINES = 2
MAX_CUE_MS = 7_000
MIN_CUE_MS = 1_000
# A cue is shown as long as reading it takes, where there is room: 20 characters a second.
READING_MS_PER_COLUMN = 50
# A pause so long always ends a cue; one so short is none.
LONG_PAUSE_MS = 1_200
SHORT_PAUSE_MS = 200
_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")
_CLAUSE_ENDS = (",", ";", ":", "，", "、", "；")


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: its ``lines``, and the words ``first_word`` to before ``stop_word`` of the transcript."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    first_word: int
    stop_word: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word, or a part of one that is longer than a line; ``glued`` to the piece before, without a space."""

    span: Span
    word: int
    width: int
    glued: bool


def make_cues(spans: Sequence[Span], duration_ms: int) -> list[Cue]:
    """The cues of a transcript.

    Args:
        spans: the words, in order and without overlap (`word_spans`).
        duration_ms: the recording's length, behind which no cue reaches unless a word does.

    Returns:
        Cues in order; every word is in one of them (one longer than 84 columns, in several).
    """
    pieces = [piece for index, span in enumerate(spans) for piece in _pieces(span, index)]
    breaks = _best_breaks(pieces)
    cues = [_cue(pieces[start:stop]) for start, stop in pairwise(breaks)]
    return _timed(cues, duration_ms)


def _pieces(span: Span, word: int) -> list[_Piece]:
    """The word itself, or parts of at most a line, each with its share of the time."""
    texts, text = [], span.text
    while display_width(text) > MAX_COLUMNS:
        cut = len(text)
        while display_width(text[:cut]) > MAX_COLUMNS:
            cut -= 1
        texts.append(text[:cut])
        text = text[cut:]
    texts.append(text)
    step_ms = (span.end_ms - span.start_ms) / len(texts)
    times = [span.start_ms + round(step_ms * index) for index in range(len(texts))] + [span.end_ms]
    return [
        _Piece(
            replace(span, text=text, start_ms=times[index], end_ms=times[index + 1]),
            word,
            display_width(text),
            index > 0,
        )
        for index, text in enumerate(texts)
    ]


def _best_breaks(pieces: Sequence[_Piece]) -> list[int]:
    """Where cues begin, and the number of pieces: the breaks of least cost."""
    costs = [0.0] + [math.inf] * len(pieces)
    before = [0] * (len(pieces) + 1)
    for stop in range(1, len(pieces) + 1):
        for start in range(stop - 1, -1, -1):
            cue = pieces[start:stop]
            if start < stop - 1 and not _fits(cue):
                break
            cost = costs[start] + _cost(pieces, start, stop)
            if cost < costs[stop]:
                costs[stop], before[stop] = cost, start
    breaks = [len(pieces)]
    while breaks[-1] > 0:
        breaks.append(before[breaks[-1]])
    return breaks[::-1]


def _fits(cue: Sequence[_Piece]) -> bool:
    if cue[-1].span.end_ms - cue[0].span.start_ms > MAX_CUE_MS or _gap_ms(cue, 1) >= LONG_PAUSE_MS:
        return False
    lines, columns = 1, 0
    for piece in cue:
        grown = columns + piece.width + (columns > 0 and not piece.glued)
        if grown > MAX_COLUMNS:
            lines, grown = lines + 1, piece.width
        columns = grown
    return lines <= MAX_LINES


def _cost(pieces: Sequence[_Piece], start: int, stop: int) -> float:
    room_ms = (pieces[stop].span.start_ms if stop < len(pieces) else math.inf) - pieces[start].span.start_ms
    missing = max(0.0, 1 - min(room_ms, MAX_CUE_MS) / MIN_CUE_MS)
    pauses = sum(max(0, _gap_ms(pieces, index) - SHORT_PAUSE_MS) for index in range(start + 1, stop))
    ends = sum(_closes(pieces[index - 1]) for index in range(start + 1, stop))
    return 1.0 + _break_cost(pieces, stop) + 2 * missing + pauses / 400 + ends


def _break_cost(pieces: Sequence[_Piece], stop: int) -> float:
    """0 at a pause or a sentence's end, 1.5 between words that run into each other."""
    if stop >= len(pieces):
        return 0.0
    pause = min(1.0, _gap_ms(pieces, stop) / 500)
    return 1.5 * (1 - max(pause, _closes(pieces[stop - 1]))) + 2.0 * pieces[stop].glued


def _closes(piece: _Piece) -> float:
    """How far the text says that something ends here: 1 for a sentence, 0.5 for a clause."""
    if piece.span.text.endswith(_SENTENCE_ENDS):
        return 1.0
    return 0.5 if piece.span.text.endswith(_CLAUSE_ENDS) else 0.0


def _gap_ms(pieces: Sequence[_Piece], index: int) -> int:
    """The silence before piece ``index``."""
    return pieces[index].span.start_ms - pieces[index - 1].span.end_ms if 0 < index < len(pieces) else 0


def _cue(pieces: Sequence[_Piece]) -> Cue:
    return Cue(pieces[0].span.start_ms, pieces[-1].span.end_ms, _lines(pieces), pieces[0].word, pieces[-1].word + 1)


def _lines(pieces: Sequence[_Piece]) -> tuple[str, ...]:
    """One line where it fits, else two as even as they can be, at a comma or a pause where that costs little."""
    whole = _join(pieces)
    if display_width(whole) <= MAX_COLUMNS:
        return (whole,)
    splits = []
    for index in range(1, len(pieces)):
        upper, lower = display_width(_join(pieces[:index])), display_width(_join(pieces[index:]))
        if max(upper, lower) <= MAX_COLUMNS:
            pause = min(1.0, _gap_ms(pieces, index) / 500)
            splits.append((abs(upper - lower) - 10 * max(pause, _closes(pieces[index - 1])), index))
    index = min(splits)[1]
    return _join(pieces[:index]), _join(pieces[index:])


def _join(pieces: Sequence[_Piece]) -> str:
    return "".join(
        piece.span.text if piece.glued or index == 0 else f" {piece.span.text}" for index, piece in enumerate(pieces)
    )


def _timed(cues: Sequence[Cue], duration_ms: int) -> list[Cue]:
    """Show each cue as long as reading it takes: later where there is room, then earlier."""
    timed: list[Cue] = []
    for index, cue in enumerate(cues):
        wanted_ms = max(MIN_CUE_MS, READING_MS_PER_COLUMN * sum(map(display_width, cue.lines)))
        earliest_ms = timed[-1].end_ms if timed else 0
        latest_ms = cues[index + 1].start_ms if index + 1 < len(cues) else max(duration_ms, cue.end_ms)
        end_ms = min(cue.end_ms, cue.start_ms + MAX_CUE_MS)
        end_ms = max(end_ms, min(latest_ms, cue.start_ms + min(wanted_ms, MAX_CUE_MS)))
        start_ms = max(earliest_ms, min(cue.start_ms, end_ms - MIN_CUE_MS))
        timed.append(replace(cue, start_ms=start_ms, end_ms=end_ms))
    return timed
