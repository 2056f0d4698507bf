"""ARPA and our binary: what goes out comes back, other tools' habits are understood, damage is named."""

import gzip
import json
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from asr.errors import ModelError
from asr.lm import NgramModel, read_lm
from asr.lm.build import BuildOptions, build_lm
from asr.lm.files import read_trie, write_lm
from asr.lm.trie import NgramTrie, to_model
from tests.lm.plain_query import model_of, score, sentence_log_prob
from tests.lm.test_build import zipfian_sentences
from tests.lm.test_query import ARPA

ARRAYS = ("arc_start", "arc_word", "arc_log_prob", "arc_next", "backoff_log_weight", "backoff_state")


@pytest.fixture(scope="module")
def trie() -> NgramTrie:
    return build_lm(zipfian_sentences(300, seed=2), BuildOptions(order=4, cutoffs=(0, 0, 1))).trie


def assert_same(found: NgramModel, expected: NgramModel, tolerance: float) -> None:
    assert (found.words, found.order, found.unit) == (expected.words, expected.order, expected.unit)
    assert (found.unk, found.bos, found.eos, found.start_state) == (
        expected.unk, expected.bos, expected.eos, expected.start_state,
    )  # fmt: skip
    for name in ARRAYS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("name", "tolerance"), [("lm.arpa", 3e-6), ("lm.arpa.gz", 3e-6), ("lm.bin", 0.0)])
def test_what_is_written_comes_back(tmp_path: Path, trie: NgramTrie, name: str, tolerance: float) -> None:
    write_lm(tmp_path / name, trie)
    renamed = (tmp_path / name).rename(tmp_path / "model")  # told by content, not by name

    found = read_lm(renamed)
    assert_same(found, to_model(trie), tolerance)
    # numba compiles anew for read-only or mapped arrays: all must be plain and writable
    assert all(type(getattr(found, array)) is np.ndarray and getattr(found, array).flags.writeable for array in ARRAYS)
    again = read_trie(renamed)
    assert again.counts == trie.counts
    np.testing.assert_allclose(again.log_prob, trie.log_prob, rtol=tolerance, atol=tolerance)


def test_a_character_model_stays_one_through_arpa(tmp_path: Path) -> None:
    sentences = [["a", "b", "<space>", "a"], ["b"]]
    write_lm(tmp_path / "lm.arpa", build_lm(sentences, BuildOptions(order=3, unit="character")).trie)

    assert read_lm(tmp_path / "lm.arpa").unit == "character"
    assert model_of(ARPA).unit == "word"  # single letters, but no space among them


def test_words_of_an_arpa_file_are_composed_unless_two_of_them_would_be_one() -> None:
    decomposed, composed = "e\N{COMBINING ACUTE ACCENT}", "\N{LATIN SMALL LETTER E WITH ACUTE}"

    def words(*given: str) -> list[str]:
        lines = "".join(f"-0.7\t{word}\n" for word in ("<s>", "</s>", *given))
        return sorted(model_of(f"\\data\\\nngram 1={2 + len(given)}\n\n\\1-grams:\n{lines}\n\\end\\\n").words)[2:]

    assert words(decomposed, "f") == ["<unk>", "f", composed]
    assert words(decomposed, composed) == ["<unk>", decomposed, composed]


def test_arpa_holds_what_the_format_says(tmp_path: Path) -> None:
    write_lm(tmp_path / "lm.arpa", build_lm([["a", "b"], ["a", "c"]], BuildOptions(order=2)).trie)

    lines = (tmp_path / "lm.arpa").read_text(encoding="utf-8").splitlines()

    assert lines[:5] == ["\\data\\", "ngram 1=6", "ngram 2=5", "", "\\1-grams:"]
    assert "-1.017729\t<unk>" in lines  # log10 of 12/25/5, worked out in test_build.py
    assert "-99\t<s>\t-0.4771213" in lines  # weight 1/3
    assert lines[-2:] == ["", "\\end\\"]


