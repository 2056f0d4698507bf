"""The data that the report page's script reads: every utterance with its alignment per system, and the clips.

In: ``PageData``. Out: JSON values by element id. ``utterances`` is read when the page opens; a ``clip-N`` (audio and
images of utterance N, in base64) only when it is shown, so that a page of 10 MB opens as fast as one of 1.

The recogniser's word times are assigned to the compared (normalised) words. A normaliser may join, split or drop words;
then only words that are certainly the same get a time.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rapidfuzz.distance import Levenshtein

from asr.files import finite
from asr.pages.data import Bytes, Clip, PageData, Picture, Posteriors, ReportSystem
from asr.scoring import AlignedPair, UtteranceScore, align_words
from asr.text.normalize import normalize_basic


@dataclass(frozen=True, slots=True)
class WordTime:
    """A word's start and end in seconds of the utterance, and the recogniser's confidence (0 to 1)."""

    start_s: float
    end_s: float
    confidence: float | None


def assign_times(recorded: Any, compared: Sequence[str]) -> list[WordTime | None]:
    """A time for each word of ``compared``; ``recorded``: "words" of a line of results.jsonl, from any system."""
    words = [
        (name, time) for one in (recorded if isinstance(recorded, list) else []) for name, time in [_read(one)] if time
    ]
    if len(words) == len(compared):
        return [time for _, time in words]
    times: list[WordTime | None] = [None] * len(compared)
    names = [normalize_basic(name) for name, _ in words]
    for step in Levenshtein.opcodes(names, [normalize_basic(word) for word in compared]):
        if step.tag == "equal":
            for left, right in zip(
                range(step.src_start, step.src_end), range(step.dest_start, step.dest_end), strict=True
            ):
                times[right] = words[left][1]
    return times


def _read(word: Any) -> tuple[str, WordTime | None]:
    if not isinstance(word, dict):
        return "", None
    start_s, end_s = finite(word.get("start_s")), finite(word.get("end_s"))
    if start_s is None or end_s is None or not 0 <= start_s <= end_s:
        return "", None
    name = word.get("text", word.get("word"))
    return str(name or ""), WordTime(start_s, end_s, finite(word.get("confidence")))


_MOST_N_BEST = 10


def payload(page: PageData) -> dict[str, Any]:
    """The data that the page reads when it opens, by element id."""
    first = page.systems[0].results.report.utterances
    columns = [
        {score.id: _outcome(system, score) for score in system.results.report.utterances} for system in page.systems
    ]
    rows = [_row(page, score, [column[score.id] for column in columns]) for score in first]
    shared: dict[str, Any] = {
        "systems": [{"letter": one.letter, "name": one.name} for one in page.systems],
        "rows": rows,
    }
    shared["sound"] = any(clip.audio is not None for clip in page.clips.values())
    return {"utterances": shared}


def clip_payload(page: PageData) -> dict[str, Any]:
    """The clips, by element id."""
    places = {score.id: place for place, score in enumerate(page.systems[0].results.report.utterances)}
    return {f"clip-{places[key]}": clip_value(clip) for key, clip in page.clips.items()}


def _row(page: PageData, score: UtteranceScore, outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    """id, spk, dur (seconds), ref, norm (where it differs from ref), clip, src and at (audio link), more, sys."""
    row: dict[str, Any] = {"id": score.id, "ref": score.reference, "sys": outcomes}
    if score.reference_normalized != score.reference:
        row["norm"] = score.reference_normalized
    if score.speaker is not None:
        row["spk"] = score.speaker
    if score.duration_s is not None:
        row["dur"] = round(score.duration_s, 3)
    if score.id in page.clips:
        row["clip"] = 1
    if link := page.links.get(score.id):
        row |= {"src": link.url, "at": round(link.start_s, 4)}
    if more := page.fields.get(score.id):
        row["more"] = {str(key): str(value) for key, value in more.items()}
    return row


def _outcome(system: ReportSystem, score: UtteranceScore) -> dict[str, Any]:
    """hyp; al: the alignment, a text for a hit, else [reference, hypothesis], null for none; k: S, D, I, N; c: the same
    of characters in all, [errors, N]; t: for each compared hypothesis word [start, end, confidence] or 0; conf; best.
    """
    extra = system.results.extras.get(score.id, {})
    pairs = align_words(score.reference_normalized, score.hypothesis_normalized)
    words, characters = score.words, score.characters
    outcome: dict[str, Any] = {
        "hyp": score.hypothesis,
        "al": [_pair(pair) for pair in pairs],
        "k": [words.substitutions, words.deletions, words.insertions, words.reference_length],
        "c": [characters.errors, characters.reference_length],
    }
    times = assign_times(extra.get("words"), score.hypothesis_normalized.split())
    if any(times):
        outcome["t"] = [
            [round(t.start_s, 3), round(t.end_s, 3), None if t.confidence is None else round(t.confidence, 3)]
            if t
            else 0
            for t in times
        ]
    if (confidence := finite(extra.get("confidence"))) is not None:
        outcome["conf"] = round(confidence, 4)
    if best := _n_best(extra.get("n_best")):
        outcome["best"] = best
    return outcome


def _pair(pair: AlignedPair) -> str | list[str | None] | None:
    return pair.reference if pair.operation == "hit" else [pair.reference, pair.hypothesis]


def _n_best(listed: Any) -> list[list[Any]]:
    """[text, score] each, best first."""
    rows = [one for one in (listed if isinstance(listed, list) else []) if isinstance(one, dict) and "text" in one]
    scored = [(str(one["text"]), finite(one.get("score"))) for one in rows[:_MOST_N_BEST]]
    return [[text, None if score is None else round(score, 3)] for text, score in scored]


def clip_value(clip: Clip) -> dict[str, Any]:
    """The JSON value that ``clipOf`` in report_clip.js reads."""
    value: dict[str, Any] = {}
    if clip.audio is not None:
        value |= {"type": clip.media_type, "audio": base64.b64encode(clip.audio).decode("ascii")}
    if clip.picture is not None:
        value["mel"] = _picture(clip.picture)
    if clip.posteriors is not None:
        value["ctc"] = _posteriors(clip.posteriors)
    return value


def _picture(picture: Picture) -> dict[str, Any]:
    height, width = picture.levels.shape
    return {
        "w": width,
        "h": height,
        "first": round(picture.first_s, 5),
        "step": round(picture.column_s, 6),
        "levels": _base64(picture.levels),
        "ticks": [[round(hertz), round(row, 2)] for hertz, row in picture.ticks],
    }


def _posteriors(posteriors: Posteriors) -> dict[str, Any]:
    return {
        "k": posteriors.ranks.shape[1],
        "first": round(posteriors.first_s, 5),
        "step": round(posteriors.frame_s, 6),
        "tokens": list(posteriors.tokens),
        "ranks": _base64(posteriors.ranks),
        "levels": _base64(posteriors.levels),
        "blank": _base64(posteriors.blank),
    }


def _base64(values: Bytes) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")


def clip_size(clip: Clip) -> int:
    """The approximate number of bytes that a clip adds to the page."""
    arrays: Sequence[Bytes] = [
        *([clip.picture.levels] if clip.picture else []),
        *([clip.posteriors.ranks, clip.posteriors.levels, clip.posteriors.blank] if clip.posteriors else []),
    ]
    return 4 * (len(clip.audio or b"") + sum(one.size for one in arrays)) // 3
