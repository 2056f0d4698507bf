"""`asr lm`: what a person types and sees."""

import json
from pathlib import Path

import pytest

from asr.cli import main
from asr.lm import read_lm
from tests.lm.plain_query import sentence_log_prob

TEXT = "The cat sat. The dog sat on the cat!\nMr. Brown saw a well-known dog.\n" * 4


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path / "text.txt"


def lm(*words: object) -> int:
    return main(["lm", *map(str, words)])


def test_build_then_examine(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "lm.bin"

    assert lm("build", text, "--order", 3, "--out", out) == 0
    shown = capsys.readouterr().out
    assert "60 words in 12 sentences; 0 outside the vocabulary" in shown
    assert f"Written to {out}" in shown

    assert lm("info", out) == 0
    shown = capsys.readouterr().out
    assert "vocabulary  13 with <unk>, <s> and </s>" in shown
    assert "1-grams     13" in shown

    (tmp_path / "dev.jsonl").write_text(json.dumps({"text": "the cat saw zebras"}) + "\n", encoding="utf-8")
    assert lm("perplexity", out, tmp_path / "dev.jsonl") == 0
    shown = capsys.readouterr().out
    assert "unknown words                       1 (25.00%)" in shown
    known = ["the", "cat", "saw"]
    model = read_lm(out)
    everything = -sentence_log_prob(model, [*known, "zebras"]) / 5
    assert f"{2.718281828459045**everything:,.4f}" in shown


def test_words_with_digits_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "numbers.txt"
    file.write_text("1½ miles\nin 1984 at 8\nand 131 more miles")
    assert lm("build", file, "--order", "2", "--out", tmp_path / "lm.bin") == 0
    assert "4 of the 9 different words hold digits (8, 1½, 131, ...); no model writes" in capsys.readouterr().out
    assert lm("build", file, "--unit", "character", "--order", "2", "--out", tmp_path / "lm.bin") == 0
    assert "hold digits" not in capsys.readouterr().out


def test_options_reach_the_model(text: Path, tmp_path: Path) -> None:
    out = tmp_path / "lm.arpa.gz"

    assert lm("build", text, "--out", out, "--order", 2, "--split-hyphens", "--replace", "Mr=Mister", "--min-count", 5,
              "--prune", 0, 4) == 0  # fmt: skip

    model = read_lm(out)
    assert set(model.words) == {"<unk>", "<s>", "</s>", "the", "cat", "sat", "dog"}
    assert lm("build", text, "--out", out, "--split-hyphens", "--replace", "Mr=Mister", "--order", 2) == 0
    assert {"mister", "well", "known"} <= set(read_lm(out).words)
    (tmp_path / "words").write_text("cat\nzebra\n", encoding="utf-8")
    assert lm("build", text, "--out", out, "--limit-words", tmp_path / "words") == 0
    assert set(read_lm(out).words) == {"<unk>", "<s>", "</s>", "cat", "zebra"}


def test_a_character_model(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "lm.bin"

    assert lm("build", text, "--unit", "character", "--order", 5, "--prune-entropy", 1e-6, "--out", out) == 0
    assert read_lm(out).unit == "character"
    assert lm("perplexity", out, text) == 0
    assert "unknown characters                  0 (0.00%)" in capsys.readouterr().out


def test_mix_and_convert(text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.txt").write_text("A zebra sat on the well-known Mr. Brown.\n", encoding="utf-8")
    for name in ("text", "other"):
        assert lm("build", tmp_path / f"{name}.txt", "--out", tmp_path / f"{name}.bin") == 0
    models = (tmp_path / "text.bin", tmp_path / "other.bin")

    assert lm("mix", *models, "--dev", tmp_path / "other.txt", "--out", tmp_path / "mixed.bin") == 0
    assert lm("mix", *models, "--weights", 3, 1, "--out", tmp_path / "mixed.bin") == 0
    assert f"0.7500  {models[0]}" in capsys.readouterr().out
    assert lm("convert", tmp_path / "mixed.bin", tmp_path / "mixed.arpa") == 0

    words = ["zebra", "sat"]
    found = sentence_log_prob(read_lm(tmp_path / "mixed.arpa"), words)
    assert found == pytest.approx(sentence_log_prob(read_lm(tmp_path / "mixed.bin"), words), abs=1e-4)


@pytest.mark.parametrize(
    "words",
    [
        "build folder --out folder/text.jsonl",
        "build folder --limit-words words.txt --out words.txt",
        "mix a.arpa a.arpa --weights 1 1 --out a.arpa",
        "mix a.arpa a.arpa --dev folder --out folder/text.jsonl",
        "convert a.arpa a.arpa",
    ],
)
def test_what_is_read_is_never_overwritten(
    words: str, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert lm("build", text, "--out", "a.arpa") == 0
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/text.jsonl").write_text('{"text": "the cat"}\n', encoding="utf-8")
    (tmp_path / "words.txt").write_text("the\ncat\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert lm(*words.split()) == 2
    assert "is an input and cannot be written" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("weights", ["0 0", "nan 1", "inf 1", "-1 -1", "1e308 1e308"])
def test_weights_without_shares_are_refused(
    weights: str, text: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "a.bin"
    assert lm("build", text, "--out", model) == 0
    assert lm("mix", model, model, "--weights", *weights.split(), "--out", tmp_path / "b.bin") == 2
    assert "--weights must all be above 0, and their sum finite" in capsys.readouterr().err
    assert not (tmp_path / "b.bin").exists()


def test_help_names_every_subverb(capsys: pytest.CaptureFixture[str]) -> None:
    assert lm("--help") == 0
    shown = capsys.readouterr().out
    for subverb in ("build", "perplexity", "info", "mix", "convert"):
        assert f"  {subverb} " in shown
        assert lm(subverb, "--help") == 0
    assert lm() == 2