def test_other_writers_habits_change_nothing() -> None:
    plain = model_of(ARPA)
    preface = "made by someone\n\n"
    variants = {
        "carriage returns": ARPA.replace("\n", "\r\n"),
        "text before the data": preface + ARPA,
        "spaces for tabs": ARPA.replace("\t", " "),
        "blank lines": ARPA.replace("\n-", "\n\n-"),
        "a byte order mark": "\ufeff" + ARPA,
        "capitals": ARPA.replace("<unk>", "<UNK>"),
        "all weights": "\n".join(
            line + "\t0" if line.startswith("-") and line.count("\t") == 1 and "</s>" not in line else line
            for line in ARPA.split("\n")
        ),
    }
    for name, text in variants.items():
        found = model_of(text)
        assert found.words == plain.words, name
        assert_same(found, plain, 0.0)
    for bos in ("0\t<s>", "-inf\t<s>"):
        assert sentence_log_prob(model_of(ARPA.replace("-99\t<s>", bos)), ["a"]) == sentence_log_prob(plain, ["a"])


def test_a_missing_unk_gets_kenlms_probability() -> None:
    text = ARPA.replace("-1.0\t<unk>\n", "").replace("ngram 1=5", "ngram 1=4")

    model = model_of(text)

    assert score(model, 0, model.word_id("zebra"))[0] == pytest.approx(-100 * np.log(10))


def test_a_missing_context_is_put_in_without_changing_a_probability() -> None:
    # SRILM may prune "b b" and keep "b b </s>": its probability is then weight(b) p(b), and it has no weight
    text = ARPA.replace("-0.35\tb b\t-0.07\n", "").replace("ngram 2=4", "ngram 2=3")

    model = model_of(text)

    log10 = (-0.3 - 0.5) + (-0.1 - 0.5) - 0.15
    assert sentence_log_prob(model, ["b", "b"]) == pytest.approx(log10 * np.log(10), abs=1e-6)


def test_wherever_an_arpa_file_is_cut_one_error_says_so(tmp_path: Path) -> None:
    content = ARPA.rstrip().encode()
    zipped = gzip.compress(content)
    for name, data in (("cut.arpa", content), ("cut.gz", zipped)):
        for size in range(len(data)):
            (tmp_path / name).write_bytes(data[:size])
            with pytest.raises(ModelError, match=name):
                read_lm(tmp_path / name)


def test_whatever_byte_of_a_binary_changes_it_is_refused(tmp_path: Path, trie: NgramTrie) -> None:
    path = tmp_path / "lm.bin"
    write_lm(path, trie)
    content = path.read_bytes()
    generator = random.Random(0)
    header = range(8, 20)
    for place in (*header, *(generator.randrange(20, len(content)) for _ in range(300))):
        damaged = bytearray(content)
        damaged[place] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"lm\.bin"):
            read_lm(path)
    for size in (0, 1, 7, 8, 19, 20, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ModelError, match=r"lm\.bin"):
            read_lm(path)


def test_a_binary_with_numbers_that_point_outside_is_refused(tmp_path: Path, trie: NgramTrie) -> None:
    # the checksum fits: only the numbers are wrong, and the compiled search would read beyond the arrays
    from dataclasses import replace

    from asr.lm.files import read_binary, write_binary

    model = to_model(trie)
    for name, place, value in (
        ("arc_next", 3, len(model.backoff_state)),
        ("arc_word", -1, -1),
        ("backoff_state", 5, 5),
        ("arc_start", -1, len(model.arc_word) + 1),
    ):
        array = getattr(model, name).copy()
        array[place] = value
        with (tmp_path / "bad.bin").open("wb") as stream:
            write_binary(stream, replace(model, **{name: array}))
        with (tmp_path / "bad.bin").open("rb") as stream, pytest.raises(ModelError, match="damaged"):
            read_binary(stream, "bad.bin")


def test_a_binary_with_another_header_whose_checksum_fits_is_refused(tmp_path: Path, trie: NgramTrie) -> None:
    path = tmp_path / "lm.bin"
    write_lm(path, trie)
    content = path.read_bytes()
    (length,) = struct.unpack_from("<I", content, 12)
    header = json.loads(content[20 : 20 + length])
    wrong: tuple[object, ...] = (None, "x", [], [[]], {}, -1, 10**12, 10**30, 1e300)
    headers: list[bytes] = [b"", b"[]", b"7", b"null", b"{}", b"[" * 100_000, b"\xff", b'{"crc32": 0}']
    headers += [json.dumps(header | {key: value}).encode() for key in header for value in wrong]
    headers += [json.dumps(header | {"sizes": header["sizes"][:place]}).encode() for place in range(7)]
    for forged in headers:
        path.write_bytes(
            content[:12] + struct.pack("<II", len(forged), zlib.crc32(forged)) + forged + content[20 + length :]
        )
        with pytest.raises(ModelError, match=r"lm\.bin.* is damaged"):
            read_lm(path)
