"""The Mboshi recipe: its own split, dev out of train by the texts, a speaker left out, and its download by git."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr.data.manifest import Utterance, read_manifest
from asr.data.prepare import load_recipe, run_prepare
from asr.errors import ConfigError, DataError
from tests.data.test_recipes_small import write_tone

RECIPE = Path(__file__).parents[2] / "recipes" / "mboshi"
PART = {"complete": False, "dev_share": 0.3}
WORDS = ("Bána", "ákobhí", "sωndω", "lώsω", "Kyéma", "wa", "idzwa", "mbώngω")


def add(folder: Path, name: str, text: str) -> None:
    write_tone(folder / f"{name}.wav", 0.2, 16000)
    (folder / f"{name}.mb").write_text(f"{text}\n", encoding="utf-8")
    (folder / f"{name}.mb.cleaned").write_text("not read\n", encoding="utf-8")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    for part, numbers in (("train", range(24)), ("dev", range(24, 30))):
        for number in numbers:
            speaker = ("abiayi", "kouarata", "martial")[number % 3]
            name = f"{speaker}_2015-09-08-11-18-39_samsung-SM-T530_mdw_elicit_Dico18_{number}"
            text = f"{WORDS[number % 8]} {WORDS[number // 8]}" if number != 23 else "Bána  bána!"  # also of number 0
            add(root / "full_corpus_newsplit" / part, name, text)
    return root


def parts(out: Path) -> Iterator[tuple[str, list[Utterance]]]:
    for path in sorted(out.glob("*.jsonl")):
        yield path.stem, list(read_manifest(path))


def test_the_corpus_has_its_own_test_and_dev_is_made_by_the_text(corpus: Path, tmp_path: Path) -> None:
    run_prepare(RECIPE, corpus, tmp_path / "out", PART)
    run_prepare(RECIPE, corpus / "full_corpus_newsplit", tmp_path / "again", PART)
    found = dict(parts(tmp_path / "out"))
    assert {one.id.split("_")[-1] for one in found["test"]} == {str(number) for number in range(24, 30)}
    assert len(found["train"]) + len(found["dev"]) == 24 and found["dev"]
    where = {one.id.split("_")[-1]: name for name, part in found.items() for one in part}
    assert where["0"] == where["23"], "one text, whatever its case and punctuation, is in one part"
    assert [(path.name, path.read_bytes()) for path in sorted((tmp_path / "again").glob("*.jsonl"))] == [
        (path.name, path.read_bytes()) for path in sorted((tmp_path / "out").glob("*.jsonl"))
    ]
    first = found["test"][0]
    assert (first.speaker, first.text, first.extra["source"]) == ("abiayi", "Bána lώsω", "dico")


def test_a_speaker_left_out_is_the_test_and_none_of_its_sentences_is_trained(corpus: Path, tmp_path: Path) -> None:
    add(
        corpus / "full_corpus_newsplit" / "train", "abiayi_x_elicit_Part1_7", "lώsω ákobhí!"
    )  # also of martial, as number 0
    summary = run_prepare(RECIPE, corpus, tmp_path, {**PART, "leave_out": "martial"})
    found = dict(parts(tmp_path))
    assert {one.speaker for one in found["test"]} == {"martial"} and len(found["test"]) == 10
    assert {one.speaker for one in found["train"] + found["dev"]} == {"abiayi", "kouarata"}
    assert len(found["test-known"]) == 4
    assert "2 utterances of train have the text of a test utterance: left out." in summary
    with pytest.raises(ConfigError, match=r"leave_out=eve: no such speaker\. Choose one of abiayi, kouarata, martial"):
        run_prepare(RECIPE, corpus, tmp_path, {**PART, "leave_out": "eve"})


def test_what_is_wrong_with_a_copy_is_listed(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found 24, expected 4616"):
        run_prepare(RECIPE, corpus, tmp_path, {})
    with pytest.raises(DataError, match="is not the Mboshi corpus"):
        run_prepare(RECIPE, tmp_path / "repository" / "full_corpus_newsplit" / "dev", tmp_path, PART)
    train = corpus / "full_corpus_newsplit" / "train"
    add(train, "odd", "wa")
    add(train, "abiayi_x_elicit_Dico1_1", "")
    write_tone(train / "alone.wav")
    (train / "lost.mb").write_text("wa")
    with pytest.raises(DataError) as caught:
        run_prepare(RECIPE, corpus, tmp_path, PART)
    for said in (
        "odd: not SPEAKER_",
        "Dico1_1: the transcript is empty",
        "alone: no alone.mb",
        "lost.mb: no recording",
    ):
        assert said in str(caught.value)


def test_the_download_takes_the_two_folders_of_a_commit(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(["git", "-C", str(corpus), *names, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    (corpus / "bak").mkdir()
    (corpus / "bak" / "large.bin").write_bytes(b"x" * 1000)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "corpus")
    for key in ("allowFilter", "allowAnySHA1InWant"):
        git("config", f"uploadpack.{key}", "true")
    recipe = load_recipe(RECIPE)
    monkeypatch.setattr(recipe, "URL", corpus.as_uri())
    monkeypatch.setattr(recipe, "COMMIT", "0" * 40)
    with pytest.raises(DataError, match=r"cannot be downloaded into .*: git fetch: "):
        recipe.download(tmp_path / "copy")
    monkeypatch.setattr(recipe, "COMMIT", git("rev-parse", "HEAD"))
    for _ in range(2):  # the second finds it there
        recipe.download(tmp_path / "copy")
    assert len(list((tmp_path / "copy").glob("full_corpus_newsplit/train/*.wav"))) == 24
    assert not (tmp_path / "copy" / "bak").exists()
