"""Words with times to readable subtitles: where to break, how many lines, how long to show.

In: a hypothesis' word spans. Out: cues within `CueLimits`, in order, never empty, and overlapping only where two
channels speak at once. The breaks are those of least total cost (a shortest path over all break points, as in Knuth and
Plass, 1981): a cue costs, breaking where nobody pauses costs, a pause inside a cue costs, a cue too short to be read
costs.

`word_spans` puts word times on the grid of files, whole milliseconds: in order, never overlapping, never empty. The
recogniser's times are so already; rounding, and words from elsewhere, may not be.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from typing import TYPE_CHECKING

from asr.errors import TranscriptError
from asr.schema import check
from asr.terminal import display_width

if TYPE_CHECKING:
    from asr.recognition.hypothesis import Hypothesis, Word


@dataclass(frozen=True, slots=True)
class Span:
    """``text`` without white space at its ends, from ``start_ms`` to before ``end_ms``.

    ``channel``: from 0, None where channels were not split.
    """

    text: str
    start_ms: int
    end_ms: int
    confidence: float | None
    channel: int | None = None


def word_spans(hypothesis: "Hypothesis", format_name: str) -> list[Span]:
    """The words with whole milliseconds. A word gives way to the next one's start, and keeps at least 1 ms.

    Where channels were split, each channel's words come after those of the one before.

    Raises:
        TranscriptError: the text has no word times, or a time is not a number.
    """
    if hypothesis.channels:
        by_channel = enumerate(word_spans(one, format_name) for one in hypothesis.channels)
        return [replace(span, channel=channel) for channel, spans in by_channel for span in spans]
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


def speaker(channel: int) -> str:
    """The label of a channel, counted from 0: ``Speaker 1`` for channel 0."""
    return f"Speaker {channel + 1}"


def duration_ms(hypothesis: "Hypothesis", spans: Sequence[Span]) -> int:
    """The recording's length in milliseconds, not less than the last word's end."""
    known_ms = round(hypothesis.duration_s * 1000) if math.isfinite(hypothesis.duration_s) else 0
    return max([known_ms, *(span.end_ms for span in spans)])


def _next_start_s(words: "Sequence[Word]", index: int) -> float:
    return words[index + 1].start_s if index + 1 < len(words) else math.inf


def _one_line(text: str) -> str:
    return " ".join(text.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class CueLimits:
    """What a subtitle may be; 42 columns, 2 lines and 7 s are those of the BBC's and Netflix' guidelines.

    Raises ConfigError for an impossible value.
    """

    max_line_width: int = 42  # columns
    max_lines: int = 2
    max_cue_s: float = 7.0
    min_cue_s: float = 1.0  # where there is room
    reading_speed: float = 20.0  # characters a second; a cue is shown as long as reading takes, where there is room
    cue_pause_s: float = 1.2  # a pause so long always ends a cue
    close_gaps_s: float = 0.0  # a cue stays until the next where no more time than this is between them

    def __post_init__(self) -> None:
        for name, low, high in (
            ("max_line_width", 16, 1000),
            ("max_lines", 1, 4),
            ("max_cue_s", 0.5, 60),
            ("min_cue_s", 0, self.max_cue_s),
            ("reading_speed", 1, 1000),
            ("cue_pause_s", 0.1, 60),
            ("close_gaps_s", 0, 60),
        ):
            check(low <= getattr(self, name) <= high, f"{name}={getattr(self, name)} must be {low:g} to {high:g}")


DEFAULT_LIMITS = CueLimits()
# A pause so short is none.
SHORT_PAUSE_MS = 200
_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！")
_CLAUSE_ENDS = (",", ";", ":", "，", "、", "；")


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: its ``lines``, and the words ``first_word`` to before ``stop_word`` of the transcript.

    ``channel``: whose words these are (the numbers count its own), None where channels were not split.
    """

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    first_word: int
    stop_word: int
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word, or a part of one that is longer than a line; ``glued`` to the piece before, without a space."""

    span: Span
    word: int
    width: int
    glued: bool


def make_cues(
    spans: Sequence[Span], duration_ms: int, limits: CueLimits = DEFAULT_LIMITS, label_columns: int = 0
) -> list[Cue]:
    """The cues of a transcript.

    Args:
        spans: the words, in order and without overlap (`word_spans`), one channel after the other.
        duration_ms: the recording's length, behind which no cue reaches unless a word does.
        limits: of lines and times.
        label_columns: columns to leave free on the first line of each cue.

    Returns:
        Cues in order of their beginning; every word is in one of them (one that is longer than a cue, in several).
    """
    fit = _Fit(limits, label_columns)
    cues: list[Cue] = []
    for _, own in groupby(spans, key=lambda span: span.channel):
        pieces = [piece for index, span in enumerate(own) for piece in _pieces(span, index, fit)]
        cues += [_cue(pieces[start:stop], fit) for start, stop in pairwise(_best_breaks(pieces, fit))]
    cues.sort(key=lambda cue: cue.start_ms)
    return _gaps_closed(_timed(cues, duration_ms, limits), limits)


@dataclass(frozen=True, slots=True)
class _Fit:
    """The limits, and the columns that a label takes of a cue's first line."""

    limits: CueLimits
    label_columns: int

    @property
    def max_cue_ms(self) -> float:
        return 1000 * self.limits.max_cue_s


