"""An aligned recording as training data: utterances cut at pauses, and what was left out, with the reason.

In: an ``AlignedText`` and its recording. Out: in a folder, ``segments.jsonl``, a manifest whose utterances are spans of
the recording (nothing is cut or copied), and ``left-out.json``. A further recording, or another channel of it, is
added to both; the same one again replaces its lines. `asr run recipes/folder/bilstm.yaml corpus=FOLDER` trains on it.

A segment never holds a passage that is missing from the sound or extra in it. It ends where a line of the text ends in
a pause, and where it would be too long, at its longest pause, lines' and sentences' ends first.
"""

import bisect
import contextlib
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from asr.data.manifest import Utterance, read_manifest, with_unique_ids, write_manifest
from asr.files import read_json_object, write_json
from asr.schema import check
from asr.transcription.formats import recording_id

if TYPE_CHECKING:
    from asr.recognition.alignment import AlignedText, AlignedWord

MANIFEST, LEFT_OUT = "segments.jsonl", "left-out.json"
MARGIN_S = 0.2  # of the pauses beside a segment, half of each at most
LINE_PAUSE_S = 0.3  # a line that ends in such a pause ends a segment
CUT_PAUSE_S = 0.1  # the shortest in which a segment that is too long is cut
LINE_BONUS_S, SENTENCE_BONUS_S = 0.4, 0.3  # a pause there counts as so much longer
_SENTENCE_ENDS, _CLOSING = (".", "?", "!", "…", "。", "？", "！"), "\"')]”’»"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentOptions:
    """``min_confidence``: of a segment, see ``AlignedText.confidence_of``. ``speaker``: of all of the recording."""

    min_confidence: float = 0.2
    max_s: float = 15.0
    speaker: str | None = None

    def __post_init__(self) -> None:
        check(0 <= self.min_confidence <= 1, f"min_confidence={self.min_confidence} must be 0 to 1")
        check(self.max_s > 0, f"max_s={self.max_s} must be more than 0")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A part of the recording or of its text that is in no utterance, and why; ``first_line`` to ``last_line``."""

    audio: str
    reason: str
    start_s: float
    end_s: float
    first_line: int
    last_line: int
    text: str
    confidence: float | None = None
    channel: int | None = None


def cut_segments(
    aligned: "AlignedText", audio: str, options: SegmentOptions, channel: int | None = None
) -> tuple[list[Utterance], list[LeftOut]]:
    """The utterances of one recording, of the path ``audio``, and what is left out."""
    name = recording_id(audio)
    kept: list[Utterance] = []
    left_out: list[LeftOut] = []
    for one in aligned.passages:
        reason = "missing from the sound" if one.kind == "missing" else "not in the text"
        lines = one.first_line, one.last_line
        left_out.append(LeftOut(audio, reason, one.start_s, one.end_s, *lines, one.text, channel=channel))
    for low, high in _segments(aligned, options.max_s):
        words = aligned.words[low:high]
        start_s, end_s = (round(one, 3) for one in _bounds(aligned, low, high))
        text, confidence = " ".join(word.text for word in words), round(aligned.confidence_of(low, high) or 0.0, 4)
        reason = ""
        if _length_s(words) > options.max_s:
            reason = f"longer than {options.max_s:g} s without a pause"
        elif confidence < options.min_confidence:
            reason = f"confidence below {options.min_confidence:g}"
        if reason:
            lines = words[0].line, words[-1].line
            left_out.append(LeftOut(audio, reason, start_s, end_s, *lines, text, confidence, channel))
            continue
        utterance = Utterance(
            id=f"{name}-{len(kept) + 1:04d}",
            audio=audio,
            start_s=start_s,
            duration_s=round(end_s - start_s, 3),
            text=text,
            speaker=options.speaker,
            channel=channel,
            extra={"confidence": confidence, "line": words[0].line},
        )
        kept.append(utterance)
    return kept, sorted(left_out, key=lambda one: one.start_s)


def _segments(aligned: "AlignedText", max_s: float) -> Iterator[tuple[int, int]]:
    """First word of each segment, and the one behind its last."""
    words = aligned.words
    extra = sorted(one.start_s for one in aligned.passages if one.kind == "extra")
    low = None
    for number, word in enumerate(words):
        if low is not None and (word.start_s is None or _parts(words[number - 1], word, extra)):
            yield from _split(words, low, number, max_s)
            low = None
        if low is None and word.start_s is not None:
            low = number
    if low is not None:
        yield from _split(words, low, len(words), max_s)


def _parts(before: "AlignedWord", word: "AlignedWord", extra: Sequence[float]) -> bool:
    """Whether two words that follow each other are in different segments whatever their lengths."""
    end_s, start_s = before.end_s or 0.0, word.start_s or 0.0
    between = bisect.bisect_left(extra, end_s - 1e-6) < bisect.bisect_left(extra, start_s)
    return between or (before.line != word.line and start_s - end_s >= LINE_PAUSE_S)


def _split(words: Sequence["AlignedWord"], low: int, high: int, max_s: float) -> Iterator[tuple[int, int]]:
    """The words as one segment, or cut at the best pauses until each is at most ``max_s``."""
    waiting = [(low, high)]
    while waiting:
        low, high = waiting.pop()
        cuts = [(_pause_s(words[at - 1], words[at]), at) for at in range(low + 1, high)]
        _, at = max((cut for cut in cuts if cut[0] >= CUT_PAUSE_S), default=(0.0, None))
        if at is None or _length_s(words[low:high]) <= max_s:
            yield low, high
        else:
            waiting += [(at, high), (low, at)]


def _pause_s(before: "AlignedWord", word: "AlignedWord") -> float:
    """The pause between two words, longer where a line or a sentence ends; 0 where it is too short to cut."""
    pause_s = (word.start_s or 0.0) - (before.end_s or 0.0)
    if pause_s < CUT_PAUSE_S:
        return 0.0
    sentence = before.text.rstrip(_CLOSING).endswith(_SENTENCE_ENDS)
    return pause_s + LINE_BONUS_S * (before.line != word.line) + SENTENCE_BONUS_S * sentence


def _length_s(words: Sequence["AlignedWord"]) -> float:
    return (words[-1].end_s or 0.0) - (words[0].start_s or 0.0)


def _bounds(aligned: "AlignedText", low: int, high: int) -> tuple[float, float]:
    """From before the first word to behind the last: a margin, but at most half of the pause there."""
    first_s, last_s = aligned.words[low].start_s or 0.0, aligned.words[high - 1].end_s or 0.0
    others = [(one.start_s, one.end_s) for one in aligned.passages if one.kind == "extra"]
    for places in (range(low - 1, -1, -1), range(high, len(aligned.words))):  # the nearest word that was found
        found = ((aligned.words[place].start_s, aligned.words[place].end_s) for place in places)
        others += next(([(a, b)] for a, b in found if a is not None and b is not None), [])
    ends, starts = [end_s for _, end_s in others if end_s <= first_s], [one_s for one_s, _ in others if one_s >= last_s]
    before_s = (first_s - max(ends)) / 2 if ends else first_s
    behind_s = (min(starts) - last_s) / 2 if starts else aligned.duration_s - last_s
    return first_s - min(MARGIN_S, before_s), last_s + min(MARGIN_S, behind_s)


def read_corpus(folder: Path) -> Sequence[Utterance]:
    """The utterances that the folder holds; none where there is no manifest, or an empty one: nothing was kept so far.

    Raises DataError where it cannot be read.
    """
    manifest = folder / MANIFEST
    return read_manifest(manifest) if manifest.exists() and manifest.stat().st_size else []


def add_to_corpus(
    folder: Path, audio: str, channel: int | None, kept: Sequence[Utterance], left_out: Sequence[LeftOut]
) -> list[Utterance]:
    """Write both files of ``folder``, with what they hold of other recordings and channels; returns all utterances.

    Raises DataError where the manifest that is there cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)  # several recordings may be aligned at a time
    try:
        with contextlib.suppress(OSError):  # where the file system has no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        return _added(folder, audio, channel, kept, left_out)
    finally:
        os.close(lock)


def _added(
    folder: Path, audio: str, channel: int | None, kept: Sequence[Utterance], left_out: Sequence[LeftOut]
) -> list[Utterance]:
    manifest, report = folder / MANIFEST, folder / LEFT_OUT
    others = [one for one in read_corpus(folder) if (one.audio, one.channel) != (audio, channel)]
    taken = {one.id for one in others}
    if any(one.id in taken for one in kept):  # a recording of the same name in another folder
        kept = [replace(one, id=f"{Path(audio).parent.name}-{one.id}") for one in kept]
    utterances = with_unique_ids([*others, *kept])
    rows = read_json_object(report).get("left_out", [])
    rows = [row for row in rows if (row["audio"], row.get("channel")) != (audio, channel)]
    write_manifest(manifest, utterances)
    write_json(report, {"left_out": [*rows, *map(asdict, left_out)]})
    return utterances
