"""Each format says the same utterances, and what one tool writes another reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from asr.errors import DataError, ScoringError
from asr.scoring.export import WRITERS, Timing, export
from asr.scoring.formats import FORMATS, TimedWord
from asr.scoring.read import read_pair
from asr.scoring.report import score_texts
from asr.text.normalize import get_normalizer

TEXTS = {"u_1": "one two three", "u_2": "", "u_3": "caf\u00e9 it's well-known"}

WRITTEN = {
    "kaldi": "u_1 one two three\nu_2\nu_3 caf\u00e9 it's well-known\n",
    "trn": ";; made by hand\none two three (u_1)\n(u_2)\ncaf\u00e9 it's well-known (u_3)\n",
    "jsonl": "".join(json.dumps({"id": key, "text": text}) + "\n" for key, text in TEXTS.items()),
    "csv": 'speaker,id,text\nann,u_1,one two three\nann,u_2,\nbob,u_3,"caf\u00e9 it\'s well-known"\n',
    "tsv": "path\tsentence\nu_1\tone two three\nu_2\t\nu_3\tcaf\u00e9 it's well-known\n",
}
WHISPER = {
    "text": " one two three",
    "language": "en",
    "segments": [
        {
            "start": 0.0,
            "end": 1.5,
            "text": " one two three",
            "words": [
                {"word": " one", "start": 0.1, "end": 0.4, "probability": 0.9},
                {"word": " two", "start": 0.5, "end": 0.9},
                {"word": " three", "start": 1.0, "end": 1.5},
            ],
        }
    ],
}
VERBOSE = {
    "task": "transcribe",
    "duration": 1.5,
    "text": "one two three",
    "words": WHISPER["segments"][0]["words"],  # type: ignore[index]
}
OURS = {
    "format": "asr-transcript",
    "version": 1,
    "audio": {"path": "u_1.wav", "channel": None, "duration_s": 1.5},
    "text": "one two three",
    "words": [
        {"word": "one", "start_s": 0.1, "end_s": 0.4, "confidence": 0.9},
        {"word": "two", "start_s": 0.5, "end_s": 0.9, "confidence": None},
        {"word": "three", "start_s": 1.0, "end_s": 1.5, "confidence": 0.5},
    ],
}
WORDS = (TimedWord("one", 0.1, 0.4), TimedWord("two", 0.5, 0.9), TimedWord("three", 1.0, 1.5))


@pytest.mark.parametrize("name", WRITTEN)
def test_each_format_is_recognised_and_says_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / "texts").write_text(WRITTEN[name], encoding="utf-8")
    first, second = read_pair(tmp_path / "texts", tmp_path / "texts")
    assert (first.format, first.texts) == (name, TEXTS)
    assert second.texts == TEXTS


@pytest.mark.parametrize("document", [WHISPER, VERBOSE, OURS], ids=["whisper", "verbose_json", "asr transcribe"])
def test_transcripts_of_recordings_have_words_with_times(tmp_path: Path, document: dict[str, Any]) -> None:
    folder, references = tmp_path / "out", tmp_path / "refs"
    folder.mkdir()
    references.mkdir()
    (folder / "u_1.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
    (references / "u_1.txt").write_text("One, two,\nthree.\n", encoding="utf-8")
    said, heard = read_pair(references, folder)
    assert (said.format, said.texts) == ("txt", {"u_1": "One, two, three."})
    assert (heard.format, heard.texts, heard.words) == ("whisper", {"u_1": "one two three"}, {"u_1": WORDS})
    alone = read_pair(references / "u_1.txt", folder / "u_1.json", format_name="txt", hypothesis_format="auto")
    assert (alone[0].texts, alone[1].texts) == ({"u_1": "One, two, three."}, {"u_1": "one two three"})


def test_faults_of_a_folder_come_at_once_with_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    (folder / "deeper").mkdir(parents=True)
    for name, content in {
        "a.json": "{",
        "b.json": '{"words": []}',
        "c.json": '{"text": "x", "words": [{"word": "x", "start": -1, "end": 2}]}',
        "d.json": '{"text": "x"}',
        "deeper/d.json": '{"text": "y"}',
    }.items():
        (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_pair(folder, folder)
    message = str(caught.value)
    assert "a.json: line 1: is not JSON" in message
    assert "b.json: has neither 'text' nor 'segments' (it has 'words')" in message
    assert "c.json: 'start' must be a number of seconds, not -1" in message
    assert "deeper/d.json: the id 'd' was already used by" in message


def test_faults_of_stm_ctm_and_tables_come_with_their_lines(tmp_path: Path) -> None:
    stm, ctm, table = tmp_path / "a.stm", tmp_path / "a.ctm", tmp_path / "a.csv"
    stm.write_text("r 1 s 0.0 1.0 x\nr 1 s 2.0 1.0 x\nr 1 s a 1.0 x\nr 1 s 1.0 2.0 { a / b\nr 1\n", encoding="utf-8")
    with stm.open("a", encoding="utf-8") as stream:
        stream.write(f"r 1 s 3.0 4.0 {'{ ' * 1_000}a{' / b }' * 1_000}\n")
    ctm.write_text("r 1 0.0 0.1 x\nr 1 0.5 y\nr 1 0.5 -1.0 y\nr 1 * * <ALT>\nr 1 * * <ALT_BEGIN>\n", encoding="utf-8")
    table.write_text('id,text\na,x,y\n,x\nb,"x\n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_pair(stm, ctm, format_name="stm", hypothesis_format="ctm")
    message = str(caught.value)
    for expected in (
        "a.stm:2: ends at 1.0 s, before it begins at 2.0 s",
        "a.stm:3: the start must be a number of seconds, not 'a'",
        "a.stm:4: has a '{' that is never closed",
        "a.stm:5: has 2 of the 5 columns",
        "a.stm:6: has more than 20 '{' inside each other",
        "a.ctm:2: has 4 of the 5 columns",
        "a.ctm:3: the duration must be a number of seconds, not '-1.0'",
        "a.ctm:4: has <ALT> in a wrong place",
        "a.ctm:5: begins alternatives with <ALT_BEGIN>, and no <ALT_END> follows",
    ):
        assert expected in message
    with pytest.raises(DataError) as caught:
        read_pair(table, table)
    for expected in ("a.csv:2: has 3 cells, and the header has 2", "a.csv:3: has an empty id", "a.csv:4: is not CSV"):
        assert expected in str(caught.value)


def test_spoken_digits_are_no_times(tmp_path: Path) -> None:
    (tmp_path / "texts").write_text("u_1 3 5 1 2 7\nu_2 1 2 2 3\nu_3 4 4 5 6 1\n", encoding="utf-8")
    assert read_pair(tmp_path / "texts", tmp_path / "texts")[0].format == "kaldi"


@pytest.mark.parametrize("name", sorted(WRITERS.keys() - {"ctm", "plain"}))
def test_what_is_exported_is_read_back(tmp_path: Path, name: str) -> None:
    heard = {"u_1": "one too three", "u_2": "x", "u_3": ""}
    report = score_texts(TEXTS, heard, normalizer=get_normalizer("none"))
    files = export(tmp_path, name, report, Timing())
    said, back = read_pair(files[0], files[-1])
    assert (said.texts, back.texts) == (TEXTS, heard)


@pytest.mark.parametrize("text", ["=1+2", "+1", "-1", "@x", "'=1", "'tis", "it's"])
def test_a_cell_of_an_exported_table_is_never_a_formula_and_is_read_back(tmp_path: Path, text: str) -> None:
    report = score_texts({f"{text}1": text}, {f"{text}1": text}, normalizer=get_normalizer("none"))
    (path,) = export(tmp_path, "csv", report, Timing())
    cells = path.read_text(encoding="utf-8").splitlines()[1].split(",")
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert read_pair(path, path)[0].texts == {f"{text}1": text}


def test_words_with_times_are_exported_as_stm_and_ctm_and_read_back(tmp_path: Path) -> None:
    report = score_texts({"u_1": "one two three"}, {"u_1": "one two three"}, normalizer=get_normalizer("none"))
    stm, ctm = export(tmp_path, "ctm", report, Timing(words={("u_1", "1"): WORDS}))
    said, heard = read_pair(stm, ctm)
    assert (said.format, list(said.texts.values())) == ("stm", ["one two three"])
    assert (said.durations_s, heard.texts) == ({"u_1-1-unknown-0000000-0000150": 1.5}, {"u_1": "one two three"})
    assert [(w.text, round(w.start_s, 3), round(w.end_s, 3)) for w in heard.words["u_1"]] == [
        (w.text, w.start_s, w.end_s) for w in WORDS
    ]


def test_what_a_format_would_read_as_something_else_is_not_exported(tmp_path: Path) -> None:
    report = score_texts({"u 1": "a", "u_2": "{ a }"}, {"u 1": "a", "u_2": "a"}, normalizer=get_normalizer("none"))
    with pytest.raises(ScoringError, match=r"trn cannot hold 1 of 2 utterances \('u 1'\) for their ids"):
        export(tmp_path, "trn", report, Timing())
    texts = score_texts({"u_2": "{ a }"}, {"u_2": "a"}, normalizer=get_normalizer("none"))
    with pytest.raises(ScoringError, match=r"trn cannot hold 1 of 1 utterances \('u_2'\) for their texts"):
        export(tmp_path, "trn", texts, Timing())
    with pytest.raises(ScoringError, match="ctm needs the times of words"):
        export(tmp_path, "ctm", report, Timing())
    assert list(tmp_path.iterdir()) == []


def test_every_format_has_one_way_to_be_read() -> None:
    assert all((one.parse_lines is None) != (one.parse_document is None) for one in FORMATS.values())


def test_the_ending_of_a_file_says_its_format(tmp_path: Path) -> None:
    stm, ctm, table = tmp_path / "r.STM", tmp_path / "h.ctm", tmp_path / "t.csv"
    stm.write_text("r1 1 s1 0 5 hello world\n", encoding="utf-8")
    ctm.write_text("r1 1 0 1 hello\nr1 1 1 1 world\n", encoding="utf-8")
    said, heard = read_pair(stm, ctm)
    assert (said.format, heard.format, list(heard.words)) == ("stm", "ctm", ["r1"])
    for header in ("audio,words", "file,words", "path,content"):
        table.write_text(f"{header}\na.wav,x\n", encoding="utf-8")
        with pytest.raises(DataError, match=r"t\.csv:1: the header has no column for the reference"):
            read_pair(table, table)
    for header in ("audio,text", "file,transcript", "path,sentence", "utt_id,text"):
        table.write_text(f"{header}\na.wav,x y\n", encoding="utf-8")
        assert read_pair(table, table)[1].texts == {"a.wav": "x y"}


FOREIGN = {
    "RTTM": "SPEAKER r1 1 0.0 1.0 <NA> <NA> s1 <NA> <NA>\nSPEAKER r1 1 1.0 1.0 <NA> <NA> s2 <NA> <NA>\n",
    "subtitles": "1\n00:00:01,000 --> 00:00:02,000\nhello\n",
    "a TextGrid": 'File type = "ooTextFile"\nObject class = "TextGrid"\n',
    "XML": '<?xml version="1.0"?>\n<a/>\n',
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_transcript_is_refused_by_name(tmp_path: Path, what: str) -> None:
    (tmp_path / "x").write_text(FOREIGN[what], encoding="utf-8")
    with pytest.raises(DataError, match=f"x: is {what}"):
        read_pair(tmp_path / "x", tmp_path / "x")


def test_ids_and_texts_have_the_same_names_in_every_format(tmp_path: Path) -> None:
    lines, table = tmp_path / "a.jsonl", tmp_path / "a.csv"
    for key in ("id", "utt", "utt_id", "utterance_id", "path", "file", "audio_filepath", "wav_filename"):
        for side in ("ref", "sentence", "transcript"):
            lines.write_text(
                json.dumps({key: "u1", side: "said", "hyp": "heard", "spk": "ann"}) + "\n", encoding="utf-8"
            )
            table.write_text(f"{key},{side},hyp,spk\nu1,said,heard,ann\n", encoding="utf-8")
            for path in (lines, table):
                said, heard = read_pair(path, path)
                assert (said.texts, heard.texts, said.speakers) == ({"u1": "said"}, {"u1": "heard"}, {"u1": "ann"})
    lines.write_text('{"id": "u1", "text": "said", "hyp": "heard"}\n', encoding="utf-8")
    assert read_pair(lines, lines)[1].texts == {"u1": "heard"}  # never the reference against itself


def test_segments_are_ignored_with_and_without_underscores(tmp_path: Path) -> None:
    stm = tmp_path / "a.stm"
    names = ("IGNORE_TIME_SEGMENT_IN_SCORING", "IGNORETIMESEGMENTINSCORING", "ignoretimesegmentinscoring")
    stm.write_text(
        "".join(f"r 1 s {place}.0 {place + 1}.0 {name}\n" for place, name in enumerate(names)), encoding="utf-8"
    )
    assert [one.ignored for one in read_pair(stm, stm)[0].segments.values()] == [True, True, True]


def test_the_speakers_of_a_trn_are_in_its_ids(tmp_path: Path) -> None:
    trn = tmp_path / "a.trn"
    trn.write_text("x (ann-u_1)\ny (bob_u2)\n", encoding="utf-8")
    assert read_pair(trn, trn)[0].speakers == {"ann-u_1": "ann", "bob_u2": "bob"}
    trn.write_text("x (utt-1)\ny (utt-2)\n", encoding="utf-8")
    assert read_pair(trn, trn)[0].speakers == {}  # the same for all: no speaker


def test_faults_of_one_kind_are_three_and_a_count(tmp_path: Path) -> None:
    trn, table = tmp_path / "a.trn", tmp_path / "a.csv"
    trn.write_text("".join(f"word {number}\n" for number in range(100)) + "{ x (u1)\n", encoding="utf-8")
    table.write_text("id,text\n" + "".join(f"u{number},x,y\n" for number in range(70)), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_pair(trn, table, hypothesis_format="csv")
    message = str(caught.value)
    assert message.count("does not end with an id") == 3 and "… and 97 more like these" in message
    assert message.count("has 3 cells, and the header has 2") == 3 and "… and 67 more like these" in message
    assert "a.trn:101: has a '{' that is never closed" in message


def test_seglst_holds_recordings_and_speakers(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    rows = [
        {"session_id": "r", "speaker": "A", "words": "x y", "start_time": 0, "end_time": 1.5},
        {"session_id": "r", "speaker": 2, "words": ""},
    ]
    path.write_text(json.dumps(rows), encoding="utf-8")
    found = read_pair(path, path)[0]
    assert (found.format, list(found.texts.values()), list(found.speakers.values())) == (
        "seglst",
        ["x y", ""],
        ["A", "2"],
    )
    assert [(one.recording, one.end_s) for one in found.segments.values()] == [("r", 1.5), ("r", 0.0)]
    path.write_text(json.dumps([*rows, {"session_id": "r", "words": 5}]), encoding="utf-8")
    with pytest.raises(DataError, match=r"segment 3: 'words' must be text, not 5"):
        read_pair(path, path)


def test_a_duration_rounded_below_nothing_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.ctm").write_text("r 1 0.50 -0.01 x\n", encoding="utf-8")  # as in NIST's tima_hyp.ctm
    (word,) = read_pair(tmp_path / "a.ctm", tmp_path / "a.ctm")[1].words["r"]
    assert (word.start_s, word.end_s) == (0.5, 0.5)