def _pieces(span: Span, word: int, fit: _Fit) -> list[_Piece]:
    """The word itself, or parts of at most a line, each with its share of the time."""
    most = fit.limits.max_line_width - fit.label_columns
    cuts, columns = [0], 0
    for place, character in enumerate(span.text):
        width = display_width(character)
        if columns + width > most:
            cuts.append(place)
            columns = 0
        columns += width
    texts = [span.text[start:stop] for start, stop in pairwise([*cuts, len(span.text)])]
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


def _best_breaks(pieces: Sequence[_Piece], fit: _Fit) -> list[int]:
    """Where cues begin, and the number of pieces: the breaks of least cost."""
    costs = [0.0] + [math.inf] * len(pieces)
    before = [0] * (len(pieces) + 1)
    inside = range(1, len(pieces))
    pauses = [0, 0, *accumulate(max(0, _gap_ms(pieces, index) - SHORT_PAUSE_MS) for index in inside)]
    ends = [0.0, 0.0, *accumulate(_closes(pieces[index - 1]) for index in inside)]
    for stop in range(1, len(pieces) + 1):
        for start in _starts(pieces, stop, fit):
            around = 1.0 + _break_cost(pieces, stop) + 2 * _missing(pieces, start, stop, fit)
            cost = costs[start] + (around + (pauses[stop] - pauses[start + 1]) / 400 + (ends[stop] - ends[start + 1]))
            if cost < costs[stop]:
                costs[stop], before[stop] = cost, start
    breaks = [len(pieces)]
    while breaks[-1] > 0:
        breaks.append(before[breaks[-1]])
    return breaks[::-1]


def _starts(pieces: Sequence[_Piece], stop: int, fit: _Fit) -> Iterator[int]:
    """Where a cue that ends before ``stop`` may begin, the latest first; its lines are filled from the last one up."""
    width, lines, columns = fit.limits.max_line_width, 1, 0
    for start in range(stop - 1, -1, -1):
        piece = pieces[start]
        columns += piece.width + (columns > 0 and not pieces[start + 1].glued)
        if columns > width:
            lines, columns = lines + 1, piece.width
        if start < stop - 1 and (
            lines + (columns + fit.label_columns > width) > fit.limits.max_lines
            or pieces[stop - 1].span.end_ms - piece.span.start_ms > fit.max_cue_ms
            or _gap_ms(pieces, start + 1) >= 1000 * fit.limits.cue_pause_s
        ):
            return
        yield start


def _missing(pieces: Sequence[_Piece], start: int, stop: int, fit: _Fit) -> float:
    """The share of the shortest cue's time for which there is no room."""
    room_ms = (pieces[stop].span.start_ms if stop < len(pieces) else math.inf) - pieces[start].span.start_ms
    return max(0.0, 1 - min(room_ms, fit.max_cue_ms) / max(1.0, 1000 * fit.limits.min_cue_s))


def _break_cost(pieces: Sequence[_Piece], stop: int) -> float:
    """0 at a pause or a sentence's end, 1.5 between words that run into each other."""
    if stop >= len(pieces):
        return 0.0
    return 1.5 * (1 - _ease(pieces, stop)) + 2.0 * pieces[stop].glued


def _closes(piece: _Piece) -> float:
    """How far the text says that something ends here: 1 for a sentence, 0.5 for a clause."""
    if piece.span.text.endswith(_SENTENCE_ENDS):
        return 1.0
    return 0.5 if piece.span.text.endswith(_CLAUSE_ENDS) else 0.0


