"""References and hypotheses as compared, in the formats that other scoring tools read.

In: a ``ScoreReport``, and for ``ctm`` the words' times. Out: files in a folder, each written atomically: a pair
``ref.*`` and ``hyp.*``, or one file with both sides. The texts are the normalised ones, so that another tool's figure
is comparable; ``--normalizer none`` exports them as written. Texts and ids that a format would read as something else
are refused.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asr.errors import ScoringError
from asr.files import guarded, write_text
from asr.scoring.formats import IGNORED_SEGMENT, Segment, TimedWord, bare_name, ctm_line
from asr.scoring.report import ScoreReport, UtteranceScore, first_ids

# What sclite does not take as part of a word: alternatives, nothing, what may be left out, spelling variants, comments.
_SCLITE_MARKS = "{}@()/;*\\"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The references' segments, by id; and the words of the recordings with their times, by (recording, channel)."""

    segments: Mapping[str, Segment] = field(default_factory=dict)
    words: Mapping[tuple[str, str], Sequence[TimedWord]] = field(default_factory=dict)


def export(folder: Path, format_name: str, report: ScoreReport, timing: Timing) -> list[Path]:
    """Write the files of a format (a key of ``WRITERS``); raises ScoringError naming the ids that it cannot hold."""
    files = WRITERS[format_name](report.utterances, timing)
    for name, content in files.items():
        write_text(folder / name, content)
    return [folder / name for name in files]


def _trn(utterances: Sequence[UtteranceScore], timing: Timing) -> dict[str, str]:
    """``text (id)``: ``sclite -i rm -r ref.trn trn -h hyp.trn trn -s -e utf-8`` reads it."""
    _refuse(utterances, "trn", _SCLITE_MARKS, "()")
    return _pair(utterances, "trn", lambda one, text: f"{text} ({one.id})".lstrip())


def _kaldi(utterances: Sequence[UtteranceScore], timing: Timing) -> dict[str, str]:
    _refuse(utterances, "kaldi", "", "")
    return _pair(utterances, "txt", lambda one, text: f"{one.id} {text}".rstrip())


def _plain(utterances: Sequence[UtteranceScore], timing: Timing) -> dict[str, str]:
    return _pair(utterances, "txt", lambda one, text: text)


def _nemo(utterances: Sequence[UtteranceScore], timing: Timing) -> dict[str, str]:
    rows = []
    for one in utterances:
        row = {"audio_filepath": one.id, "text": one.reference_normalized, "pred_text": one.hypothesis_normalized}
        rows.append(row | ({} if one.duration_s is None else {"duration": one.duration_s}))
    return {"manifest.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)}


def _csv(utterances: Sequence[UtteranceScore], timing: Timing) -> dict[str, str]:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "reference", "hypothesis"])
    texts = ((one.id, one.reference_normalized, one.hypothesis_normalized) for one in utterances)
    writer.writerows(map(guarded, row) for row in texts)
    return {"texts.csv": out.getvalue()}


def _ctm(utterances: Sequence[UtteranceScore], timing: Timing) -> dict[str, str]:
    """``ref.stm`` and ``hyp.ctm``: ``sclite -r ref.stm stm -h hyp.ctm ctm -s -e utf-8`` reads them."""
    if not timing.words:
        raise ScoringError("ctm needs the times of words, and the hypotheses have none; export trn instead")
    _refuse(utterances, "ctm", _SCLITE_MARKS, "")
    lines = []
    for one in utterances:
        segment = timing.segments.get(one.id) or _whole(one, timing)
        place = (recording_name(segment.recording), segment.channel or "1", segment.start_s)
        speaker = "_".join((one.speaker or "unknown").split())
        where = f"{place[0]} {place[1]} {speaker} {place[2]:.3f} {segment.end_s:.3f}"
        lines.append((place, f"{where} {one.reference_normalized}".rstrip()))
    for ignored in (segment for segment in timing.segments.values() if segment.ignored):
        place = (recording_name(ignored.recording), ignored.channel or "1", ignored.start_s)
        lines.append((place, f"{place[0]} {place[1]} unknown {place[2]:.3f} {ignored.end_s:.3f} {IGNORED_SEGMENT}"))
    said = [
        (
            (name, channel, word.start_s),
            ctm_line(name, channel, word.start_s, word.end_s - word.start_s, word.text),
        )
        for (name, channel), words in timing.words.items()
        for word in words
    ]
    return {
        name: _joined([line for _, line in sorted(found)]) for name, found in (("ref.stm", lines), ("hyp.ctm", said))
    }


FILES: dict[str, tuple[str, ...]] = {
    "trn": ("ref.trn", "hyp.trn"),
    "ctm": ("ref.stm", "hyp.ctm"),
    "kaldi": ("ref.txt", "hyp.txt"),
    "nemo": ("manifest.jsonl",),
    "csv": ("texts.csv",),
    "plain": ("ref.txt", "hyp.txt"),
}
WRITERS: dict[str, Callable[[Sequence[UtteranceScore], Timing], dict[str, str]]] = {
    "trn": _trn,
    "ctm": _ctm,
    "kaldi": _kaldi,
    "nemo": _nemo,
    "csv": _csv,
    "plain": _plain,
}


def _whole(utterance: UtteranceScore, timing: Timing) -> Segment:
    """An utterance that is a recording of its own, as long as is known."""
    words = timing.words.get((utterance.id, "1"), ())
    return Segment(utterance.id, "1", 0.0, max([utterance.duration_s or 0.0, *(word.end_s for word in words)]))


def recording_name(recording: str) -> str:
    """How stm and ctm name a recording: in one word."""
    return "_".join(bare_name(recording).split())


def _pair(
    utterances: Sequence[UtteranceScore], suffix: str, line: Callable[[UtteranceScore, str], str]
) -> dict[str, str]:
    return {
        f"ref.{suffix}": _joined([line(one, one.reference_normalized) for one in utterances]),
        f"hyp.{suffix}": _joined([line(one, one.hypothesis_normalized) for one in utterances]),
    }


def _joined(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _refuse(utterances: Sequence[UtteranceScore], name: str, in_text: str, in_id: str) -> None:
    ids = [
        one.id for one in utterances if set(in_id) & set(one.id) or len(one.id.split()) != 1 or ";;" in one.id
    ]  # fmt: skip
    texts = [
        one.id for one in utterances if set(in_text) & set(one.reference_normalized + one.hypothesis_normalized)
    ]  # fmt: skip
    marks = " and ".join(["spaces", *(["parentheses"] if in_id else [])])
    problems = (
        (ids, f"ids: it has its own meaning for {marks}. Take --export-format nemo or csv"),
        (
            texts,
            f"texts: it has its own meaning for {' '.join(in_text)}. Take --normalizer basic, or --export-format nemo",
        ),
    )
    for bad, reason in problems:
        if bad:
            raise ScoringError(
                f"{name} cannot hold {len(bad)} of {len(utterances)} utterances ({first_ids(bad)}) for their {reason}"
            )
