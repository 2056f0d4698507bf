"""Readers of your own recordings: what each form means, and that all errors are listed at once."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from asr.data.annotation import AnnotationOptions
from asr.data.kaldi import read_kaldi
from asr.data.manifest import read_manifest
from asr.data.prepare import run_prepare
from asr.data.readers import read_folder, read_text_beside_audio
from asr.data.tables import read_nemo, read_table
from asr.errors import DataError
from tests.data.made import write_pair, write_tone

RECIPE = Path(__file__).parents[2] / "recipes" / "folder"


def test_text_beside_audio_takes_the_first_subfolder_as_speaker(tmp_path: Path) -> None:
    write_pair(tmp_path / "ann" / "monday" / "take 1.x", "\ufeffGood\n day ")
    write_pair(tmp_path / "loose")
    (tmp_path / "README.txt").write_text("not a transcript")
    write_pair(tmp_path / "notes")  # one
    nested, loose, notes = read_text_beside_audio(tmp_path)
    assert notes.id == "notes"
    assert (nested.id, nested.text, nested.speaker) == ("ann/monday/take_1.x", "Good day", "ann")
    assert (nested.duration_s, loose.speaker) == (1.0, None)
    assert read_text_beside_audio(tmp_path, annotations=AnnotationOptions(speaker_from_folder=False))[0].speaker is None


def test_opening_many_recordings_shows_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        write_pair(tmp_path / name)
    read_text_beside_audio(tmp_path)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("asr.data.recordings._OPENED", 2)
    read_text_beside_audio(tmp_path)
    assert capsys.readouterr().err.startswith("opening recordings 3/3 files, 100%")


def test_text_beside_audio_names_every_fault(tmp_path: Path) -> None:
    write_pair(tmp_path / "empty", "  \n")
    write_pair(tmp_path / "latin")
    (tmp_path / "latin.txt").write_bytes("caf\u00e9".encode("latin-1"))
    write_tone(tmp_path / "silent.wav")
    (tmp_path / "deaf.txt").write_text("nothing to hear")
    write_pair(tmp_path / "twice")
    write_tone(tmp_path / "twice.flac")
    with pytest.raises(DataError) as caught:
        read_text_beside_audio(tmp_path)
    message = str(caught.value)
    assert "5 errors" in message
    for part in (
        "empty.txt: the transcript is empty",
        "latin.txt: not UTF-8 (byte 3)",
        "silent.wav: no silent.txt next to it",
        "deaf.txt: no recording",
        "twice.wav: twice.flac has the same stem",
    ):
        assert part in message


def test_accents_decomposed_in_one_name_and_composed_in_the_other_are_one_stem(tmp_path: Path) -> None:
    write_tone(tmp_path / "caf\u00e9.wav")
    (tmp_path / "cafe\u0301.txt").write_text("hello")
    assert [one.text for one in read_text_beside_audio(tmp_path)] == ["hello"]


def test_a_name_that_is_not_utf_8_is_a_faulty_recording(tmp_path: Path) -> None:
    for take in range(19):
        write_pair(tmp_path / "mine" / f"t{take}")
    write_tone(tmp_path / "a.wav").rename(tmp_path / "mine" / os.fsdecode(b"caf\xe9.wav"))
    (tmp_path / "mine" / os.fsdecode(b"caf\xe9.txt")).write_text("yes")
    with pytest.raises(
        DataError, match=r"its name is not UTF-8.* Rename it.\n  1 of 20 recordings cannot be read; fau"
    ):
        run_prepare(RECIPE, tmp_path / "mine", tmp_path / "out", {})
    summary = run_prepare(RECIPE, tmp_path / "mine", tmp_path / "out", {"faulty": "drop"})
    assert sum(len(read_manifest(one)) for one in (tmp_path / "out").glob("*.jsonl")) == 19
    assert "1 recording(s) that cannot be read were left out" in summary and "not UTF-8" in summary


def test_hidden_files_and_folders_are_not_read(tmp_path: Path) -> None:
    for place in ("s1/a", ".trash/a", "s1/.cache/b", "s1/._a"):
        write_pair(tmp_path / "mine" / place)
    assert [one.id for one in read_folder(tmp_path / "mine")] == ["s1/a"]
    write_tone(tmp_path / "table" / "a.wav")
    for name in ("m.csv", "._m.csv"):  # macOS writes the second one on other file systems
        (tmp_path / "table" / name).write_text("audio,text\na.wav,yes\n")
    assert [one.text for one in read_folder(tmp_path / "table")] == ["yes"]


def test_linked_folders_are_entered_and_a_link_in_a_circle_ends(tmp_path: Path) -> None:
    write_pair(tmp_path / "elsewhere" / "ann" / "a")
    corpus = tmp_path / "corpus"
    write_pair(corpus / "bob" / "b")
    (corpus / "ann").symlink_to(tmp_path / "elsewhere" / "ann")
    (corpus / "bob" / "round").symlink_to(corpus)
    assert {one.speaker for one in read_text_beside_audio(corpus)} == {"ann", "bob"}


def test_unreadable_recordings_are_named_along_with_the_other_errors(tmp_path: Path) -> None:
    write_pair(tmp_path / "empty", "")
    write_pair(tmp_path / "noise")
    (tmp_path / "noise.wav").write_bytes(b"RIFF" + bytes(100))
    with pytest.raises(DataError, match="2 errors") as caught:
        read_text_beside_audio(tmp_path)
    assert "noise.wav" in str(caught.value) and "empty.txt" in str(caught.value)


@pytest.mark.parametrize("names", [("audio_filepath", "offset", "duration"), ("audio", "start_s", "duration_s")])
def test_recordings_are_opened_and_spans_and_channels_held_against_them_where_durations_are_given(
    tmp_path: Path, names: tuple[str, str, str]
) -> None:
    write_tone(tmp_path / "a.wav", 2.0)
    (tmp_path / "b.wav").write_bytes(b"no sound")
    # 10 ms beyond the end is rounding
    rows = [("a", 0, 1.5), ("a", 1.5, 0.51), ("a", 1.6, 9), ("a", 7, 1), ("b", 0, 1)]
    fields = [dict(zip(names, (f"{audio}.wav", start, duration), strict=True)) for audio, start, duration in rows]
    lines = [{"id": f"u{number}", "text": "x", **one} for number, one in enumerate(fields)]
    lines[0]["channel"] = 1
    (tmp_path / "m.jsonl").write_text("\n" + "\n".join(map(json.dumps, lines)))
    with pytest.raises(DataError, match="4 errors") as caught:
        read_folder(tmp_path)
    for part in ("ends at 10.600 s", "starts at 7.0 s", "b.wav", "u0: channel 1, but"):
        assert part in str(caught.value)


def test_csv_with_spans_speakers_and_further_columns(tmp_path: Path) -> None:
    write_tone(tmp_path / "wavs" / "long.wav", 3.0)
    (tmp_path / "t.csv").write_text(
        "Path,Sentence,speaker,start,end,channel,room\n"
        'long.wav,"one, two",0,0.5,1.25,0,hall\n'
        "long.wav,three,bob,2,,,\n"
        "\n"
    )
    first, second = read_table(tmp_path / "t.csv")
    assert (first.id, first.text, first.speaker, first.channel) == ("long@0.500", "one, two", "0", 0)
    assert (first.start_s, first.duration_s, dict(first.extra)) == (0.5, 0.75, {"room": "hall"})
    assert (second.start_s, second.duration_s, second.channel) == (2.0, 1.0, None)


@pytest.mark.parametrize("closing", ["", '"'], ids=["never closed", "closed three rows later"])
def test_an_open_quote_in_a_csv_never_swallows_rows(tmp_path: Path, closing: str) -> None:
    texts = ["one", '"two', "three", "four", f"five{closing}", "six"]
    for number in range(len(texts)):
        write_tone(tmp_path / f"{number}.wav")
    table = tmp_path / "table.csv"
    table.write_text("audio,text\n" + "".join(f"{number}.wav,{text}\n" for number, text in enumerate(texts)))
    with pytest.raises(DataError, match=r"table\.csv:\d: .*quote"):
        read_table(table)


def test_a_quoted_text_may_go_over_lines(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav")
    (tmp_path / "table.csv").write_text('audio,text\r\na.wav,"one,\r\ntwo, three"\r\n')
    assert [one.text for one in read_table(tmp_path / "table.csv")] == ["one, two, three"]


def test_a_csv_row_does_not_end_at_a_unicode_line_separator(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav")
    (tmp_path / "table.csv").write_text("audio,text\na.wav,one\u2028two\x85three\n", encoding="utf-8")
    assert [one.text for one in read_table(tmp_path / "table.csv")] == ["one two three"]


def test_a_csv_field_beyond_what_python_reads_is_an_error_of_its_line(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav")
    (tmp_path / "table.csv").write_text("audio,text\na.wav," + "word " * 50_000)
    with pytest.raises(DataError, match=r"table\.csv:\d: not a row"):
        read_table(tmp_path / "table.csv")


@pytest.mark.parametrize("header", ["audio,text,Text ,note", "audio,text,audio,note"])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, header: str) -> None:
    write_tone(tmp_path / "a.wav")
    table = tmp_path / "table.csv"
    table.write_text(f"{header}\na.wav,one,a.wav,\n")
    with pytest.raises(DataError, match="in more than one column"):
        read_table(table)
    table.write_text("audio,,text,\na.wav,1,one,2\n")  # columns without a name, as spreadsheets leave them
    assert [one.text for one in read_table(table)] == ["one"]


def test_accents_composed_in_the_table_find_a_file_named_with_decomposed_accents(tmp_path: Path) -> None:
    write_tone(tmp_path / "cafe\u0301.wav")
    (tmp_path / "table.csv").write_text(f"audio,text\ncaf\u00e9.wav,hello\n{'x' * 300}.wav,hello\n", encoding="utf-8")
    with pytest.raises(DataError, match="1 error") as caught:
        read_table(tmp_path / "table.csv")
    assert "caf" not in str(caught.value)


def test_tsv_keeps_quotes_as_common_voice_writes_them(tmp_path: Path) -> None:
    write_tone(tmp_path / "clips" / "a.wav")
    (tmp_path / "validated.tsv").write_text('client_id\tpath\tsentence\tage\nxyz\ta.wav\t"Yes" he said\t\n')
    (only,) = read_table(tmp_path / "validated.tsv")
    assert (only.text, only.speaker, dict(only.extra)) == ('"Yes" he said', "xyz", {})


def test_table_errors_come_with_their_lines(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav")
    (tmp_path / "t.csv").write_text(
        "audio,text,start,end\n"
        "a.wav,,0,1\n"
        "gone.wav,x,0,1\n"
        "a.wav,x,1,0.5\n"
        "a.wav,x,nan,\n"
        "a.wav,x,soon,\n"
        "a.wav,one, two,0,1\n"
        "a.wav,x,,\n"
        "a.wav,x,,\n"
    )
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "t.csv")
    message = str(caught.value)
    assert "7 errors" in message
    for part in (
        "t.csv:2: a.wav: the transcript is empty",
        "t.csv:3: gone.wav does not exist",
        "t.csv:4: a.wav: end 0.5 is not after start 1.0",
        "t.csv:5: a.wav: start nan",
        "t.csv:6: a.wav: start, end, duration must be seconds",
        "t.csv:7: more fields than the header",
        "id a is used twice",
    ):
        assert part in message


def test_nemo_lines_give_offset_and_duration(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav", 2.0)
    rows = [
        {"audio_filepath": "a.wav", "text": "one", "duration": 0.5, "offset": 1.0, "speaker": "bob", "lang": "en"},
        {"audio_filepath": str(tmp_path / "a.wav"), "text": "two", "id": "u2"},
    ]
    file = tmp_path / "m.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    first, second = read_nemo(file)
    assert (first.start_s, first.duration_s, first.speaker, dict(first.extra)) == (1.0, 0.5, "bob", {"lang": "en"})
    assert (second.id, second.duration_s) == ("u2", 2.0)
    file.write_bytes(b'{"audio_filepath": "a.wav", "text": "\xff"}\n[1]\n')
    with pytest.raises(DataError, match=r"(?s)m.jsonl:1: is not UTF-8.*m.jsonl:2: is not a JSON"):
        read_nemo(file)


def test_a_value_that_is_no_text_is_an_error_of_its_line_and_a_number_stands_for_its_digits(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav", 2.0)
    wrong = [
        ("text", ["a", "b"], "text is a list, not text"),
        ("text", math.nan, "text is nan, not text"),
        ("speaker", {"name": "ann"}, "speaker is an object, not text"),
        ("speaker", "\ud800", "speaker holds half a Unicode character"),
        ("id", True, "id is true, not text"),
        ("channel", 0.5, "a.wav: start, end, duration must be seconds and channel a whole number"),
    ]
    rows = [{"audio_filepath": "a.wav", "text": "x", name: value} for name, value, _ in wrong]
    file = tmp_path / "m.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match="6 errors") as caught:
        read_nemo(file)
    for line, (_, _, message) in enumerate(wrong, start=1):
        assert f"m.jsonl:{line}: {message}" in str(caught.value)
    file.write_text('{"audio_filepath": "a.wav", "text": 0, "speaker": 0, "id": 0, "channel": 0.0}')
    (only,) = read_nemo(file)
    assert (only.id, only.text, only.speaker, only.channel) == ("0", "0", "0", 0)


@pytest.fixture
def kaldi(tmp_path: Path) -> Path:
    write_tone(tmp_path / "audio" / "r1.wav", 4.0)
    folder = tmp_path / "data" / "train"
    folder.mkdir(parents=True)
    (folder / "wav.scp").write_text("r1 audio/r1.wav\n")
    (folder / "segments").write_text("ann-1 r1 0.5 1.75\nann-2 r1 2 3\n")
    (folder / "text").write_text("ann-1 GOOD DAY\nann-2 YES\n")
    (folder / "utt2spk").write_text("ann-1 ann\nann-2 ann\n")
    return folder


def test_a_kaldi_text_may_hold_a_unicode_line_separator(kaldi: Path) -> None:
    text = kaldi / "text"
    text.write_text(text.read_text().replace(" ", " one\x85", 1), encoding="utf-8")
    assert read_kaldi(kaldi)[0].text.startswith("one ")


def test_kaldi_segments_cut_the_recording(kaldi: Path) -> None:
    first, second = read_kaldi(kaldi)
    assert (first.id, first.text, first.speaker) == ("ann-1", "GOOD DAY", "ann")
    assert (first.start_s, first.duration_s, second.start_s, second.duration_s) == (0.5, 1.25, 2.0, 1.0)
    assert Path(first.audio).name == "r1.wav"


def test_kaldi_without_segments_takes_whole_recordings(kaldi: Path) -> None:
    (kaldi / "segments").unlink()
    (kaldi / "utt2spk").unlink()
    (kaldi / "text").write_text("r1 GOOD DAY\n")
    (only,) = read_kaldi(kaldi)
    assert (only.start_s, only.duration_s, only.speaker) == (0.0, 4.0, None)


def test_kaldi_errors_are_named_and_commands_never_run(kaldi: Path) -> None:
    (kaldi / "wav.scp").write_text("r1 audio/r1.wav\nr2 sph2pipe -f wav x.sph |\nr3 gone.wav\n")
    (kaldi / "segments").write_text("ann-1 r1 0.5 1.75\nann-2 r9 2 3\nann-3 r1 3 2\nann-4 r1 a b\nann-5 r1 0 1\n")
    (kaldi / "text").write_text("ann-1 YES\nann-1 NO\nann-6 WHAT\n")
    with pytest.raises(DataError) as caught:
        read_kaldi(kaldi)
    for part in (
        "r2 is a command",
        "r3: gone.wav does not exist",
        "ann-2: recording r9 is not in wav.scp",
        "ann-3: start 3 and end 2",
        "ann-4: 'r1 a b' is not RECORDING START END",
        "text:2: ann-1 is listed twice",
        "ann-6 has a transcript but no recording",
        "ann-5 has a recording but no transcript",
    ):
        assert part in str(caught.value)


def test_read_folder_distinguishes_the_forms(kaldi: Path, tmp_path: Path) -> None:
    assert len(read_folder(kaldi)) == 2
    write_pair(tmp_path / "pairs" / "a")
    assert [u.id for u in read_folder(tmp_path / "pairs")] == ["a"]
    (tmp_path / "pairs" / "t.csv").write_text("audio,text,id\na.wav,x,from-table\n")
    assert [u.id for u in read_folder(tmp_path / "pairs")] == ["from-table"]
    assert [u.id for u in read_folder(tmp_path / "pairs" / "t.csv")] == ["from-table"]
    (tmp_path / "pairs" / "u.tsv").write_text("")
    with pytest.raises(DataError, match=r"holds 2 tables \(t.csv, u.tsv\)"):
        read_folder(tmp_path / "pairs")
    with pytest.raises(DataError, match=r"has no recordings"):
        read_folder(RECIPE)


def test_folder_recipe_splits_by_speaker(tmp_path: Path) -> None:
    for speaker in range(10):
        for take in range(2):
            write_pair(tmp_path / "mine" / f"s{speaker}" / f"t{take}", "Good Day")
    run_prepare(RECIPE, tmp_path / "mine", tmp_path / "out", {"lowercase": True})
    parts = {name: read_manifest(tmp_path / "out" / f"{name}.jsonl") for name in ("train", "dev", "test")}
    assert {name: len(part) for name, part in parts.items()} == {"train": 16, "dev": 2, "test": 2}
    assert len({u.speaker for part in parts.values() for u in part}) == 10
    assert parts["dev"][0].speaker not in {u.speaker for u in [*parts["train"], *parts["test"]]}
    assert parts["train"][0].text == "good day"


def test_speaker_none_splits_a_table_by_recording_too(tmp_path: Path) -> None:
    rows = [f"{write_tone(tmp_path / f'{take}.wav')};yes;s{take // 4}" for take in range(20)]
    (tmp_path / "mine.csv").write_text("\n".join(["audio;text;speaker", *rows]), encoding="utf-8-sig")
    for speaker, in_test, speakers in (("folder", 4, 1), ("none", 5, 0)):  # a quarter is a speaker, or five recordings
        run_prepare(RECIPE, tmp_path / "mine.csv", tmp_path / speaker, {"speaker": speaker, "test": 0.25, "dev": 0})
        found = read_manifest(tmp_path / speaker / "test.jsonl")
        assert len(found) == in_test and len({one.speaker for one in found} - {None}) == speakers


def test_folder_recipe_keeps_a_split_that_is_there(tmp_path: Path) -> None:
    for speaker in range(4):
        write_pair(tmp_path / "mine" / "train" / f"s{speaker}" / "a")
    write_pair(tmp_path / "mine" / "test" / "s0" / "a")
    summary = run_prepare(RECIPE, tmp_path / "mine", tmp_path / "out", {"dev": 0.25})
    assert len(read_manifest(tmp_path / "out" / "train.jsonl")) == 3
    assert "test" in Path(read_manifest(tmp_path / "out" / "test.jsonl")[0].audio).parts
    assert "own test is kept" in summary


def test_media_files_are_recordings_unless_a_sound_file_of_the_stem_lies_beside(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV makes and reads the m4a file")
    for name in ("call.m4a", "talk.m4a"):
        with av.open(str(tmp_path / name), "w", format="mp4") as container:
            stream = container.add_stream("aac", rate=8000, layout="mono")
            sound = (0.1 * np.sin(np.arange(8192) / 5)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            frame.rate = 8000
            container.mux([*stream.encode(frame), *stream.encode(None)])
    write_pair(tmp_path / "talk")
    (tmp_path / "call.txt").write_text("hello")
    found = {one.id: Path(one.audio).name for one in read_text_beside_audio(tmp_path)}
    assert found == {"call": "call.m4a", "talk": "talk.wav"}


def test_a_kaldi_segment_to_minus_1_ends_with_its_recording(kaldi: Path) -> None:
    (kaldi / "segments").write_text("ann-1 r1 0.5 -1\nann-2 r1 2 3\n")
    first, _ = read_kaldi(kaldi)
    assert (first.start_s, first.duration_s) == (0.5, 3.5)
    (kaldi / "segments").write_text("ann-1 r1 0.5 -2\nann-2 r9 2 -1\n")
    with pytest.raises(DataError, match=r"(?s)ann-1: start 0.5 and end -2.*ann-2: recording r9 is not in wav.scp"):
        read_kaldi(kaldi)
