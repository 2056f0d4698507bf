"""Texts become sentences: split where a reader would, normalised, numbered by frequency."""

import gzip
import json
import time
from pathlib import Path

import pytest

from asr.errors import DataError
from asr.lm.counts import encode
from asr.lm.text import TextOptions, find_texts, read_sentences, split_sentences


@pytest.mark.parametrize(
    ("paragraph", "sentences"),
    [
        ("He came. She went.", ["He came.", "She went."]),
        ("“Stop!” “Why?” he said. “So!”", ["“Stop!”", "“Why?” he said.", "“So!”"]),
        ("Mr. Jones met Dr. Brown at St. Ives.", ["Mr. Jones met Dr. Brown at St. Ives."]),
        ("By J. M. Barrie. It was I. He knew.", ["By J. M. Barrie.", "It was I.", "He knew."]),
        ("Well... perhaps. Émile left… Then (Oh!) Ugh!", ["Well... perhaps.", "Émile left…", "Then (Oh!)", "Ugh!"]),
        ("It cost 3.50. 12 were sold.", ["It cost 3.50.", "12 were sold."]),
        ("no capitals. here", ["no capitals. here"]),
        ("", [""]),
    ],
)
def test_paragraphs_are_cut_at_sentence_ends(paragraph: str, sentences: list[str]) -> None:
    assert split_sentences(paragraph) == sentences


@pytest.mark.parametrize("filling", ["我", ".", "!…", "a’", "_"])
def test_a_line_without_an_end_of_sentence_takes_time_in_proportion_to_its_length(filling: str) -> None:
    line = f"So {filling * 25_000} it was. Then"
    started_s = time.process_time()
    assert split_sentences(line)[-1] == "Then"
    assert time.process_time() - started_s < 2  # with its square 20 and more


def test_files_zipped_files_and_manifests_give_the_same_sentences(tmp_path: Path) -> None:
    text = "Well-known Mr. Brown. He's here!\n\n—\nThe end"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8-sig")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "c.jsonl").write_text(
        "".join(json.dumps({"id": "1", "text": line}) + "\n" for line in text.split("\n")), encoding="utf-8"
    )
    (tmp_path / "notes.md").write_text("not a text", encoding="utf-8")
    (tmp_path / ".asr-transcripts.jsonl").write_text('{"audio": "a.wav"}\n', encoding="utf-8")  # asr transcribe's own

    files = find_texts([tmp_path])

    assert [file.name for file in files] == ["a.txt", "b.txt.gz", "c.jsonl"]
    expected = [["well-known", "mr", "brown"], ["he's", "here"], ["the", "end"]]
    for file in files:
        assert list(read_sentences(file, TextOptions())) == expected


def test_options_of_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("Mr. Well-known. Go", encoding="utf-8")

    def read(**options: object) -> list[str]:
        return [" ".join(words) for words in read_sentences(path, TextOptions(**options))]  # type: ignore[arg-type]

    assert read(split_sentences=False) == ["mr well-known go"]
    assert read(split_hyphens=True, replacements={"mr": "mister"}) == ["mister well known", "go"]
    assert read(replacements={"mr": "", "go": ""}) == ["well-known"]
    assert read(normalizer="none") == ["Mr. Well-known.", "Go"]
    assert read(unit="character")[1] == "g o"
    assert "<space>" in read(unit="character")[0].split(" ")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"fine\nna\xefve\n", "a.txt:2: is not UTF-8 (byte 0xef)"),
        ("a.jsonl", b'{"text": "a"}\n{"text": 3}\n', 'a.jsonl:2: is no object with a "text"'),
        ("a.jsonl", b"[]\n", "a.jsonl:1: is no object"),
        ("a.jsonl", b'\n{"text": \n', "a.jsonl:2: is not JSON"),
        ("a.txt.gz", gzip.compress(b"a b c\n" * 1000, mtime=0)[:-20], "a.txt.gz: its compression is damaged"),
    ],
)
def test_a_faulty_text_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(DataError) as caught:
        list(read_sentences(tmp_path / name, TextOptions()))

    assert words in str(caught.value)


def test_paths_that_hold_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no texts in this folder"):
        find_texts([tmp_path])
    with pytest.raises(DataError, match="no such text"):
        find_texts([tmp_path / "none.txt"])


def test_words_are_numbered_by_frequency_and_sentences_bounded() -> None:
    corpus = encode([["b", "a"], ["a", "c", "<unk>"]])

    assert corpus.words == ("<unk>", "<s>", "</s>", "a", "b", "c")
    assert corpus.tokens.tolist() == [1, 4, 3, 2, 1, 3, 5, 0, 2]
    assert (corpus.sentences, corpus.unknown) == (2, 1)


def test_rare_words_become_unknown() -> None:
    sentences = [["b", "a", "a", "d"], ["b", "c"]]

    assert encode(sentences, min_count=2).words[3:] == ("a", "b")
    assert encode(sentences, vocab_size=3).words[3:] == ("a", "b", "c")
    assert encode(sentences, limit=["z", "a"]).words[3:] == ("a", "z")


def test_bounds_that_the_text_has_already_are_not_doubled() -> None:
    assert encode([["<s>", "a", "</s>"]]).tokens.tolist() == encode([["a"]]).tokens.tolist()
    with pytest.raises(DataError, match="inside a sentence"):
        encode([["a", "</s>", "b"]])


def test_nothing_makes_no_model() -> None:
    with pytest.raises(DataError, match="no words"):
        encode([])
