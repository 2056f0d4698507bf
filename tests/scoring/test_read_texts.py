"""Any two text files are read as what they are, and every problem of both is reported with file and line."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from asr.errors import DataError, UsageError
from asr.scoring.read import read_pair

Write = Callable[[str | bytes, str | bytes], tuple[Path, Path]]


@pytest.fixture
def pair(tmp_path: Path) -> Write:
    def write(references: str | bytes, hypotheses: str | bytes) -> tuple[Path, Path]:
        paths = tmp_path / "refs.txt", tmp_path / "hyps.txt"
        for path, content in zip(paths, (references, hypotheses), strict=True):
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return paths

    return write


def formats_and_texts(
    paths: tuple[Path, Path], format_name: str = "auto"
) -> tuple[str, dict[str, str], str, dict[str, str]]:
    first, second = read_pair(*paths, format_name=format_name)
    return first.format, first.texts, second.format, second.texts


def test_kaldi_text_by_its_ids(pair: Write) -> None:
    paths = pair("fash-an251 YES\nfash-an252\tGO  ON\n\n", "fash-an252 go\nfash-an251\n")
    assert formats_and_texts(paths) == (
        "kaldi",
        {"fash-an251": "YES", "fash-an252": "GO  ON"},
        "kaldi",
        {"fash-an252": "go", "fash-an251": ""},
    )


def test_kaldi_text_by_its_order_where_ids_are_words(pair: Write) -> None:
    paths = pair("ann yes\nbob no\n", "bob no\nann yes\n")
    assert formats_and_texts(paths)[:2] == ("kaldi", {"ann": "yes", "bob": "no"})


def test_trn(pair: Write) -> None:
    paths = pair(";; comment\nyes (well) no (s1-u1)\n(s1-u2)\n", "yes no (s1-u1)\nuh (s1-u2)\n")
    assert formats_and_texts(paths) == (
        "trn",
        {"s1-u1": "yes (well) no", "s1-u2": ""},
        "trn",
        {"s1-u1": "yes no", "s1-u2": "uh"},
    )


def test_white_space_takes_time_in_proportion_to_its_length(pair: Write) -> None:
    text = f"a{' ' * 40_000}b (u1)\n"
    started_s = time.process_time()
    assert [read.texts["u1"].split() for read in read_pair(*pair(text, text))] == [["a", "b"]] * 2
    assert time.process_time() - started_s < 2  # with its square 20 and more


def test_jsonl_takes_the_key_of_each_side(pair: Write) -> None:
    both = [{"id": "a", "reference": "x", "hypothesis": "y", "speaker": "ann", "duration_s": 1.5}]
    nemo = [{"audio_filepath": "b.wav", "text": "x", "pred_text": "y", "duration": 2}]
    content = "".join(json.dumps(row) + "\n" for row in both + nemo)
    references, hypotheses = read_pair(*pair(content, content))
    assert references.texts == {"a": "x", "b.wav": "x"}
    assert hypotheses.texts == {"a": "y", "b.wav": "y"}
    assert references.speakers == {"a": "ann"}
    assert references.durations_s == {"a": 1.5, "b.wav": 2.0}


def test_a_bare_file_beside_one_with_ids_has_ids(pair: Write) -> None:
    paths = pair('{"id": "ann", "text": "yes"}\n', "ann yes\n")
    assert formats_and_texts(paths) == ("jsonl", {"ann": "yes"}, "kaldi", {"ann": "yes"})


def test_plain_lines_are_matched_by_number_blank_ones_too(pair: Write) -> None:
    paths = pair("the cat\nthe dog\r\nthe end\n", "a cat\n\nthe end")
    assert formats_and_texts(paths) == (
        "plain",
        {"line-1": "the cat", "line-2": "the dog", "line-3": "the end"},
        "plain",
        {"line-1": "a cat", "line-2": "", "line-3": "the end"},
    )


def test_single_words_are_plain_text(pair: Write) -> None:
    assert formats_and_texts(pair("yes\nno\n", "yes\nno\n"))[0] == "plain"


def test_it_is_asked_rather_than_guessed_whether_first_words_are_ids(pair: Write) -> None:
    paths = pair("ann yes\nbob no\n", "ann yes\nbob oh\n")
    with pytest.raises(UsageError, match=r"--format kaldi if 'ann' is an id, --format plain if it was spoken"):
        read_pair(*paths)
    assert formats_and_texts(paths, "kaldi")[1] == {"ann": "yes", "bob": "no"}
    assert formats_and_texts(paths, "plain")[1] == {"line-1": "ann yes", "line-2": "bob no"}


def test_all_faults_of_both_files_come_at_once(pair: Write) -> None:
    good = '{"id": "ok", "text": "x"}\n'
    references = good + '{"id": "a"\n{"id": "b"}\n{"text": "x"}\n{"id": "ok", "text": "y"}\n{"id": "c", "text": 5}\n'
    hypotheses = (
        good + '{"id": "d", "text": "x", "duration": -1}\n{"id": "e", "text": "\\ud800"}\n{"id": " ", "text": ""}\n'
    )
    with pytest.raises(DataError) as caught:
        read_pair(*pair(references.encode() + b'{"id": "caf\xe9", "text": "x"}\n', hypotheses))
    message = str(caught.value)
    for expected in (
        "refs.txt:7: is not UTF-8 (byte 0xe9 at position 12)",
        "refs.txt:2: is not JSON",
        "refs.txt:3: has no reference: none of the keys reference, ref, text, transcript, transcription, sentence (it "
        "has 'id')",
        "refs.txt:4: has no id",
        "refs.txt:5: the id 'ok' was already used in line 1",
        "refs.txt:6: 'text' must be text, not 5",
        "hyps.txt:2: 'duration' must be a number of seconds, not -1",
        "hyps.txt:3: holds half of a surrogate pair",
        "hyps.txt:4: the id must be text",
        "read as jsonl and jsonl; if that is wrong, give --format",
    ):
        assert expected in message


def test_bad_utf8_is_a_fault_of_its_line_and_a_byte_order_mark_is_none(pair: Write) -> None:
    with pytest.raises(DataError, match=r"hyps.txt:2: is not UTF-8 \(byte 0xe9 at position 7\)"):
        read_pair(*pair("u_1 x\nu_2 caf\n", b"u_1 x\nu_2 ca\xe9\n"))
    assert formats_and_texts(pair(b"\xef\xbb\xbfu_1 x\n", "u_1 y\n"))[1] == {"u_1": "x"}
    with pytest.raises(DataError, match="is UTF-16; save it as UTF-8"):
        read_pair(*pair("u_1 x\n".encode("utf-16"), "u_1 y\n"))


@pytest.mark.parametrize("indent", [None, 2])
def test_objects_in_one_json_array_are_read_as_json_lines(pair: Write, indent: int | None) -> None:
    rows = [{"audio_filepath": "/x/a.wav", "text": "one", "pred_text": "won"}, {"id": "b", "text": "two"}]
    paths = pair(json.dumps(rows[:1], indent=indent), json.dumps(rows[:1], indent=indent))
    references, hypotheses = read_pair(*paths)
    assert (references.format, list(references.texts.values())) == ("jsonl", ["one"])
    assert list(hypotheses.texts.values()) == ["won"]
    with pytest.raises(DataError, match=r"hyps.txt:2: has no id"):  # the number of the object
        read_pair(*pair(json.dumps(rows, indent=indent), json.dumps([rows[0], {"text": "two"}], indent=indent)))


def test_bytes_that_are_no_text_are_named_before_the_format_is_asked_for(pair: Write) -> None:
    with pytest.raises(DataError, match=r"hyps.txt:1: is not UTF-8 \(byte 0xff at position 1\)"):
        read_pair(*pair("x (a)\n", b"\xff,\xfe\t1\t2\n"))


def test_only_line_feeds_part_lines(pair: Write) -> None:
    paths = pair("u_1 one\u2028two\u0085three\n", "u_1 one\n")
    assert formats_and_texts(paths)[1] == {"u_1": "one\u2028two\u0085three"}


def test_ids_are_compared_in_composed_form(pair: Write) -> None:
    references, hypotheses = read_pair(*pair("cafe\u0301_1 x\n", "caf\u00e9_1 x\n"))
    assert list(references.texts) == list(hypotheses.texts)


def test_an_unknown_format_is_answered_with_the_choices(pair: Write) -> None:
    choices = "auto, kaldi, jsonl, trn, stm, ctm, seglst, csv, tsv, plain, whisper, txt"
    with pytest.raises(UsageError, match=f"'ctms'; choose one of: {choices}"):
        read_pair(*pair("a", "b"), format_name="ctms")


def test_ids_in_one_file_only_are_asked_about_and_never_counted_as_words(pair: Write) -> None:
    paths = pair("rec1 the cat\nrec2 hello\n", "the cat\nhello\n")
    with pytest.raises(UsageError, match=r"look like ids in one of them only .'rec1' and 'the'.*--format kaldi"):
        read_pair(*paths)
    assert read_pair(*paths, format_name="plain")[0].texts["line-1"] == "rec1 the cat"


def test_a_fault_of_a_file_that_is_both_sides_is_reported_once(pair: Write) -> None:
    path = pair('{"id": "a"}\n', "")[0]
    with pytest.raises(DataError) as caught:
        read_pair(path, path)
    assert str(caught.value).count("has no reference") == 1 and str(caught.value).count("has no hypothesis") == 1
    path.write_text('{"id": "a", "text": 5}\n', encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_pair(path, path)
    assert str(caught.value).count("'text' must be text, not 5") == 1


def test_a_number_of_seconds_that_no_float_holds_is_a_fault_with_its_line(pair: Write) -> None:
    path = pair('{"id": "a", "text": "x", "duration": 1' + "0" * 400 + "}\n", "")[0]
    with pytest.raises(DataError, match=r"refs\.txt:1: 'duration' must be a number of seconds"):
        read_pair(path, path)


def test_stretches_of_one_recording_are_distinguished_by_their_offset(pair: Write) -> None:
    rows = [
        {"audio_filepath": "a.wav", "offset": at, "duration": 1, "text": f"t{at}"}
        for at in (0, 2.5, 12345.61, 12345.64)
    ]
    path = pair("".join(json.dumps(row) + "\n" for row in rows), "")[0]
    first, second = read_pair(path, path)
    assert first.texts == second.texts == {f"a.wav@{at}": f"t{at}" for at in ("0", "2.5", "12345.61", "12345.64")}
    path.write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    assert list(read_pair(path, path)[0].texts) == ["a.wav"]


def test_a_table_separated_by_semicolons_is_read_as_a_table(pair: Write) -> None:
    paths = pair("u1 the cat\nu2 a, b\n", "id;text\nu1;the cat\nu2;a, b\n")
    assert formats_and_texts(paths)[2:] == ("csv", {"u1": "the cat", "u2": "a, b"})