def _gap_ms(pieces: Sequence[_Piece], index: int) -> int:
    """The silence before piece ``index``."""
    return pieces[index].span.start_ms - pieces[index - 1].span.end_ms if 0 < index < len(pieces) else 0


def _cue(pieces: Sequence[_Piece], fit: _Fit) -> Cue:
    first, last = pieces[0], pieces[-1]
    lines = _lines(pieces, fit)
    return Cue(first.span.start_ms, last.span.end_ms, lines, first.word, last.word + 1, first.span.channel)


def _lines(pieces: Sequence[_Piece], fit: _Fit) -> tuple[str, ...]:
    """As few lines as hold it, as even as they can be, broken at a comma or a pause where that costs little."""
    most, columns = (
        fit.limits.max_line_width,
        list(accumulate((one.width + (not one.glued) for one in pieces), initial=0)),
    )

    def width(start: int, stop: int) -> int:
        return columns[stop] - columns[start] - (not pieces[start].glued) + fit.label_columns * (start == 0)

    count, first = 1, 0
    for index in range(len(pieces)):
        if width(first, index + 1) > most:
            count, first = count + 1, index
    even = (width(0, len(pieces)) - (count - 1)) / count
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, (0,))}  # by where the lines so far end
    for _ in range(count):
        longer: dict[int, tuple[float, tuple[int, ...]]] = {}
        for start, (cost, bounds) in best.items():
            for stop in range(start + 1, len(pieces) + 1):
                if (used := width(start, stop)) > most:
                    break
                split = (cost + abs(used - even) - 10 * _ease(pieces, stop), (*bounds, stop))
                longer[stop] = min(split, longer.get(stop, split))
        best = longer
    return tuple(_join(pieces[start:stop]) for start, stop in pairwise(best[len(pieces)][1]))


def _ease(pieces: Sequence[_Piece], stop: int) -> float:
    """How easily a line, or a cue, ends before piece ``stop``: 1 at a pause or a sentence's end, 0 within words."""
    if stop >= len(pieces):
        return 0.0
    return max(min(1.0, _gap_ms(pieces, stop) / 500), _closes(pieces[stop - 1]))


def _join(pieces: Sequence[_Piece]) -> str:
    return "".join(
        piece.span.text if piece.glued or index == 0 else f" {piece.span.text}" for index, piece in enumerate(pieces)
    )


def _timed(cues: Sequence[Cue], duration_ms: int, limits: CueLimits) -> list[Cue]:
    """Show each cue as long as reading it takes: later where there is room, then earlier.

    Room ends where the next cue begins. A cue during which another channel speaks anyway has its shortest time up to
    the next of its own channel.
    """
    min_ms, max_ms = round(1000 * limits.min_cue_s), round(1000 * limits.max_cue_s)
    timed: list[Cue] = []
    earliest_ms = 0
    for index, cue in enumerate(cues):
        wanted_ms = max(min_ms, round(1000 * sum(map(display_width, cue.lines)) / limits.reading_speed))
        latest_ms = cues[index + 1].start_ms if index + 1 < len(cues) else max(duration_ms, cue.end_ms)
        end_ms = min(cue.end_ms, cue.start_ms + max_ms)
        if latest_ms < end_ms:
            own = (later.start_ms for later in cues[index + 1 :] if later.channel == cue.channel)
            end_ms = max(end_ms, min(next(own, max(duration_ms, cue.end_ms)), cue.start_ms + min_ms))
        end_ms = max(end_ms, min(latest_ms, cue.start_ms + min(wanted_ms, max_ms)))
        start_ms = min(cue.start_ms, max(earliest_ms, end_ms - min_ms))
        timed.append(replace(cue, start_ms=start_ms, end_ms=end_ms))
        earliest_ms = max(earliest_ms, end_ms)
    return timed


def _gaps_closed(cues: Sequence[Cue], limits: CueLimits) -> list[Cue]:
    """Each cue stays until the next one begins, where that is soon."""
    close_ms, max_ms = round(1000 * limits.close_gaps_s), round(1000 * limits.max_cue_s)
    closed = list(cues)
    for index, (cue, after) in enumerate(pairwise(cues)):
        if 0 < after.start_ms - cue.end_ms <= close_ms:
            closed[index] = replace(cue, end_ms=max(cue.end_ms, min(after.start_ms, cue.start_ms + max_ms)))
    return closed
