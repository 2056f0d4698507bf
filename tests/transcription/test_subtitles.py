"""Subtitle files by the letter of their grammars, and back through a player's parser."""

import html
import re
import threading
import warnings
from typing import Any

import hypothesis.strategies as some
import pysubs2
import pytest
from hypothesis import given, settings

from asr.errors import RecordingNote, TranscriptError
from asr.recognition.hypothesis import Hypothesis
from asr.transcription import render_transcript
from tests.transcription.made import evenly, spoken

# WebVTT, W3C Candidate Recommendation 4 April 2019, section 4: a cue is a timings line and text without "-->", where
# "&" and "<" begin escapes and tags; we use no tags.
_VTT_TIME = r"(?:\d{2,}:)?[0-5]\d:[0-5]\d\.\d{3}"
_VTT_TEXT = r"(?:(?:&(?:amp|lt|gt|lrm|rlm|nbsp);|[^&<\r\n])+\n)+"
VTT = re.compile(rf"WEBVTT\n\n(?:(?:[^\n]*\n)?{_VTT_TIME} --> {_VTT_TIME}\n{_VTT_TEXT}\n)*")
# SubRip: number, times with a comma, lines of text, an empty line.
_SRT_TIME = r"\d{2}:[0-5]\d:[0-5]\d,\d{3}"
SRT = re.compile(rf"(?:\d+\n{_SRT_TIME} --> {_SRT_TIME}\n(?:[^\n]+\n){{1,2}}\n)*")

TALK = "so this is a talk about nothing at all and it goes on for quite some time until it ends"
TEXTS = evenly(TALK.split(), 0.4)
ODD = some.text(some.characters(blacklist_categories=("Cs", "Cc", "Z")), min_size=1, max_size=9)
COMMANDS = some.sampled_from(
    ["-->", "<b>", "</i>", "{\\an8}", "\\N", "\\n", "\\h", "&amp;", "&", "<", "{", "}", "42", "{\\p1}"]
)


def test_srt_by_hand() -> None:
    transcript = spoken(("one", 0.5, 0.9), ("two", 1.0, 1.75), ("three", 3661.5, 3663.0))
    assert render_transcript(transcript, "srt") == (
        "1\n00:00:00,500 --> 00:00:01,750\none two\n\n2\n01:01:01,500 --> 01:01:03,000\nthree\n\n"
    )


def test_vtt_by_hand() -> None:
    transcript = spoken(("a&b", 0.5, 0.9), ("<two>", 1.0, 1.75))
    assert render_transcript(transcript, "vtt") == (
        "WEBVTT\n\n1\n00:00:00.500 --> 00:00:01.750\na&amp;b &lt;two&gt;\n\n"
    )


@pytest.mark.parametrize(("format_name", "grammar"), [("srt", SRT), ("vtt", VTT)])
@settings(max_examples=100, deadline=None)
@given(texts=some.lists(ODD | COMMANDS, max_size=30))
def test_any_text_keeps_to_the_grammar_and_reads_back(
    format_name: str, grammar: re.Pattern[str], texts: list[str]
) -> None:
    written = render_transcript(evenly(texts), format_name)
    assert grammar.fullmatch(written)
    shown = "".join(block.split("\n", 2)[2] for block in written.removeprefix("WEBVTT\n\n").split("\n\n") if block)
    plain = html.unescape(shown.replace("\n", "")) if format_name == "vtt" else shown.replace("\n", "")
    kept = "".join(plain.replace("\u2060", "").split())
    assert kept == "".join("".join(texts).replace("\u2060", "").split())


@pytest.mark.parametrize("format_name", ["srt", "vtt"])
def test_a_players_parser_reads_the_cues_back(format_name: str) -> None:
    written = render_transcript(TEXTS, format_name)
    cues = pysubs2.SSAFile.from_string(written, format_name)
    assert " ".join(cue.plaintext.replace("\n", " ") for cue in cues) == TEXTS.text
    assert all(cue.start < cue.end for cue in cues) and len(cues) > 1
    assert pysubs2.SSAFile.from_string(written).format == format_name, "told by content too"


@pytest.mark.parametrize("format_name", ["srt", "vtt"])
def test_silence_gives_a_file_without_cues(format_name: str) -> None:
    written = render_transcript(spoken(duration_s=5.0), format_name)
    assert written == {"srt": "", "vtt": "WEBVTT\n\n"}[format_name]


def test_what_cannot_be_said_is_refused() -> None:
    untimed = Hypothesis(text="a b", score=0.0, duration_s=1.0)
    with pytest.raises(TranscriptError, match="needs word times"):
        render_transcript(untimed, "srt")
    with pytest.raises(TranscriptError, match="100 hours"):
        render_transcript(spoken(("late", 360_000.0, 360_001.0)), "vtt")
    with pytest.raises(TranscriptError, match="no finite times"):
        render_transcript(spoken(("a", float("nan"), 1.0), duration_s=1.0), "srt")


@pytest.mark.parametrize("format_name", ["srt", "vtt"])
def test_what_another_thread_warns_of_meanwhile_stays_a_warning(
    format_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server writes subtitles while it reads other recordings."""
    write, raised = pysubs2.SSAFile.to_string, list[Warning]()

    def read_another() -> None:
        try:
            warnings.warn(RecordingNote("another.wav: ends 0.04 s early."), stacklevel=1)
        except RecordingNote as error:
            raised.append(error)

    def slowly(*arguments: Any, **named: Any) -> str:
        other = threading.Thread(target=read_another)
        other.start()
        other.join()
        return write(*arguments, **named)

    monkeypatch.setattr(pysubs2.SSAFile, "to_string", slowly)
    with pytest.warns(RecordingNote, match="another"):
        render_transcript(TEXTS, format_name)
    assert not raised
