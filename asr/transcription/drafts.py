"""A recording that nobody has transcribed, as segments to correct, each with the model's text as a draft.

In: a recogniser and the emissions of the whole recording. Out: spans of trainable length, cut at pauses, and a
``Draft`` of each. The spans hold all sound that the speech gate lets through, also where the model writes nothing: what
it does not know is worth most.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asr.data.annotation.segments import SegmentRules, TimedSegment, make_segments
from asr.recognition.bounds import sounding
from asr.recognition.speech_gate import NEVER
from asr.text.tokenizer import BLANK_ID

if TYPE_CHECKING:
    from asr.recognition import Recognizer, Word
    from asr.recognition.windows import Emissions

Span = tuple[float, float]  # seconds
LONGEST_S = 15.0
PAUSE_S = 0.7  # a longer one ends a segment
MARGIN_S = 0.2  # of the pauses beside a segment, half of each at most
LEAST_S = 0.3  # sounds that are shorter, and in which no token is, make no segment
REACH_S = 0.1  # a token stands for this much sound on both sides
QUIET_S = 0.3  # sound without a pause is cut in the quietest stretch of this length
ALTERNATIVES = 5  # texts of the n-best list, the draft among them
_RULES = SegmentRules(leave_out="", remove="", join=math.inf, pause=PAUSE_S, longest=LONGEST_S, pad=MARGIN_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """``text`` of a segment; ``words`` with times from its start; ``alternatives``: other texts, the best first."""

    text: str
    confidence: float | None = None
    words: "tuple[Word, ...]" = ()
    alternatives: tuple[str, ...] = ()


def drafting(recognizer: "Recognizer") -> "Recognizer":
    """The same model with a beam search that gives ``ALTERNATIVES``; what else is set for decoding stays."""
    return recognizer.with_decoding(n_best=max(ALTERNATIVES, recognizer.decoding.n_best))


def draft(recognizer: "Recognizer", emissions: "Emissions", span: Span) -> Draft:
    """The text of one span of the recording."""
    found = recognizer.decode(_part(emissions, span))
    others = tuple(one.text for one in found.n_best if one.text != found.text)
    return Draft(text=found.text, confidence=found.confidence, words=found.words, alternatives=others)


def _part(emissions: "Emissions", span: Span) -> "Emissions":
    start_s, end_s = span
    frame_s, edge_s = emissions.frame_s, emissions.edge_s
    first, stop = (max(0, math.ceil(round((one + edge_s) / frame_s, 6))) for one in span)
    first = first if start_s > 0 else 0  # the model is given silence before and behind the recording
    stop = stop if end_s < emissions.duration_s - frame_s else len(emissions.log_probs)
    return replace(
        emissions,
        log_probs=emissions.log_probs[first:stop],
        edge_s=edge_s + start_s - first * frame_s,
        duration_s=end_s - start_s,
        level=None if emissions.level is None else emissions.level.part(start_s, end_s),
        phones=None if emissions.phones is None else emissions.phones[first:stop],
    )


def speech_spans(emissions: "Emissions") -> list[Span]:
    """Where to cut: spans of at most ``LONGEST_S`` and their margins, in order. Needs a recogniser with word times."""
    tokens = emissions.log_probs.argmax(axis=1) != BLANK_ID
    pieces = [
        TimedSegment(start_s=start_s, end_s=end_s, text="sound", speaker=None, tier="")
        for start_s, end_s in _sounds(emissions, tokens)
    ]
    found = [one for one in make_segments(pieces, emissions.duration_s, _RULES) if one.reason is None]
    spans = [(round(one.start_s, 3), round(one.end_s, 3)) for one in found]
    return [span for span in spans if _is_worth_it(span, emissions, tokens)]


def _is_worth_it(span: Span, emissions: "Emissions", tokens: NDArray[np.bool_]) -> bool:
    first, stop = (round((one + emissions.edge_s) / emissions.frame_s) for one in span)
    return span[1] - span[0] >= LEAST_S + 2 * MARGIN_S or bool(tokens[max(0, first) : stop].any())


def _sounds(emissions: "Emissions", tokens: NDArray[np.bool_]) -> Iterator[Span]:
    """Runs of sound that is not muted, and of tokens; none longer than ``LONGEST_S``."""
    level, frame_s = emissions.level, emissions.frame_s
    if level is None or not len(level.values) or not len(tokens):
        return
    heard = emissions.log_probs[:, BLANK_ID + 1 :].max(axis=1, initial=-np.inf) > NEVER
    times_s = level.start_s + np.arange(len(level.values)) * level.frame_s
    frames = np.clip(np.round((times_s + emissions.edge_s) / frame_s).astype(int), 0, len(tokens) - 1)
    reach = np.ones(2 * round(REACH_S / frame_s) + 1)
    known = np.convolve(tokens, reach, mode="full")[len(reach) // 2 :][: len(tokens)] > 0.5
    sound = (sounding(level) & heard[frames]) | known[frames]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], sound.astype(np.int8), [0]))))
    for first, stop in edges.reshape(-1, 2).tolist():
        for low, high in _cut(level.values, first, stop, level.frame_s):
            start_s, end_s = (level.start_s + (one - 0.5) * level.frame_s for one in (low, high))
            yield max(0.0, start_s), min(emissions.duration_s, end_s)


def _cut(values: NDArray[np.float32], first: int, stop: int, frame_s: float) -> Iterator[tuple[int, int]]:
    """The run of level frames, cut where it is quietest between half of ``LONGEST_S`` and all of it."""
    longest, quiet = int(LONGEST_S / frame_s), max(1, round(QUIET_S / frame_s))
    while stop - first > longest:
        smooth = np.convolve(values[first + longest // 2 : first + longest], np.ones(quiet), mode="valid")
        cut = first + longest // 2 + int(smooth.argmin()) + quiet // 2
        yield first, cut
        first = cut
    yield first, stop


def without_overlap(spans: Sequence[Span], fixed: Sequence[Span]) -> list[Span]:
    """``fixed`` and those spans that overlap none of them by more than the margins, in order."""
    free = [
        (start_s, end_s)
        for start_s, end_s in spans
        if all(min(end_s, other_end_s) - max(start_s, other_s) <= 2 * MARGIN_S for other_s, other_end_s in fixed)
    ]
    return sorted({*fixed, *free})
