"""Transcripts in every format: txt, srt, vtt, tsv, json, ctm, TextGrid, eaf.

In: a hypothesis, and its provenance. Out: the text of a file, or the file, written atomically. Subtitles go through
pysubs2; TextGrid and eaf are made in ``asr/transcription/tiers.py``. What a transcript holds that these formats take
for commands is escaped, so that a player shows it as text. json holds all that the recogniser knows about a recording,
in a schema with a version.

Where channels were split, each format says whose words these are: txt and srt by a label, vtt by a voice, TextGrid and
eaf by tiers for each, ctm, tsv and json by the channel.
"""

import html
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.errors import TranscriptError
from asr.files import json_value, write_text
from asr.transcription.cues import DEFAULT_LIMITS, Cue, CueLimits, duration_ms, make_cues, speaker, word_spans
from asr.transcription.tiers import eaf_text, textgrid_text, tiers_of

if TYPE_CHECKING:
    from asr.recognition.hypothesis import Channel, Hypothesis


# Shown as nothing; written where two characters together would be a command.
_WORD_JOINER = "\u2060"
_MAX_MS = 100 * 3_600_000


def render_srt(hypothesis: "Hypothesis", limits: CueLimits = DEFAULT_LIMITS) -> str:
    """SubRip: numbered cues, ``HH:MM:SS,mmm``; the channels' labels count as columns of a line."""
    return _render(hypothesis, "srt", limits)


def render_vtt(hypothesis: "Hypothesis", limits: CueLimits = DEFAULT_LIMITS) -> str:
    """WebVTT (W3C): `&`, `<` and `>` escaped, ``HH:MM:SS.mmm``; the channels are voices, ``<v Speaker 1>``."""
    return _render(hypothesis, "vtt", limits)


def _render(hypothesis: "Hypothesis", format_name: str, limits: CueLimits) -> str:
    from pysubs2 import SSAEvent, SSAFile

    labelled = format_name == "srt" and hypothesis.channels
    cues = _cues(hypothesis, format_name, limits, len(_label(len(hypothesis.channels) - 1, "srt")) if labelled else 0)
    if any(cue.end_ms >= _MAX_MS for cue in cues):
        raise TranscriptError(f"{format_name} cannot hold times of 100 hours and more; cut the recording, or use json")
    file = SSAFile()
    for cue in cues:
        text = _label(cue.channel, format_name) + r"\N".join(_shown(line, format_name) for line in cue.lines)
        file.append(SSAEvent(start=cue.start_ms, end=cue.end_ms, text=text))
    written: str = file.to_string(format_name, keep_ssa_tags=True)  # no styles: the text as it is
    return written


def _label(channel: int | None, format_name: str) -> str:
    if channel is None:
        return ""
    return f"<v {speaker(channel)}>" if format_name == "vtt" else f"{speaker(channel)}: "


