"""txt, tsv, ctm, json and TextGrid: each as the programs that read it expect, and whole or not at all."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asr.decoding.greedy import Alternative
from asr.errors import TranscriptError
from asr.recognition.hypothesis import Hypothesis, merged
from asr.transcription import EXTENSIONS, FORMATS, TIMED_FORMATS, Provenance, render_transcript, write_transcript
from tests.transcription.made import called, evenly, spoken

TALK = spoken(("one", 0.5, 0.9), ('t"wo', 0.9, 1.2345), ("three", 2.0, 2.5), duration_s=3.25, confidence=0.875)


def test_txt_is_the_text() -> None:
    assert render_transcript(TALK, "txt") == 'one t"wo three\n'
    assert render_transcript(spoken(duration_s=1.0), "txt") == "\n"


def test_tsv_is_a_word_a_line() -> None:
    assert render_transcript(TALK, "tsv").splitlines() == [
        "start_s\tend_s\tconfidence\tword",
        "0.500\t0.900\t0.875\tone",
        '0.900\t1.234\t0.875\tt"wo',
        "2.000\t2.500\t0.875\tthree",
    ]


def test_tsv_is_read_by_csv_whatever_quotation_marks_the_words_hold() -> None:
    words = ['"yes', "he", 'said"', '"', '""', "'", 't"wo']
    written = render_transcript(evenly(words), "tsv")
    rows = list(csv.DictReader(io.StringIO(written), delimiter="\t"))
    assert [row["word"] for row in rows] == words


def test_ctm_is_what_sclite_reads() -> None:
    written = render_transcript(TALK, "ctm", Provenance(audio="/data/my talk.v2.wav", channel=1))
    assert written.splitlines() == [
        "my_talk.v2 2 0.500 0.400 one 0.875",
        'my_talk.v2 2 0.900 0.334 t"wo 0.875',
        "my_talk.v2 2 2.000 0.500 three 0.875",
    ]
    assert render_transcript(TALK, "ctm").startswith("recording 1 0.500")
    undecodable = os.fsdecode(b"/data/b\xff.wav")
    assert render_transcript(TALK, "ctm", Provenance(audio=undecodable)).startswith("b\\udcff 1 0.500")


def test_json_holds_everything_and_is_the_schemas() -> None:
    transcript = Hypothesis(
        text="one two", score=-2.5, duration_s=1.5, words=evenly(["one", "two"]).words, confidence=0.9,
        n_best=(Alternative(text="one two", score=-2.5, ctc_score=-2.0, lm_score=-1.0),),
    )  # fmt: skip
    provenance = Provenance(audio="a.wav", model="m", model_sha256="ab", settings={"decoder": "beam"})
    assert json.loads(render_transcript(transcript, "json", provenance)) == {
        "format": "asr-transcript",
        "version": 1,
        "audio": {"path": "a.wav", "channel": None, "duration_s": 1.5},
        "model": {"path": "m", "sha256": "ab"},
        "settings": {"decoder": "beam"},
        "text": "one two",
        "score": -2.5,
        "confidence": 0.9,
        "words": [
            {"word": "one", "start_s": 0.0, "end_s": 0.3, "confidence": 0.9},
            {"word": "two", "start_s": 0.35, "end_s": 0.65, "confidence": 0.9},
        ],
        "cues": [{"start_s": 0.0, "end_s": 1.0, "lines": ["one two"], "words": [0, 2]}],
        "n_best": [{"text": "one two", "score": -2.5, "ctc_score": -2.0, "lm_score": -1.0}],
    }


def test_json_never_holds_nan_nor_what_utf_8_cannot() -> None:
    nothing = Hypothesis(text="", score=float("-inf"), duration_s=float("nan"))
    found = json.loads(
        render_transcript(nothing, "json", Provenance(audio="caf\udce9.wav")), parse_constant=pytest.fail
    )
    assert (found["score"], found["audio"]["duration_s"], found["words"]) == (None, None, [])
    assert found["audio"]["path"] == "caf\\udce9.wav"


def test_split_channels_are_told_apart_in_every_format() -> None:
    call, split = called(), Provenance(audio="call.wav", channel="split")
    assert call.text == "hello there hi how are you fine thanks" and len(call.words) == 8
    assert render_transcript(call, "txt") == (
        "Speaker 1: hello there\nSpeaker 2: hi how are you\nSpeaker 1: fine thanks\n"
    )
    rows = render_transcript(call, "tsv").splitlines()
    assert rows[0].endswith("word\tchannel") and [row.split("\t")[3:] for row in rows[2:4]] == [
        ["there", "0"], ["hi", "1"],
    ]  # fmt: skip
    lines = [line.split() for line in render_transcript(call, "ctm", split).splitlines()]
    assert [(line[1], line[4]) for line in lines[3:5]] == [("1", "thanks"), ("2", "hi")], "as sclite sorts them"
    written = {name: render_transcript(call, name).strip().split("\n\n") for name in ("srt", "vtt")}
    assert [cue.splitlines()[1:] for cue in written["srt"]] == [
        ["00:00:00,100 --> 00:00:01,100", "Speaker 1: hello there"],  # a second, though another speaks
        ["00:00:00,700 --> 00:00:02,300", "Speaker 2: hi how are you"],
        ["00:00:03,000 --> 00:00:04,000", "Speaker 1: fine thanks"],
    ]
    assert "<v Speaker 2>hi how are you" in written["vtt"][2]
    found = json.loads(render_transcript(call, "json", split))
    assert found["audio"]["channel"] == "split"
    assert [(one["word"], one["channel"]) for one in found["words"]][1:4] == [("there", 0), ("hi", 1), ("how", 1)]
    assert [(one["lines"], one["words"], one["channel"]) for one in found["cues"]] == [
        (["hello there"], [0, 2], 0), (["hi how are you"], [0, 4], 1), (["fine thanks"], [2, 4], 0),
    ]  # fmt: skip
    assert [(one["channel"], one["speaker"], one["text"]) for one in found["channels"]] == [
        (0, "Speaker 1", "hello there fine thanks"), (1, "Speaker 2", "hi how are you"),
    ]  # fmt: skip


def test_split_channels_are_tiers_of_their_own(tmp_path: Path) -> None:
    from praatio import textgrid

    write_transcript(called(), tmp_path / "a.TextGrid")
    grid = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=False)
    assert [name for name in grid.tierNames if "words" in name] == ["words@Speaker 1", "words@Speaker 2"]
    assert tuple(grid.getTier("words@Speaker 2").entries[0]) == (0.7, 1.0, "hi") and grid.maxTimestamp == 5.0
    eaf = render_transcript(called(), "eaf")
    assert 'PARTICIPANT="Speaker 2"' in eaf and 'PARENT_REF="words@Speaker 2"' in eaf


def test_split_channels_without_word_times_or_words_have_a_text() -> None:
    untimed = merged([Hypothesis(text=text, score=0.0, duration_s=1.0) for text in ("a b", "", "c")])
    assert render_transcript(untimed, "txt") == "Speaker 1: a b\nSpeaker 3: c\n"
    assert json.loads(render_transcript(untimed, "json"))["cues"] == []
    assert render_transcript(merged([spoken(duration_s=1.0)] * 2), "txt") == "\n"


def test_textgrid_reads_back_with_the_pauses_as_empty_intervals(tmp_path: Path) -> None:
    from praatio import textgrid

    write_transcript(TALK, tmp_path / "a.TextGrid")
    grid = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=True)
    assert grid.tierNames == ("segments", "words", "confidence") and (grid.minTimestamp, grid.maxTimestamp) == (0, 3.25)
    assert [tuple(entry) for entry in grid.getTier("words").entries] == [
        (0, 0.5, ""), (0.5, 0.9, "one"), (0.9, 1.234, 't"wo'), (1.234, 2.0, ""), (2.0, 2.5, "three"), (2.5, 3.25, ""),
    ]  # fmt: skip
    assert [one.label for one in grid.getTier("confidence").entries] == ["", "0.88", "0.88", "", "0.88", ""]
    assert [one.label for one in grid.getTier("segments").entries] == ["", 'one t"wo', "", "three", ""]
    lines = (tmp_path / "a.TextGrid").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ['File type = "ooTextFile"', 'Object class = "TextGrid"']
    assert '            text = "t""wo" ' in lines, "Praat doubles quotes"


def test_textgrid_of_silence_is_one_empty_interval(tmp_path: Path) -> None:
    from praatio import textgrid

    for duration_s in (2.0, 0.0):
        write_transcript(spoken(duration_s=duration_s), tmp_path / "a.TextGrid")
        grid = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=True)
        assert [tuple(entry) for entry in grid.getTier("words").entries] == [(0, max(duration_s, 0.001), "")]


@pytest.mark.parametrize("format_name", sorted(TIMED_FORMATS))
def test_times_that_touch_or_overlap_are_put_in_order(format_name: str) -> None:
    words = [("a", 0.1, 0.5), ("b", 0.4, 0.4), ("c", 0.4, 0.4), ("d", 0.4001, 0.9), ("e", 0.9, 0.9)]
    written = render_transcript(spoken(*words), format_name)
    assert all(f"{letter}" in written for letter in "abcde")
    if format_name == "tsv":
        times = [tuple(map(float, line.split("\t")[:2])) for line in written.splitlines()[1:]]
        assert times == [(0.1, 0.4), (0.4, 0.401), (0.401, 0.402), (0.402, 0.9), (0.9, 0.901)]


def test_the_ending_tells_the_format_or_is_refused(tmp_path: Path) -> None:
    for name in FORMATS:
        write_transcript(TALK, tmp_path / f"a{EXTENSIONS[name]}")
        assert (tmp_path / f"a{EXTENSIONS[name]}").read_text(encoding="utf-8") == render_transcript(TALK, name)
    with pytest.raises(TranscriptError, match=r"not end in a known format.*srt"):
        write_transcript(TALK, tmp_path / "a.doc")
    with pytest.raises(TranscriptError, match="'doc' is unknown"):
        write_transcript(TALK, tmp_path / "a.txt", "doc")


@pytest.mark.parametrize("format_name", FORMATS)
def test_without_word_times_only_what_needs_none_is_written(tmp_path: Path, format_name: str) -> None:
    untimed = Hypothesis(text="a b", score=0.0, duration_s=1.0)
    if format_name in TIMED_FORMATS:
        with pytest.raises(TranscriptError, match=f"{format_name} needs word times"):
            write_transcript(untimed, tmp_path / "a", format_name)
        assert not list(tmp_path.iterdir()), "nothing is left behind"
    else:
        write_transcript(untimed, tmp_path / "a", format_name)
        assert "a b" in (tmp_path / "a").read_text(encoding="utf-8")


def test_the_formats_need_no_torch() -> None:
    code = "import sys, asr.transcription; sys.exit('torch' in sys.modules or 'pysubs2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
