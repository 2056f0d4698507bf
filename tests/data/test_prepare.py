"""Laws of running a recipe: options are checked by name and type, recipes are loaded separately and summarised."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.commands.prepare import run
from asr.data.manifest import Utterance, read_manifest
from asr.data.prepare import check_options, load_recipe, run_prepare
from asr.data.splits import Splits, write_splits
from asr.errors import ConfigError, DataError, UsageError

ECHO = """
from pathlib import Path
from typing import Literal
from .sibling import NAME
def prepare(corpus: Path | None, out: Path, *, size: Literal["small", "large"] = "small", count: int = 3,
            share: float = 0.1, on: bool = True, who: str | None = None) -> str:
    return f"{NAME} {corpus} {size} {count!r} {share!r} {on!r} {who!r}"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    folder = tmp_path / "recipe"
    folder.mkdir()
    (folder / "prepare.py").write_text(ECHO)
    (folder / "sibling.py").write_text("NAME = 'first'\n")
    return folder


def test_options_given_as_words_arrive_as_the_types_of_the_signature(recipe: Path, tmp_path: Path) -> None:
    words = {"size": "large", "count": "7", "share": "0.25", "on": "false", "who": "none"}
    assert run_prepare(recipe, None, tmp_path, words) == "first None large 7 0.25 False None"
    typed = {"size": "large", "count": 7, "share": 0.25, "on": False, "who": None}
    assert run_prepare(recipe, None, tmp_path, typed) == "first None large 7 0.25 False None"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"colour": "red"}, "no option colour. Its options: size=small, count=3"),
        ({"size": "huge"}, "size=huge is not valid; choose one of small, large"),
        ({"count": "seven"}, "count=seven is not valid; it must be of type int"),
        ({"count": 2.5}, "count=2.5 is not valid"),
        ({"count": True}, "count=True is not valid"),
        ({"share": "much"}, "share=much is not valid; it must be of type float"),
        ({"on": "maybe"}, "on=maybe is not valid; it must be of type bool"),
    ],
)
def test_wrong_options_are_named(recipe: Path, tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run_prepare(recipe, None, tmp_path, options)
    assert message in str(caught.value)


def test_two_recipes_with_equal_file_names_do_not_meet(recipe: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "prepare.py").write_text(ECHO)
    (other / "sibling.py").write_text("NAME = 'second'\n")
    assert load_recipe(recipe).NAME == "first"
    assert load_recipe(other).NAME == "second"


def test_a_folder_without_recipe_or_with_a_broken_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a recipe.*prepare\.py"):
        load_recipe(tmp_path)
    (tmp_path / "prepare.py").write_text("import no_such_module\n")
    with pytest.raises(ConfigError, match=r"cannot be imported: ModuleNotFoundError"):
        load_recipe(tmp_path)
    (tmp_path / "prepare.py").write_text("x = 1\n")
    with pytest.raises(ConfigError, match=r"no function prepare"):
        load_recipe(tmp_path)


def test_corpus_folder_must_exist_and_download_must_be_offered(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        run_prepare(recipe, tmp_path / "nowhere", tmp_path, {})
    with pytest.raises(ConfigError, match=r"has no download"):
        run_prepare(recipe, tmp_path / "nowhere", tmp_path, {}, download=True)


def test_download_runs_first_with_the_options_it_names(recipe: Path, tmp_path: Path) -> None:
    source = ECHO + "\ndef download(corpus: Path, *, size: str) -> None:\n    (corpus / size).mkdir(parents=True)\n"
    (recipe / "prepare.py").write_text(source)
    run_prepare(recipe, tmp_path / "corpus", tmp_path, {"size": "large", "count": 1}, download=True)
    assert (tmp_path / "corpus" / "large").is_dir()


def test_download_uses_the_defaults_of_prepare_where_nothing_is_said(recipe: Path, tmp_path: Path) -> None:
    source = (
        ECHO
        + "\ndef download(corpus: Path, *, size: str = 'small') -> None:\n    (corpus / size).mkdir(parents=True)\n"
    )
    (recipe / "prepare.py").write_text(source)
    run_prepare(recipe, tmp_path / "corpus", tmp_path, {}, download=True)
    assert (tmp_path / "corpus" / "small").is_dir()


def utterance(identity: str, audio: Path, speaker: str | None = None) -> Utterance:
    audio.parent.mkdir(exist_ok=True)
    audio.touch()
    return Utterance(id=identity, audio=str(audio), duration_s=1800.0, text="yes", speaker=speaker)


def test_summary_gives_hours_and_speakers_in_common(tmp_path: Path) -> None:
    splits = Splits(
        train=[utterance("a", tmp_path / "a.wav", "ann"), utterance("b", tmp_path / "b.wav", "bob")],
        dev=[utterance("c", tmp_path / "c.wav", "ann")],
        test=[utterance("d", tmp_path / "d.wav", "eve")],
        others={"test-other": [utterance("e", tmp_path / "e.wav", "bob")]},
        notes=["Mind the gap."],
    )
    summary = write_splits(tmp_path / "out", splits)
    assert "train                 2    1.00         2" in summary
    assert "1 of 1 speakers of dev are in train as well." in summary
    assert "of test are" not in summary
    assert summary.endswith("Mind the gap.")
    assert [u.id for u in read_manifest(tmp_path / "out" / "test-other.jsonl")] == ["e"]


def test_no_part_of_an_earlier_cut_stays_beside_the_new_one(tmp_path: Path) -> None:
    a, b, c = (utterance(name, tmp_path / f"{name}.wav") for name in "abc")
    write_splits(tmp_path / "out", Splits(train=[a], dev=[b], test=[c], others={"test-far": [c]}))
    summary = write_splits(tmp_path / "out", Splits(train=[a, b], dev=[], test=[c]))
    assert not (tmp_path / "out" / "dev.jsonl").exists()
    assert "test-far.jsonl in" in summary and "was there before" in summary


def test_a_part_that_cannot_be_written_leaves_all_parts_as_they_were(tmp_path: Path) -> None:
    a, b, c = (utterance(name, tmp_path / f"{name}.wav") for name in "abc")
    write_splits(tmp_path / "out", Splits(train=[a], dev=[b], test=[c]))
    with pytest.raises(DataError, match="snr is nan"):
        write_splits(tmp_path / "out", Splits(train=[c], dev=[b], test=[replace(a, extra={"snr": math.nan})]))
    found = {file.name: [one.id for one in read_manifest(file)] for file in (tmp_path / "out").iterdir()}
    assert found == {"train.jsonl": ["a"], "dev.jsonl": ["b"], "test.jsonl": ["c"]}


def test_an_utterance_in_train_and_test_is_refused_and_nothing_written(tmp_path: Path) -> None:
    both = utterance("a", tmp_path / "a.wav")
    with pytest.raises(DataError, match=r"both train and test: a"):
        write_splits(tmp_path / "out", Splits(train=[both], dev=[], test=[both]))
    with pytest.raises(DataError, match=r"Nothing to train on"):
        write_splits(tmp_path / "out", Splits(train=[], dev=[], test=[both]))
    assert not (tmp_path / "out").exists()


def test_command_sorts_folders_from_options(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([str(recipe), str(tmp_path), "size=large", str(tmp_path / "out"), "who=a=b"]) == 0
    assert f"first {tmp_path} large 3 0.1 True 'a=b'" in capsys.readouterr().out


def test_command_refuses_a_third_folder_and_a_repeated_option(recipe: Path) -> None:
    with pytest.raises(UsageError, match=r"got 3 folder"):
        run([str(recipe), "a", "b", "c"])
    with pytest.raises(UsageError, match=r"count is given twice"):
        run([str(recipe), "out", "count=1", "count=2"])


def test_a_path_option_is_read_as_a_path() -> None:
    def prepare(*, words: Path | None = None) -> None: ...

    assert check_options("here", prepare, {"words": "a/b"}) == {"words": Path("a/b")}


def test_faulty_recordings_are_refused_or_left_out_by_name_up_to_a_share(tmp_path: Path) -> None:
    """As recipes/folder: one of 20 recordings is cut short; two of 20 are more than the share."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, 16_000).astype(np.float32)
    for number in range(20):
        soundfile.write(corpus / f"{number:02}.wav", sound, 16_000)
        (corpus / f"{number:02}.txt").write_text("yes")
    (corpus / "07.wav").write_bytes((corpus / "07.wav").read_bytes()[:8_000])
    recipe = Path("recipes/folder")
    with pytest.raises(DataError, match=r"1 of 20 recordings cannot be read; faulty=drop leaves them out") as caught:
        run_prepare(recipe, corpus, tmp_path / "out", {})
    assert "07.wav: is cut short" in str(caught.value)
    summary = run_prepare(recipe, corpus, tmp_path / "out", {"faulty": "drop"})
    assert re.search(r"1 recording\(s\) that cannot be read were left out:\n  .*07\.wav: is cut short", summary)
    manifests = "".join(path.read_text() for path in (tmp_path / "out").glob("*.jsonl"))
    assert manifests.count("\n") == 19 and "07.wav" not in manifests
    (corpus / "08.wav").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 of 20 recordings cannot be read, more than the 5% that faulty=drop"):
        run_prepare(recipe, corpus, tmp_path / "out", {"faulty": "drop"})
    with pytest.raises(ConfigError, match="faulty=ignore is not valid; choose one of error, drop"):
        run_prepare(recipe, corpus, tmp_path / "out", {"faulty": "ignore"})


def test_replacements_are_written_into_every_manifest_and_listed(tmp_path: Path) -> None:
    recipe, out = tmp_path / "recipe", tmp_path / "out"
    recipe.mkdir()
    (recipe / "prepare.py").write_text(SPLITS)
    (tmp_path / "table.txt").write_text("ω => ɔ\n[noise] =>\n", encoding="utf-8")
    for given in (str(tmp_path / "table.txt"), {"ω": "ɔ", "[noise]": None}):
        summary = run_prepare(recipe, None, out, {"replacements": given})
        assert [(one.id, one.text) for one in read_manifest(out / "train.jsonl")] == [("a", "bɔ")]
        assert [(one.id, one.text) for one in read_manifest(out / "test.jsonl")] == [("c", "Ɔ")]
        assert "): ω → ɔ (2), [noise] → nothing (1)." in summary
        assert "1 utterances are left out: the replacements leave nothing of their text." in summary
    run_prepare(recipe, None, out, {})
    assert [one.text for one in read_manifest(out / "train.jsonl")] == ["bω", " [noise]"]
    with pytest.raises(DataError, match=r"none\.txt: cannot be read"):
        run_prepare(recipe, None, out, {"replacements": "none.txt"})


SPLITS = """
from pathlib import Path
from asr.data.manifest import Utterance
from asr.data.splits import Splits, write_splits
def prepare(corpus: Path | None, out: Path) -> str:
    one = lambda name, text: Utterance(id=name, audio=__file__, duration_s=1.0, text=text, start_s=float(ord(name)))
    return write_splits(out, Splits(train=[one("a", "bω"), one("b", " [noise]")], dev=[], test=[one("c", "Ω")]))
"""