def _shown(line: str, format_name: str) -> str:
    """``line`` so that neither pysubs2 nor a player takes any of it for a command."""
    if format_name == "vtt":
        line = html.escape(line, quote=False)
    else:
        line = line.replace("-->", f"--{_WORD_JOINER}>").replace("<", f"<{_WORD_JOINER}")
    return line.replace("\\", f"\\{_WORD_JOINER}").replace("{", f"{{{_WORD_JOINER}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """``audio``: the recording's path or name; ``channel``: which one was transcribed, from 0, None for the mix of all,
    "split" for each by itself.

    ``model``: its directory; ``model_sha256``: of its weights; ``settings``: what else the text depends on. ``tiers``:
    an annotation file whose tiers stay before the new ones, a TextGrid for textgrid, an eaf for eaf.
    """

    audio: str = ""
    channel: "Channel" = None
    model: str = ""
    model_sha256: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    tiers: Path | None = None


TSV_HEADER = "start_s\tend_s\tconfidence\tword"


def render_txt(hypothesis: "Hypothesis") -> str:
    """The text on one line; where channels were split, a line for each turn of a speaker."""
    if hypothesis.channels:
        return (
            "".join(f"{speaker(channel)}: {' '.join(text.split())}\n" for channel, text in hypothesis.turns()) or "\n"
        )
    return " ".join(hypothesis.text.split()) + "\n"


def render_tsv(hypothesis: "Hypothesis") -> str:
    """A header and a word a line, tab-separated; seconds with three decimals; the channel, from 0, where split.

    A word that begins with a quotation mark is quoted as in CSV, or spreadsheets and Python's csv would read on to the
    next mark, over lines.
    """
    split = bool(hypothesis.channels)
    rows = [TSV_HEADER + "\tchannel" * split]
    for span in sorted(word_spans(hypothesis, "tsv"), key=lambda span: span.start_ms):
        confidence = "" if span.confidence is None else f"{span.confidence:.3f}"
        row = f"{span.start_ms / 1000:.3f}\t{span.end_ms / 1000:.3f}\t{confidence}\t{_cell(span.text)}"
        rows.append(f"{row}\t{span.channel}" if split else row)
    return "\n".join(rows) + "\n"


def render_ctm(hypothesis: "Hypothesis", provenance: Provenance) -> str:
    """NIST's time-marked conversation file, as sclite reads it: ``recording channel start duration word confidence``.

    The recording is the file's name without its extension (its white space becomes "_"), as in the matching stm file;
    the channel is counted from 1, and is 1 for a mix.
    """
    from asr.scoring.formats import ctm_line

    recording = recording_id(provenance.audio)
    whole = provenance.channel if isinstance(provenance.channel, int) else 0
    rows = []
    for span in word_spans(hypothesis, "ctm"):
        channel = str(1 + (whole if span.channel is None else span.channel))
        start_s, duration_s = span.start_ms / 1000, (span.end_ms - span.start_ms) / 1000
        rows.append(ctm_line(recording, channel, start_s, duration_s, span.text, span.confidence) + "\n")
    return "".join(rows)


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if text.startswith('"') else text


def recording_id(audio: str) -> str:
    """The name under which a ctm file knows a recording; bytes of a file name that are no UTF-8 become \\udc.."""
    stem = os.path.splitext(os.path.basename(audio))[0].encode("utf-8", "backslashreplace").decode()
    return "_".join(stem.split()).replace(";;", "__") or "recording"


FORMAT = "asr-transcript"
VERSION = 1


def render_json(
    hypothesis: "Hypothesis", provenance: Provenance, limits: CueLimits = DEFAULT_LIMITS, *, indent: int | None = 2
) -> str:
    """The object as text; ``indent`` None puts it on one line (JSON Lines)."""
    value = json_value(transcript_dict(hypothesis, provenance, limits), digits=6)  # microseconds are enough
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def transcript_dict(
    hypothesis: "Hypothesis", provenance: Provenance, limits: CueLimits = DEFAULT_LIMITS
) -> dict[str, Any]:
    """The same as a dictionary, numbers as the recogniser gave them.

    Where channels were split, each word and cue has its ``channel`` (a cue's ``words`` are numbers among those), and
    ``channels`` holds the text, score, confidence and n-best list of each.
    """
    found = {
        "format": FORMAT,
        "version": VERSION,
        "audio": {"path": provenance.audio, "channel": provenance.channel, "duration_s": hypothesis.duration_s},
        "model": {"path": provenance.model, "sha256": provenance.model_sha256},
        "settings": dict(provenance.settings),
        "text": hypothesis.text,
        "score": hypothesis.score,
        "confidence": hypothesis.confidence,
        "words": _words(hypothesis),
        "cues": [_cue(cue) for cue in _cues(hypothesis, "json", limits)] if hypothesis.words else [],
        "n_best": [asdict(alternative) for alternative in hypothesis.n_best],
    }
    if hypothesis.channels:
        found["channels"] = [
            {
                "channel": channel,
                "speaker": speaker(channel),
                "text": one.text,
                "score": one.score,
                "confidence": one.confidence,
                "n_best": [asdict(alternative) for alternative in one.n_best],
            }
            for channel, one in enumerate(hypothesis.channels)
        ]
    return found


def _words(hypothesis: "Hypothesis") -> list[dict[str, Any]]:
    words = [
        {"word": word.text, "start_s": word.start_s, "end_s": word.end_s, "confidence": word.confidence}
        | ({"channel": channel} if hypothesis.channels else {})
        for channel, one in enumerate(hypothesis.channels or (hypothesis,))
        for word in one.words
    ]
    return sorted(words, key=lambda word: word["start_s"]) if hypothesis.channels else words


def _cue(cue: Cue) -> dict[str, Any]:
    found = {
        "start_s": cue.start_ms / 1000,
        "end_s": cue.end_ms / 1000,
        "lines": list(cue.lines),
        "words": [cue.first_word, cue.stop_word],
    }
    return found if cue.channel is None else {**found, "channel": cue.channel}


def _cues(hypothesis: "Hypothesis", format_name: str, limits: CueLimits, label_columns: int = 0) -> list[Cue]:
    spans = word_spans(hypothesis, format_name)
    return make_cues(spans, duration_ms(hypothesis, spans), limits, label_columns)


def render_textgrid(hypothesis: "Hypothesis", provenance: Provenance) -> str:
    """Segments, words with the pauses between them, and confidences, from 0 to the recording's end."""
    tiers = tiers_of(hypothesis, "textgrid")
    return textgrid_text(tiers, duration_ms(hypothesis, word_spans(hypothesis, "textgrid")), provenance.tiers)


def render_eaf(hypothesis: "Hypothesis", provenance: Provenance) -> str:
    """Segments, words and confidences, each in a tier."""
    audio = "" if provenance.audio == "stdin" else provenance.audio
    return eaf_text(tiers_of(hypothesis, "eaf"), audio, provenance.tiers)


_RENDERERS: dict[str, Callable[["Hypothesis", Provenance, CueLimits], str]] = {
    "txt": lambda hypothesis, *_: render_txt(hypothesis),
    "srt": lambda hypothesis, _, limits: render_srt(hypothesis, limits),
    "vtt": lambda hypothesis, _, limits: render_vtt(hypothesis, limits),
    "tsv": lambda hypothesis, *_: render_tsv(hypothesis),
    "json": render_json,
    "ctm": lambda hypothesis, provenance, _: render_ctm(hypothesis, provenance),
    "textgrid": lambda hypothesis, provenance, _: render_textgrid(hypothesis, provenance),
    "eaf": lambda hypothesis, provenance, _: render_eaf(hypothesis, provenance),
}
FORMATS: tuple[str, ...] = tuple(_RENDERERS)
# A file's ending in each format; Praat looks for this spelling.
EXTENSIONS: dict[str, str] = {name: f".{name}" for name in FORMATS} | {"textgrid": ".TextGrid"}
# These can hold further tiers.
TIER_FORMATS: frozenset[str] = frozenset({"textgrid", "eaf"})
# These are made of word times.
TIMED_FORMATS: frozenset[str] = frozenset({"srt", "vtt", "tsv", "ctm", "textgrid", "eaf"})
# These hold cues.
CUE_FORMATS: tuple[str, ...] = ("srt", "vtt", "json")


def render_transcript(
    hypothesis: "Hypothesis",
    format_name: str,
    provenance: Provenance | None = None,
    limits: CueLimits = DEFAULT_LIMITS,
) -> str:
    """A transcript as the text of a file, ending in a newline.

    Args:
        hypothesis: what a recogniser said.
        format_name: one of `FORMATS`.
        provenance: the recording and the model, which json and ctm name.
        limits: of subtitles, in srt, vtt and json.

    Raises:
        TranscriptError: the format is unknown, or needs word times that the hypothesis lacks; the file with the tiers
            to keep cannot be read.
    """
    if format_name not in _RENDERERS:
        raise TranscriptError(f"the format {format_name!r} is unknown; choose from {', '.join(FORMATS)}")
    return _RENDERERS[format_name](hypothesis, provenance or Provenance(), limits)


def write_transcript(
    hypothesis: "Hypothesis",
    path: str | os.PathLike[str],
    format_name: str | None = None,
    provenance: Provenance | None = None,
    limits: CueLimits = DEFAULT_LIMITS,
) -> None:
    """Write a transcript to ``path``, atomically, as UTF-8.

    Args:
        hypothesis: what a recogniser said.
        path: the file; an existing one is replaced.
        format_name: one of `FORMATS`; None: told by the path's ending.
        provenance: the recording and the model, which json and ctm name.
        limits: of subtitles, in srt, vtt and json.

    Raises:
        TranscriptError: as `render_transcript`, or the ending tells no format.
        OSError: the file cannot be written.
    """
    target = Path(path)
    if format_name is None:
        format_name = target.suffix.lower().removeprefix(".")
        if format_name not in _RENDERERS:
            raise TranscriptError(
                f"{target}: the file name does not end in a known format; choose from {', '.join(FORMATS)}"
            )
    write_text(target, render_transcript(hypothesis, format_name, provenance, limits))
